"""`workbench run`, from start to finish."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
import typer

ROOT = Path(__file__).resolve().parents[2]
PRIORITY_ROUTING = ROOT / "scenarios" / "priority-routing.yaml"


def told(ended: Any) -> Any:
    """What must repeat bit for bit."""
    data = ended.json
    del data["run"], data["wall_s"]
    return data


def test_the_main_job_is_the_same_whenever_it_is_done_and_by_however_many(workbench: Any) -> None:
    words = ("run", PRIORITY_ROUTING, "--json", "--seed", 7, "--replications", 5)
    runs = [workbench(*words, "--jobs", 1), workbench(*words, "--jobs", 2), workbench(*words, "--jobs", 2)]
    assert [ended.code for ended in runs] == [0, 0, 0], runs
    first, *others = [told(ended) for ended in runs]
    assert others == [first, first]
    turns, priority = first["points"]
    assert turns["set"] == {"routing": "round-robin"}
    assert priority["set"] == {"routing": "priority"}
    assert turns["metrics"]["new-york:cross_site_share"]["value"] == pytest.approx(0.5, abs=0.01)
    assert priority["metrics"]["new-york:cross_site_share"]["value"] == 0
    assert len(workbench.runs("priority-routing")) == 3


def test_the_object_has_exactly_the_shape_that_is_promised(kept: Any) -> None:
    data = kept.first.json
    assert set(data) == {
        "scenario",
        "world",
        "run",
        "points",
        "verdicts",
        "expectations",
        "events",
        "wall_s",
    }
    assert (data["scenario"], data["world"]) == ("small", "virtual")
    assert (kept.folder / "results" / "small" / data["run"] / "report.html").is_file()
    assert data["events"] > 0
    assert data["wall_s"] > 0
    for point in data["points"]:
        assert set(point) == {"set", "metrics"}
        assert {"requests", "lost", "cross_site_share", "latency.p50", "latency.p99"} <= set(point["metrics"])
        for estimate in point["metrics"].values():
            assert set(estimate) == {"value", "low", "high", "unit", "n"}
        requests = point["metrics"]["requests"]
        assert requests["low"] <= requests["value"] <= requests["high"]
        assert (requests["unit"], requests["n"]) == ("count", 2)
    assert data["expectations"] == [
        {"text": "lost == 0", "holds": True},
        {"text": "cross_site_share = 0 % when routing = priority", "holds": True},
    ]
    assert any("priority" in verdict["text"] for verdict in data["verdicts"])


def test_seed_set_and_replications_are_minded(workbench: Any, small: Path, kept: Any) -> None:
    plain = kept.first.json
    other = workbench("run", small, "--json", "--seed", 6, "--replications", 1).json
    changed = ("--set", "workloads.users.load=poisson 400/s", "--set", "links.0.rtt=50 ms")
    more = workbench("run", small, "--json", "--jobs", 1, "--quick", *changed).json
    requests = [data["points"][0]["metrics"]["requests"] for data in (plain, other, more)]
    assert [estimate["n"] for estimate in requests] == [2, 1, 3]
    assert requests[1]["low"] is None
    assert requests[0]["value"] != requests[1]["value"]
    assert requests[2]["value"] > 1.5 * requests[0]["value"]
    longest = [data["points"][0]["metrics"]["latency.max"]["value"] for data in (plain, more)]
    assert longest[0] < 0.05 < longest[1]


def test_a_dry_run_lists_what_it_would_do_and_does_nothing(workbench: Any, small: Path) -> None:
    ended = workbench("run", small, "--dry-run", "--replications", 4)
    assert ended.code == 0
    *listed, forecast = ended.out.splitlines()
    assert listed == [
        "   0  routing = round-robin",
        "   1  routing = priority",
        "2 points × 4 replications = 8 runs of 1 s in the virtual world",
    ]
    assert forecast.startswith("about 1 s and ")
    assert not (workbench.folder / "results").exists()


def test_people_get_a_table_verdicts_a_page_and_exit_code_1_if_an_expectation_fails(
    workbench: Any, small: Path
) -> None:
    small.write_text(small.read_text().replace("lost == 0", "lost > 0"))
    ended = workbench("run", small, "--out", "elsewhere/deep")
    assert ended.code == 1
    said = (
        "Does a small scenario do?",
        "cross-site share",
        "FAILS lost > 0: it is 0 with round-robin",
        "holds cross_site_share",
        "• priority",
    )
    for expected in said:
        assert expected in ended.out
    page = Path(ended.out.partition("page: ")[2].strip())
    assert page.parts[:2] == ("elsewhere", "deep")
    assert "<html" in (workbench.folder / page).read_text()
    assert "4/4 simulating" in ended.err
    assert not (workbench.folder / "results").exists()
    assert (workbench.folder / "elsewhere/deep/small/latest").resolve() == (workbench.folder / page.parent).resolve()
    summary = json.loads((workbench.folder / page.parent / "summary.json").read_text())
    assert summary["expectations"][0] == {
        "text": "lost > 0",
        "holds": False,
        "value": 0.0,
        "set": {"routing": "round-robin"},
    }
    assert "lost &gt; 0</code>: it is 0 with round-robin</li>" in (workbench.folder / page).read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing.yaml"], "nothing.yaml: there is no such file"),
        (["broken.yaml"], "broken.yaml:5:26: unknown site 'far'"),
        (["small.yaml", "--set", "routin=priority"], "--set:1:1: a scenario has no key 'routin'"),
        (["small.yaml", "--world", "reel"], "unknown world 'reel'"),
        (["small.yaml", "--replications", "0"], "--replications"),
        (["small.yaml", "--out", "small.yaml"], "small.yaml"),
        (["small.yaml", "--nonsense"], "--nonsense"),
    ],
)
def test_wrong_input_is_exit_code_2_and_a_sentence_on_standard_error(
    workbench: Any, small: Path, words: list[str], message: str
) -> None:
    workbench.file("broken.yaml", small.read_text().replace("far: }", "}"))
    ended = workbench("run", *words, "--json")
    assert ended.code == 2
    assert ended.out == ""
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert not (workbench.folder / "results").exists()


BEHAVIOURS = """\
async def serve(host, peers):
    rep = host.socket("rep")
    rep.listen(peers.listen)
    while True:
        await answer(rep, await rep.arecv())

