"""One replication: a scenario's point played once in the virtual world."""

import time
from functools import partial
from pathlib import Path
from typing import Any

from workbench.engine.forward import Forward
from workbench.engine.handling import Handling
from workbench.engine.rhythm import NOTHING, Drawn, Rhythm
from workbench.engine.virtual import VirtualHost, VirtualWorld
from workbench.model import custom
from workbench.model.applications import Applications
from workbench.model.cast import Cast, Part, cast
from workbench.model.failures import down_share, happenings
from workbench.model.links import is_shaped
from workbench.model.measure import BINS, Reading, measure, observed, window_of
from workbench.model.players import Players, settled
from workbench.model.service import SERVES
from workbench.model.workload import ASKS
from workbench.results import Replication
from workbench.scenario import Distribution, LinkShape, Load, Scenario, Service, Workload
from workbench.scenario.durations import durations
from workbench.scenario.schema import LIBRARY_QUEUES
from workbench.scenario.schema import Handling as Costs


def replicate(scenario: Scenario, point: int, index: int, seed: int) -> Replication:
    """Play the scenario once. All luck comes from `seed` and `index`, so every point of a sweep has the same.

    Raises ScenarioError if a behaviour cannot be played, BehaviourFailed if one raises something, and RuntimeError if
    the books do not balance at the end.
    """
    started = time.perf_counter()
    stage = Stage(scenario, world_of(scenario, seed, index))
    try:
        stage.world.run(until=scenario.run.duration)
    except (Exception, SystemExit) as error:
        if (failure := custom.blame(error)) is not None:
            raise failure from error
        raise
    stage.world.audit()
    measured = measure(window_of(scenario), stage.readings())
    seen, units = observed(stage.world.observations)
    return Replication(
        point=point,
        index=index,
        seed=seed,
        metrics=measured.metrics | stage.gave_up() | stage.busiest() | stage.failures() | seen,
        histograms=measured.histograms,
        timeline=measured.timeline,
        counts=measured.counts,
        events=stage.world.events,
        wall_s=time.perf_counter() - started,
        units=units,
    )


def batches(scenario: Scenario, point: int, seed: int) -> list[Replication]:
    """Play the scenario once and long, and cut what follows the warm-up into its batches.

    Each batch is told like a replication, of what was answered in it; its index is its place. Raises as `replicate`
    does.
    """
    stage = Stage(scenario, world_of(scenario, seed, 0))
    begin, count = scenario.run.measured_from, scenario.run.batches
    length = (scenario.run.duration - begin) / count
    if begin > 0:
        stage.world.run(until=begin)
    then, before, events = begin, stage.readings(), stage.world.events
    found = []
    for index in range(count):
        started = time.perf_counter()
        now = begin + (index + 1) * length if index + 1 < count else scenario.run.duration
        stage.world.run(until=now)
        after = stage.readings()
        pieces = [later.since(earlier, then, now) for later, earlier in zip(after, before, strict=True)]
        measured = measure(window_of(scenario), pieces)
        found.append(
            Replication(
                point=point,
                index=index,
                seed=seed,
                metrics=measured.metrics,
                histograms=measured.histograms,
                timeline=measured.timeline,
                counts=measured.counts,
                events=stage.world.events - events,
                wall_s=time.perf_counter() - started,
            )
        )
        then, before, events = now, after, stage.world.events
    stage.world.audit()
    return found


def again(scenario: Scenario, point: int, index: int, seed: int) -> Replication:
    """Play what gave a replication, or the batch of this index, once more."""
    if scenario.run.mode == "steady-state":
        return batches(scenario, point, seed)[index]
    return replicate(scenario, point, index, seed)


def world_of(scenario: Scenario, seed: int, replication: int, *, story: int | None = None) -> VirtualWorld:
    """An empty world as the scenario's run asks for."""
    costs = scenario.run.handling
    handling = None if costs == Costs() else Handling(costs.wake, costs.step, costs.kib)
    return VirtualWorld(seed=seed, replication=replication, window=scenario.run.room, handling=handling, story=story)


LOOPBACK = LinkShape.model_validate({"delay": "0 s"})
SHORTEST_DELAY = 5e-6
"""Seconds. Nothing is instantaneous: with a delay of zero a closed load would ask without end at one moment.

It is what a loopback takes, and what the prediction of a run's messages counts on.
"""


