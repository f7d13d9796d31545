"""What has gone over this process's TCP connections, as the kernel counts it: of any library, without disturbing it."""

from __future__ import annotations

import os
import socket
import stat
import struct
from pathlib import Path


def carried() -> dict[str, int]:
    """Bytes that the streams of all open TCP connections have carried both ways since they were made, and segments.

    The bytes are those of the library's own protocol, its greeting and its heads included; what TCP and IP put around a
    segment is not, and comes to some 52 bytes for each. A connection that is closed counts no more.
    """
    carried = segments = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            number = int(entry.name)
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
            with socket.socket(fileno=os.dup(number)) as connection:
                if connection.family not in (socket.AF_INET, socket.AF_INET6):
                    continue
                info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ROOM)
        except OSError:
            # Closed since it was listed, or no TCP.
            continue
        if len(info) >= _COUNTED.size and info[0] != _LISTENS:
            sent, received, out, back = _COUNTED.unpack_from(info)
            carried += sent + received
            segments += out + back
    return {"wire_bytes": carried, "segments": segments}


_ROOM = 256
_COUNTED = struct.Struct("=120xQQII")
"""Of Linux's struct tcp_info: bytes acknowledged and received, segments out and in."""
_LISTENS = 10
