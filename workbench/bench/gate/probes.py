"""The small programs that the gate counts and times: ``python probes.py NAME count|time …``, started by the gate only.

Each prepares something and then does one operation as often as it is told. The same file is run with either version of
the workbench on its path, so it may use only what both have: public names, imported where they are used. What does the
same on both sides (a plain peer that swallows or sends bytes) is Python's own.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

Operate: TypeAlias = Callable[[int], None]
"""Does the operation so many times."""


@dataclass(frozen=True)
class Probe:
    """One thing that is counted, timed, or both."""

    name: str
    prepare: Callable[[bool], Operate]
    """Told whether the work must be the same each time, whatever the clock says: then nothing spins or gathers."""
    counted: int
    """Operations that are counted."""
    warm: int
    """Operations before that."""
    timed: bool = True
    """Whether it is timed, too."""


MESSAGE = bytes(64)
SP_PUSH, SP_PULL = 0x50, 0x51


def send(exact: bool) -> Operate:
    """A PUSH to a peer that swallows everything, so that nothing but sending is measured."""
    from workbench.engine import Push

    push = Push(dial=f"tcp://127.0.0.1:{_plain('swallow')}", **_exactly(exact))
    return _sender(push)


def send_burst(exact: bool) -> Operate:
    """The same while messages gather: they are held back until so much is there that it is written."""
    from workbench.engine import Push

    options: dict[str, Any] = {"gather": 60.0} if exact else {}
    push = Push(dial=f"tcp://127.0.0.1:{_plain('swallow')}", **options)
    return _sender(push)


def receive(exact: bool) -> Operate:
    """A PULL from a peer that sends as fast as it can.

    When it is counted the messages are larger: of these a read brings 32, and as many reads are counted each time.
    """
    from workbench.engine import Pull

    port = _plain("pour", 1_016 if exact else len(MESSAGE))
    pull = Pull(dial=f"tcp://127.0.0.1:{port}", **_exactly(exact))
    _ALIVE.append(pull)
    recv = pull.recv

    def operate(times: int) -> None:
        for _ in range(times):
            recv()

    return operate


def inproc(exact: bool) -> Operate:
    """A message from PUSH to PULL within this thread."""
    from workbench.engine import Pull, Push

    pull, push = Pull(listen="inproc://probe", **_exactly(exact)), Push(dial="inproc://probe", **_exactly(exact))
    give, take = push.send, pull.recv

    def operate(times: int) -> None:
        for _ in range(times):
            give(MESSAGE)
            take()

    return operate


def round_trip(exact: bool) -> Operate:
    """A request and its reply over tcp, both ends in this thread."""
    from workbench.engine import Rep, Req

    rep = Rep(listen="tcp://127.0.0.1:0", **_exactly(exact))
    req = Req(dial=rep.addresses[0], **_exactly(exact))

    def operate(times: int) -> None:
        for _ in range(times):
            req.send(MESSAGE)
            rep.send(rep.recv())
            req.recv()

    return operate


def publish(exact: bool) -> Operate:
    """A message from PUB to ten SUBs over tcp, all in this thread."""
    from workbench.engine import Pub, Sub

    pub = Pub(listen="tcp://127.0.0.1:0", **_exactly(exact))
    subs = [Sub(dial=pub.addresses[0], subscribe="", **_exactly(exact)) for _ in range(10)]
    pub.wait_for_peers(10, timeout=10)
    # A subscription arrives when it arrives; until each has had a message, messages are sent.
    waiting = list(subs)
    while waiting:
        pub.send(MESSAGE)
        waiting = [sub for sub in waiting if not _has(sub)]
    for sub in subs:
        while _has(sub):
            pass

    def operate(times: int) -> None:
        for _ in range(times):
            pub.send(MESSAGE)
            for sub in subs:
                sub.recv()

    return operate


def simulator(_exact: bool) -> Operate:
    """Eight milliseconds of a simulated network: two sites, four servers, eight clients with priorities."""
    from workbench.engine.rhythm import Rhythm
    from workbench.engine.virtual import VirtualWorld

    world = VirtualWorld(seed=1)
    for letter in "ab":
        world.site(letter)
    world.link("a", "b", delay=0.038, jitter=("exponential", 0.0005, 0.0))
    servers = [(f"server{number}", f"server{number}") for number in range(4)]
    for number, (name, _) in enumerate(servers):
        world.host(name, "ab"[number % 2])
    world.add_service("foo", "rep", servers, workers=4, time=("exponential", 0.002, 0.0))
    clients = []
    for number in range(8):
        world.host(f"client{number}", "ab"[number % 2])
        dials = [(address, 1 + (rank + number) % 2) for rank, (_, address) in enumerate(servers)]
        clients.append((f"client{number}", dials))
    world.add_workload("users", "req", clients, load=Rhythm(kind="poisson", rate=500.0))
    return _simulated(world, 0.008)


def queue(_exact: bool) -> Operate:
    """Two hundred seconds of a simulated queue without a network, one request a second."""
    from workbench.engine.rhythm import Rhythm
    from workbench.engine.virtual import VirtualWorld

    world = VirtualWorld(seed=1)
    for name in ("server", "asker"):
        world.host(name)
    world.add_station("queue", ["server"], time=("exponential", 0.9, 0.0), queue=1_000_000)
    world.add_crowd("users", "queue", [("asker", [(0, 1)])], load=Rhythm(kind="poisson", rate=1.0), timeout=1e6)
    return _simulated(world, 200.0)


def behaviours(_exact: bool) -> Operate:
    """A simulated request and its reply between two coroutines: SimPy, the seam, and the machines under it."""
    from workbench.engine.virtual import VirtualWorld

    world = VirtualWorld(seed=1)

    async def serve(host: Any) -> None:
        rep = host.socket("rep")
        rep.listen("server")
        while True:
            await rep.asend(await rep.arecv())

    async def ask(host: Any) -> None:
        req = host.socket("req")
        req.dial("server")
        while True:
            await req.asend(MESSAGE)
            await req.arecv()
            await world.sleep(0.001)

    world.host("server").play(serve)
    world.host("client").play(ask)
    return _simulated(world, 0.0012)


PROBES = {
    probe.name: probe
    for probe in (
        Probe("send", send, counted=40, warm=200, timed=False),
        Probe("send-burst", send_burst, counted=60, warm=400),
        Probe("receive", receive, counted=64, warm=640),
        Probe("inproc", inproc, counted=30, warm=200, timed=False),
        Probe("round-trip", round_trip, counted=15, warm=100),
        Probe("publish", publish, counted=4, warm=50, timed=False),
        Probe("simulator", simulator, counted=1, warm=500),
        Probe("queue", queue, counted=1, warm=500, timed=False),
        Probe("behaviours", behaviours, counted=2, warm=500),
    )
}


def _exactly(exact: bool) -> dict[str, Any]:
    return {"spin": 0, "gather": 0} if exact else {}


def _sender(push: Any) -> Operate:
    push.wait_for_peers(1, timeout=10)
    _ALIVE.append(push)
    give = push.send

    def operate(times: int) -> None:
        for _ in range(times):
            give(MESSAGE)

    return operate


def _has(sub: Any) -> bool:
    from workbench.engine.errors import TimedOut

    try:
        sub.recv(0.002)
    except TimedOut:
        return False
    return True


def _simulated(world: Any, step: float) -> Operate:
    def operate(times: int) -> None:
        for _ in range(times):
            world.run(until=world.now + step)

    operate.events = lambda: world.events  # type: ignore[attr-defined]
    return operate


# The plain peer, in a process of its own


def _plain(what: str, size: int = len(MESSAGE)) -> int:
    """Start a peer without an engine, and return its port. It ends when its connection does, as it does with us."""
    command = [sys.executable, "-P", __file__, what, str(size)]
    peer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    _ALIVE.append(peer)
    assert peer.stdout is not None
    return int(peer.stdout.readline())


_ALIVE: list[object] = []
"""What must not be collected while it is measured."""


def _swallow_or_pour(what: str, size: int) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(30)
    print(listener.getsockname()[1], flush=True)
    # Elsewhere than who is measured, if there is an elsewhere that we may use.
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, set(range(os.cpu_count() or 1)) - os.sched_getaffinity(0))
    connection, _ = listener.accept()
    ours = SP_PULL if what == "swallow" else SP_PUSH
    connection.sendall(b"\0SP\0" + struct.pack("!HH", ours, 0))
    connection.recv(8, socket.MSG_WAITALL)
    try:
        if what == "swallow":
            room = bytearray(1 << 20)
            while connection.recv_into(room):
                pass
        else:
            frames = (struct.pack("!Q", size) + bytes(size)) * 1_000
            while True:
                connection.sendall(frames)
    except ConnectionError:
        pass


# The two ways to be run


def count(probe: Probe) -> None:
    """Prepare, warm up, and do the counted operations between signals to ourselves, which a tracer sees.

    The first pair of signals encloses nothing: what it counts is the cost of a signal.
    """
    import ctypes

    operate = probe.prepare(True)
    operate(probe.warm)
    gc.collect()
    gc.disable()
    library = ctypes.CDLL(None)
    names = ("malloc", "calloc", "realloc", "aligned_alloc", "posix_memalign")
    entries = [ctypes.cast(getattr(library, name), ctypes.c_void_p).value for name in names]
    events = getattr(operate, "events", None)
    # Who traces us sees the signals that we ignore, too.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    print(json.dumps({"allocators": entries, "simulates": events is not None}), flush=True)
    sys.stdin.readline()
    before = events() if events else 0
    for times in (0, probe.counted):
        _signal()
        operate(times)
        _signal()
    print(json.dumps({"events": events() - before if events else 0}), flush=True)
    # Nothing is to be tidied, and tidying could wait.
    os._exit(0)


def _signal() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


SLICE_NS = 2_000_000
"""A slice is short beside the time that a scheduler gives to others, so that many see none of them."""
QUICKEST = 0.1
"""The share of slices that are quicker than what is said of them all."""


def timed(probe: Probe, warm_up: float, window: float) -> None:
    """Prepare, and say how long an operation takes in the quickest tenth of many slices, in nanoseconds."""
    operate = probe.prepare(False)
    clock = time.perf_counter_ns
    times, began = 1, clock()
    while True:
        before = clock()
        operate(times)
        took = clock() - before
        if took < SLICE_NS / 2:
            times *= 2
        elif clock() - began > warm_up * 1e9:
            break
    gc.collect()
    gc.disable()
    slices: list[float] = []
    until = clock() + int(window * 1e9)
    while clock() < until or len(slices) < 3:
        before = clock()
        operate(times)
        slices.append((clock() - before) / times)
    slices.sort()
    print(json.dumps({"ns": slices[int(QUICKEST * len(slices))], "slices": len(slices)}), flush=True)
    os._exit(0)


def main() -> None:
    """Be what the arguments say."""
    name = sys.argv[1]
    if name in ("swallow", "pour"):
        _swallow_or_pour(name, int(sys.argv[2]))
        return
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if sys.argv[2] == "count":
        count(PROBES[name])
    else:
        timed(PROBES[name], float(sys.argv[3]), float(sys.argv[4]))


if __name__ == "__main__":
    main()
