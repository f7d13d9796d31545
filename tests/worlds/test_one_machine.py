"""One machine, two worlds: a story told once, played in virtual time and on real sockets, and compared word for word.

The story is written against the seam alone. It goes on when something has happened, never after some time, so it has
one order only; what is compared is who got what in which order, and the engine's own counters of every socket.
"""

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from workbench.engine.errors import StateError, TimedOut
from workbench.engine.real import RealWorld
from workbench.engine.virtual import VirtualWorld
from workbench.engine.world import Host, Kind, Socket, World

PATIENCE = 30.0
"""Seconds, in either world, after which a story has gone wrong."""

# Whether a call had to wait for a moment is a matter of the world, not of the protocol.
WORLDLY = {"send_waits", "recv_queue_full"}


@dataclass
class Stage:
    """A world, what its hosts' addresses are, and what has happened in it."""

    world: World
    address: Callable[[str], str]
    told: list[str] = field(default_factory=list)
    sockets: dict[str, Socket] = field(default_factory=dict)
    counters: dict[str, dict[str, int]] = field(default_factory=dict)

    def tell(self, what: str) -> None:
        self.told.append(what)

    def host(self, name: str) -> Host:
        return self.world.host(name)

    def open(self, host: Host, kind: Kind, **options: float) -> Socket:
        """Open a socket whose counters belong to the story; a later life of its host has its own."""
        life = sum(name.startswith(f"{host.name}#") for name in [*self.sockets, *self.counters])
        self.sockets[f"{host.name}#{life}"] = made = host.socket(kind, **options)
        return made

    def kill(self, host: Host) -> None:
        """Kill a host; what its sockets have counted is kept."""
        for name in [name for name in self.sockets if name.startswith(f"{host.name}#")]:
            self.read(name)
        host.kill()

    def close(self, one: Socket) -> None:
        """Close a socket; what it has counted is kept."""
        self.read(next(name for name, known in self.sockets.items() if known is one))
        one.close()

    def end(self) -> None:
        """Keep what the sockets have counted that are left."""
        for name in list(self.sockets):
            self.read(name)

    def read(self, name: str) -> None:
        stats = self.sockets.pop(name).stats()
        self.counters[name] = {key: count for key, count in stats.items() if key not in WORLDLY}

    async def until(self, what: str, condition: Callable[[], bool]) -> None:
        """Wait until something is the case; say so."""
        deadline = self.world.now + PATIENCE
        while not condition():
            assert self.world.now < deadline, f"waited for: {what}; {self.told}"
            await self.world.sleep(0.001)
        self.tell(what)

    async def peers(self, one: Socket, count: int) -> None:
        """Wait until a socket has so many peers."""
        await self.until(f"{count} peers", lambda: connected(one) == count)


def connected(one: Socket) -> int:
    stats = one.stats()
    return stats["pipes_up"] - stats["pipes_down"]


Story = Callable[[Stage], Coroutine[Any, Any, None]]


async def questions(stage: Stage) -> None:
    """REQ/REP: turns, priorities, a death, a return, and requests that must be sent again."""

    async def serve(host: Host) -> None:
        rep = stage.open(host, "rep")
        rep.listen(stage.address(host.name))
        while True:
            asked = await rep.arecv()
            stage.tell(f"{host.name} hears {asked.decode()}")
            if asked.endswith(b"?"):
                await rep.asend(asked + b" " + host.name.encode())
            # Anything else is no question: the answer never comes.

    home, twin, away = (stage.host(name) for name in ("home", "twin", "away"))
    for host in (home, twin, away):
        host.play(serve)
    client = stage.host("client")
    req = stage.open(client, "req", reconnect_min=0.005, reconnect_max=0.02)

    async def ask(text: str) -> None:
        await req.asend(text.encode(), PATIENCE)
        answer = await req.arecv(PATIENCE)
        stage.tell(f"client hears {answer.decode()}")

    # One after the other, because turns are taken in the order in which peers came.
    for count, (host, priority) in enumerate([(home, 1), (twin, 1), (away, 2)], start=1):
        req.dial(stage.address(host.name), priority=priority)
        await stage.peers(req, count)
    for number in range(5):
        await ask(f"{number} at home?")
    stage.kill(home)
    await stage.peers(req, 2)
    await ask("5 twin?")
    stage.kill(twin)
    await stage.peers(req, 1)
    for number in (6, 7):
        await ask(f"{number} away?")
    home.restore()
    await stage.peers(req, 2)
    for number in (8, 9):
        await ask(f"{number} home again?")

    # What is not answered, and then nobody is there any more to answer it: sent again at once, to the next.
    await req.asend(b"hold this", PATIENCE)
    await stage.until("home holds it", lambda: stage.told[-1] == "home hears hold this")
    stage.kill(home)
    await stage.until("away holds it", lambda: stage.told[-1] == "away hears hold this")

    await ask("10 still there?")
    twin.restore()
    await stage.peers(req, 2)

    # A peer that stays silent is asked again after the time to resend, if there is no other.
    hasty = stage.open(client, "req", resend=1.0)
    hasty.dial(stage.address("twin"))
    await stage.peers(hasty, 1)
    await hasty.asend(b"hold that", PATIENCE)
    await stage.until("twin hears it again", lambda: stage.told[-2:] == ["twin hears hold that"] * 2)
    stage.close(hasty)

    # Several conversations at once, each with an answer of its own.
    talks = [req.context() for _ in range(3)]
    for number, talk in enumerate(talks):
        await talk.asend(f"talk {number}?".encode(), PATIENCE)
        await stage.until(
            f"{number} is on its way", lambda number=number: stage.told[-1] == f"twin hears talk {number}?"
        )
    for talk in reversed(talks):
        stage.tell(f"client hears {(await talk.arecv(PATIENCE)).decode()}")
        talk.close()
    with pytest.raises(StateError):
        await req.arecv(PATIENCE)


