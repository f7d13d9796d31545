"""A program that listens with one library and is attacked by another process; it answers questions on standard input.

usage: victim.py LIBRARY PATTERN ADDRESS

Its first line is the address it listens at. Then each line on standard input is answered with one line: "usage" with
resident and virtual memory in bytes and processor seconds, "descriptors" with how many are open, "serve" begins to
receive and to throw away, "limit N" sets the bound on descriptors.
"""

import os
import resource
import sys
import threading
from pathlib import Path
from typing import Any


def open_ours(pattern: str, address: str) -> tuple[Any, str]:
    from workbench.engine.socket import CLASSES

    options: dict[str, Any] = {"subscribe": b""} if pattern == "sub" else {}
    socket = CLASSES[pattern](listen=address, **options)
    return socket, socket.addresses[0]


def open_zeromq(pattern: str, address: str) -> tuple[Any, str]:
    import zmq

    context = zmq.Context.instance()
    context.set(zmq.MAX_SOCKETS, 1_000)
    socket = context.socket(getattr(zmq, {"pair": "PAIR", "sub": "SUB"}.get(pattern, pattern.upper())))
    socket.linger = 0
    socket.bind(address.replace(":0", ":*"))
    return socket, socket.getsockopt_string(zmq.LAST_ENDPOINT)


def open_nng(pattern: str, address: str) -> tuple[Any, str]:
    import pynng

    socket = getattr(pynng, {"pull": "Pull0", "rep": "Rep0", "sub": "Sub0", "pub": "Pub0"}[pattern])()
    listener = socket.listen(address)
    return socket, f"{address.split('//')[0]}//{listener.local_address!s}"


# Opened while there are descriptors.
STATUS = Path("/proc/self/status").open()  # noqa: SIM115


def usage() -> str:
    resident, virtual = 0, 0
    STATUS.seek(0)
    for line in STATUS.read().splitlines():
        name, _, value = line.partition(":")
        if name == "VmRSS":
            resident = int(value.split()[0]) << 10
        elif name == "VmSize":
            virtual = int(value.split()[0]) << 10
    times = os.times()
    return f"{resident} {virtual} {times.user + times.system}"


def main() -> None:
    library, pattern, address = sys.argv[1:4]
    socket, bound = {"ours": open_ours, "zeromq": open_zeromq, "nng": open_nng}[library](pattern, address)
    print(bound, flush=True)
    for line in sys.stdin:
        match line.split():
            case ["usage"]:
                print(usage(), flush=True)
            case ["serve"]:

                def serve() -> None:
                    while True:
                        socket.recv()

                threading.Thread(target=serve, daemon=True).start()
                print("ok", flush=True)
            case ["limit", count]:
                resource.setrlimit(resource.RLIMIT_NOFILE, (int(count), resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
                print("ok", flush=True)
            case ["descriptors"]:
                print(len(list(Path("/proc/self/fd").iterdir())), flush=True)
            case _:
                os._exit(0)
    os._exit(0)


main()
