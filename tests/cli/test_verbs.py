"""The other verbs, from start to finish; and what holds for every verb."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from workbench.cli import app
from workbench.scenario import json_schema

ROOT = Path(__file__).resolve().parents[2]
VERBS = [
    "run",
    "lint",
    "explain",
    "schema",
    "list",
    "compare",
    "report",
    "verify",
    "validate",
    "check",
    "peers",
    "calibrate",
    "cat",
    "discovery",
    "zinc",
]


@pytest.fixture
def copy(workbench: Any, kept: Any) -> Path:
    """The finished run once more, to be spoilt."""
    shutil.copytree(kept.folder / "results", workbench.folder / "results", symlinks=True)
    return (workbench.folder / "results" / "small" / "latest").resolve()


def test_list_shows_the_run(kept: Any) -> None:
    ended = kept("list")
    (run,) = kept.runs("small")
    assert ended.code == 0
    assert run.name in ended.out
    assert "2 × 2" in ended.out
    assert "complete, 2 of 2 hold" in ended.out
    (entry,) = json.loads(kept("list", "small", "--json").out)
    assert (entry["scenario"], entry["run"], entry["state"]) == ("small", run.name, "complete")


def test_verify_says_that_a_run_repeats_itself(kept: Any) -> None:
    ended = kept("verify", "small/latest", "--all")
    assert (ended.code, ended.out) == (0, "4 of 4 replications are identical, bit for bit\n")


def test_verify_refuses_a_run_whose_files_were_changed(workbench: Any, copy: Path) -> None:
    change_one_number(copy / "points.parquet")
    ended = workbench("verify", "small")
    assert (ended.code, ended.out) == (2, "")
    assert "points.parquet is not what the run wrote" in ended.err


def test_verify_finds_a_forged_number(workbench: Any, copy: Path) -> None:
    change_one_number(copy / "points.parquet")
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"]["points.parquet"] = hashlib.sha256((copy / "points.parquet").read_bytes()).hexdigest()
    (copy / "manifest.json").write_text(json.dumps(manifest))
    ended = workbench("verify", "small")
    assert ended.code == 1
    assert ended.out.splitlines() == [
        "point 0, replication 0: different",
        "1 of 2 replications are identical, bit for bit",
    ]


def change_one_number(file: Path) -> None:
    """Add one to the first value of a table."""
    table = pq.read_table(file)
    place = table.schema.get_field_index("value")
    values = table.column("value").to_pylist()
    values[0] += 1
    pq.write_table(table.set_column(place, table.schema.field(place), [pa.array(values)]), file)
    assert pc.sum(pq.read_table(file).column("value")).as_py() is not None


@pytest.mark.slow
def test_verify_replays_behaviours_and_says_when_they_have_changed(workbench: Any) -> None:
    shutil.copytree(ROOT / "scenarios", workbench.folder / "scenarios")
    scenario = "scenarios/custom-behaviour.yaml"
    short = ("--set", "run.duration=12 s", "--replications", 1)
    assert workbench("run", scenario, "--json", *short).code in (0, 1)
    assert workbench("verify", "custom-behaviour").out == "1 of 1 replications are identical, bit for bit\n"
    with (workbench.folder / "scenarios/behaviours/cache.py").open("a") as file:
        file.write("# edited\n")
    ended = workbench("verify", "custom-behaviour")
    assert (ended.code, ended.out) == (2, "")
    assert "the behaviours in scenarios have changed since this run" in ended.err


def test_compare_sets_a_run_beside_another(kept: Any) -> None:
    (run,) = kept.runs("small")
    shutil.copytree(run, kept.folder / "again")
    ended = kept("compare", "small", "again")
    assert ended.code == 0
    assert "95 % interval, paired by replication" in ended.out
    data = json.loads(kept("compare", "small", "again", "--json").out)
    rows = {(row["set"]["routing"], row["metric"]): row for row in data["rows"]}
    share = rows["round-robin", "cross_site_share"]
    assert share["first"] == share["second"]
    assert share["difference"]["value"] == 0


def test_compare_does_not_set_a_run_beside_itself(kept: Any) -> None:
    (run,) = kept.runs("small")
    ended = kept("compare", "small", run)
    assert (ended.code, ended.out) == (2, "")
    assert f"small and {run} are the same run" in ended.err


def test_report_makes_the_page_again(workbench: Any, copy: Path) -> None:
    shutil.rmtree(copy / "figures")
    (copy / "report.html").unlink()
    ended = workbench("report")
    assert ended.code == 0
    assert Path(ended.out.strip()).resolve() == (copy / "report.html").resolve() or (copy / "report.html").is_file()
    assert list((copy / "figures").glob("*.png"))


def test_lint_of_what_is_shipped_and_of_a_broken_file(workbench: Any, small: Path) -> None:
    shipped = sorted((ROOT / "scenarios").glob("*.yaml"))
    ended = workbench("lint", *shipped)
    assert (ended.code, ended.out) == (0, "".join(f"{file}: fine\n" for file in shipped))
    small.write_text(small.read_text().replace("poisson 200/s", "poison 200/s"))
    ended = workbench("lint", "small.yaml")
    assert ended.code == 2
    assert "small.yaml:9:36: unknown load" in ended.out
    assert "did you mean" in ended.out
    assert ended.err == "1 error\n"


def test_schema_explain_and_peers(workbench: Any) -> None:
    assert json.loads(workbench("schema").out) == json_schema()
    assert "poisson 200/s" in workbench("explain", "workloads.load").out
    assert workbench("explain", "workloads.lod").code == 2
    peers = {peer["name"]: peer for peer in json.loads(workbench("peers", "--json").out)}
    assert {"ours", "zeromq", "nng", "tcp"} <= set(peers)
    assert peers["ours"]["missing"] is None
    assert "ours" in workbench("peers").out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str) -> None:
    ended = CliRunner().invoke(app, [verb, "--help"], prog_name="workbench")
    assert ended.exit_code == 0
    assert f"workbench {verb} [OPTIONS]" in ended.stdout
    assert ended.stderr == ""


def test_help_lists_every_verb(workbench: Any) -> None:
    ended = workbench("--help")
    assert re.findall(r"^│ (\w+)  ", ended.out, re.MULTILINE) == VERBS
    assert workbench("nothing").code == 2


@pytest.mark.parametrize("verb", [None, *VERBS])
def test_help_imports_nothing_heavy(verb: str | None) -> None:
    """Help must come at once; what is heavy is imported by the verb that needs it."""
    heavy = {"numpy", "pandas", "matplotlib", "scipy", "pyarrow", "simpy", "pydantic", "workbench._engine"}
    words = ["workbench", *([verb] if verb else []), "--help"]
    code = f"""
import atexit, sys
atexit.register(lambda: print(sorted({heavy} & set(sys.modules)), file=sys.stderr))
sys.argv = {words}
from workbench.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == "[]\n"
    assert "--help" in done.stdout


@pytest.mark.parametrize(
    "words",
    [["schema"], ["list"], ["run", "small.yaml", "--dry-run"]],
    ids=lambda words: words[0],
)
def test_a_reader_who_goes_away_gets_no_traceback(kept: Any, words: list[str]) -> None:
    """As with `| head -1`: nobody reads what is written."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "workbench", *words]
    done = subprocess.run(command, cwd=kept.folder, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_it_says_which_version_it_is(workbench: Any) -> None:
    ended = workbench("--version")
    assert ended.code == 0
    assert re.fullmatch(r"messaging-workbench \d+\.\d+\.\d+ \((nogit|[0-9a-f]{7}(-dirty)?)\)\n", ended.out)
