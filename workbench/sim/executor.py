"""Executors: where replications are run. The result is the same wherever, and however many at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from workbench.sim.workers import WorkerLost, share

Task = TypeVar("Task")
Done = TypeVar("Done")

CONNECT_S = 10.0
"""Seconds that a scheduler may take to answer."""


class ExecutorError(Exception):
    """A sentence about an executor that cannot be had."""


class Executor(Protocol):
    """Does the same work on many tasks."""

    @property
    def count(self) -> int:
        """How many tasks are worked on at a time."""

    def share(self, work: Callable[[Task], Done], tasks: Sequence[Task]) -> Generator[tuple[Task, Done], None, None]:
        """Yield tasks with what was made of them, as they are done. Closing it ends what is under way."""


class Local:
    """Processes of this machine; none besides this one if one is enough."""

    def __init__(self, jobs: int | None = None) -> None:
        self._jobs = jobs or len(os.sched_getaffinity(0))

    @property
    def count(self) -> int:
        """How many processes."""
        return self._jobs

    def share(self, work: Callable[[Task], Done], tasks: Sequence[Task]) -> Generator[tuple[Task, Done], None, None]:
        """See `Executor`. Raises what `work` raises, or WorkerLost."""
        if self._jobs == 1 or len(tasks) <= 1:
            for task in tasks:
                yield task, work(task)
        else:
            yield from share(work, tasks, min(self._jobs, len(tasks)))


class Dask:
    """The workers of a Dask cluster that is there already; they need the same workbench, and the same files beside a
    scenario. As a context manager it lets go of the cluster at its end."""

    def __init__(self, address: str) -> None:
        """Connect to a scheduler, for example "tcp://host:8786". Raises ExecutorError."""
        try:
            from distributed import Client
        except ImportError:
            raise ExecutorError(
                "a Dask cluster needs the extra dask: pip install 'messaging-workbench[dask]'"
            ) from None
        try:
            self._client: Any = Client(address, timeout=CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise ExecutorError(f"no Dask scheduler answers at {address}: {error}") from None
        if self.count == 0:
            self._client.close()
            raise ExecutorError(f"the Dask scheduler at {address} has no workers")

    @property
    def count(self) -> int:
        """How many threads the workers have together."""
        return sum(self._client.nthreads().values())

    def share(self, work: Callable[[Task], Done], tasks: Sequence[Task]) -> Generator[tuple[Task, Done], None, None]:
        """See `Executor`. Raises what `work` raises, or WorkerLost."""
        from distributed import KilledWorker, as_completed

        # Sent once to each worker, not with each task.
        sent = self._client.scatter([work], broadcast=True, hash=False)[0]
        futures = {self._client.submit(_call, sent, task, pure=False): task for task in tasks}
        try:
            for future in as_completed(futures, loop=self._client.loop):
                try:
                    done = future.result()
                except KilledWorker as error:
                    raise WorkerLost(f"a worker of the cluster ended by itself, again and again: {error}") from None
                yield futures[future], done
        finally:
            self._client.cancel(list(futures))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()


def _call(work: Callable[[Task], Done], task: Task) -> Done:
    return work(task)
