import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.results import (
    ExpectationResult,
    Histogram,
    Link,
    Replication,
    Result,
    ResultError,
    Run,
    TimelineRow,
    Writer,
    begin,
    compare,
    estimate,
    files,
    list_runs,
    open_run,
    samples,
    store,
)
from workbench.results.code import Code

SCENARIO = "version: 1\nname: demo\n"


@pytest.fixture(autouse=True)
def _one_code(monkeypatch: pytest.MonkeyPatch) -> None:
    # The working tree these tests run from may change while they run.
    monkeypatch.setattr(store, "code", lambda: Code("0123456789" * 4))


def replication(point: int, index: int) -> Replication:
    luck = np.random.default_rng([point, index])
    timeline: list[TimelineRow] = [
        {
            "workload": workload,
            "bin_start_s": 0.1 * place,
            "sent": 3,
            "answered": {"new-york": 2, "london": 0},
            "lost": 1,
            "latency_sum_s": float(luck.uniform()),
        }
        for workload in ("new-york", "london")
        for place in range(3)
    ]
    return Replication(
        point=point,
        index=index,
        seed=2**63 + index,
        metrics={"latency.p50": float(luck.exponential()), "lost": float(index)},
        histograms={
            "latency": Histogram.of(luck.integers(0, 10**6, 50)),
            "new-york:latency": Histogram.of(luck.integers(0, 10**6, 5)),
        },
        timeline=timeline,
        counts={"sent": 18},
        events=100,
        wall_s=0.1,
        notes=["a note"] if index == 1 else [],
    )


def result() -> Result:
    points = [
        estimate.summarise({"routing": policy, "workers": workers}, [replication(place, i) for i in range(3)])
        for place, (policy, workers) in enumerate([("round-robin", 2), ("priority", 4)])
    ]
    return Result(
        scenario="demo",
        world="virtual",
        run="",
        points=points,
        verdicts=[compare.compare(*points, "lost")],
        expectations=[ExpectationResult("lost == 0", False, 1.0)],
        events=600,
        wall_s=1.25,
        links=[Link("new-york – london", "modelled")],
    )


def start(root: Path, text: str = SCENARIO, *, resume: bool = True, seed: int = 7) -> Writer:
    command = ["workbench", "run", "demo.yaml"]
    return begin("demo", text, world="virtual", seed=seed, command=command, root=root, resume=resume)


def kept(root: Path, text: str = SCENARIO) -> Run:
    with start(root, text, resume=False) as writer:
        return writer.finish(result(), facts={"quiet": True})


# What is kept and read back


def test_a_run_comes_back_as_it_was_written(tmp_path: Path) -> None:
    run = kept(tmp_path)
    again = open_run(run.path)
    assert again.result == dataclasses.replace(result(), run=run.name)
    assert again.scenario_yaml == SCENARIO
    assert again.summary.points[0].replications == ()
    assert again.summary.expectations == result().expectations
    assert again.manifest == run.manifest


def test_the_manifest_says_what_was_run_by_what_and_where(tmp_path: Path) -> None:
    manifest = kept(tmp_path).manifest
    assert (manifest.scenario, manifest.world, manifest.seed) == ("demo", "virtual", 7)
    assert manifest.command == ("workbench", "run", "demo.yaml")
    assert (manifest.points, manifest.replications, manifest.events, manifest.wall_s) == (2, 6, 600, 1.25)
    assert manifest.code.commit == "0123456789" * 4
    assert "numpy" in manifest.versions
    assert manifest.machine["cores"] >= 1
    assert manifest.started <= manifest.stopped
    assert manifest.facts == {"quiet": True}
    assert not manifest.resumed


def test_a_run_is_named_by_time_code_and_scenario_and_latest_points_at_it(tmp_path: Path) -> None:
    run = kept(tmp_path)
    assert store._RUN.fullmatch(run.name)
    assert run.name.split("-")[1] == "0123456"
    assert (tmp_path / "demo" / "latest").readlink() == Path(run.name)
    assert sorted(path.name for path in run.path.iterdir()) == [
        "figures",
        "histograms.parquet",
        "manifest.json",
        "points.parquet",
        "replications.parquet",
        "scenario.yaml",
        "summary.json",
        "timeline.parquet",
    ]


