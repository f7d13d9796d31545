"""What goes wrong in one reading voids that reading, with a reason; the others stand and no process is left."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import psutil
import pytest

from workbench.bench import conductor
from workbench.bench.conductor import measure
from workbench.bench.processes import Child
from workbench.scenario import Scenario


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        pytest.param(signal.SIGKILL, "the receiver was ended by SIGKILL", id="killed"),
        pytest.param(signal.SIGSEGV, "the receiver was ended by SIGSEGV", id="a library that crashes"),
        pytest.param(
            signal.SIGSTOP, "the receiver did not say 'measured' within", id="stopped, or a library that hangs"
        ),
    ],
)
def test_a_failed_process_voids_its_reading_only(
    small: Callable[..., Scenario], what: signal.Signals, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear = conductor.Crew.hear
    started: list[int] = []

    def strike_once(crew: conductor.Crew, child: Child, kind: str, timeout: float) -> dict[str, object]:
        message = hear(crew, child, kind, timeout)
        if kind == "ready":
            if not started:
                os.kill(crew.children[0].pid, what)
            started.extend(one.pid for one in crew.children)
        return message

    monkeypatch.setattr(conductor.Crew, "hear", strike_once)
    monkeypatch.setattr(conductor, "SLACK_S", 1.5)
    found = measure(small("library=ours", "sweep={}", "workloads.ping.alone=false"), blocks=1)
    voids = [note for run in found.replications for note in run.notes if "is void" in note]
    assert len(voids) == 1, voids
    assert reason in voids[0]
    # It is measured, and measured again for the control: one of the two stands.
    assert sum(name.startswith("flood:throughput") for run in found.replications for name in run.metrics) == 1
    assert not [pid for pid in started if psutil.pid_exists(pid)]
