"""The tracer: it counts what a process does between its signals, and nothing is left of the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.bench.gate import tracer

PROGRAM = """
import os, signal, sys, threading, time
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
pid, kill, getppid = os.getpid(), os.kill, os.getppid
read, write = os.pipe()
def work(times):
    for _ in range(times):
        getppid()
        os.write(write, b"seven b")
# Python changes a program that it has executed a few times.
work(200)
print("ready", flush=True)
sys.stdin.readline()
for times in (0, 10, 20):
    kill(pid, signal.SIGUSR1)
    work(times)
    kill(pid, signal.SIGUSR1)
time.sleep(60)
"""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def test_system_calls_and_bytes_are_counted_exactly(process: subprocess.Popen[str]) -> None:
    idle, ten, twenty = tracer.calls(process.pid, 3, lambda: go(process))
    assert [ten.entered - idle.entered, twenty.entered - idle.entered] == [20, 40]
    assert [part.written for part in (idle, ten, twenty)] == [0, 70, 140]
    assert process.wait(5) == -9


def test_instructions_add_up(process: subprocess.Popen[str]) -> None:
    idle, ten, twenty = tracer.steps(process.pid, 3, [], lambda: go(process))
    once = (ten.instructions - idle.instructions) / 10
    assert once > 100
    assert (twenty.instructions - idle.instructions) / 20 == pytest.approx(once, rel=0.02)
    assert process.wait(5) == -9


def test_processes_are_counted_together_and_live_on(process: subprocess.Popen[str]) -> None:
    found = tracer.together([process.pid], lambda: go(process))
    # Nothing was done between its first two marks but to send the second.
    assert list(found) == [process.pid]
    assert 1 <= found[process.pid] <= 3
    assert process.poll() is None
    assert "TracerPid:\t0\n" in Path(f"/proc/{process.pid}/status").read_text()


def test_a_process_that_ends_while_others_are_counted_is_told(process: subprocess.Popen[str]) -> None:
    with pytest.raises(tracer.TraceError, match="was ended by SIGTERM"):
        # Popen's own way would ask first whether it has ended, and so take the tracer's news.
        tracer.together([process.pid], lambda: os.kill(process.pid, signal.SIGTERM))


def test_a_process_that_ends_too_early_is_told(process: subprocess.Popen[str]) -> None:
    with pytest.raises(tracer.TraceError, match="was ended by SIGTERM"):
        tracer.steps(process.pid, 1, [], process.terminate)


def test_what_cannot_be_traced_is_told() -> None:
    with pytest.raises(tracer.TraceError, match="cannot be traced here"):
        tracer.steps(2**22 + 1, 1, [], lambda: pytest.fail("it was let go"))
