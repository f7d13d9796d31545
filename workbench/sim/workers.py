"""Processes that share out work, and that are gone when it is done, has failed or is interrupted.

Python's own pool waits for ever when one of its processes is killed while it hands over a result. Here each process has
a line of its own, so what becomes of one is no matter to another; and one whose parent is gone finds its line closed.
"""

import contextlib
import multiprocessing
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

Task = TypeVar("Task")
Done = TypeVar("Done")


class WorkerLost(Exception):
    """A process ended by itself, as when the machine has no memory left."""


def share(work: Callable[[Task], Done], tasks: Iterable[Task], count: int) -> Iterator[tuple[Task, Done]]:
    """Do `work` on each task in `count` processes; yield tasks with what was made of them, as they are done.

    Raises what `work` raised, or WorkerLost. However this ends, no process is left.
    """
    workers: list[_Worker] = []
    try:
        _start(work, count, workers)
        waiting = iter(tasks)
        busy = {worker.line: (worker, task) for worker, task in zip(workers, waiting, strict=False)}
        for worker, task in busy.values():
            worker.line.send(task)
        while busy:
            for line in wait(list(busy)):
                assert isinstance(line, Connection)
                worker, task = busy.pop(line)
                done = worker.hear()
                for another in waiting:
                    line.send(another)
                    busy[line] = worker, another
                    break
                yield task, done
    finally:
        with _uninterrupted():
            for worker in workers:
                worker.end()


@dataclass
class _Worker:
    process: BaseProcess
    line: "Connection[Any, Any]"

    def hear(self) -> Any:
        """What it has made of its task."""
        try:
            well, what = pickle.loads(self.line.recv_bytes())
        except (EOFError, OSError):
            self.process.join(timeout=5)
            raise WorkerLost(f"a process of the run ended by itself, with exit code {self.process.exitcode}") from None
        if not well:
            raise what
        return what

    def end(self) -> None:
        self.line.close()
        self.process.kill()
        self.process.join()


def _start(work: Callable[[Any], Any], count: int, workers: list[_Worker]) -> None:
    # Spawned, not forked: a forked child would inherit threads and locks in whatever state they are.
    context = multiprocessing.get_context("spawn")
    # Started later it would let interruptions through again.
    resource_tracker.ensure_running()
    # A terminal's Ctrl-C reaches every process, but it is the parent's business: children inherit that they are spared.
    with _uninterrupted():
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, work), daemon=True)
            process.start()
            theirs.close()
            workers.append(_Worker(process, ours))


def _serve(line: "Connection[Any, Any]", work: Callable[[Any], Any]) -> None:
    """In the process: work off what is asked until the line is closed."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            line.send_bytes(_attempt(work, line.recv()))


def _attempt(work: Callable[[Any], Any], task: Any) -> bytes:
    try:
        return pickle.dumps((True, work(task)))
    except KeyboardInterrupt as error:
        # Not the terminal's, which is blocked here: the work has raised it.
        return pickle.dumps((False, error))
    except Exception as error:
        try:
            told = pickle.dumps((False, error))
            pickle.loads(told)
        except Exception:
            # Some exceptions do not survive the journey.
            told = pickle.dumps((False, RuntimeError("".join(traceback.format_exception(error)))))
        return told


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until this is done. Elsewhere than in the main thread it never comes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
