"""The service as a behaviour: the Python twin of the native role."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from workbench.engine.errors import Cancelled, Closed, StateError
from workbench.engine.world import Conversation, Host, Kind
from workbench.model import body
from workbench.model.cast import Part
from workbench.model.luck import sample
from workbench.scenario import Service
from workbench.scenario.schema import LIBRARY_QUEUES

SERVES: dict[str, Kind] = {"reply": "rep", "collect": "pull", "survey": "respondent", "subscribe": "sub"}
"""The socket of a service, by its pattern."""


@dataclass(frozen=True)
class Onward:
    """Whom an instance hands on to, (address, priority) pairs, and through which socket."""

    kind: Kind
    dials: Sequence[tuple[str, int]]
    options: dict[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Instance:
    """One instance of a service, as it is played."""

    host: Host
    part: Part
    service: Service
    address: str
    times: Sequence[float] = ()
    """What an empirical service time is drawn from."""
    arrived: Callable[[bytes], None] = lambda _: None
    """Told each message that is received here, and not only passes through."""
    onward: Onward | None = None
    slowness: float = 1.0
    """How many times as long as declared it takes."""
    gave_up: Callable[[], None] = lambda: None
    """Told when it kills itself for lack of patience."""

    async def play(self) -> None:
        """Serve at the address, `workers` at a time, each busy for a drawn time."""
        service = self.service
        receive = service.queue if service.like is None else LIBRARY_QUEUES[service.like].receive
        kind = SERVES[service.pattern]
        if kind == "sub":
            subscriber = self.host.socket("sub", recv_queue=receive)
            subscriber.listen(self.address)
            subscriber.subscribe(b"")
            self._take(subscriber)
            return
        socket = self.host.socket(kind, recv_queue=receive)
        socket.listen(self.address)
        if kind == "pull":
            self._take(socket)
            return
        for worker in range(service.workers):
            self.host.spawn(self._answer(socket.context() if worker else socket, worker))

    def _take(self, socket: Conversation) -> None:
        out: Conversation | None = None
        if self.onward is not None and self.onward.dials:
            opened = self.host.socket(self.onward.kind, **self.onward.options)
            for address, priority in self.onward.dials:
                opened.dial(address, priority=priority)
            out = opened
        for worker in range(self.service.workers):
            self.host.spawn(self._work_off(socket, out, worker))

    async def _answer(self, conversation: Conversation, worker: int) -> None:
        """Answer what is asked."""
        luck = self.host.stream(f"worker/{worker}")
        while True:
            try:
                asked = await conversation.arecv()
                if busy := self._pace(sample(self.service.time, luck, self.times)):
                    await self.host.world.sleep(busy)
                await conversation.asend(body.reply(asked, self.part.number, self.service.reply))
            except (Closed, Cancelled):
                return
            except StateError:
                # Whoever has surveyed has gone away.
                continue

    async def _work_off(self, socket: Conversation, out: Conversation | None, worker: int) -> None:
        """Take messages in, and hand them on."""
        luck = self.host.stream(f"worker/{worker}")
        passes = self.service.to is not None
        copies = 0 if self.onward is None else len(self.onward.dials)
        each = copies * self.service.hand_on if self.service.breadth is not None else 0.0
        while True:
            try:
                message = await socket.arecv()
                if not passes:
                    self.arrived(message)
                if self._is_stale(message):
                    self.gave_up()
                    self.host.kill()
                    return
                busy = self._pace(sample(self.service.time, luck, self.times)) + each
                if busy:
                    await self.host.world.sleep(busy)
                if out is not None:
                    await out.asend(message)
            except (Closed, Cancelled):
                return

    def _is_stale(self, message: bytes) -> bool:
        if self.service.patience is None or (date := body.date_of(message)) is None:
            return False
        return self.host.world.now - date > self.service.patience

    def _pace(self, busy: float) -> float:
        # As the native role has it: whole nanoseconds, so many times.
        return busy if self.slowness == 1.0 else round(round(busy * 1e9) * self.slowness) / 1e9