async def answer(rep, asked):
    await rep.asend({b"?": b"!"}[asked])
"""
WITH_A_BEHAVIOUR = """\
version: 1
name: own
sites: {here: }
services: {foo: {at: {here: 1}, behaviour: "own.py:serve"}}
workloads: {users: {at: here, to: foo, load: paced 100/s, size: 8 B}}
run: {duration: 1 s, replications: 2}
"""


every_way = pytest.mark.parametrize(
    "how",
    [
        pytest.param(["--jobs", "1"], id="alone"),
        pytest.param(["--jobs", "2"], marks=pytest.mark.slow, id="pool"),
        pytest.param(["--world", "real"], marks=pytest.mark.slow, id="real"),
    ],
)


@every_way
def test_a_behaviour_that_raises_is_named_with_its_host_and_its_own_traceback(workbench: Any, how: list[str]) -> None:
    workbench.file("own.py", BEHAVIOURS)
    ended = workbench("run", workbench.file("own.yaml", WITH_A_BEHAVIOUR), "--json", *how)
    assert ended.code == 2
    assert ended.out == ""
    assert "behaviour own.py:serve failed: KeyError: b'\\x00" in ended.err
    assert "in serve on host 'service/foo/here/0' at 0." in ended.err
    assert f'File "{workbench.folder / "own.py"}", line 8, in answer' in ended.err
    assert "Traceback" not in ended.err
    assert "/workbench/" not in ended.err


WRONG = """\
import sys
import numpy

