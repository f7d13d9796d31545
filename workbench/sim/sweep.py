"""All replications of all points, on several processes, the same whatever their number."""

import math
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from functools import partial

from workbench.model.progress import Progress, silent
from workbench.results import Replication, Writer
from workbench.results.estimate import mean
from workbench.scenario import Scenario, SweepPoint
from workbench.sim.replication import replicate
from workbench.sim.workers import share

Task = tuple[int, int]
"""A point's number and a replication's index."""


def simulate(
    scenario: Scenario,
    points: Sequence[SweepPoint],
    count: int,
    *,
    jobs: int | None = None,
    writer: Writer | None = None,
    tell: Progress = silent,
) -> list[Replication]:
    """Run `count` replications of each point; those that `writer` has from an interrupted run are not run again.

    If the scenario asks for a precision, more follow until every point has it, or there are as many as it allows: how
    many are run depends on what was found, and so on nothing but the seed.

    Replication i of every point draws from the same seed and streams, so points differ by what was set alone.
    The result is bit for bit the same for any number of `jobs` (default: all cores).
    """
    kept = dict(writer.finished) if writer is not None else {}
    done: dict[Task, Replication] = {}
    scenarios = [point.scenario for point in points]
    run = partial(_runs, scenarios, scenario.run.seed, jobs=jobs or len(os.sched_getaffinity(0)))
    while True:
        tasks = [(point, index) for index in range(count) for point in range(len(points))]
        done |= {task: kept[task] for task in tasks if task in kept}
        missing = [task for task in tasks if task not in done]
        tell(len(done), len(tasks), "simulating")
        with closing(run(missing)) as runs:
            for task, replication in runs:
                done[task] = replication
                if writer is not None:
                    writer.add(replication)
                tell(len(done), len(tasks), "simulating")
        wanted = _wanted(scenario, len(points), done, count)
        if wanted <= count:
            return [done[task] for task in sorted(done)]
        count = wanted


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


def _runs(
    scenarios: Sequence[Scenario], seed: int, tasks: Sequence[Task], *, jobs: int
) -> Generator[tuple[Task, Replication], None, None]:
    run = partial(_run, scenarios, seed)
    if jobs == 1 or len(tasks) <= 1:
        for task in tasks:
            yield task, run(task)
    else:
        yield from share(run, tasks, min(jobs, len(tasks)))


def _run(scenarios: Sequence[Scenario], seed: int, task: Task) -> Replication:
    point, index = task
    return replicate(scenarios[point], point, index, seed)
