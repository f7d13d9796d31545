"""The conductor: measures what a scenario asks for, in interleaved blocks of fresh process pairs.

It knows no library and keeps no clock of its own: the two ends measure, it starts them, passes the address from one to
the other, and puts together what they say. Whatever goes wrong in a block voids that block, with the reason.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from workbench.bench import quiet, readings
from workbench.bench.gate import tracer
from workbench.bench.pairs import Task, order
from workbench.bench.peers import PEERS, Role
from workbench.bench.placement import PlacementError, place
from workbench.bench.processes import Child, ChildFailed, Crew
from workbench.bench.readings import Reading, SpoiltError
from workbench.bench.ring import TAG
from workbench.bench.roles import LONGEST
from workbench.bench.verdicts import verdicts
from workbench.results import (
    ExpectationResult,
    Histogram,
    Link,
    Point,
    Replication,
    Result,
    Verdict,
    estimate,
)
from workbench.results.control import AGAIN, Control
from workbench.scenario import Scenario, SweepPoint, Workload, points

Progress = Callable[[int, int, str], None]
"""Told before each measurement: how many are done, of how many, and what comes next."""

START_S = 30.0
"""How long a process may take to start and to open its end."""
SLACK_S = 20.0
"""How much longer than warm-up and window a process may take to measure: a busy machine is slow, not broken."""


class MeasurementError(ValueError):
    """The scenario asks for what this measurement does not do; the text says what, before anything is started."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured. Each point has one replication for each block."""

    scenario: str
    points: tuple[Point, ...]
    verdicts: tuple[Verdict, ...]
    controls: tuple[Control, ...]
    links: tuple[Link, ...]
    notes: tuple[str, ...]
    """To be printed with every comparison: what each library does, where it ran, how quiet it was, what is missing."""
    events: int
    wall_s: float

    @property
    def replications(self) -> tuple[Replication, ...]:
        """All blocks of all points."""
        return tuple(run for point in self.points for run in point.replications)

    def result(self, run: str = "", expectations: Sequence[ExpectationResult] = ()) -> Result:
        """As a result of the real world."""
        return Result(
            scenario=self.scenario,
            world="real",
            run=run,
            points=self.points,
            verdicts=self.verdicts,
            expectations=expectations,
            events=self.events,
            wall_s=self.wall_s,
            links=self.links,
        )


def measure(
    scenario: Scenario,
    *,
    seed: int | None = None,
    blocks: int | None = None,
    progress: Progress | None = None,
    keep: Callable[[Replication], None] | None = None,
    kept: Collection[Replication] = (),
) -> Measurement:
    """Measures the scenario's workloads that are alone (or its only one) at every point of its sweep.

    `seed` (the scenario's if None) decides the order only; `blocks` (the scenario's real replications if None) how
    often each point is measured. `keep` is handed each replication as soon as its block is done; a block whose
    replications are all in `kept` is not measured again. Raises MeasurementError before anything starts;
    KeyboardInterrupt leaves no process behind.
    """
    refuse(scenario)
    started = time.monotonic()
    seed = scenario.run.seed if seed is None else seed
    blocks = scenario.run.replications.real if blocks is None else blocks
    where = points(scenario)
    names = alone(scenario)
    possible, reasons = _possible(where, names)
    tasks = _tasks(scenario, where, possible)
    notes = [*_disclosures(where), quiet.before()]
    finished = {(run.point, run.index): run for run in kept}
    todo = [block for block in range(blocks) if any((at, block) not in finished for at in range(len(where)))]
    done, total = 0, len(todo) * len(tasks)
    disturbed = 0
    for block in todo:
        taken: dict[Task, tuple[Reading | str, float, quiet.Quietness]] = {}
        for task in order(tasks, block, seed):
            if progress is not None:
                progress(done, total, _label(where[task.point], task))
            taken[task] = _take(where[task.point].scenario, task.workload, block)
            disturbed += taken[task][2].disturbed
            done += 1
        for at in range(len(where)):
            mine = {task: what for task, what in taken.items() if task.point == at}
            run = _replication(at, block, seed, names, mine, reasons[at])
            finished[at, block] = run
            if keep is not None:
                keep(run)
    if progress is not None:
        progress(total, total, "")
    if disturbed:
        notes.append(f"{disturbed} of {total} readings were disturbed by others on this machine")
    return _measurement(scenario, where, finished, blocks, notes, time.monotonic() - started)