async def serve(host, peers):
    rep = host.socket("rep")
    rep.listen(peers.listen)
    await rep.arecv()
    {}
"""


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("host.world.observe('seen', None)", "OptionError: observe('seen', None): an observation is a finite number"),
        ("host.world.observe('seen', '1')", "OptionError: observe('seen', '1'): an observation is a finite number"),
        ("host.world.observe('seen', numpy.nan)", "OptionError: observe('seen', nan): an observation is a finite"),
        ("host.world.observe('', 1)", "OptionError: observe('', …, '1'): the name and the unit"),
        ("await host.world.sleep(-1)", "OptionError: sleep(-1): the time to sleep is out of range"),
        ("await host.world.sleep(float('nan'))", "OptionError: sleep(nan): the time to sleep is out of range"),
    ],
)
def test_what_a_behaviour_must_not_do_is_its_failure(workbench: Any, wrong: str, said: str) -> None:
    _fails(workbench, ["--jobs", "1"], wrong, said)


@every_way
def test_an_exit_is_a_failure_of_the_behaviour_like_any_other(workbench: Any, how: list[str]) -> None:
    _fails(workbench, how, "sys.exit(0)", "SystemExit: 0")


def _fails(workbench: Any, how: list[str], wrong: str, said: str) -> None:
    workbench.file("own.py", WRONG.format(wrong))
    ended = workbench("run", workbench.file("own.yaml", WITH_A_BEHAVIOUR), "--json", *how)
    assert (ended.code, ended.out) == (2, ""), ended
    assert "behaviour own.py:serve failed: " in ended.err
    assert said in ended.err
    assert "in serve on host 'service/foo/here/0' at " in ended.err
    assert "Traceback" not in ended.err


@every_way
def test_an_interruption_by_a_behaviour_is_an_interruption(workbench: Any, how: list[str]) -> None:
    workbench.file("own.py", WRONG.format("raise KeyboardInterrupt"))
    ended = workbench("run", workbench.file("own.yaml", WITH_A_BEHAVIOUR), "--json", *how)
    assert (ended.code, ended.out) == (130, ""), ended
    assert ended.err.splitlines()[-1] == "interrupted"
    assert "Traceback" not in ended.err


OBSERVING = """\
async def serve(host, peers):
    rep = host.socket("rep")
    rep.listen(peers.listen)
    while True:
        asked = await rep.arecv()
        host.world.observe("pause", 0.002, "s")
        host.world.observe("depth", 3, "keys")
        await rep.asend(asked)
"""


@pytest.mark.parametrize("world", ["virtual", pytest.param("real", marks=pytest.mark.slow)])
def test_what_a_behaviour_observes_is_shown_with_its_unit_and_can_be_expected(workbench: Any, world: str) -> None:
    workbench.file("own.py", OBSERVING)
    expect = 'expect: ["observed.pause.p99 <= 2 ms", "observed.depth.mean == 4", "observed.depth.count > 10"]\n'
    scenario = workbench.file("own.yaml", WITH_A_BEHAVIOUR + expect)
    ended = workbench("run", scenario, "--world", world, "--jobs", 1)
    assert ended.code == 1, ended
    assert "holds observed.pause.p99 <= 2 ms" in ended.out
    assert "FAILS observed.depth.mean == 4: it is 3.00 keys" in ended.out
    assert "holds observed.depth.count > 10" in ended.out
    (run,) = workbench.runs("own")
    metrics = json.loads((run / "summary.json").read_text())["points"][0]["metrics"]
    assert {name: metrics[f"observed.{name}"]["unit"] for name in ("pause.mean", "depth.p50", "depth.count")} == {
        "pause.mean": "s",
        "depth.p50": "keys",
        "depth.count": "count",
    }


PRINTING = """\
import os
print("imported")

