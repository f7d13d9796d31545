"""docs/interop.md is what the matrix says, and every cell of it is tried."""

import re
from pathlib import Path

from matrix import CELLS, PATTERNS, POSSIBLE, PROGRAMS, page

from workbench.engine.socket import CLASSES

PAGE = Path(__file__).parents[2] / "docs" / "interop.md"


def test_the_page_shows_the_matrix_and_that_all_of_it_passed() -> None:
    shown = PAGE.read_text(encoding="utf-8")
    versions = {}
    for program in PROGRAMS:
        found = re.search(rf"^{re.escape(program.about)}: (.+)$", shown, re.MULTILINE)
        assert found, f"{PAGE} does not tell the version of {program.name}; `make interop` writes it"
        versions[program.name] = found[1]
    assert shown == page(dict.fromkeys(POSSIBLE, True), versions), "`make interop` writes it anew"


def test_a_cell_that_failed_is_shown_as_failed() -> None:
    versions = {program.name: "1" for program in PROGRAMS}
    passed = dict.fromkeys(POSSIBLE, True)
    assert page(passed, versions).count("✗") == 1  # in the key
    for cell in POSSIBLE:
        assert page(passed | {cell: False}, versions).count("✗") == 2


def test_the_matrix_has_all_our_roles() -> None:
    assert set(PATTERNS) == set(CLASSES)
    assert all(cell.lacking for cell in CELLS if cell not in POSSIBLE)
