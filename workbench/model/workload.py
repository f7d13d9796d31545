"""The workload as a behaviour: the Python twin of the native role."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from workbench.engine.errors import Cancelled, Closed, TimedOut
from workbench.engine.world import Conversation, Host, Socket, Stream
from workbench.model import body
from workbench.model.cast import Part
from workbench.model.luck import sample
from workbench.scenario import Load, Workload


class Meter(Protocol):
    """What counts the requests of a workload; times in seconds of the world."""

    def sent(self, now: float) -> None:
        """A request is sent."""

    def answered(self, sent_at: float, now: float, home: int, site: int | None) -> None:
        """A request is answered by `site`; both sites by their place in the scenario."""

    def lost(self, sent_at: float, now: float) -> None:
        """A request is given up."""

    def repeated(self, count: int, now: float) -> None:
        """So many requests were sent again."""


@dataclass
class Client:
    """One client of a workload: a host with one socket, and a conversation for each request under way."""

    host: Host
    part: Part
    workload: Workload
    socket: Socket
    meter: Meter
    home: int
    sites: Sequence[int]
    """The site of each host, by its number."""
    count: int = 0
    repeats: int = 0
    idle: list[Conversation] = field(default_factory=list)
    trace: Sequence[float] = ()
    """The moments of a trace."""
    thoughts: Sequence[float] = ()
    """What an empirical think time is drawn from."""

    async def ask(self) -> None:
        """Ask once; count what becomes of it."""
        world = self.host.world
        conversation = self.idle.pop() if self.idle else self.socket.context()
        sequence = body.sequence_of(self.part.number, self.count)
        self.count += 1
        sent_at = world.now
        self.meter.sent(sent_at)
        try:
            await conversation.asend(body.request(sequence, self.workload.size), self.workload.timeout)
            left = sent_at + self.workload.timeout - world.now
            answer = await conversation.arecv(max(0.0, left))
        except Closed:
            return
        except (TimedOut, Cancelled):
            # Given up: a late answer must not be taken for the next request's.
            self._look()
            self.meter.lost(sent_at, world.now)
            conversation.close()
            return
        self._look()
        replier = body.replier(answer)
        site = self.sites[replier] if replier is not None and replier < len(self.sites) else None
        self.meter.answered(sent_at, world.now, self.home, site)
        self.idle.append(conversation)

    def _look(self) -> None:
        """Count what the socket has sent again since last looked."""
        repeats = self.socket.stats()["resends"]
        if repeats > self.repeats:
            self.meter.repeated(repeats - self.repeats, self.host.world.now)
            self.repeats = repeats


async def ask(client: Client, dials: Sequence[tuple[str, int]], *, until: float) -> None:
    """Dial (address, priority) pairs and ask in the workload's rhythm until this moment of the world."""
    for address, priority in dials:
        client.socket.dial(address, priority=priority)
    load = client.workload.load
    luck = client.host.stream("asking")
    if load.open:
        await _open(client, moments(load, luck, max(0.0, client.host.world.now), client.trace), until)
    else:
        for place in range(load.outstanding):
            client.host.spawn(_closed(client, load, client.host.stream(f"asking/{place}"), until))


def moments(load: Load, luck: Stream, now: float, trace: Sequence[float] = ()) -> Iterator[float]:
    """When an open load that begins now asks, in seconds of the world. Moments are added up, never rounded."""
    moment = now
    rate = load.rate or 1.0
    match load.kind:
        case "poisson":
            while True:
                moment += luck.exponential(1 / rate)
                yield moment
        case "paced":
            moment += luck.uniform() / rate
            while True:
                yield moment
                moment += 1 / rate
        case "bursty":
            if luck.uniform() * (load.on + load.off) < load.off:
                moment += luck.exponential(load.off)
            ends = moment + luck.exponential(load.on)
            while True:
                moment += luck.exponential(1 / rate)
                while moment > ends:
                    begins = ends + luck.exponential(load.off)
                    ends = begins + luck.exponential(load.on)
                    moment = begins + luck.exponential(1 / rate)
                yield moment
        case "trace":
            yield from (now + at for at in trace)


async def _open(client: Client, moments: Iterator[float], until: float) -> None:
    """Requests at given moments, answered or not; being late once delays no other."""
    world = client.host.world
    for moment in moments:
        if moment >= until:
            return
        await world.sleep(max(0.0, moment - world.now))
        client.host.spawn(client.ask())


async def _closed(client: Client, load: Load, luck: Stream, until: float) -> None:
    """One request after the other, with a thought between."""
    world = client.host.world
    while world.now < until:
        await client.ask()
        if load.think is not None:
            await world.sleep(sample(load.think, luck, client.thoughts))
