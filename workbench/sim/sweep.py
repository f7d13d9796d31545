"""All replications of all points, on several processes, the same whatever their number."""

import os
from collections.abc import Generator, Sequence
from contextlib import closing
from functools import partial

from workbench.model.progress import Progress, silent
from workbench.results import Replication, Writer
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

    Replication i of every point draws from the same seed and streams, so points differ by what was set alone.
    The result is bit for bit the same for any number of `jobs` (default: all cores).
    """
    done = dict(writer.finished) if writer is not None else {}
    tasks = [(point, index) for index in range(count) for point in range(len(points))]
    done = {task: done[task] for task in tasks if task in done}
    missing = [task for task in tasks if task not in done]
    total = len(tasks)
    tell(len(done), total, "simulating")
    scenarios = [point.scenario for point in points]
    with closing(_runs(scenarios, scenario.run.seed, missing, jobs or len(os.sched_getaffinity(0)))) as runs:
        for task, replication in runs:
            done[task] = replication
            if writer is not None:
                writer.add(replication)
            tell(len(done), total, "simulating")
    return [done[task] for task in sorted(done)]


def _runs(
    scenarios: Sequence[Scenario], seed: int, tasks: Sequence[Task], jobs: int
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