async def work(stage: Stage) -> None:
    """PIPELINE: turns, spilling over to the next priority, waiting while nobody is there."""

    async def collect(host: Host) -> None:
        pull = stage.open(host, "pull")
        pull.listen(stage.address(host.name))
        while True:
            stage.tell(f"{host.name} gets {(await pull.arecv()).decode()}")

    ann, ben, cid = (stage.host(name) for name in ("ann", "ben", "cid"))
    for host in (ann, ben, cid):
        host.play(collect)
    push = stage.open(stage.host("boss"), "push", reconnect_min=0.005, reconnect_max=0.02)

    async def hand_out(*texts: str) -> None:
        """Each is taken before the next is sent, so that no death takes any with it."""
        for text in texts:
            await push.asend(text.encode(), PATIENCE)
            await stage.until(f"{text} is taken", lambda text=text: stage.told[-1].endswith(f" gets {text}"))

    with pytest.raises(TimedOut):
        await push.asend(b"to nobody", 0.01)
    for count, (host, priority) in enumerate([(ann, 1), (ben, 1), (cid, 3)], start=1):
        push.dial(stage.address(host.name), priority=priority)
        await stage.peers(push, count)
    await hand_out("a", "b", "c", "d")
    stage.kill(ann)
    await stage.peers(push, 2)
    await hand_out("e", "f")
    stage.kill(ben)
    await stage.peers(push, 1)
    await hand_out("g", "h")
    ann.restore()
    await stage.peers(push, 2)
    await hand_out("i", "j")
    stage.kill(cid)
    stage.kill(ann)
    await stage.peers(push, 0)

    async def late(host: Host) -> None:
        await push.asend(b"late", PATIENCE)
        stage.tell("late is sent")

    stage.host("boss").spawn(late(stage.host("boss")))
    with pytest.raises(TimedOut):
        await push.asend(b"in vain", 0.05)
    stage.tell("nobody is there")
    ben.restore()
    await stage.until("late is taken", lambda: {"late is sent", "ben gets late"} <= set(stage.told[-2:]))
    # Which of the two comes first is a matter of the world.
    stage.told[-3:-1] = sorted(stage.told[-3:-1])


@pytest.mark.parametrize("transport", ["tcp", "inproc"])
@pytest.mark.parametrize("story", [questions, work], ids=lambda story: story.__name__)
def test_the_same_story_in_both_worlds(story: Story, transport: str) -> None:
    virtual, real = in_virtual_time(story), on_real_sockets(story, transport)
    assert real.told == virtual.told
    # Real sockets count some more, of what only they have.
    shared = {name: {key: real.counters[name][key] for key in kept} for name, kept in virtual.counters.items()}
    assert shared == virtual.counters
    assert list(real.counters) == list(virtual.counters)


def test_the_story_is_the_one_that_the_protocols_promise() -> None:
    """That both worlds agree is not enough: they might be wrong together."""
    stage = in_virtual_time(questions)
    told = stage.told
    assert list(stage.counters) == ["home#0", "twin#0", "home#1", "client#1", "client#0", "away#0", "twin#1"]
    assert stage.counters["client#0"]["resends"] == 1
    heard = [line.removeprefix("client hears ") for line in told if line.startswith("client hears ")]
    assert heard == [
        "0 at home? home",
        "1 at home? twin",
        "2 at home? home",
        "3 at home? twin",
        "4 at home? home",
        "5 twin? twin",
        "6 away? away",
        "7 away? away",
        "8 home again? home",
        "9 home again? home",
        "10 still there? away",
        "talk 2? twin",
        "talk 1? twin",
        "talk 0? twin",
    ]
    assert told.index("home hears hold this") < told.index("away hears hold this")
    told = in_virtual_time(work).told
    assert [line for line in told if " gets " in line] == [
        *("ann gets a", "ben gets b", "ann gets c", "ben gets d"),
        *("ben gets e", "ben gets f", "cid gets g", "cid gets h", "ann gets i", "ann gets j", "ben gets late"),
    ]


def in_virtual_time(story: Story) -> Stage:
    world = VirtualWorld(seed=1)
    stage = Stage(world, lambda name: name)
    world.run(until=world.spawn(story(stage)))
    stage.end()
    world.audit()
    return stage


def on_real_sockets(story: Story, transport: str) -> Stage:
    async def play() -> Stage:
        async with RealWorld(seed=1) as world:
            stage = Stage(world, addresses(transport))
            await finished(story(stage), world)
            stage.end()
        return stage

    return asyncio.run(play())


async def finished(story: Awaitable[None], world: RealWorld) -> None:
    """Wait for the story, or for a behaviour that fails in it."""
    task = asyncio.ensure_future(story)
    failing = world._failing()
    await asyncio.wait([task, failing], return_when=asyncio.FIRST_COMPLETED)
    if failing.done():
        task.cancel()
        failing.result()
    await task


def addresses(transport: str) -> Callable[[str], str]:
    """An address for each host, which it keeps when it is killed and restored."""
    taken: dict[str, str] = {}

    def address(name: str) -> str:
        if name not in taken:
            taken[name] = f"inproc://{name}" if transport == "inproc" else f"tcp://127.0.0.1:{port()}"
        return taken[name]

    return address


def port() -> int:
    """A free port below those that the kernel gives to outgoing connections."""
    ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        candidate = random.randrange(10_000, ephemeral)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return candidate
