"""All replications of all points, on several processes, the same whatever their number."""

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import pairwise

from workbench.model.progress import Progress, silent
from workbench.results import Replication, Writer
from workbench.results.estimate import mean, variance
from workbench.scenario import Scenario, SweepPoint
from workbench.sim.executor import Executor, Local
from workbench.sim.replication import batches, replicate

Task = tuple[int, int]
"""A point's number and a replication's index."""


def simulate(
    scenario: Scenario,
    points: Sequence[SweepPoint],
    count: int,
    *,
    executor: Executor | None = None,
    jobs: int | None = None,
    writer: Writer | None = None,
    tell: Progress = silent,
) -> list[Replication]:
    """Run `count` replications of each point; those that `writer` has from an interrupted run are not run again.

    If the scenario asks for a precision, more follow until every point has it, or there are as many as it allows: how
    many are run depends on what was found, and so on nothing but the seed.

    Replication i of every point draws from the same seed and streams, so points differ by what was set alone.
    The result is bit for bit the same on any `executor` (default: `jobs` processes of this machine, as many as cores).
    """
    executor = executor or Local(jobs)
    if scenario.run.mode == "steady-state":
        return _steady(scenario, points, executor, writer=writer, tell=tell)
    kept = dict(writer.finished) if writer is not None else {}
    done: dict[Task, Replication] = {}
    scenarios = [point.scenario for point in points]
    run = partial(_run, scenarios, scenario.run.seed)
    while True:
        tasks = [(point, index) for index in range(count) for point in range(len(points))]
        done |= {task: kept[task] for task in tasks if task in kept}
        missing = [task for task in tasks if task not in done]
        tell(len(done), len(tasks), "simulating")
        with closing(executor.share(run, missing)) as runs:
            for task, replication in runs:
                done[task] = replication
                if writer is not None:
                    writer.add(replication)
                tell(len(done), len(tasks), "simulating")
        wanted = _wanted(scenario, len(points), done, count)
        if wanted <= count:
            return [done[task] for task in sorted(done)]
        count = wanted


def alike(runs: Sequence[Replication]) -> list[str]:
    """A sentence for each point of a steady-state run whose batches remember each other.

    It is said when the correlation of neighbours' mean latencies is more than two standard errors, 2 / √n, above what
    independent ones have (Law, section 9.5.3): then the intervals are too narrow.
    """
    found = []
    for point in sorted({run.point for run in runs}):
        values = [run.metrics.get("latency.mean") for run in runs if run.point == point]
        known = [value for value in values if value is not None]
        if len(known) < 3 or variance(known) == 0.0:
            continue
        centre = math.fsum(known) / len(known)
        together = math.fsum((a - centre) * (b - centre) for a, b in pairwise(known))
        correlation = together / (variance(known) * (len(known) - 1))
        if correlation > 2 / math.sqrt(len(known)):
            found.append(
                f"point {point}: neighbouring batches are alike (correlation {correlation:.2f}), so the intervals "
                "are too narrow; make the run longer"
            )
    return found


def _steady(
    scenario: Scenario, points: Sequence[SweepPoint], executor: Executor, *, writer: Writer | None, tell: Progress
) -> list[Replication]:
    """One long run of each point, in batches; points that are whole from an interrupted run are not run again."""
    done = dict(writer.finished) if writer is not None else {}
    wanted = range(scenario.run.batches)
    missing = [point for point in range(len(points)) if any((point, index) not in done for index in wanted)]
    run = partial(_run_batches, [point.scenario for point in points], scenario.run.seed)
    tell(len(points) - len(missing), len(points), "simulating")
    with closing(executor.share(run, missing)) as runs:
        for left, (_, found) in enumerate(runs, 1):
            for batch in found:
                if (batch.point, batch.index) not in done:
                    done[batch.point, batch.index] = batch
                    if writer is not None:
                        writer.add(batch)
            tell(len(points) - len(missing) + left, len(points), "simulating")
    return [done[point, index] for point in range(len(points)) for index in wanted]


def _run_batches(scenarios: Sequence[Scenario], seed: int, point: int) -> list[Replication]:
    return batches(scenarios[point], point, seed)


def _wanted(scenario: Scenario, points: int, done: Mapping[Task, Replication], count: int) -> int:
    """How many replications it should take: as many as there are if they are precise enough."""
    asked = scenario.run.replications
    if asked.until is None or count >= asked.most:
        return count
    wanted = count
    for point in range(points):
        values = [run.metrics.get(asked.until.metric) for task, run in done.items() if task[0] == point]
        found = mean([value for value in values if value is not None], "")
        if found.value is None or found.half_width is None:
            wanted = max(wanted, count + MORE)
        elif not asked.until.reached(found.value, found.half_width):
            # The width falls with the root of the number; a tenth more, because it is not known well.
            ratio = found.half_width / max(asked.until.allowed(found.value), 1e-300)
            wanted = max(wanted, count + MORE, min(10 * count, math.ceil(1.1 * count * ratio**2)))
    return min(wanted, asked.most)


MORE = 2
"""Replications that are added at least."""


def _run(scenarios: Sequence[Scenario], seed: int, task: Task) -> Replication:
    point, index = task
    return replicate(scenarios[point], point, index, seed)
