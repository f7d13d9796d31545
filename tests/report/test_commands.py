import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner
from typer.testing import Result as Outcome

from workbench.cli import compare, list_, report
from workbench.results import Result, Run, begin


@pytest.fixture
def call(tmp_path: Path) -> Callable[..., Outcome]:
    app = typer.Typer()
    app.command("list")(list_.command)
    app.command("compare")(compare.command)
    app.command("report")(report.command)

    def _call(*words: str) -> Outcome:
        return CliRunner().invoke(app, [*words, "--results", str(tmp_path / "results")])

    return _call


def test_list_shows_every_run_and_its_state(
    call: Callable[..., Outcome], kept: Callable[..., Run], virtual: Result, real: Result, tmp_path: Path
) -> None:
    runs = [kept(virtual), kept(real)]
    with begin("priority-routing", "x", world="virtual", seed=1, root=tmp_path / "results") as writer:
        pass
    broken = kept(real)
    (broken.path / "manifest.json").write_text("{")
    outcome = call("list")
    assert outcome.exit_code == 0
    for run in runs:
        assert run.name in outcome.stdout
    assert "2 × 20" in outcome.stdout
    assert "complete, 1 of 2 hold" in outcome.stdout
    assert "incomplete" in outcome.stdout
    assert "is not JSON" in outcome.stderr
    data = json.loads(call("list", "--json").stdout)
    assert {item["run"]: item["state"] for item in data} == {
        runs[0].name: "complete",
        runs[1].name: "complete",
        writer.run: "incomplete",
        broken.name: "damaged",
    }


def test_list_of_nothing_says_so(call: Callable[..., Outcome]) -> None:
    outcome = call("list", "demo")
    assert outcome.exit_code == 0
    assert outcome.stdout.startswith("no runs of demo in ")


def test_compare_sets_two_runs_side_by_side(
    call: Callable[..., Outcome], kept: Callable[..., Run], virtual: Result, real: Result
) -> None:
    simulated, measured = kept(virtual), kept(real)
    outcome = call("compare", measured.name, simulated.name)
    assert outcome.exit_code == 0
    assert "simulated" in outcome.stdout
    assert "difference: measured minus simulated, 95 % interval, unpaired (Welch)" in outcome.stdout
    assert "greatest gap" in outcome.stdout
    data = json.loads(call("compare", simulated.name, measured.name, "--all", "--json").stdout)
    assert data["names"] == ["simulated", "measured"]
    assert {row["metric"] for row in data["rows"]} > {"london:latency.p99", "lost"}
    assert data["distances"][0]["histogram"] == "latency"


def test_compare_needs_something_in_common(
    call: Callable[..., Outcome], kept: Callable[..., Run], virtual: Result, libraries: Result
) -> None:
    kept(virtual)
    kept(libraries)
    outcome = call("compare", "priority-routing", "throughput-latency")
    assert outcome.exit_code == 2
    assert "have no setting and metric in common" in outcome.stderr


def test_report_writes_the_page_and_prints_where(
    call: Callable[..., Outcome], kept: Callable[..., Run], virtual: Result, real: Result
) -> None:
    simulated, measured = kept(virtual), kept(real)
    outcome = call("report", "--alone")
    assert outcome.exit_code == 0
    assert outcome.stdout.strip().endswith(f"{measured.name}/report.html")
    outcome = call("report", simulated.name, measured.name)
    assert outcome.exit_code == 0
    for run, other in ((simulated, measured), (measured, simulated)):
        assert other.name in (run.path / "report.html").read_text()


@pytest.mark.parametrize("words", [["report"], ["report", "demo"], ["compare", "a", "b"], ["list", "../x"]])
def test_a_run_that_is_not_there_is_one_sentence_and_exit_2(call: Callable[..., Outcome], words: list[str]) -> None:
    outcome = call(*words)
    assert outcome.exit_code == 2
    assert len(outcome.stderr.strip().splitlines()) == 1
    assert outcome.stderr.startswith(f"workbench {words[0]}: ")
