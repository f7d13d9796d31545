"""What the parts write into messages, all numbers big-endian.

A request begins with its sequence number (64 bits: the asking host in the upper 24, its count in the lower 40), a reply
repeats that number and adds one more than the number of the host that answered (32 bits); zero, as in the echo of a
request, names nobody. Zero bytes fill the rest.
"""

import struct

REQUEST = struct.Struct(">Q")
REPLY = struct.Struct(">QI")
_COUNT_BITS = 40


def sequence_of(host: int, count: int) -> int:
    """The sequence number of a host's request number `count`."""
    return host << _COUNT_BITS | count


def request(sequence: int, size: int) -> bytes:
    """A request of `size` bytes, eight at least."""
    return REQUEST.pack(sequence).ljust(size, b"\0")


def reply(asked: bytes, host: int, size: int) -> bytes:
    """The reply to a request, of `size` bytes, twelve at least."""
    sequence = REQUEST.unpack_from(asked)[0] if len(asked) >= REQUEST.size else 0
    return REPLY.pack(sequence, host + 1).ljust(size, b"\0")


def replier(answer: bytes) -> int | None:
    """The number of the host that wrote a reply; None if it is of another make."""
    if len(answer) < REPLY.size or (named := REPLY.unpack_from(answer)[1]) == 0:
        return None
    return int(named) - 1
