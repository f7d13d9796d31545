"""The declared parts of a scenario as behaviours, with the books of their workloads: what the real world plays.

In the real world the hosts of a workload and of its service are in several processes. Of what is pushed or published
each keeps its own part of the books: who sends counts what is sent, who receives what has arrived, and `settled` finds
out what is lost when all parts are put together.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any

from workbench.engine.real import Meter
from workbench.engine.world import Host, Kind, Socket
from workbench.model import body, custom, service, workload
from workbench.model.cast import Cast, Part
from workbench.model.luck import values_in
from workbench.model.measure import Reading, window_of
from workbench.scenario import Scenario, Workload

Dials = Sequence[tuple[str, int]]
Behaviour = Callable[[Host], Coroutine[Any, Any, None]]


class Books:
    """The meters of one workload: of what is sent before `cutoff`, in seconds, and of the rest."""

    def __init__(self, scenario: Scenario, cutoff: float) -> None:
        self._cutoff = cutoff
        self.early, self.recent = (Meter(list(scenario.sites), window_of(scenario)) for _ in range(2))

    def sent(self, now: float) -> None:
        """See `workload.Meter`, here and below."""
        self._of(now).sent(now)

    def answered(self, sent_at: float, now: float, home: int, site: int | None) -> None:  # noqa: D102
        self._of(sent_at).answered(sent_at, now, home, site)

    def lost(self, sent_at: float, now: float) -> None:  # noqa: D102
        self._of(sent_at).lost(sent_at, now)

    def repeated(self, count: int, now: float) -> None:  # noqa: D102
        self.early.repeated(count, now)

    def replied(self, sent_at: float, now: float) -> None:  # noqa: D102
        self._of(sent_at).replied(sent_at, now)

    def missed(self, sent_at: float, count: int) -> None:  # noqa: D102
        self._of(sent_at).missed(sent_at, count)

    def straggled(self, sent_at: float, now: float) -> None:  # noqa: D102
        self._of(sent_at).straggled(sent_at, now)

    def _of(self, sent_at: float) -> Meter:
        return self.early if sent_at < self._cutoff else self.recent


class Players:
    """Makes behaviours of the parts of a cast, and keeps their books."""

    def __init__(self, cast: Cast) -> None:
        self.cast = cast
        self.scenario = cast.scenario
        self.gave_up: list[float] = []
        """When subscribers have given up, in seconds of the world."""
        self._sites = list(self.scenario.sites)
        self._site_of = [self._sites.index(part.site) for part in cast.parts]
        self._books: dict[str, Books] = {}

    def service(self, part: Part, address: str, dials: Dials = ()) -> Behaviour:
        """What a service's host plays; `dials` is whom it hands on to."""
        declared = self.cast.service(part)
        if declared.behaviour is not None:
            return self._custom(declared.behaviour, custom.Peers(listen=address), declared.options)
        queues = self.scenario.queues_behind(declared)
        options: dict[str, float | str] = {"send_queue": queues.send}
        if declared.breadth is not None:
            options["when_full"] = queues.when_full
        onward = service.Onward("push" if declared.breadth is None else "pub", dials, options) if dials else None
        first = part == self.cast.of("service", part.owner)[0]

        async def play(host: Host) -> None:
            instance = service.Instance(
                host,
                part,
                declared,
                address,
                values_in(self.scenario, declared.time.file),
                arrived=lambda message: self._arrived(host, part, message),
                onward=onward,
                slowness=declared.straggler if first else 1.0,
                gave_up=lambda: self.gave_up.append(host.world.now),
            )
            await instance.play()

        return play

    def workload(self, part: Part, dials: Dials) -> Behaviour:
        """What a client's host plays; `dials` is whom it asks."""
        declared = self.cast.workload(part)
        if declared.behaviour is not None:
            return self._custom(declared.behaviour, custom.Peers(dials=tuple(dials)), declared.options)
        pattern = self.scenario.services[declared.to].pattern
        kind, queues = workload.ASKS[pattern], self.scenario.queues(declared)
        options: dict[str, float | str] = {"send_queue": queues.send}
        make: type[workload.Client] = workload.Client
        if kind == "req":
            options["resend"] = declared.resend
        elif kind == "surveyor":
            make, options["survey_deadline"] = workload.Surveyor, max(declared.deadline, declared.timeout)
        else:
            make = workload.Publisher
        if kind == "pub":
            options["when_full"] = queues.when_full
        load = declared.load

        async def play(host: Host) -> None:
            client = make(
                host,
                part,
                declared,
                self._opened(host, part, kind, **options),
                self._books_of(part.owner),
                self._site_of[part.number],
                self._site_of,
                trace=values_in(self.scenario, load.file, ascending=True),
                thoughts=values_in(self.scenario, load.think.file) if load.think is not None else (),
                receivers=self.scenario.receivers(declared),
            )
            await workload.ask(client, dials, until=self.scenario.run.duration)

        return play

    def _opened(self, host: Host, part: Part, kind: Kind, **options: float | str) -> Socket:
        """What the client `part` asks through."""
        del part
        return host.socket(kind, **options)

    def snapshots(self) -> dict[str, list[dict[str, Any]]]:
        """What the meters of each workload show: of what was sent early enough to have arrived, and of the rest."""
        return {name: [books.early.snapshot(), books.recent.snapshot()] for name, books in self._books.items()}

    def _books_of(self, name: str) -> Books:
        if name not in self._books:
            declared = self.scenario.workloads[name]
            late = self.scenario.run.duration - declared.timeout
            self._books[name] = Books(self.scenario, late if _is_one_way(self.scenario, declared) else float("inf"))
        return self._books[name]

    def _arrived(self, host: Host, part: Part, message: bytes) -> None:
        """A message that was pushed or published has been received."""
        number, date = body.home_of(message), body.date_of(message)
        if number is None or date is None or number >= len(self.cast.parts):
            return
        sender = self.cast.parts[number]
        if sender.role != "workload":
            return
        now = host.world.now
        if now - date <= self.scenario.workloads[sender.owner].timeout:
            self._books_of(sender.owner).answered(date, now, self._site_of[number], self._site_of[part.number])

    def _custom(self, reference: str, peers: custom.Peers, options: dict[str, Any]) -> Behaviour:
        function = custom.load_behaviour(self.scenario, reference)
        return lambda host: custom.start(function, host, peers, options)


def settled(scenario: Scenario, name: str, parts: Sequence[Sequence[Mapping[str, Any]]]) -> Reading:
    """One reading of a workload from the snapshots of all processes: what should have arrived and has not is lost."""
    early, recent = (Reading.merged(Reading.read(name, part[place]) for part in parts) for place in range(2))
    if not _is_one_way(scenario, scenario.workloads[name]):
        return early
    tallies = {phase: replace(one, lost=max(0, one.sent - one.answered)) for phase, one in early.tallies.items()}
    whole = Reading.merged([replace(early, tallies=tallies), recent])
    # Nobody has seen both ends of a message's way: by Little's law, then.
    spent = sum(one.latency_sum for one in whole.tallies.values())
    return replace(whole, in_system=spent / scenario.run.duration)


def _is_one_way(scenario: Scenario, workload: Workload) -> bool:
    return scenario.services[workload.to].pattern in ("collect", "subscribe")
