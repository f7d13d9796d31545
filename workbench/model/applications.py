"""The declared parts of a scenario, played by the applications: ``behaviours: zinc``.

| declared                             | played by                                                                   |
|--------------------------------------|-----------------------------------------------------------------------------|
| pattern subscribe with a breadth     | a Zinc tree of the same shape; clients are members that say each message    |
| pattern reply, one instance          | the root of a Zinc tree, its workers members that do tasks; clients submit  |
| pattern survey                       | services that register; each client is a directory that surveys them        |

Workloads ask in their declared rhythm and keep the same books, whoever plays: an application is put before them as a
socket.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import Any

from workbench.apps.discovery import Offer, ServiceDiscovery, Settings, announce
from workbench.apps.zinc import Endpoint, Message, WorkFailed
from workbench.engine.errors import TimedOut
from workbench.engine.world import Data, Host, Kind
from workbench.model import body
from workbench.model.cast import Cast, Part
from workbench.model.luck import sample, values_in
from workbench.model.players import Behaviour, Dials, Players

HEARTBEAT, DEADLINE = 0.1, 0.4
"""Seconds, of all trees."""
PATIENCE = 3
"""After how many surveys without an answer a directory forgets."""


class Applications(Players):
    """Makes behaviours of the parts of a cast that say nothing else; see `Players`."""

    def __init__(self, cast: Cast) -> None:
        super().__init__(cast)
        self.busy: defaultdict[str, float] = defaultdict(float)
        """Seconds that hosts have spent on handing on, by their names."""

    def service(self, part: Part, address: str, dials: Dials = ()) -> Behaviour:
        """What a service's host plays."""
        declared = self.cast.service(part)
        if declared.behaviour is not None:
            return super().service(part, address, dials)
        plays = {"subscribe": self._belong, "reply": self._share_work, "survey": self._register}[declared.pattern]

        async def play(host: Host) -> None:
            plays(host, part)

        return play

    def workload(self, part: Part, dials: Dials) -> Behaviour:
        """What a client's host plays."""
        declared = self.cast.workload(part)
        return super().workload(part, dials if declared.behaviour is not None else ())

    def _opened(self, host: Host, part: Part, kind: Kind, **_: float | str) -> Any:
        workload = self.cast.workload(part)
        if kind == "surveyor":
            interval = workload.deadline
            settings = Settings(part.name, "", "", interval, interval, PATIENCE * interval)
            return _Directory(ServiceDiscovery(host, settings))
        first = self.cast.of("service", workload.to)[0]
        endpoint = Endpoint(host, join=first.name, heartbeat=HEARTBEAT, deadline=DEADLINE)
        return _Voice(endpoint) if kind == "pub" else _Desk(endpoint)

    def _belong(self, host: Host, part: Part) -> None:
        """Belong to a tree, at the place in it that is declared."""
        declared, tree = self.cast.service(part), self.cast.of("service", part.owner)
        place, breadth = part.number - tree[0].number, declared.breadth or 1
        clients = [
            one for one in self.cast.parts if one.role == "workload" and self.cast.workload(one).to == part.owner
        ]

        async def hear(message: Message) -> None:
            self._arrived(host, part, message.body)

        Endpoint(
            _Toiling(host, declared.hand_on * len(self.cast.hands_on(part)), self.busy),
            listen=part.name,
            join=tree[(place - 1) // breadth].name if place else (),
            on_message=hear,
            breadth=breadth + (0 if place else len(clients)),
            heartbeat=HEARTBEAT,
            deadline=DEADLINE,
        )

    def _share_work(self, host: Host, part: Part) -> None:
        """Be the root of a tree of workers, each on a host of its own."""
        declared = self.cast.service(part)
        times = values_in(self.scenario, declared.time.file)
        Endpoint(host, listen=part.name, heartbeat=HEARTBEAT, deadline=DEADLINE)
        for number in range(declared.workers):
            at = host.world.host(f"{part.name}/{number}", part.site)
            luck = at.stream("work")

            async def work(task: bytes, host: Host = at, luck: Any = luck) -> bytes:
                await host.world.sleep(sample(declared.time, luck, times))
                return body.reply(task, part.number, declared.reply)

            Endpoint(at, listen=at.name, join=part.name, worker=work, heartbeat=HEARTBEAT, deadline=DEADLINE)

    def _register(self, host: Host, part: Part) -> None:
        """Be found by every client that surveys this service."""
        clients = [
            one for one in self.cast.parts if one.role == "workload" and self.cast.workload(one).to == part.owner
        ]
        offer = Offer(part.owner, f"tcp://{part.site}-{part.number}:1", part.site)
        host.spawn(announce(host, offer, [client.name for client in clients]))


class _Voice:
    """A member of a tree as a publisher."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def asend(self, data: Data, timeout: float | None = None) -> None:
        del timeout
        self._endpoint.say("news", bytes(data))


class _Desk:
    """A member of a tree as a client of its workers."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def stats(self) -> dict[str, int]:
        return {"resends": 0}

    def context(self) -> "_Errand":
        return _Errand(self._endpoint)


class _Errand:
    """One task, as a request and its reply."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._task = b""

    async def asend(self, data: Data, timeout: float | None = None) -> None:
        del timeout
        self._task = bytes(data)

    async def arecv(self, timeout: float | None = None) -> bytes:
        try:
            return await self._endpoint.submit(self._task, timeout or 0.0)
        except WorkFailed as failed:
            raise TimedOut(str(failed)) from failed

    def close(self) -> None:
        """Nothing is to be closed: a task has ended with its answer."""


class _Directory:
    """A directory as one that surveys; one survey at a time."""

    def __init__(self, discovery: ServiceDiscovery) -> None:
        self._discovery = discovery

    def stats(self) -> dict[str, int]:
        return {"resends": 0}

    def context(self) -> "_Round":
        return _Round(self._discovery)


class _Round:
    """One survey after the other, as a conversation."""

    def __init__(self, discovery: ServiceDiscovery) -> None:
        self._discovery = discovery
        self._answers: AsyncIterator[Any] | None = None

    async def asend(self, data: Data, timeout: float | None = None) -> None:
        del data, timeout
        self._answers = self._discovery.survey()

    async def arecv(self, timeout: float | None = None) -> bytes:
        del timeout
        if self._answers is None:
            raise TimedOut("the survey is over")
        try:
            await anext(self._answers)
        except StopAsyncIteration:
            self._answers = None
            raise TimedOut("the survey is over") from None
        return b""

    def close(self) -> None:
        """Nothing is to be closed: a survey ends by itself."""


class _Toiling:
    """A host that takes `each` seconds to publish one message, as declared by ``hand-on``."""

    def __init__(self, host: Host, each: float, busy: dict[str, float]) -> None:
        self._host = host
        self._each = each
        self._busy = busy

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)

    def socket(self, kind: Kind, **options: float | str) -> Any:
        socket = self._host.socket(kind, **options)
        return _Toil(socket, self._host, self._each, self._busy) if kind == "pub" and self._each else socket


class _Toil:
    """A socket that takes its time to send; one message after the other."""

    def __init__(self, socket: Any, host: Host, each: float, busy: dict[str, float]) -> None:
        self._socket = socket
        self._host = host
        self._each = each
        self._busy = busy

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    async def asend(self, data: Data, timeout: float | None = None) -> None:
        self._busy[self._host.name] += self._each
        await self._host.world.sleep(self._each)
        await self._socket.asend(data, timeout)

    async def asend_many(self, messages: Sequence[Data], timeout: float | None = None) -> None:
        for data in messages:
            await self.asend(data, timeout)
