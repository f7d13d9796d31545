"""Measurements from start to finish: short, with real processes, and without a word about how fast anything is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import psutil
import pytest

from workbench.bench import conductor
from workbench.bench.conductor import MeasurementError, alone, measure
from workbench.bench.peers import PEERS, ROLES
from workbench.bench.processes import Child, ChildFailed
from workbench.bench.readings import Reading
from workbench.results import Replication
from workbench.scenario import Scenario, parse

Small = Callable[..., Scenario]


def test_two_blocks_of_two_libraries_are_measured(small: Small) -> None:
    told: list[tuple[int, int, str]] = []
    found = measure(small(), seed=5, blocks=2, progress=lambda *what: told.append(what))

    assert [point.set for point in found.points] == [{"library": "ours"}, {"library": "tcp"}]
    for point in found.points:
        assert [run.index for run in point.replications] == [0, 1]
        assert {run.seed for run in point.replications} == {5}
        for run in point.replications:
            assert not [note for note in run.notes if "void" in note], run.notes
            assert run.metrics["throughput"] == run.metrics["flood:throughput"] > 0
            assert run.metrics["round_trip.p50"] == run.metrics["ping:round_trip.p50"] > 0
            assert run.metrics["flood:cpu_per_message"] > 0
            assert run.metrics["flood:wire_bytes_per_message"] > 64
            assert run.metrics["ping:system_calls_per_message"] >= 2
            # Both workloads have it and they were never measured together, so there is none of the whole.
            assert "cpu_per_message" not in run.metrics
            assert run.counts["flood:sent"] == run.counts["flood:received"] > 0
            assert run.counts["flood:lost"] == run.counts["flood:out_of_turn"] == 0
            assert run.counts["ping:answered"] == run.histograms["ping:round_trip"].count > 0
            assert run.events > 0
    ours, tcp = found.points
    assert all("flood:throughput.again" in run.metrics for run in ours.replications)
    assert not [name for name in tcp.metrics if name.endswith(".again")]
    # Two libraries and one library's second time, two workloads, two blocks; and the end.
    assert [done for done, _, _ in told] == list(range(13))
    assert {total for _, total, _ in told} == {12}
    assert {(verdict.metric, verdict.other["library"]) for verdict in found.verdicts} >= {
        ("flood:throughput", "tcp"),
        ("ping:round_trip.p50", "tcp"),
    }
    assert {control.ratio.n for control in found.controls} == {2}
    assert [(link.name, link.state) for link in found.links] == [("here – there", "not applied")]
    assert found.result(run="r").to_json()["world"] == "real"
    assert any(note.startswith("tcp: Python") for note in found.notes)
    assert any("load average" in note for note in found.notes)


@pytest.mark.parametrize("library", [name for name in PEERS if name not in ("ours", "tcp")])
def test_every_library_that_is_installed_can_be_measured(small: Small, library: str) -> None:
    if reason := PEERS[library].missing():
        pytest.skip(reason)
    found = measure(small(f"library={library}", "sweep={}"), blocks=1)
    (run,) = found.points[0].replications
    peer = PEERS[library]
    if "push" in peer.roles:
        assert run.counts["flood:lost"] == 0, run.notes
    else:
        assert f"flood: {peer.title} carries calls only, so it has no flood" in run.notes
    if "req" in peer.roles:
        assert run.metrics["round_trip.p50"] > 0
    else:
        assert f"ping: {peer.title} carries a flood only, so it has no round trip" in run.notes


@pytest.mark.parametrize("placement", ["one-core", "two-cores"])
def test_a_placement_holds_for_both_ends(small: Small, placement: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("this machine has one processor")
    seen: dict[str, list[int]] = {}
    hear = conductor.Crew.hear

    def look(crew: conductor.Crew, child: object, kind: str, timeout: float) -> dict[str, object]:
        message = hear(crew, child, kind, timeout)  # type: ignore[arg-type]
        if kind == "measured":
            for one in crew.children:
                threads = psutil.Process(one.pid).threads()
                seen[one.name] = sorted({cpu for thread in threads for cpu in os.sched_getaffinity(thread.id)})
        return message

    monkeypatch.setattr(conductor.Crew, "hear", look)
    measure(small(f"placement={placement}", "sweep={}", "workloads.ping.alone=false"), blocks=1)
    expected = conductor.place(placement)  # type: ignore[arg-type]
    assert seen == {"receiver": expected.receiver, "sender": expected.sender}


def test_a_library_that_is_missing_is_a_point_that_says_so(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zmq", None)
    taken: list[str] = []
    monkeypatch.setattr(conductor, "_read", fake(taken))
    found = measure(small("sweep.library=[ours, zeromq]"), blocks=2)
    assert set(taken) == {"ours"}
    there, missing = found.points
    assert there.metrics
    assert not missing.metrics
    assert len(missing.replications) == 2
    assert "pip install pyzmq" in missing.replications[0].notes[0]
    assert any("ZeroMQ is not there" in note for note in found.notes)
    assert all("ZeroMQ is not there" in verdict.text for verdict in found.verdicts)
    assert found.verdicts


def test_a_failed_block_is_void_with_its_reason_and_the_others_stand(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []
    good = fake(taken)

    def fail_once(scenario: Scenario, workload: object, block: int) -> Reading:
        reading = good(scenario, workload, block)
        if len(taken) == 1:
            raise ChildFailed("sender", "was ended by SIGKILL")
        return reading

    monkeypatch.setattr(conductor, "_read", fail_once)
    found = measure(small("workloads.ping.alone=false", "sweep={}"), blocks=3)
    first = found.points[0].replications[0]
    voids = [note for note in first.notes if "void" in note]
    assert len(voids) == 1
    assert voids[0].endswith("block 0 is void: the sender was ended by SIGKILL")
    assert first.notes[0] == voids[0]
    assert len(taken) == 6
    assert sum("flood:throughput" in run.metrics for run in found.replications) >= 2
    assert found.controls[0].ratio.n == 2


def test_finished_blocks_are_handed_out_and_not_measured_again(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    monkeypatch.setattr(conductor, "_read", fake(taken))
    kept: list[Replication] = []
    whole = measure(small(), blocks=3, keep=kept.append)
    assert [(run.point, run.index) for run in kept] == [(at, block) for block in range(3) for at in range(2)]
    taken.clear()
    # Of the third block only one point was finished, so the block is measured whole: its pairs belong together.
    again = measure(small(), blocks=3, kept=kept[:5])
    assert len(taken) == 6
    assert again.points[0].metrics == whole.points[0].metrics


def test_a_plain_name_has_a_control_too(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conductor, "_read", fake([]))
    found = measure(small("workloads.ping.alone=false", "compare.metrics=[throughput]"), blocks=6)
    assert [(control.metric, control.half_width) for control in found.controls] == [("throughput", 0.0)]
    assert "cannot be told apart" in found.verdicts[0].text


def fake(taken: list[str]) -> Callable[[Scenario, object, int], Reading]:
    """Stands in for two processes; always the same."""

    def read(scenario: Scenario, workload: object, block: int) -> Reading:
        taken.append(scenario.library)
        return Reading({"throughput": 10.0}, {"sent": 1}, events=1)

    return read


@pytest.mark.parametrize(
    ("sets", "reason"),
    [
        (["workloads.ping.load=closed 4"], "its load is 'closed 4'"),
        (["workloads.ping.load=bursty 10/s on 1 s off 1 s"], "its load is 'bursty 10/s"),
        (["workloads.ping.clients=2", "workloads.ping.load=paced 10/s"], "keeps to a schedule and has more than one"),
        (["services.sink.pattern=subscribe"], "'sink' has pattern subscribe"),
        (["services.echo.at.there=2"], "more than one instance"),
        (["services.echo.time=1 ms"], "takes time over a request"),
        (["workloads.ping.alone=false", "workloads.flood.alone=false"], "nothing to measure by itself"),
    ],
)
def test_what_is_not_measured_here_is_refused_before_anything_starts(
    small: Small, sets: list[str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conductor, "_read", lambda *_: pytest.fail("something was started"))
    with pytest.raises(MeasurementError, match=reason):
        measure(small(*sets), blocks=1)


def test_the_only_workload_need_not_say_that_it_is_alone() -> None:
    assert alone(parse(THROUGHPUT)) == ["flood"]


THROUGHPUT = """\
version: 1
kind: throughput
name: brief
libraries: [ours, tcp]
"""

MEASURING = """
import json, sys
from workbench.bench.conductor import measure
from workbench.scenario import parse
def tell(done, total, what):
    print(json.dumps([done, what]), flush=True)
