"""The workload as a behaviour: the Python twin of the native role."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from workbench.engine.errors import Cancelled, Closed, StateError, TimedOut
from workbench.engine.world import Conversation, Host, Kind, Signal, Socket, Stream
from workbench.model import body
from workbench.model.cast import Part
from workbench.model.luck import sample
from workbench.scenario import Load, Workload

ASKS: dict[str, Kind] = {"reply": "req", "collect": "push", "survey": "surveyor", "subscribe": "pub"}
"""The socket of who asks a service, by its pattern."""


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

    def replied(self, sent_at: float, now: float) -> None:
        """One of the answers to a survey has come in time."""

    def missed(self, sent_at: float, count: int) -> None:
        """So many answers to a survey have not."""

    def straggled(self, sent_at: float, now: float) -> None:
        """One of those has come after all."""


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
    receivers: int = 1
    """How many receive each message in the end, or are asked by each survey."""

    async def ask(self, moment: float | None = None) -> None:
        """Ask once; count what becomes of it. Time is counted from `moment`, when it was meant to be (None: now)."""
        world = self.host.world
        conversation = self.idle.pop() if self.idle else self.socket.context()
        sequence = body.sequence_of(self.part.number, self.count)
        self.count += 1
        sent_at = world.now if moment is None else moment
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


@dataclass
class Surveyor(Client):
    """One that asks everybody."""

    async def ask(self, moment: float | None = None) -> None:
        """Survey once; the deadline decides what counts, and who is late is heard nevertheless."""
        world = self.host.world
        conversation = self.idle.pop() if self.idle else self.socket.context()
        sequence = body.sequence_of(self.part.number, self.count)
        self.count += 1
        sent_at = world.now if moment is None else moment
        left = self.receivers
        self.meter.sent(sent_at)
        try:
            await conversation.asend(body.request(sequence, self.workload.size))
            while left:
                await conversation.arecv(max(0.0, sent_at + self.workload.deadline - world.now))
                self.meter.replied(sent_at, world.now)
                left -= 1
        except Closed:
            return
        except (TimedOut, Cancelled, StateError):
            self.meter.missed(sent_at, left)
            self.meter.lost(sent_at, world.now)
            self.host.spawn(self._listen_on(conversation, sent_at, left))
            return
        self.meter.answered(sent_at, world.now, self.home, None)
        self.idle.append(conversation)

    async def _listen_on(self, conversation: Conversation, sent_at: float, left: int) -> None:
        """Hear who is late, until the survey of the socket ends."""
        try:
            for _ in range(left):
                await conversation.arecv()
                self.meter.straggled(sent_at, self.host.world.now)
        except Closed:
            return
        except (TimedOut, Cancelled, StateError):
            pass
        self.idle.append(conversation)


@dataclass
class Publisher(Client):
    """One that pushes or publishes: nobody answers, and who receives says so elsewhere."""

    unsent: deque[bytes] = field(default_factory=deque)
    signal: Signal | None = None

    def mean_to_send(self, moment: float) -> None:
        """Send one more message, as soon as those before it are sent."""
        if len(self.unsent) >= BACKLOG:
            return
        for _ in range(self.receivers):
            self.meter.sent(moment)
        self.unsent.append(body.dated(body.sequence_of(self.part.number, self.count), moment, self.workload.size))
        self.count += 1
        if self.signal is not None:
            self.signal.notify()

    async def send_all(self) -> None:
        """Send what is meant to be sent, in order, for ever."""
        self.signal = self.host.world.signal()
        try:
            while True:
                while self.unsent:
                    await self.socket.asend(self.unsent[0])
                    self.unsent.popleft()
                await self.signal.wait()
        except (Closed, Cancelled):
            return


BACKLOG = 1_000_000
"""Messages that may wait to be sent."""


async def ask(client: Client, dials: Sequence[tuple[str, int]], *, until: float) -> None:
    """Dial (address, priority) pairs and ask in the workload's rhythm until this moment of the world."""
    for address, priority in dials:
        client.socket.dial(address, priority=priority)
    load = client.workload.load
    luck = client.host.stream("asking")
    if isinstance(client, Publisher):
        client.host.spawn(client.send_all())
        for moment in moments(load, luck, max(0.0, client.host.world.now), client.trace):
            if moment >= until:
                return
            await client.host.world.sleep(max(0.0, moment - client.host.world.now))
            client.mean_to_send(moment)
    elif load.open:
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
        client.host.spawn(client.ask(moment))


async def _closed(client: Client, load: Load, luck: Stream, until: float) -> None:
    """One request after the other, with a thought between."""
    world = client.host.world
    while world.now < until:
        await client.ask()
        if load.think is not None:
            await world.sleep(sample(load.think, luck, client.thoughts))
