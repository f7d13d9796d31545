"""From replications to a result: estimates, the verdict, and whether the expectations hold."""

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.results import Estimate, ExpectationResult, Link, Point, Replication, Result, Verdict
from workbench.results.compare import verdicts
from workbench.results.estimate import summarise
from workbench.scenario import Scenario, SweepPoint
from workbench.scenario.expect import OBSERVED


@dataclass(frozen=True)
class Outcome:
    """What a runner hands over: every replication of every point, and what it knows beyond them."""

    replications: Sequence[Replication]
    links: Sequence[Link] = ()
    verdicts: Sequence[Verdict] | None = None
    """Sentences of the runner's own; None: the paired comparison says them."""
    notes: Sequence[str] = ()
    """To be printed with the result."""


def conclude(
    scenario: Scenario, points: Sequence[SweepPoint], outcome: Outcome, *, world: str, wall_s: float
) -> Result:
    """Fold the replications of all points into one result. Its run is named when it is stored."""
    runs = sorted(outcome.replications, key=lambda run: (run.point, run.index))
    folded = [summarise(point.set, [run for run in runs if run.point == number]) for number, point in enumerate(points)]
    return Result(
        scenario=scenario.name,
        world=world,
        run="",
        points=folded,
        verdicts=_verdicts(scenario, folded) if outcome.verdicts is None else outcome.verdicts,
        expectations=expectations(scenario, folded, world),
        events=sum(run.events for run in runs),
        wall_s=wall_s,
        links=outcome.links,
    )


def expectations(scenario: Scenario, points: Sequence[Point], world: str) -> list[ExpectationResult]:
    """Hold every expectation against every point that it is about; one that is about no point does not hold."""
    results = []
    for expected in scenario.expect:
        about = [point for point in points if expected.applies(point.set, world)]
        if not about and "world" in expected.when:
            continue
        nothing = Estimate(None, None, None, "", 0)
        values = [(point.metrics.get(expected.metric, nothing), dict(point.set)) for point in about]
        failed = [found for found in values if not expected.holds(found[0].value)]
        found, where = (failed or values or [(nothing, {})])[0]
        # What behaviours observe has the unit that they say.
        unit = found.unit if expected.metric.startswith(OBSERVED) else ""
        results.append(ExpectationResult(str(expected), bool(about) and not failed, found.value, where, unit))
    return results


def _verdicts(scenario: Scenario, points: Sequence[Point]) -> list[Verdict]:
    comparison = scenario.comparison()
    if comparison is None:
        return []
    return verdicts(points, axis=comparison.path, baseline=comparison.baseline, metrics=comparison.metrics)