def test_pandas_reads_the_samples_in_one_line(tmp_path: Path) -> None:
    kept(tmp_path)
    points = pd.read_parquet(tmp_path / "demo/latest/points.parquet")
    assert len(points) == 2 * 3 * 2
    means = points[points.metric == "lost"].groupby("routing")["value"].mean()
    assert means.to_dict() == {"priority": 1.0, "round-robin": 1.0}
    assert points["workers"].tolist() == [2] * 6 + [4] * 6
    assert set(points.unit) == {"s", "count"}
    timeline = pd.read_parquet(tmp_path / "demo/latest/timeline.parquet")
    answered = timeline[(timeline.kind == "answered") & (timeline.site == "new-york")]
    assert answered["value"].sum() == 2 * 3 * 6 * 2
    histograms = pd.read_parquet(tmp_path / "demo/latest/histograms.parquet")
    assert histograms[histograms.name == "latency"]["count"].sum() == 2 * 3 * 50


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["routing", "metric", "a.b"]), st.integers() | st.text() | st.booleans()),
        max_size=3,
    )
)
def test_any_swept_values_leave_the_samples_readable(tmp_path: Path, sets: list[dict[str, object]]) -> None:
    points = [estimate.summarise(setting, [replication(place, 0)]) for place, setting in enumerate(sets)]
    samples.write(tmp_path, points)
    back = samples.read(tmp_path)
    assert [tuple(back[place]) for place in range(len(sets))] == [point.replications for point in points]
    assert len(pd.read_parquet(tmp_path / "points.parquet")) == 2 * len(sets)


def test_a_run_is_found_by_scenario_run_or_both(tmp_path: Path) -> None:
    run = kept(tmp_path)
    for name in ("demo", "demo/latest", f"demo/{run.name}", run.name, str(run.path), str(tmp_path / "demo/latest")):
        assert open_run(name, root=tmp_path).path == run.path


def test_a_run_name_that_two_scenarios_share_is_refused(tmp_path: Path) -> None:
    run = kept(tmp_path)
    shutil.copytree(run.path, tmp_path / "another" / run.name)
    with pytest.raises(ResultError, match="several scenarios have a run"):
        open_run(run.name, root=tmp_path)
    assert open_run(f"demo/{run.name}", root=tmp_path).path == run.path


# What is never overwritten, and what a crash leaves


def test_two_runs_within_a_second_are_two_folders(tmp_path: Path) -> None:
    names = [kept(tmp_path).name for _ in range(3)]
    assert len(set(names)) == 3
    assert open_run("demo", root=tmp_path).name == names[-1]
    assert [entry.run for entry in list_runs(tmp_path)] == sorted(names)


