"""`python -m tests.benchmarks.zinc`: what Zinc costs over the bare sockets under it, and what an idle endpoint takes.

Messages of 64 bytes over ipc, each end a process of its own, all in asyncio and through the same seam. From the root to
a member Zinc goes the way of one PUB/SUB message; from member to member it goes up by PUSH/PULL and down by PUB/SUB
through the root, and bare sockets do the same through a hub. In each round all are measured once, in random order;
shown are medians, and the median ratio with its extremes.
"""

import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from workbench.apps.zinc import Endpoint, Message
from workbench.apps.zinc.endpoint import beside
from workbench.engine.real import play
from workbench.engine.world import Host

WARM_UP, WINDOW = 0.5, 1.5
ROUNDS = 3
BODY = bytes(64)
AT_ONCE = 64
"""Messages that a sender sends before it lets others do something."""
IDLE = 200
HERE = Path(__file__).parents[2]
WAYS = {
    "bare PUB/SUB": ("sub", "pub"),
    "Zinc, root to member": ("member", "root"),
    "bare, through a hub": ("sub", "hub", "push"),
    "Zinc, member to member": ("member", "quiet-root", "speaker"),
}
"""Who takes part, the measuring end first."""


def main() -> None:
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(ROUNDS):
        for way in random.sample(list(WAYS), len(WAYS)):
            rates[way].append(measure(*WAYS[way]))
    for way, seen in rates.items():
        line = f"{way:24} {statistics.median(seen):>10,.0f} messages/s"
        for bare in ("bare PUB/SUB", "bare, through a hub"):
            if way.startswith("Zinc"):
                ratios = sorted(one / mine for one, mine in zip(rates[bare], seen, strict=True))
                line += f"   {bare}: {statistics.median(ratios):4.1f} times ({ratios[0]:.1f} to {ratios[-1]:.1f})"
        print(line)
    alone, together = (int(run("idle", str(count))) for count in (0, IDLE))
    print(f"an idle member takes {(together - alone) / IDLE / 1024:.0f} KiB, its sockets included")


def measure(listener: str, *others: str) -> float:
    """Messages a second that come to the listener, with each end a process and the cores by turns."""
    with tempfile.TemporaryDirectory() as folder:
        door = f"ipc://{folder}/door"
        processes = [
            subprocess.Popen([sys.executable, "-m", "tests.benchmarks.zinc", role, door, str(place % 2)], cwd=HERE)
            for place, role in enumerate(others)
        ]
        try:
            return float(run(listener, door, "1"))
        finally:
            for process in processes:
                process.kill()
                process.wait()


def run(*words: str) -> str:
    """What one of the ends says."""
    command = [sys.executable, "-m", "tests.benchmarks.zinc", *words]
    return subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True, timeout=30).stdout


async def pub(host: Host, door: str) -> None:
    # Nothing is to be dropped: that would be faster for the sender, and slower for who receives.
    socket = host.socket("pub", when_full="block")
    socket.listen(beside(door, 1))
    while True:
        for _ in range(AT_ONCE):
            await socket.asend(BODY)
        await host.world.sleep(0)


async def push(host: Host, door: str) -> None:
    socket = host.socket("push")
    socket.dial(beside(door, 2))
    while True:
        for _ in range(AT_ONCE):
            await socket.asend(BODY)
        await host.world.sleep(0)


async def hub(host: Host, door: str) -> None:
    up, down = host.socket("pull"), host.socket("pub")
    up.listen(beside(door, 2))
    down.listen(beside(door, 1))
    while True:
        await down.asend(await up.arecv())


async def sub(host: Host, door: str) -> None:
    socket = host.socket("sub")
    socket.subscribe(b"")
    socket.dial(beside(door, 1))
    seen = Seen()
    while not seen.over:
        await socket.arecv()
        seen.note()
    print(seen.rate)


async def root(host: Host, door: str) -> None:
    await say(host, Endpoint(host, listen=door))


async def quiet_root(host: Host, door: str) -> None:
    Endpoint(host, listen=door)
    await host.world.sleep(3600)


async def speaker(host: Host, door: str) -> None:
    endpoint = Endpoint(host, join=door)
    while not endpoint.is_connected:
        await host.world.sleep(0.01)
    await say(host, endpoint)


async def say(host: Host, endpoint: Endpoint) -> None:
    while True:
        for _ in range(AT_ONCE):
            endpoint.say("talk", BODY)
        await host.world.sleep(0)


async def member(host: Host, door: str) -> None:
    seen = Seen()

    async def hear(message: Message) -> None:
        del message
        seen.note()

    Endpoint(host, join=door, on_message=hear)
    while not seen.over:
        await host.world.sleep(0.01)
    print(seen.rate)


async def idle(host: Host, count: str) -> None:
    """Resident bytes with so many idle members of one root, all in this process."""
    top = Endpoint(host, listen="tcp://127.0.0.1:0", breadth=int(count) + 1)
    members = [Endpoint(host, join=top.door) for _ in range(int(count))]
    while not all(one.is_connected for one in members):
        await host.world.sleep(0.05)
    await host.world.sleep(2.0)
    print(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize())


class Seen:
    """Counts what comes, after a warm-up from the first on, for a while."""

    def __init__(self) -> None:
        self.count = 0
        self.first = 0.0
        self.began = 0.0
        self.rate = 0.0
        self.over = False

    def note(self) -> None:
        self.count += 1
        if self.count % AT_ONCE:
            return
        now = time.monotonic()
        self.first = self.first or now
        if not self.began:
            if now - self.first > WARM_UP:
                self.began, self.count = now, 0
        elif now - self.began > WINDOW:
            self.rate, self.over = self.count / (now - self.began), True


ROLES = {"pub": pub, "push": push, "hub": hub, "sub": sub, "root": root, "quiet-root": quiet_root}
ROLES |= {"speaker": speaker, "member": member, "idle": idle}

if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        if len(sys.argv) > 3:
            os.sched_setaffinity(0, {int(sys.argv[3])})
        play(lambda host: ROLES[sys.argv[1]](host, sys.argv[2]))
