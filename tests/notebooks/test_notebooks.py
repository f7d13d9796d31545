"""Every notebook runs from top to bottom on what is in the repository, and its two files say the same."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest
from typer.testing import CliRunner

from workbench.cli import app
from workbench.report.claims import CLAIMS

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
LONGEST = 60
"""Seconds that a cell may take."""


def test_there_is_a_notebook_and_none_without_its_pair() -> None:
    assert NOTEBOOKS
    assert [file.with_suffix(".ipynb") for file in NOTEBOOKS] == sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda file: file.stem)
def file(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def cells(notebook: Any) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def pictures(notebook: Any) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))


def test_the_pair_says_the_same(file: Path) -> None:
    assert cells(nbformat.read(file.with_suffix(".ipynb"), as_version=4)) == cells(jupytext.read(file))


def test_what_is_kept_was_executed_in_order_and_shows_its_pictures(file: Path) -> None:
    """Somebody who reads the repository sees the pictures without running anything."""
    kept = nbformat.read(file.with_suffix(".ipynb"), as_version=4)
    counts = [cell.execution_count for cell in kept.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert pictures(kept) >= 1
    assert [output.output_type for output in outputs(kept) if output.output_type in ("error", "stream")] == [
        "stream" for output in outputs(kept) if output.get("name") == "stdout"
    ]


QUICK = ("00", "01", "07")
"""Those that use the most; the others are executed in the slow lane, in the same way."""
EXECUTED = [pytest.param(file, marks=[] if file.stem[:2] in QUICK else pytest.mark.slow) for file in NOTEBOOKS]


EXECUTE = """
import sys, jupytext, nbformat, nbclient
file, longest, folder, executed = sys.argv[1:]
notebook = jupytext.read(file)
where = {"metadata": {"path": folder}}
nbclient.NotebookClient(notebook, timeout=int(longest), kernel_name="python3", resources=where).execute()
nbformat.write(notebook, executed)
"""


@pytest.mark.parametrize("file", EXECUTED, ids=[file.stem for file in NOTEBOOKS])
def test_it_runs_from_top_to_bottom(file: Path, tmp_path: Path) -> None:
    """In a process of its own, as a reader would: in one that has run many tests its client may oversleep an answer."""
    executed = tmp_path / "executed.ipynb"
    words = [file, LONGEST, file.parent, executed]
    done = subprocess.run([sys.executable, "-c", EXECUTE, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    notebook = nbformat.read(executed, as_version=4)
    assert pictures(notebook) >= 1
    assert [output.text for output in outputs(notebook) if output.get("name") == "stderr"] == []
    kept = nbformat.read(file.with_suffix(".ipynb"), as_version=4)
    assert pictures(notebook) == pictures(kept)
    assert texts(notebook) == texts(kept), "its kept outputs are of other results: make notebooks"


def texts(notebook: Any) -> list[str]:
    """What its cells have printed and displayed as text."""
    displayed = [output.get("data", {}).get("text/markdown") or output.get("text", "") for output in outputs(notebook)]
    return [str(text) for text in displayed]


def test_no_result_is_typed_by_hand(file: Path) -> None:
    """Numbers with a unit come from results."""
    prose = "\n".join(source for kind, source in cells(jupytext.read(file)) if kind == "markdown")
    assert re.findall(r"\d[\d.,]*\s*(?:%|ms|µs|s|seconds|points|requests)\b", prose) == []


@pytest.mark.parametrize("command", sorted({claim.command for claim in CLAIMS if claim.command.startswith("workbench")}))
def test_the_command_of_a_claim_asks_for_what_there_is(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    verb, *words = command.split()[1:]
    asked = CliRunner().invoke(app, [verb, *words, *(["--dry-run"] if verb == "run" else [])])
    assert asked.exit_code == 0, asked.output


def test_a_claim_names_kept_runs_of_what_its_command_asks() -> None:
    for claim in CLAIMS:
        scenario = re.search(r"scenarios/([\w-]+)\.yaml", claim.command)
        if claim.runs and scenario:
            assert claim.runs[0].partition("/")[0] == scenario[1]