async def serve(host, peers):
    print("printed")
    os.system("echo by a child")
    rep = host.socket("rep")
    rep.listen(peers.listen)
    while True:
        await rep.asend(await rep.arecv())
"""


@every_way
def test_what_a_behaviour_prints_does_not_get_into_the_object(workbench: Any, how: list[str]) -> None:
    workbench.file("own.py", PRINTING)
    ended = workbench("run", workbench.file("own.yaml", WITH_A_BEHAVIOUR), "--json", *how)
    assert ended.code == 0, ended
    assert ended.json["scenario"] == "own"
    assert "imported" in ended.err
    assert how[0] == "--world" or {"printed", "by a child"} <= set(ended.err.splitlines())


A_RUN = pytest.param(["run", "small.yaml", "--json"], marks=pytest.mark.slow)


@pytest.mark.parametrize("words", [A_RUN, ["schema"], ["list"], ["explain", "faults"]])
def test_an_output_that_cannot_be_written_is_a_sentence(workbench: Any, small: Path, words: list[str]) -> None:
    full = workbench.shell(words, ">/dev/full")
    assert full.code == 2
    assert full.err.splitlines()[-1] == "workbench: the output cannot be written: No space left on device"
    assert "Traceback" not in full.err
    closed = workbench.shell(words, ">&-")
    assert (closed.code, closed.err) == (141, "")


@pytest.mark.parametrize("words", [A_RUN, ["run", "small.yaml"], ["explain", "run"]])
def test_a_locale_without_our_characters_costs_characters_only(workbench: Any, small: Path, words: list[str]) -> None:
    ended = workbench.shell(words, PYTHONIOENCODING="ascii")
    assert (ended.code, "Traceback" in ended.err) == (0, False), ended


def test_a_full_disk_is_named_and_nothing_is_lost(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from workbench.cli import run as verb
    from workbench.results import samples

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "samples.parquet"))

    monkeypatch.setattr(samples, "write", full)
    with pytest.raises(typer.Exit):
        verb.command(small, out=tmp_path / "out", jobs=1)
    told = capsys.readouterr().err.splitlines()[-1]
    assert told == (
        f"workbench run: {tmp_path / 'samples.parquet'}: No space left on device; the replications that were finished "
        "are kept, and the same command goes on with them"
    )
    assert list((tmp_path / "out" / "small").glob("*.partial/journal.jsonl"))


def test_a_behaviour_that_is_not_there_is_refused_before_anything_starts(workbench: Any) -> None:
    workbench.file("own.py", BEHAVIOURS)
    scenario = workbench.file("own.yaml", WITH_A_BEHAVIOUR.replace("serve", "sevre"))
    ended = workbench("run", scenario, "--json")
    assert (ended.code, ended.out) == (2, "")
    assert "own.yaml:4:52: there is no function 'sevre' in 'own.py'" in ended.err
    assert "did you mean 'serve'?" in ended.err
    assert not (workbench.folder / "results").exists()


@pytest.mark.slow
def test_a_throughput_scenario_measures_one_block_of_each_library(workbench: Any) -> None:
    """The other way of running in the real world, cut short."""
    cut = ("--set", "run.duration=0.3 s", "--set", "run.warm-up=0.1 s", "--set", "sweep.placement=[one-core]")
    cut = (*cut, "--set", "sweep.library=[ours, tcp]", "--replications", 1)
    ended = workbench("run", ROOT / "scenarios" / "throughput-latency.yaml", "--json", *cut)
    assert ended.code == 0, ended
    points = {point["set"]["library"]: point["metrics"] for point in ended.json["points"]}
    for library in ("ours", "tcp"):
        assert points[library]["flood:throughput"]["value"] > 1_000
        assert 0 < points[library]["ping:round_trip.p50"]["value"] < 0.1


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            ["--set", "services.foo.pattern=collect", "--set", "workloads.users.load=flood"],
            "several workers or takes time",
        ),
        (["--set", "library=tcp"], "more than one instance"),
        (["--set", "placement=one-core"], "several workers or takes time"),
    ],
    ids=["a flood", "a library", "a placement"],
)
def test_what_only_a_measurement_can_do_is_measured_or_refused_and_never_played_as_something_else(
    workbench: Any, small: Path, words: list[str], reason: str
) -> None:
    small.write_text(small.read_text().partition("expect:")[0])
    ended = workbench("run", small, "--world", "real", "--json", "--replications", 1, *words)
    assert (ended.code, ended.out) == (2, "")
    assert "workload 'users' cannot be measured alone" in ended.err
    assert reason in ended.err


@pytest.mark.slow
def test_a_compact_kind_is_measured_as_well(workbench: Any) -> None:
    kind = "{version: 1, kind: throughput, name: pipes, libraries: [ours], duration: 200 ms, warm-up: 50 ms}"
    ended = workbench("run", workbench.file("pipes.yaml", kind), "--json", "--replications", 1)
    assert ended.code == 0, ended
    assert ended.json["points"][0]["metrics"]["throughput"]["value"] > 1_000


def test_what_is_printed_is_kept(kept: Any) -> None:
    data = kept.first.json
    folder = kept.folder / "results" / "small" / data["run"]
    assert json.loads((folder / "summary.json").read_text()) == data
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["replications"] == 4
    assert manifest["seed"] == 5
    assert manifest["links"][0] == {"name": "near – far", "state": "modelled"}
    assert list((folder / "figures").glob("*.png"))


def test_what_would_take_too_much_is_not_begun(workbench: Any, small: Path) -> None:
    long = workbench("run", small, "--set", "run.duration=5 h", "--time-limit", "10 s", "--jobs", 1)
    assert (long.code, long.out) == (2, "")
    assert long.err == (
        "workbench run: this would take about 72 s on 1 processes, more than the limit of 10 s; "
        "make the run shorter or smaller, or raise --time-limit\n"
    )
    large = workbench("run", small, "--memory-limit", "100 MiB", "--jobs", 1)
    assert large.code == 2
    assert "about 0.3 GiB of memory, more than the limit of 0.1 GiB" in large.err
    assert workbench.runs("small") == []
    listed = workbench("run", small, "--dry-run", "--jobs", 1)
    assert listed.out.splitlines()[-1] == "about 1 s and 0.3 GiB of memory, 1 processes at work"
    assert workbench("run", small, "--time-limit", "soon").err.startswith("workbench run: --time-limit: 'soon' is not")


@pytest.mark.slow
def test_a_cluster_that_is_not_there(workbench: Any, small: Path) -> None:
    ended = workbench("run", small, "--on", "tcp://127.0.0.1:9")
    assert ended.code == 2
    assert ended.err.startswith("workbench run: --on: no Dask scheduler answers at tcp://127.0.0.1:9")
    real = workbench("run", small, "--world", "real", "--on", "tcp://127.0.0.1:9")
    assert (real.code, real.err) == (2, "workbench run: --on is for simulations; the real world is this machine\n")


@pytest.mark.slow
def test_on_a_cluster_of_two_workers_it_is_the_same_bit_for_bit(workbench: Any, small: Path) -> None:
    distributed = pytest.importorskip("distributed")
    words = ("run", small, "--json", "--replications", 6)
    here = workbench(*words, "--jobs", 1, "--out", "here")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        there = workbench(*words, "--on", cluster.scheduler_address)
        assert there.code == 0, there
        # One that was killed goes on there, too.
        call = workbench.start("run", small, "--json", "--replications", 40, "--on", cluster.scheduler_address)
        call.until(lambda: workbench.finished("small") >= 3)
        call.end(call.process.kill)
        again = workbench("run", small, "--json", "--replications", 40, "--on", cluster.scheduler_address)
    assert told(there) == told(here)
    assert told(again) == told(workbench("run", small, "--json", "--replications", 40, "--jobs", 2, "--out", "here"))
