"""All replications of all points, on several processes, the same whatever their number."""

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

from workbench.model.progress import Progress, silent
from workbench.results import Replication, Writer
from workbench.scenario import Scenario, SweepPoint
from workbench.sim.replication import replicate

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
    for task, replication in _runs(points, scenario.run.seed, missing, jobs or len(os.sched_getaffinity(0))):
        done[task] = replication
        if writer is not None:
            writer.add(replication)
        tell(len(done), total, "simulating")
    return [done[task] for task in sorted(done)]


def _runs(
    points: Sequence[SweepPoint], seed: int, tasks: Sequence[Task], jobs: int
) -> Iterator[tuple[Task, Replication]]:
    if jobs == 1 or len(tasks) <= 1:
        for point, index in tasks:
            yield (point, index), replicate(points[point].scenario, point, index, seed)
        return
    # Spawned, not forked: a forked child would inherit threads and locks in whatever state they are.
    pool = ProcessPoolExecutor(
        min(jobs, len(tasks)), mp_context=multiprocessing.get_context("spawn"), initializer=_ignore_interrupts
    )
    try:
        running: dict[Future[Replication], Task] = {}
        waiting = iter(tasks)
        # A few in advance keep the workers busy; all at once would make an interruption slow.
        for task in waiting:
            running[pool.submit(replicate, points[task[0]].scenario, *task, seed)] = task
            if len(running) < 2 * jobs:
                continue
            yield from _finished(running)
        while running:
            yield from _finished(running)
    except BaseException:
        for process in list(pool._processes.values()):
            process.kill()
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    pool.shutdown()


def _finished(running: dict[Future[Replication], Task]) -> Iterator[tuple[Task, Replication]]:
    finished, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in finished:
        yield running.pop(future), future.result()


def _ignore_interrupts() -> None:
    """Ctrl-C reaches every process of the terminal; the parent ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
