"""Broken scenario files, each beside the exact text a user gets for it.

``WRITE_EXPECTED=1 pytest tests/scenario/test_scenario_broken.py`` writes the texts anew; read what changed before
committing it.
"""

import os
from pathlib import Path

import pytest

from workbench.scenario import ScenarioError, lint, load

BROKEN = Path(__file__).parent / "broken"
FILES = sorted(BROKEN.glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_broken_file_gets_exactly_this_text(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BROKEN)
    text = "\n".join(str(problem) for problem in lint(file.name)) + "\n"
    expected = file.with_suffix(".txt")
    if os.environ.get("WRITE_EXPECTED"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")
    assert text.strip(), "a broken file must be refused"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_load_raises_what_lint_reports(file: Path) -> None:
    with pytest.raises(ScenarioError) as raised:
        load(file)
    assert raised.value.problems == lint(file)
    assert str(raised.value) == "\n".join(str(problem) for problem in raised.value.problems)


def test_there_are_enough_of_them_and_each_expected_text_has_its_file() -> None:
    assert len(FILES) >= 30
    assert {file.stem for file in FILES} == {file.stem for file in BROKEN.glob("*.txt")}


def test_the_caret_stands_under_the_guilty_word() -> None:
    for file in FILES:
        for problem in lint(file):
            if not problem.line:
                continue
            _, line, marker, *_ = str(problem).split("\n")
            assert marker.index("^") < len(line) or not line.rstrip().endswith("|"), file.name
            word = problem.snippet[problem.column - 1 : problem.column - 1 + problem.length]
            shown = line[marker.index("^") : marker.index("^") + problem.length]
            assert "".join(char if char.isprintable() else "·" if char != "\t" else " " for char in word) == shown, (
                file.name
            )