def test_a_finished_run_is_never_overwritten(tmp_path: Path) -> None:
    run = kept(tmp_path)
    before = {path.name: files.digest(path) for path in run.path.iterdir() if path.is_file()}
    with start(tmp_path, resume=False) as writer:
        # Whatever went wrong with the names: the folder is not empty, and so it cannot be renamed over.
        blocked = writer.folder.with_name(f"{run.name}.partial")
        writer.folder.rename(blocked)
        writer.folder, writer.run = blocked, run.name
        with pytest.raises(OSError, match="not empty"):
            writer.finish(result())
    assert {path.name: files.digest(path) for path in run.path.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("step", ["write", "digest", "rename", "link", "unlink"])
def test_a_kill_at_any_step_leaves_the_old_run_or_the_new(tmp_path: Path, step: str) -> None:
    old = kept(tmp_path)
    killed = subprocess.run(
        [sys.executable, "-c", _FINISH_AND_DIE, tmp_path, step],
        cwd=Path(store.__file__).parents[2],
        capture_output=True,
        check=False,
    )
    assert killed.returncode == 9, killed.stderr.decode()
    now = open_run("demo", root=tmp_path)
    assert now.result.scenario == "demo"
    assert (now.name == old.name) == (step != "unlink")
    states = sorted(entry.state for entry in list_runs(tmp_path))
    if step in ("link", "unlink"):
        assert states == ["complete", "complete"]
        return
    assert states == ["complete", "incomplete"]
    # and the work is not lost
    with start(tmp_path, text="other: 1\n") as writer:
        assert set(writer.finished) == {(0, 0), (0, 1)}
        writer.finish(result())
    assert [entry.state for entry in list_runs(tmp_path)] == ["complete", "complete"]


# Writes a run and dies in the named step as a killed process would: at once, with nothing tidied up.
_FINISH_AND_DIE = """
import os, sys
from pathlib import Path
from workbench.results import Replication, Result, begin, estimate, files, samples, store
from workbench.results.code import Code

root, step = sys.argv[1:]
die = lambda *_, **__: os._exit(9)
store.code = lambda: Code("0123456789" * 4)
writer = begin("demo", "other: 1\\n", world="virtual", seed=7, root=root)
runs = [Replication(0, index, index, {"lost": 1.0}) for index in range(2)]
for run in runs:
    writer.add(run)
if step == "write":
    samples.write = die
elif step == "digest":
    files.digest = die
elif step == "rename":
    Path.rename = die
elif step == "link":
    files.point_link = die
elif step == "unlink":
    link = files.point_link
    def point_and_die(*arguments):
        link(*arguments)
        Path.unlink = die
    files.point_link = point_and_die
writer.finish(Result("demo", "virtual", "", [estimate.summarise({}, runs)]))
"""


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    files.write_whole(path, b"old")

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        files.write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


# Resuming


def test_an_interrupted_run_is_taken_up_where_it_stopped(tmp_path: Path) -> None:
    with start(tmp_path) as writer:
        writer.add(replication(0, 0))
        writer.add(replication(1, 0))
        name = writer.run
    assert [entry.state for entry in list_runs(tmp_path)] == ["incomplete"]
    with start(tmp_path) as writer:
        assert writer.run == name
        assert dict(writer.finished) == {(0, 0): replication(0, 0), (1, 0): replication(1, 0)}
        writer.add(replication(0, 1))
        run = writer.finish(result())
    assert run.manifest.resumed
    assert not list(tmp_path.glob("demo/*.partial"))


def test_a_torn_or_altered_record_is_done_again(tmp_path: Path) -> None:
    with start(tmp_path) as writer:
        for index in range(3):
            writer.add(replication(0, index))
        journal = writer.folder / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(lines[0] + lines[1].replace(b'"lost":1.0', b'"lost":2.0') + lines[2])
    with start(tmp_path) as writer:
        assert set(writer.finished) == {(0, 0)}
        writer.add(replication(0, 1))
    journal.write_bytes(journal.read_bytes()[:-20])
    with start(tmp_path) as writer:
        assert set(writer.finished) == {(0, 0)}
        writer.add(replication(0, 1))
        writer.add(replication(0, 2))
    with start(tmp_path) as writer:
        assert set(writer.finished) == {(0, 0), (0, 1), (0, 2)}


@pytest.mark.parametrize("change", ["scenario", "seed", "code", "fresh"])
def test_another_scenario_seed_or_code_begins_afresh(
    tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start(tmp_path) as writer:
        writer.add(replication(0, 0))
    if change == "code":
        monkeypatch.setattr(store, "code", lambda: Code("0123456789" * 4, dirty=True, changes="ff"))
    text = SCENARIO if change != "scenario" else SCENARIO + "seed: 8\n"
    with start(tmp_path, text, seed=8 if change == "seed" else 7, resume=change != "fresh") as writer:
        assert not writer.finished


def test_a_run_that_is_being_written_is_not_taken_up(tmp_path: Path) -> None:
    with start(tmp_path) as first:
        first.add(replication(0, 0))
        with start(tmp_path) as second:
            assert second.folder != first.folder
            assert not second.finished


def test_one_replication_is_recorded_once(tmp_path: Path) -> None:
    with start(tmp_path) as writer:
        writer.add(replication(0, 0))
        with pytest.raises(ValueError, match="already recorded"):
            writer.add(replication(0, 0))


def test_a_discarded_run_leaves_nothing(tmp_path: Path) -> None:
    writer = start(tmp_path)
    writer.add(replication(0, 0))
    writer.discard()
    assert list_runs(tmp_path) == []


# What is refused


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "/etc", ".hidden", "latest", "a" * 101, "x.partial", "a\0"]
)
def test_a_scenario_name_that_could_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ResultError, match="cannot name a scenario"):
        begin(name, SCENARIO, world="virtual", seed=1, root=tmp_path / "results")
    assert list(tmp_path.iterdir()) == []


