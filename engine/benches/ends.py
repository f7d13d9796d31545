"""One end of a measurement, in a process of its own: ``ends.py LIBRARY ROLE ADDRESS SIZE STYLE CPU SCALE``.

The library is ours or pyzmq, each through its own documented calls. Styles: one call per message; many messages per
call, where a library has that; asyncio; threads that share one socket (pyzmq's, which cannot be shared, have one each);
a number of subscribers; messages that come at a given rate; lone ones, each a second after the one before on its
socket. A listening end says its address; the measuring end says, as JSON, how many messages a second arrived, how long
its round trips took in microseconds or how late messages were, and the processor seconds that a message cost it. A
percentile is told only where the sample supports it. All times are SCALE times as long as they are given here.
"""

import asyncio
import gc
import json
import math
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

SCALE = float(sys.argv[7])
WINDOW = 0.7 * SCALE
WARM_UP = 0.2 * SCALE
QUEUE = 1_000
THREADS = 4
LONELY = 100
"""Pairs of sockets, each of which sends a lone message a second."""
LONE_FOR = 5
PACED_FOR = 2 * SCALE
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}


def main() -> None:
    library, role, address, size, style, cpu = sys.argv[1:7]
    if cpu != "-":
        os.sched_setaffinity(0, {int(cpu)})
    gc.disable()
    end = Ours(library == "copied") if library in ("ours", "copied") else PyZmq(asynchronous=style == "asyncio")
    if style == "asyncio":
        asyncio.run({"pull": apull, "push": apush, "rep": arep, "req": areq}[role](end, address, int(size)))
    elif role in ("subs", "pub"):
        {"subs": subscribe, "pub": publish}[role](end, address, int(size), int(style))
    elif style == "lone" or style.startswith("paced"):
        sends = role == "push"
        {"lone": lone, "paced": paced}[style.split()[0]](end, address, int(size), sends, style)
    elif role == "inproc":
        within(end, style, int(size), cpu)
    else:
        {"pull": pull, "push": push, "rep": rep, "req": req}[role](end, address, int(size), style)


class Ours:
    """The workbench's own engine; what is sent may be made such that it must be copied."""

    def __init__(self, copied: bool) -> None:
        self.message = bytearray if copied else bytes

    def open(self, role: str, **options: Any) -> Any:
        from workbench.engine.socket import CLASSES

        return CLASSES[role](send_queue=QUEUE, recv_queue=QUEUE, **options)

    def listen(self, socket: Any, address: str) -> str:
        return socket.listen(address)

    def dial(self, socket: Any, address: str) -> None:
        socket.dial(address)

    def awaited(self, socket: Any) -> tuple[Any, Any]:
        """Its ways to send and to receive under asyncio."""
        return socket.asend, socket.arecv

    def take(self, socket: Any, limit: int) -> int:
        """Take what is there, up to `limit`, in the fastest way there is."""
        from workbench.engine.errors import TimedOut

        try:
            return len(socket.recv_many(limit, 0))
        except TimedOut:
            return 0


class PyZmq:
    """libzmq through pyzmq."""

    message = bytes

    def __init__(self, asynchronous: bool) -> None:
        import zmq
        import zmq.asyncio

        self.zmq = zmq
        self.context = zmq.asyncio.Context() if asynchronous else zmq.Context()
        self.context.set(zmq.MAX_SOCKETS, 4_096)

    def open(self, role: str, subscribe: str | None = None) -> Any:
        socket = self.context.socket(getattr(self.zmq, role.upper()))
        socket.set_hwm(QUEUE)
        if subscribe is not None:
            socket.subscribe(subscribe)
        return socket

    def listen(self, socket: Any, address: str) -> str:
        socket.bind(address)
        return str(socket.last_endpoint, "ascii").rstrip("\0")

    def dial(self, socket: Any, address: str) -> None:
        socket.connect(address)

    def awaited(self, socket: Any) -> tuple[Any, Any]:
        """Its ways to send and to receive under asyncio."""
        return socket.send, socket.recv

    def take(self, socket: Any, limit: int) -> int:
        taken = 0
        try:
            while taken < limit:
                socket.recv(self.zmq.NOBLOCK)
                taken += 1
        except self.zmq.Again:
            pass
        return taken


def pull(end: Any, address: str, size: int, style: str) -> None:
    socket = end.open("pull")
    say(address=end.listen(socket, address))
    if style == "many" and isinstance(end, Ours):
        count(lambda: len(socket.recv_many(256)))
    recv, turns = socket.recv, range(100 if size < 100_000 else 4)

    def some() -> int:
        for _ in turns:
            recv()
        return len(turns)

    count(some)