try:
    measure(parse(sys.argv[1]), blocks=1, progress=tell)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupt_leaves_no_process_and_no_traceback(small: Small, times: int) -> None:
    long = small("run.duration=60 s").model_dump(mode="json", by_alias=True)
    process = subprocess.Popen(
        [sys.executable, "-c", MEASURING, json.dumps(long)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())[0] == 0
        children = wait_for_children(process.pid)
        for _ in range(times):
            process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert errors == ""
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive


def wait_for_children(pid: int) -> list[psutil.Process]:
    """The two sites, once they are there and busy."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        children = psutil.Process(pid).children(recursive=True)
        if len(children) == 2 and all(child.cpu_times().user > 0.3 for child in children):
            return children
        time.sleep(0.05)
    raise AssertionError("the two processes never came to work")


@pytest.mark.parametrize("library", [name for name, peer in PEERS.items() if "req" in peer.roles])
def test_every_library_is_asked_on_schedule(small: Small, library: str) -> None:
    if reason := PEERS[library].missing():
        pytest.skip(reason)
    asked = small(f"library={library}", "sweep={}", "workloads.ping.load=poisson 30 %", "workloads.flood.alone=false")
    (run,) = measure(asked, blocks=1).points[0].replications
    assert not [note for note in run.notes if "void" in note], run.notes
    assert run.metrics["offered_rate"] < run.metrics["possible_rate"]
    if not any("overloaded" in note for note in run.notes):
        assert run.metrics["latency.max"] >= run.metrics["round_trip.max"] > 0


@pytest.mark.parametrize(
    "library", [pytest.param(name, marks=[] if name == "ours" else [pytest.mark.slow]) for name in PEERS]
)
def test_several_send_and_several_receive_and_some_on_schedule(small: Small, library: str) -> None:
    if reason := PEERS[library].missing():
        pytest.skip(reason)
    asked = small(
        f"library={library}", "sweep={}", "workloads.flood.clients=2", "services.sink.at.there=2",
        "workloads.ping.load=paced 500/s", "services.echo.pattern=collect",
    )  # fmt: skip
    (run,) = measure(asked, blocks=1).points[0].replications
    assert not [note for note in run.notes if "void" in note]
    peer = PEERS[library]
    if peer.several:
        assert run.counts["flood:sent"] == run.counts["flood:received"] > 0, run.notes
        assert run.metrics["flood:system_calls_per_message"] > 0
    elif "push" in peer.roles:
        assert any("has one connection" in note for note in run.notes)
    if peer.roles == ROLES:
        assert run.counts["ping:sent"] == run.counts["ping:received"] > 0
        assert "ping:latency.max" in run.metrics or any("overloaded" in note for note in run.notes)
    else:
        assert any("carries a flood only" in note or "carries calls only" in note for note in run.notes)


def test_who_cannot_keep_up_has_no_latency_but_a_reason(small: Small) -> None:
    asked = small("library=tcp", "sweep={}", "workloads.ping.load=paced 1000000/s", "workloads.flood.alone=false")
    (run,) = measure(asked, blocks=1).points[0].replications
    assert "latency.p50" not in run.metrics
    assert any("overloaded: " in note for note in run.notes)


@pytest.mark.parametrize(("load", "seen"), [("paced 1100/s", True), ("closed", False)])
def test_a_frozen_responder_is_seen_by_an_open_load_and_hardly_by_a_closed_one(
    small: Small, load: str, seen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demonstration of wrk2: a stop of 1.4 s. Who waits for each answer asks nothing meanwhile."""
    hear = conductor.Crew.hear
    freezers: list[threading.Timer] = []

    def freeze_soon(crew: conductor.Crew, child: Child, kind: str, timeout: float) -> dict[str, object]:
        message = hear(crew, child, kind, timeout)
        if kind == "ready":
            pid = crew.children[0].pid
            for after, what in ((0.7, signal.SIGSTOP), (2.1, signal.SIGCONT)):
                freezers.append(threading.Timer(after, os.kill, (pid, what)))
                freezers[-1].start()
        return message

    monkeypatch.setattr(conductor.Crew, "hear", freeze_soon)
    asked = small(
        "library=tcp", "sweep={}", f"workloads.ping.load={load}", "run.duration=3.2 s", "workloads.flood.alone=false"
    )
    (run,) = measure(asked, blocks=1).points[0].replications
    for freezer in freezers:
        freezer.join()
    p99 = run.metrics["latency.p99" if seen else "round_trip.p99"]
    if seen:
        assert p99 > 1.0
        # The same requests, from when they were really sent: the one that was under way has noticed.
        assert run.metrics["round_trip.p99"] < 0.02
        assert run.metrics["round_trip.max"] > 1.0
    else:
        assert p99 < 0.02
