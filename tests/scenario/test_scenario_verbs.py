"""The verbs lint, schema and explain of the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from workbench.cli import explain, lint, schema
from workbench.scenario import json_schema

BROKEN = Path(__file__).parent / "broken"


def run(command: Callable[..., Any], *arguments: str) -> Result:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, list(arguments))


def test_lint_prints_every_error_and_exits_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BROKEN)
    result = run(lint.command, "many-at-once.yaml", "routing.yaml")
    assert result.exit_code == 2
    expected = (BROKEN / "many-at-once.txt").read_text() + (BROKEN / "routing.txt").read_text()
    assert result.stdout == expected
    assert result.stderr == "8 errors\n"


def test_lint_of_a_good_file(tmp_path: Path, good: str) -> None:
    file = tmp_path / "good.yaml"
    file.write_text(good)
    result = run(lint.command, str(file))
    assert (result.exit_code, result.stdout) == (0, f"{file}: fine\n")
    assert run(lint.command, str(file), "--set", "run.seed=-1").exit_code == 2


def test_schema_prints_the_schema(tmp_path: Path) -> None:
    result = run(schema.command)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json_schema()
    assert run(schema.command, "--out", str(tmp_path / "schema.json")).exit_code == 0
    assert (tmp_path / "schema.json").read_text(encoding="utf-8") == result.stdout
    assert run(schema.command, "--out", str(tmp_path / "no" / "schema.json")).exit_code == 2


def test_explain() -> None:
    result = run(explain.command, "workloads.load")
    assert result.exit_code == 0
    assert "poisson 200/s" in result.stdout
    assert run(explain.command).exit_code == 0
    wrong = run(explain.command, "workloads.lod")
    assert wrong.exit_code == 2
    assert "did you mean 'workloads.load'?" in wrong.stderr
