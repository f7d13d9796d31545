"""Worker processes: what they hand over, how they fail, and that none is left."""

import multiprocessing
import os
import signal
import time
from contextlib import closing

import psutil
import pytest

from workbench.sim.workers import WorkerLost, share

PATIENCE = 30.0


def double(number: int) -> int:
    return 2 * number


def who(_: int) -> int:
    return os.getpid()


class TwoWordsError(Exception):
    """Its arguments are not its constructor's, so it does not survive being pickled."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def fail(number: int) -> int:
    if number == 3:
        raise KeyError("three")
    if number == 4:
        raise TwoWordsError("out of", "order")
    return number


def die(number: int) -> int:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def talk(number: int) -> bytes:
    """Much more than a pipe holds: the process is killed in the midst of handing it over."""
    return bytes(50_000_000) if number else b""


def children() -> list[int | None]:
    """The processes that are at work."""
    return [child.pid for child in multiprocessing.active_children()]


def test_every_task_is_done_once_whoever_does_it() -> None:
    assert dict(share(double, range(20), 3)) == {number: 2 * number for number in range(20)}
    assert children() == []


def test_fewer_tasks_than_processes() -> None:
    assert list(share(double, [21], 2)) == [(21, 42)]
    assert list(share(double, [], 2)) == []


def test_the_work_is_shared_out() -> None:
    assert len({pid for _, pid in share(who, range(8), 2)} - {os.getpid()}) == 2


def test_what_the_work_raises_is_raised_here() -> None:
    with pytest.raises(KeyError, match="three"):
        list(share(fail, [3], 2))
    with pytest.raises(RuntimeError, match="TwoWordsError: out of order"):
        list(share(fail, [4], 2))
    assert children() == []


def test_a_process_that_ends_by_itself_is_noticed() -> None:
    with pytest.raises(WorkerLost, match="exit code -9"):
        list(share(die, [1, 2, 3], 2))
    assert children() == []


def test_leaving_early_never_hangs_and_leaves_nobody() -> None:
    begun = time.monotonic()
    with closing(share(talk, range(4), 2)) as done:
        next(iter(done))
        workers = children()
        assert len(workers) == 2
    assert children() == []
    assert not any(psutil.pid_exists(pid) for pid in workers if pid is not None)
    assert time.monotonic() - begun < PATIENCE


def test_processes_are_spared_an_interruption_of_the_terminal() -> None:
    """Ctrl-C reaches all processes of a terminal; the parent decides what becomes of them."""
    with closing(share(who, range(50), 2)) as done:
        for _, pid in done:
            os.kill(pid, signal.SIGINT)
    assert children() == []