def alone(scenario: Scenario) -> list[str]:
    """The workloads that are measured here: those that are alone, or the only one there is."""
    chosen = [name for name, workload in scenario.workloads.items() if workload.alone]
    return chosen or (list(scenario.workloads) if len(scenario.workloads) == 1 else [])


def refuse(scenario: Scenario) -> None:
    """Raises MeasurementError with all that this measurement does not do, if the scenario asks for any of it."""
    if not alone(scenario):
        raise MeasurementError(f"no workload of {scenario.name} is alone, so there is nothing to measure by itself")
    problems: dict[str, None] = {}
    for point in points(scenario):
        for name in alone(point.scenario):
            for problem in _problems(point.scenario, point.scenario.workloads[name]):
                problems[f"workload '{name}' cannot be measured alone: {problem}"] = None
        if point.scenario.faults:
            problems["a measurement of workloads that are alone has no faults"] = None
        if point.scenario.run.duration <= point.scenario.run.measured_from:
            problems["the duration leaves nothing to measure after the warm-up"] = None
    if problems:
        raise MeasurementError("\n".join(problems))


def _problems(scenario: Scenario, workload: Workload) -> list[str]:
    service = scenario.services[workload.to]
    load = workload.load
    found = []
    in_turn = load.kind == "closed" and load.outstanding == 1 and load.think is None
    if not (load.kind in ("flood", "poisson", "paced") or in_turn):
        found.append(
            f"its load is '{load}', and only 'flood', 'closed' (one request under way, no thinking), 'poisson' and "
            "'paced' are known"
        )
    if service.pattern not in ("reply", "collect"):
        found.append(f"'{workload.to}' has pattern {service.pattern}, and only reply and collect are known")
    if len(workload.at) != 1:
        found.append("its clients are at more than one site")
    if workload.clients != 1 and load.open:
        found.append("it keeps to a schedule and has more than one client")
    if _ends(scenario, workload)[0] != 1 and load.kind != "flood":
        found.append(f"'{workload.to}' has more than one instance, and it is no flood")
    if service.workers != 1 or service.time.mean:
        found.append(f"'{workload.to}' has several workers or takes time over a request")
    if workload.behaviour is not None or service.behaviour is not None:
        found.append("a behaviour takes its place or that of its service")
    return found


def _possible(where: Sequence[SweepPoint], names: Sequence[str]) -> tuple[list[tuple[int, str]], list[dict[str, str]]]:
    """The (point, workload) pairs that can be measured here and, for each point, why a workload cannot."""
    missing: dict[str, str | None] = {}
    for point in where:
        missing.setdefault(point.scenario.library, PEERS[point.scenario.library].missing())
    possible: list[tuple[int, str]] = []
    reasons: list[dict[str, str]] = [{} for _ in where]
    for at, point in enumerate(where):
        peer = PEERS[point.scenario.library]
        unplaced = _unplaced(point.scenario)
        for name in names:
            workload = point.scenario.workloads[name]
            reason = missing[peer.name] or unplaced
            if reason is None and _roles(point.scenario, workload)[0] not in peer.roles:
                reason = (
                    f"{peer.title} carries a flood only, so it has no round trip"
                    if "push" in peer.roles
                    else f"{peer.title} carries calls only, so it has no flood"
                )
            if reason is None and workload.load.open and "req" not in peer.roles:
                reason = f"{peer.title} carries a flood only, so it has no latency"
            if reason is None and not peer.several and max(_ends(point.scenario, workload)) > 1:
                reason = f"{peer.title} has one connection, so it has neither several senders nor several receivers"
            if reason is None:
                possible.append((at, name))
            else:
                reasons[at][name] = reason
    return possible, reasons


def _unplaced(scenario: Scenario) -> str | None:
    try:
        place(scenario.placement)
    except PlacementError as error:
        return str(error)
    return None


def _tasks(scenario: Scenario, where: Sequence[SweepPoint], possible: Sequence[tuple[int, str]]) -> list[Task]:
    """What a block measures: all that is possible, and every baseline once more."""
    comparison = scenario.comparison()
    tasks = []
    for at, name in possible:
        axis = comparison.path if comparison is not None else None
        others = {key: value for key, value in where[at].set.items() if key != axis}
        group = json.dumps([name, others], sort_keys=True, default=str)
        tasks.append(Task(at, name, group))
        if comparison is None or where[at].set[comparison.path] == comparison.baseline:
            tasks.append(Task(at, name, group, again=True))
    return tasks