def push(end: Any, address: str, size: int, style: str) -> None:
    sockets = [end.open("push") for _ in range(THREADS if style == "threads" and isinstance(end, PyZmq) else 1)]
    for socket in sockets:
        end.dial(socket, address)
    message = end.message(size)
    if style == "many" and isinstance(end, Ours):
        messages = [message] * 256
        flood(lambda: sockets[0].send_many(messages))
    elif style == "threads":
        sockets *= THREADS // len(sockets)
        threads = [threading.Thread(target=forever, args=(socket.send, message)) for socket in sockets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    else:
        send, turns = sockets[0].send, range(100 if size < 100_000 else 4)

        def some() -> int:
            for _ in turns:
                send(message)
            return len(turns)

        flood(some)


def forever(send: Callable[[bytes], object], message: bytes) -> None:
    while True:
        send(message)


def paced(end: Any, address: str, size: int, sends: bool, style: str) -> None:
    """Messages at a rate, whatever became of those before; if the rate is 0, as fast as possible."""
    socket = end.open("push" if sends else "pull")
    if not sends:
        say(address=end.listen(socket, address))
        socket.recv()
        took, began, used = [], time.monotonic_ns(), cpu_seconds()
        now = begin = began + int(WARM_UP * 1e9)
        messages = 0
        while now < begin + PACED_FOR * 1e9:
            meant = int.from_bytes(socket.recv()[:8], "little")
            now = time.monotonic_ns()
            messages += 1
            if meant > begin:
                took.append(now - meant)
        tell_lateness(took, rate=messages / (now - began) * 1e9, used=used, messages=messages)
    end.dial(socket, address)
    rate, rest = int(style.split()[1]), bytes(size - 8)
    gap = 1e9 / rate if rate else 0
    sent, start = 0, time.monotonic_ns()
    while True:
        now = time.monotonic_ns()
        meant = start + int(sent * gap) if gap else now
        if meant > now:
            time.sleep((meant - now) / 1e9)
            continue
        socket.send(meant.to_bytes(8, "little") + rest)
        sent += 1


def lone(end: Any, address: str, size: int, sends: bool, _style: str) -> None:
    if not sends:
        sockets = [end.open("pull") for _ in range(LONELY)]
        say(address=" ".join(end.listen(socket, address) for socket in sockets))
        took: list[int] = []

        def listen(socket: Any) -> None:
            socket.recv()
            while True:
                meant = int.from_bytes(socket.recv()[:8], "little")
                took.append(time.monotonic_ns() - meant)

        for socket in sockets:
            threading.Thread(target=listen, args=(socket,), daemon=True).start()
        used = cpu_seconds()
        time.sleep(LONE_FOR)
        tell_lateness(took, rate=len(took) / LONE_FOR, used=used, messages=len(took))
    sockets = [end.open("push") for _ in range(LONELY)]
    for socket, place in zip(sockets, address.split(), strict=True):
        end.dial(socket, place)
    rest, start, sent = bytes(size - 8), time.monotonic(), 0
    while True:
        time.sleep(max(0, start + sent / LONELY - time.monotonic()))
        sockets[sent % LONELY].send(time.monotonic_ns().to_bytes(8, "little") + rest)
        sent += 1


def rep(end: Any, address: str, size: int, style: str) -> None:
    if style == "socket":
        return plain_rep()
    socket = end.open("rep")
    say(address=end.listen(socket, address))
    while True:
        socket.send(socket.recv())


def req(end: Any, address: str, size: int, style: str) -> None:
    if style == "socket":
        return plain_req(address, size)
    socket, message = end.open("req"), bytes(size)
    end.dial(socket, address)

    def once() -> None:
        socket.send(message)
        socket.recv()

    time_each(once)


def plain_rep() -> None:
    """Plain TCP, blocking."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        say(address=str(listener.getsockname()[1]))
        connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := connection.recv(65_536):
        connection.sendall(data)


def plain_req(port: str, size: int) -> None:
    import socket

    connection, message = socket.create_connection(("127.0.0.1", int(port))), bytes(size)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def once() -> None:
        connection.sendall(message)
        connection.recv(65_536)

    time_each(once)


async def apull(end: Any, address: str, size: int) -> None:
    socket = end.open("pull")
    _, arecv = end.awaited(socket)
    say(address=end.listen(socket, address))
    await arecv()
    began = time.perf_counter()
    while time.perf_counter() - began < WARM_UP:
        await arecv()
    began, used, messages = time.perf_counter(), cpu_seconds(), 0
    while (took := time.perf_counter() - began) < WINDOW:
        for _ in range(100):
            await arecv()
        messages += 100
    finish(rate=messages / took, cpu=(cpu_seconds() - used) / messages)


async def apush(end: Any, address: str, size: int) -> None:
    socket, message = end.open("push"), bytes(size)
    end.dial(socket, address)
    asend, _ = end.awaited(socket)
    while True:
        await asend(message)


async def arep(end: Any, address: str, size: int) -> None:
    socket = end.open("rep")
    asend, arecv = end.awaited(socket)
    say(address=end.listen(socket, address))
    while True:
        await asend(await arecv())


async def areq(end: Any, address: str, size: int) -> None:
    socket, message = end.open("req"), bytes(size)
    end.dial(socket, address)
    asend, arecv = end.awaited(socket)
    took: list[float] = []
    began = time.perf_counter()
    used = cpu_seconds()
    while (now := time.perf_counter()) - began < WARM_UP + WINDOW:
        await asend(message)
        await arecv()
        if now - began >= WARM_UP:
            took.append(time.perf_counter() - now)
    tell_round_trips(took, used)


def subscribe(end: Any, address: str, size: int, subscribers: int) -> None:
    sockets = [end.open("sub", subscribe="") for _ in range(subscribers)]
    for socket in sockets:
        end.dial(socket, address)
    time.sleep(1.0)
    say(ready=True)
    count(lambda: sum(end.take(socket, 64) for socket in sockets))


def publish(end: Any, address: str, size: int, subscribers: int) -> None:
    socket = end.open("pub")
    say(address=end.listen(socket, address))
    sys.stdin.readline()
    forever(socket.send, bytes(size))


def within(end: Any, role: str, size: int, cpu: str) -> None:
    """Both ends in threads of this process: the other one may have processor 1, or the same."""
    kinds = ("pull", "push") if role.startswith("push") else ("rep", "req")
    here, there = (end.open(kind) for kind in kinds)
    end.listen(here, "inproc://measured")
    end.dial(there, "inproc://measured")
    message = bytes(size)

    def other() -> None:
        os.sched_setaffinity(0, {1 if role.endswith("apart") else 0})
        if kinds[0] == "pull":
            forever(there.send, message)
        while True:
            here.send(here.recv())

    threading.Thread(target=other, daemon=True).start()
    say(address="inproc")
    if kinds[0] == "pull":

        def some() -> int:
            for _ in range(100):
                here.recv()
            return 100

        count(some)

    def once() -> None:
        there.send(message)
        there.recv()

    time_each(once)


def count(some: Callable[[], int]) -> None:
    """How many messages a second `some` returns."""
    while not some():
        pass
    began = time.perf_counter()
    while time.perf_counter() - began < WARM_UP:
        some()
    began, used, messages = time.perf_counter(), cpu_seconds(), 0
    while (took := time.perf_counter() - began) < WINDOW:
        messages += some()
    finish(rate=messages / took, cpu=(cpu_seconds() - used) / max(messages, 1))


def flood(some: Callable[[], int]) -> None:
    """Send for ever; say what a message costs while the other end still measures."""
    messages, began, used, told = 0, time.perf_counter(), cpu_seconds(), False
    while True:
        messages += some()
        if not told and time.perf_counter() - began > WINDOW:
            say(cpu=(cpu_seconds() - used) / messages)
            told = True


def time_each(once: Callable[[], object]) -> None:
    """How long `once` takes."""
    began = time.perf_counter()
    while time.perf_counter() - began < WARM_UP:
        once()
    took: list[float] = []
    began = now = time.perf_counter()
    used = cpu_seconds()
    while now - began < WINDOW:
        before = now
        once()
        now = time.perf_counter()
        took.append(now - before)
    tell_round_trips(took, used)


def tell_round_trips(took: list[float], used: float) -> None:
    finish(**percentiles(took, 1e6), cpu=(cpu_seconds() - used) / len(took))


def tell_lateness(took: list[int], rate: float, used: float, messages: int) -> None:
    finish(rate=rate, **percentiles(took, 1e-3), cpu=(cpu_seconds() - used) / max(messages, 1))


def percentiles(took: Sequence[float], unit: float) -> dict[str, float]:
    """Those that so many samples support."""
    # Not before all has been measured.
    from workbench.bench.readings import supported

    ordered = sorted(took)
    count = len(ordered)
    told = [(name, q) for name, q in QUANTILES.items() if supported(count, q)]
    return {name: ordered[math.ceil(q * count) - 1] * unit for name, q in told}


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


def finish(**what: object) -> None:
    say(**what)
    # Nothing is left to be said; the other end is killed.
    os._exit(0)


if __name__ == "__main__":
    main()
