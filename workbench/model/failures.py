"""Failures: what fails by chance, and when, in one replication."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from workbench.engine.world import Stream
from workbench.model.cast import Cast
from workbench.model.luck import sample, values_in
from workbench.scenario import Failure, Scenario
from workbench.scenario.schema import Action


@dataclass(frozen=True)
class Happening:
    """One failure, or the repair of one."""

    at: float
    action: Action
    hosts: tuple[str, ...] = ()
    link: tuple[str, str] | None = None
    one_way: bool = False
    unnoticed: float = 0.0


def happenings(scenario: Scenario, cast: Cast, luck: Callable[[str], Stream]) -> list[Happening]:
    """Every failure and repair of a run, in order of time.

    Each thing that fails by itself draws from a stream of its own name, so two points of a sweep see the same failures
    wherever both have the thing.
    """
    found = []
    for failure in scenario.failures:
        for name, hosts in _things(scenario, cast, failure):
            times = _times(scenario, failure, luck(f"failure/{name}"))
            for place, at in enumerate(times):
                action: Action = ("kill", "restore")[place % 2] if failure.cut is None else ("cut", "heal")[place % 2]
                found.append(Happening(at, action, hosts, failure.cut, failure.one_way, failure.unnoticed))
    return sorted(found, key=lambda happening: happening.at)


def down_share(scenario: Scenario, happened: list[Happening]) -> float | None:
    """The share of the measured time that an instance which can fail was down, on average; None if none can."""
    start, end = scenario.run.measured_from, scenario.run.duration
    down: dict[str, list[float]] = {}
    for happening in happened:
        for host in happening.hosts:
            down.setdefault(host, []).append(min(max(happening.at, start), end))
    if not down:
        return None
    shares = []
    for times in down.values():
        ends = [*times, end] if len(times) % 2 else times
        shares.append(sum(later - at for at, later in list(pairwise(ends))[::2]) / (end - start))
    return sum(shares) / len(shares)


def _things(scenario: Scenario, cast: Cast, failure: Failure) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What fails together: a name, and the hosts that it takes down."""
    if failure.cut is not None:
        yield ("-".join(failure.cut), ())
        return
    assert failure.kill is not None
    instances, _ = scenario.hit_by(failure.kill)
    hosts = tuple(part.name for part in cast.killed_by(instances))
    if failure.apart:
        yield from ((host, (host,)) for host in hosts)
    else:
        yield failure.kill, hosts


def _times(scenario: Scenario, failure: Failure, luck: Stream) -> Iterator[float]:
    """When it fails, is repaired, fails again, and so on until the run ends."""
    files = {what.file: values_in(scenario, what.file) for what in (failure.mttf, failure.mttr)}
    at = 0.0
    while True:
        for what in (failure.mttf, failure.mttr):
            at += sample(what, luck, files[what.file])
            if at >= scenario.run.duration:
                return
            yield at