def _take(scenario: Scenario, name: str, block: int) -> tuple[Reading | str, float, quiet.Quietness]:
    """One reading, or why it is void; the seconds it took; and how quiet it was."""
    before = quiet.Moment.now()
    outcome: Reading | str
    try:
        outcome = _read(scenario, scenario.workloads[name], block)
    except (ChildFailed, SpoiltError) as error:
        outcome = str(error)
    quietness = quiet.Quietness.between(before, quiet.Moment.now())
    return outcome, quietness.seconds, quietness


def _read(scenario: Scenario, workload: Workload, block: int) -> Reading:
    """Starts all ends, lets them measure, and reads them. Raises ChildFailed or SpoiltError."""
    binder, connector = _roles(scenario, workload)
    load = workload.load
    binders, connectors = _ends(scenario, workload)
    placement = place(scenario.placement)
    warm_up, window = scenario.run.measured_from, scenario.run.duration - scenario.run.measured_from
    patience = warm_up + LONGEST * window + SLACK_S
    plan = {
        "peer": scenario.library,
        "listen": ADDRESS,
        "size": max(TAG, workload.size),
        "reply": max(TAG, scenario.services[workload.to].reply),
        "warm_up": warm_up,
        "window": window,
        "samples": readings.enough(),
        # In one block every library is asked at the same moments.
        "pace": (load.kind, load.rate, load.share, scenario.run.seed + block) if load.open else None,
        "lifetime": START_S + 3 * patience + TRACE_S,
        "senders": connectors,
        "in_turn": binders == connectors == 1,
        "spin": placement.sender is None or placement.sender != placement.receiver,
    }
    with Crew() as crew:
        job = plan | {"role": binder, "cpus": placement.receiver}
        firsts = [crew.start(SITE, job, name=_said(binder, each, binders)) for each in range(binders)]
        job = plan | {"role": connector, "cpus": placement.sender}
        seconds = [
            crew.start(SITE, job | {"sender": each}, name=_said(connector, each, connectors))
            for each in range(connectors)
        ]
        addresses = [crew.hear(first, "address", START_S)["address"] for first in firsts]
        for second in seconds:
            second.say("connect", addresses=addresses)
        for second in seconds:
            crew.hear(second, "ready", START_S)
        _tell((*firsts, *seconds), "go")
        if load.open and binder == "pull":
            crew.hear(firsts[0], "warmed", patience)
            seconds[0].say("go")
        here, there = (_hear(crew, side, "measured", patience) for side in (firsts, seconds))
        if load.open and binder == "pull":
            crew.dismiss()
            return readings.one_way(here, there)
        calls = _system_calls(crew, firsts, seconds)
        _tell(seconds, "stop")
        # What a slow receiver has let pile up in the kernel's buffers takes as long again to come out.
        sent = _hear(crew, seconds, "finished", patience)
        arrived = _hear(crew, firsts, "finished", patience) if binder == "pull" else None
        crew.dismiss()
    if arrived is not None:
        return calls(readings.flood(here, there, arrived, sent))
    return calls((readings.on_schedule if load.open else readings.closed)(here, there, sent))


def _tell(children: Iterable[Child], kind: str) -> None:
    for child in children:
        child.say(kind)


def _hear(crew: Crew, children: Sequence[Child], kind: str, patience: float) -> Mapping[str, Any]:
    """What all say, as if they were one."""
    said = [crew.hear(child, kind, patience) for child in children]
    return readings.merged([{key: value for key, value in one.items() if key != "say"} for one in said])


def _system_calls(crew: Crew, *sides: Sequence[Child]) -> Callable[[Reading], Reading]:
    """Counts them after the window, when being traced no longer disturbs it; adds what it found to a reading.

    A traced process is many times slower, and so is whoever waits for it: what gathers messages by time may gather
    others then.
    """
    children = [child for side in sides for child in side]
    try:
        found = tracer.together([child.pid for child in children], lambda: _tell(children, "trace"))
    except tracer.TraceError as error:
        note = f"system calls were not counted: {error}"
        return lambda reading: replace(reading, notes=(*reading.notes, note))
    counted = 0.0
    for side in sides:
        messages = sum(crew.hear(child, "traced", TRACE_S)["messages"] for child in side)
        counted += sum(found[child.pid] for child in side) / messages
    return lambda reading: replace(reading, metrics=reading.metrics | {"system_calls_per_message": counted})