class Stage:
    """A virtual world with a scenario's cast in it: declared parts play natively, behaviours in Python.

    With `players` these play all of it, in Python; the scenario may ask for the applications as such.
    """

    def __init__(
        self, scenario: Scenario, world: VirtualWorld, *, bins: int = BINS, players: Players | None = None
    ) -> None:
        self.scenario = scenario
        self._window = window_of(scenario, bins)
        self.world = world
        self.cast: Cast = cast(scenario)
        self.players = players or (Applications(self.cast) if scenario.behaviours == "zinc" else None)
        self.failed = happenings(scenario, self.cast, world.luck)
        self._metered: list[str] = []
        self._build()
        serve, ask = (self._station, self._crowd) if scenario.network == "none" else (self._serve, self._ask)
        if self.players is not None:
            serve, ask = partial(self._let_serve, self.players), partial(self._let_ask, self.players)
        for name, service in scenario.services.items():
            serve(name, service)
        for name, workload in scenario.workloads.items():
            ask(name, workload)
        self._plan_faults()

    def readings(self) -> list[Reading]:
        """What the meters of the declared workloads show."""
        if self.players is not None:
            kept = self.players.snapshots()
            return [settled(self.scenario, name, [kept[name]]) for name in self._metered if name in kept]
        return [Reading.read(name, self.world.meter(name)) for name in self._metered]

    def failures(self) -> dict[str, float]:
        """Where things fail by chance: how often something did, and how much of the time instances were down."""
        if not self.scenario.failures:
            return {}
        share = down_share(self.scenario, self.failed)
        count = sum(happening.action in ("kill", "cut") for happening in self.failed)
        return {"breakdowns": float(count)} | ({} if share is None else {"down_share": share})

    def gave_up(self) -> dict[str, float]:
        """Of services with a patience: how many instances have given up, and when the first did."""
        patient = [name for name, service in self.scenario.services.items() if service.patience is not None]
        moments = [at for name in patient for at in self.world.gave_up(name) if at is not None]
        if not patient:
            return {}
        return {"gave_up": float(len(moments))} | ({"give_up_time": min(moments)} if moments else {})

    def busiest(self) -> dict[str, float]:
        """Where services hand on: the share of the run that the workers of the busiest instance were busy."""
        chained = {
            name
            for workload in self.scenario.workloads.values()
            for name in self.scenario.stages(workload)
            if len(self.scenario.stages(workload)) > 1 or self.scenario.services[name].breadth is not None
        }
        if isinstance(self.players, Applications):
            spent = [max(self.players.busy.values(), default=0.0) / self.scenario.run.duration] if chained else []
            return {"busiest_share": min(1.0, max(spent))} if spent else {}
        spent = [
            max(self.world.busy(name)) / (self.scenario.services[name].workers * self.scenario.run.duration)
            for name in chained
            if self.scenario.services[name].behaviour is None
        ]
        return {"busiest_share": min(1.0, max(spent))} if spent else {}

    def _build(self) -> None:
        for name, site in self.scenario.sites.items():
            self.world.site(name, **self._shape(site.within))
        for link in self.scenario.every_link:
            self.world.link(*link.between, **self._shape(link))
        for part in self.cast.parts:
            self._host(part)

    def _let_serve(self, players: Players, name: str, service: Service) -> None:
        del service
        for part in self.cast.of("service", name):
            onward = [(dial.target.name, dial.priority) for dial in self.cast.hands_on(part)]
            self._host(part).play(players.service(part, part.name, onward))

    def _let_ask(self, players: Players, name: str, workload: Workload) -> None:
        for part in self.cast.of("workload", name):
            dials = [(dial.target.name, dial.priority) for dial in self.cast.dials(part)]
            self._host(part).play(players.workload(part, dials))
        if workload.behaviour is None:
            self._metered.append(name)

    def _shape(self, link: LinkShape) -> dict[str, Any]:
        """A declared link as the virtual world takes it.

        The delay that stands for a network within a site stands for what it costs to handle a message, too. Where that
        is counted, what is left of it is the loopback.
        """
        counted = self.scenario.run.handling != Costs()
        return shape(LOOPBACK if counted and not is_shaped(link) else link)

    def _serve(self, name: str, service: Service) -> None:
        parts = self.cast.of("service", name)
        if service.behaviour is not None:
            function = custom.load_behaviour(self.scenario, service.behaviour)
            for part in parts:
                peers = custom.Peers(listen=part.name)
                self._host(part).play(partial(self._play, function, peers, service.options))
            return
        receive = LIBRARY_QUEUES[service.like].receive if service.like is not None else service.queue
        self.world.add_service(
            name,
            SERVES[service.pattern],
            [(part.name, part.name) for part in parts],
            workers=service.workers,
            time=self._drawn(service.time),
            reply=service.reply,
            patience=service.patience,
            straggler=service.straggler,
            forward=self._forward(service, parts),
            recv_queue=receive,
        )

    def _forward(self, service: Service, parts: tuple[Part, ...]) -> Forward | None:
        """Whom its instances hand on to, if to anybody."""
        if service.to is None and service.breadth is None:
            return None
        queues = self.scenario.queues_behind(service)
        options: dict[str, float | str] = {"send_queue": queues.send}
        if service.breadth is not None:
            options["when_full"] = queues.when_full
        return Forward(
            "push" if service.breadth is None else "pub",
            [[(dial.target.name, dial.priority) for dial in self.cast.hands_on(part)] for part in parts],
            each=service.hand_on,
            receives=service.breadth is not None,
            options=options,
        )

    def _ask(self, name: str, workload: Workload) -> None:
        parts = self.cast.of("workload", name)
        dials = {part: [(dial.target.name, dial.priority) for dial in self.cast.dials(part)] for part in parts}
        if workload.behaviour is not None:
            function = custom.load_behaviour(self.scenario, workload.behaviour)
            for part in parts:
                peers = custom.Peers(dials=tuple(dials[part]))
                self._host(part).play(partial(self._play, function, peers, workload.options))
            return
        pattern = self.scenario.services[workload.to].pattern
        queues = self.scenario.queues(workload)
        options: dict[str, Any] = {"resend": workload.resend} if pattern == "reply" else {}
        if pattern == "survey":
            # Who is late is heard, but not counted.
            options["deadline"] = workload.deadline
            options["survey_deadline"] = max(workload.deadline, workload.timeout)
        if pattern == "subscribe":
            options["when_full"] = queues.when_full
        self.world.add_workload(
            name,
            ASKS[pattern],
            [(part.name, dials[part]) for part in parts],
            self._window,
            load=self._rhythm(workload.load),
            routing=workload.routing or self.scenario.routing,
            size=workload.size,
            timeout=workload.timeout,
            receivers=self.scenario.receivers(workload),
            send_queue=queues.send,
            **options,
        )
        self._metered.append(name)

    def _station(self, name: str, service: Service) -> None:
        """The service as it is without a network."""
        self.world.add_station(
            name,
            [part.name for part in self.cast.of("service", name)],
            workers=service.workers,
            time=self._drawn(service.time),
            queue=service.queue,
            when_full=service.when_full,
        )

    def _crowd(self, name: str, workload: Workload) -> None:
        """The workload as it is without a network."""
        places = {part: place for place, part in enumerate(self.cast.of("service", workload.to))}
        surveys = self.scenario.services[workload.to].pattern == "survey"
        self.world.add_crowd(
            name,
            workload.to,
            [
                (part.name, [(places[dial.target], dial.priority) for dial in self.cast.dials(part)])
                for part in self.cast.of("workload", name)
            ],
            self._window,
            load=self._rhythm(workload.load),
            routing=workload.routing or self.scenario.routing,
            surveys=surveys,
            timeout=workload.deadline if surveys else workload.timeout,
        )
        self._metered.append(name)

    def _rhythm(self, load: Load) -> Rhythm:
        return Rhythm(
            kind=load.kind,
            rate=load.rate or 1.0,
            outstanding=load.outstanding,
            think=NOTHING if load.think is None else self._drawn(load.think),
            on=load.on or 1.0,
            off=load.off,
            moments=durations(self._beside(load.file), ascending=True) if load.kind == "trace" else (),
        )

    def _drawn(self, distribution: Distribution) -> Drawn:
        """A distribution as the native world takes it."""
        if distribution.kind == "empirical":
            return "empirical", durations(self._beside(distribution.file))
        return distribution.kind, distribution.a, distribution.b

    def _beside(self, file: str) -> Path:
        return (self.scenario.directory or Path.cwd()) / file

    def _play(self, function: custom.Custom, peers: custom.Peers, options: dict[str, Any], host: VirtualHost) -> Any:
        return custom.start(function, host, peers, options)

    def _plan_faults(self) -> None:
        for event in self.scenario.fault_events():
            if event.link is not None:
                self.world.schedule_fault(event.at, _done_to_link(event.action, event.one_way), *event.link)
            for part in self.cast.killed_by(event.instances):
                self.world.schedule_fault(event.at, event.action, part.name, unnoticed=event.unnoticed)
        for failed in self.failed:
            if failed.link is not None:
                self.world.schedule_fault(failed.at, _done_to_link(failed.action, failed.one_way), *failed.link)
            for host in failed.hosts:
                silent = failed.unnoticed if failed.action == "kill" else 0.0
                self.world.schedule_fault(failed.at, failed.action, host, unnoticed=silent)

    def _host(self, part: Part) -> VirtualHost:
        return self.world.host(part.name, part.site)


def _done_to_link(action: str, one_way: bool) -> str:
    """What the virtual world calls it."""
    return {"cut": "mute", "heal": "unmute"}.get(action, action) if one_way else action


def shape(link: LinkShape) -> dict[str, Any]:
    """A declared link as the virtual world takes it; see SHORTEST_DELAY."""
    return {
        "delay": max(link.one_way, SHORTEST_DELAY),
        "jitter": ("exponential", link.jitter, 0.0) if link.jitter else ("constant", 0.0, 0.0),
        "rate": link.rate,
        "loss": link.loss,
    }
