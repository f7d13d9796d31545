"""What goes wrong in one reading voids that reading, with a reason; the others stand and no process is left."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from workbench.bench import conductor, stage
from workbench.bench.conductor import measure
from workbench.bench.peers import PEERS
from workbench.bench.processes import Child, ChildFailed
from workbench.results import begin
from workbench.scenario import Scenario, parse, points


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


@pytest.mark.parametrize(
    "library", [pytest.param(name, marks=[] if name == "ours" else [pytest.mark.slow]) for name in PEERS]
)
def test_a_port_that_is_taken_voids_its_reading_and_is_told(
    small: Callable[..., Scenario], library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason := PEERS[library].missing():
        pytest.skip(reason)
    flood = "push" in PEERS[library].roles
    other, metric = ("ping", "flood:throughput") if flood else ("flood", "ping:round_trip.p50")
    started: list[int] = []
    start = conductor.Crew.start

    def note(crew: conductor.Crew, *what: Any, **named: Any) -> Child:
        child = start(crew, *what, **named)
        started.append(child.pid)
        if len(started) == 2:
            # Only the first reading finds it taken.
            monkeypatch.setattr(conductor, "ADDRESS", "tcp://127.0.0.1:0")
        return child

    monkeypatch.setattr(conductor.Crew, "start", note)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(conductor, "ADDRESS", f"tcp://127.0.0.1:{taken.getsockname()[1]}")
        found = measure(small(f"library={library}", "sweep={}", f"workloads.{other}.alone=false"), blocks=1)
    voids = [note for run in found.replications for note in run.notes if "is void" in note]
    assert len(voids) == 1, voids
    assert re.search(r"the (receiver|replier) failed: .*(in use|taken)", voids[0], re.IGNORECASE), voids
    assert sum(name.startswith(metric) for run in found.replications for name in run.metrics) == 1
    assert not [pid for pid in started if psutil.pid_exists(pid)]


def test_a_port_taken_before_a_run_is_told_and_what_was_played_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = parse(PLAYED)
    started: list[int] = []
    start, places = stage.Crew.start, stage._places

    def note(crew: conductor.Crew, *what: Any, **named: Any) -> Child:
        started.append((child := start(crew, *what, **named)).pid)
        return child

    monkeypatch.setattr(stage.Crew, "start", note)
    monkeypatch.setattr(stage, "HEAD_START", 0.1)
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        begin("played", PLAYED, world="real", seed=3, root=tmp_path) as writer,
    ):
        stolen = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setattr(
            stage, "_places", lambda cast: dict.fromkeys(places(cast), stolen) if len(started) >= 2 else places(cast)
        )
        with pytest.raises(ChildFailed, match=rf"the site there failed: .*{stolen}.*in use"):
            stage.play(scenario, points(scenario), 2, writer=writer)
        assert list(writer.finished) == [(0, 0)]
    assert len(started) == 4
    assert not [pid for pid in started if psutil.pid_exists(pid)]


PLAYED = """\
version: 1
name: played
sites: {here: {}, there: {}}
links: [{between: [here, there], delay: 0 s}]
services: {echo: {at: {there: 1}}}
workloads: {users: {at: here, to: echo, load: paced 100/s}}
run: {world: real, duration: 0.2 s, replications: 2, seed: 3}
"""
