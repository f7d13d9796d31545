"""Children: what they say, how they fail, and that none is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from workbench.bench.processes import ChildFailed, Crew

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _children_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE))


@pytest.fixture
def crew() -> Iterator[Crew]:
    with Crew() as crew:
        yield crew


def gone(pid: int, patience: float = 5.0) -> bool:
    """Whether a process ends in time; a zombie has ended."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


def test_what_is_said_is_heard_on_either_side(crew: Crew) -> None:
    child = crew.start("child", {"do": "echo"}, name="child")
    child.say("text", text="größer\n")
    assert crew.hear(child, "heard", 20) == {"say": "heard", "text": "größer\n"}


@pytest.mark.parametrize(
    ("do", "reason"),
    [
        ("fail", "the child failed: no reason is good enough"),
        ("crash", "the child ended with exit code 1: everything is on fire"),
        ("die", "the child was ended by SIGKILL"),
        ("babble", "the child said what is no message: b'not json'"),
    ],
)
def test_a_failure_is_told_with_its_reason(crew: Crew, do: str, reason: str) -> None:
    child = crew.start("child", {"do": do}, name="child")
    with pytest.raises(ChildFailed) as caught:
        crew.hear(child, "anything", 20)
    assert str(caught.value) == reason


def test_who_waits_for_one_child_hears_at_once_that_another_failed(crew: Crew) -> None:
    waiting = crew.start("child", {"do": "spin"}, name="patient")
    crew.start("child", {"do": "crash"}, name="hasty")
    started = time.monotonic()
    with pytest.raises(ChildFailed, match="the hasty ended with exit code 1"):
        crew.hear(waiting, "never", 60)
    assert time.monotonic() - started < 30


def test_silence_ends_the_waiting(crew: Crew) -> None:
    child = crew.start("child", {"do": "spin"}, name="child")
    crew.hear(child, "spinning", 20)
    with pytest.raises(ChildFailed, match=r"did not say 'more' within 0\.2 s"):
        crew.hear(child, "more", 0.2)


def test_leaving_kills_whoever_is_left_whatever_it_ignores() -> None:
    with Crew() as crew:
        child = crew.start("child", {"do": "spin"}, name="child")
        crew.hear(child, "spinning", 20)
        pid = child.pid
    assert not psutil.pid_exists(pid)


def test_a_child_that_is_dismissed_ends_by_itself(crew: Crew) -> None:
    child = crew.start("child", {"do": "spin"}, name="child")
    crew.hear(child, "spinning", 20)
    started = time.monotonic()
    pid = child.pid
    crew.dismiss(patience=20)
    assert not psutil.pid_exists(pid)
    assert time.monotonic() - started < 10


def test_a_child_ends_when_its_time_is_up(crew: Crew) -> None:
    child = crew.start("child", {"do": "spin", "lifetime": 1.0}, name="child")
    crew.hear(child, "spinning", 20)
    with pytest.raises(ChildFailed, match="was ended by SIGALRM"):
        crew.hear(child, "more", 20)


def test_a_child_ends_when_its_parent_is_killed() -> None:
    parent = """
from workbench.bench.processes import Crew
with Crew() as crew:
    child = crew.start("child", {"do": "spin"}, name="child")
    crew.hear(child, "spinning", 20)
    print(child.pid, flush=True)
    crew.hear(child, "never", 60)
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
    assert gone(pid)