def test_a_name_cannot_leave_the_root(tmp_path: Path) -> None:
    run = kept(tmp_path / "elsewhere")
    (tmp_path / "results").mkdir()
    with pytest.raises(ResultError, match="there is no run"):
        open_run(f"demo/../../elsewhere/demo/{run.name}x", root=tmp_path / "results")


@pytest.mark.parametrize("name", ["nothing", "nothing/latest", "../nothing", ""])
def test_a_run_that_is_not_there_is_said_so(tmp_path: Path, name: str) -> None:
    with pytest.raises(ResultError, match=r"there is no run|name a run"):
        open_run(name, root=tmp_path)


def test_an_incomplete_run_is_never_taken_for_a_result(tmp_path: Path) -> None:
    with start(tmp_path) as writer:
        writer.add(replication(0, 0))
    with pytest.raises(ResultError, match=r"is incomplete: the run was interrupted"):
        open_run(writer.folder)
    with pytest.raises(ResultError, match="there is no run"):
        open_run("demo", root=tmp_path)


def test_a_foreign_folder_is_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"is not a run's folder: it has no manifest\.json"):
        open_run(tmp_path)


def test_another_schema_version_is_named(tmp_path: Path) -> None:
    run = kept(tmp_path)
    data = json.loads((run.path / "manifest.json").read_text())
    (run.path / "manifest.json").write_text(json.dumps(data | {"schema": 2}))
    with pytest.raises(ResultError, match="was written with results schema 2; this workbench reads schema 1"):
        open_run(run.path)
    (entry,) = list_runs(tmp_path)
    assert entry.state == "damaged"
    assert "schema 2" in entry.problem


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "does not hold a JSON object"),
        ('{"schema": 1}', "it lacks 'scenario'"),
        ('{"schema": 1, "scenario": 3}', "'scenario' should be of type str"),
    ],
)
def test_a_broken_manifest_is_explained(tmp_path: Path, text: str, complaint: str) -> None:
    run = kept(tmp_path)
    (run.path / "manifest.json").write_text(text)
    with pytest.raises(ResultError, match=complaint):
        open_run(run.path)


@pytest.mark.parametrize("name", [*samples.FILES, "summary.json", "scenario.yaml"])
def test_a_changed_or_missing_file_is_noticed(tmp_path: Path, name: str) -> None:
    run = kept(tmp_path)
    path = run.path / name

    def read() -> None:
        again = open_run(run.path)
        assert again.result
        assert again.scenario_yaml

    read()
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ResultError, match=f"{name} is not what the run wrote"):
        read()
    path.unlink()
    with pytest.raises(ResultError, match=f"{name} is missing"):
        read()


def test_folders_that_are_not_runs_are_not_listed(tmp_path: Path) -> None:
    run = kept(tmp_path)
    (tmp_path / "demo" / "notes").mkdir()
    (tmp_path / "README.md").write_text("x")
    (tmp_path / "demo" / "20261124T071543Z-nogit-ec358765").write_text("a file")
    assert [entry.run for entry in list_runs(tmp_path)] == [run.name]
    assert list_runs(tmp_path / "nowhere") == []
    assert list_runs(tmp_path, "other") == []


@pytest.mark.parametrize(
    "name", ["../x.html", "manifest.json", "points.parquet", "a/b/c", "figures/../../x", ".x", "/x"]
)
def test_nothing_can_be_attached_over_the_numbers_or_outside(tmp_path: Path, name: str) -> None:
    run = kept(tmp_path)
    with pytest.raises(ValueError, match="cannot be attached"):
        run.attach(name, b"x")


def test_a_report_can_be_attached_and_replaced(tmp_path: Path) -> None:
    run = kept(tmp_path)
    run.attach("report.html", b"one")
    assert run.attach("report.html", b"two").read_bytes() == b"two"
    assert run.attach("figures/latency.png", b"png").exists()
    assert open_run(run.path).result.points == result().points
