"""The page of what passed with foreign programs."""

from collections.abc import Iterator
from pathlib import Path

import foreign
import pytest
from matrix import POSSIBLE, Cell, page

PASSED = pytest.StashKey[dict[Cell, bool]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--page", type=Path, help="write what passed with foreign programs to this file")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[PASSED] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    cell = getattr(item, "callspec", None) and item.callspec.params.get("cell")
    if isinstance(cell, Cell) and report.outcome != "skipped":
        passed = item.config.stash.setdefault(PASSED, {})
        passed[cell] = passed.get(cell, True) and report.passed
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    file = config.getoption("page", None)
    if file is None:
        return
    passed = config.stash.get(PASSED, {})
    if left := [cell for cell in POSSIBLE if cell not in passed]:
        terminalreporter.write_line(f"{file} is left as it is: {len(left)} of {len(POSSIBLE)} cells were not tried")
        return
    names = {cell.program.name for cell in POSSIBLE}
    text = page(passed, {name: foreign.version(name) for name in names})
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    terminalreporter.write_line(f"\n{text}\nThis is now {file}.")