def _roles(scenario: Scenario, workload: Workload) -> tuple[Role, Role]:
    """Who binds and who connects."""
    return ("rep", "req") if scenario.services[workload.to].pattern == "reply" else ("pull", "push")


def _ends(scenario: Scenario, workload: Workload) -> tuple[int, int]:
    """How many bind, each a process, and how many connect to all of them."""
    return sum(scenario.services[workload.to].at.values()), workload.clients


def _said(role: Role, which: int, among: int) -> str:
    return _SAID[role] if among == 1 else f"{_SAID[role]} {which + 1}"


def _replication(
    at: int,
    block: int,
    seed: int,
    names: Sequence[str],
    taken: Mapping[Task, tuple[Reading | str, float, quiet.Quietness]],
    reasons: Mapping[str, str],
) -> Replication:
    """One block of one point, from its readings; what is missing from it comes first in its notes, with the reason."""
    metrics: dict[str, float] = {}
    counts: dict[str, int] = {}
    histograms: dict[str, Histogram] = {}
    void = [f"{name}: {reason}" for name, reason in reasons.items()]
    notes = []
    events, wall = 0, 0.0
    for task in sorted(taken, key=lambda task: (names.index(task.workload), task.again)):
        outcome, seconds, quietness = taken[task]
        again = AGAIN if task.again else ""
        said = f"{task.workload}{' again' if task.again else ''}"
        wall += seconds
        notes.append(f"{said}: {quietness}")
        if isinstance(outcome, str):
            void.append(f"{said}: block {block} is void: {outcome}")
            continue
        events += outcome.events
        notes += [f"{said}: {note}" for note in outcome.notes]
        metrics |= {f"{task.workload}:{name}{again}": value for name, value in outcome.metrics.items()}
        counts |= {f"{task.workload}:{name}{again}": value for name, value in outcome.counts.items()}
        if not task.again:
            histograms |= {f"{task.workload}:{name}": value for name, value in outcome.histograms.items()}
    return Replication(
        point=at,
        index=block,
        seed=seed,
        metrics=_plain(metrics, names) | metrics,
        histograms=histograms,
        counts=counts,
        events=events,
        wall_s=wall,
        notes=[*void, *notes],
    )


def _plain(metrics: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    """Metrics under their plain names, where only one workload can have them: nothing adds up across separate runs."""
    found: dict[str, list[float]] = {}
    for name, value in metrics.items():
        found.setdefault(name.partition(":")[2], []).append(value)
    shared = ("_per_message", "memory") if len(names) > 1 else ()
    return {
        name: values[0] for name, values in found.items() if len(values) == 1 and not name.endswith((AGAIN, *shared))
    }


def _measurement(
    scenario: Scenario,
    where: Sequence[SweepPoint],
    finished: Mapping[tuple[int, int], Replication],
    blocks: int,
    notes: Sequence[str],
    wall_s: float,
) -> Measurement:
    found = tuple(
        estimate.summarise(point.set, [finished[at, block] for block in range(blocks)])
        for at, point in enumerate(where)
    )
    told, controls = verdicts(found, scenario.comparison())
    return Measurement(
        scenario=scenario.name,
        points=found,
        verdicts=tuple(told),
        controls=tuple(controls),
        links=tuple(Link(" – ".join(link.between), "not applied") for link in scenario.every_link),
        notes=tuple(notes),
        events=sum(run.events for point in found for run in point.replications),
        wall_s=wall_s,
    )


def _disclosures(where: Sequence[SweepPoint]) -> list[str]:
    """What a reader must know of each library and placement to understand a comparison."""
    told = []
    for name in dict.fromkeys(point.scenario.library for point in where):
        peer = PEERS[name]
        reason = peer.missing()
        told.append(reason if reason is not None else f"{name}: {peer.version()}; {peer.semantics}")
    for placement in dict.fromkeys(point.scenario.placement for point in where):
        try:
            told.append(f"{placement}: {place(placement)}")
        except PlacementError as error:
            told.append(f"{placement}: {error}")
    return told


def _label(point: SweepPoint, task: Task) -> str:
    setting = ", ".join(str(value) for value in point.set.values())
    return f"{task.workload}{f' ({setting})' if setting else ''}{' again' if task.again else ''}"


ADDRESS = "tcp://127.0.0.1:0"
"""Any port that is free."""
TRACE_S = 60.0
"""How long counting system calls may take."""
SITE = "workbench.bench.site"
_SAID: dict[Role, str] = {"pull": "receiver", "push": "sender", "rep": "replier", "req": "asker"}
