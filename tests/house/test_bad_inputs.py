"""docs/bad-inputs.md names tests: each is where the page says, so that the page cannot rot."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/bad-inputs.md").read_text()
PLACES = {
    "": "engine/real/tests/hostile.rs",
    "wire": "engine/proto/tests/wire.rs",
    "websocket": "engine/proto/tests/websocket.rs",
    "address": "engine/proto/tests/address.rs",
    "laws": "engine/proto/tests/laws/*.rs",
    "conformance": "engine/real/tests/conformance.rs",
    "endpoints": "engine/real/tests/endpoints.rs",
    "process": "tests/engine/test_process.py",
    "exhaustion": "tests/exhaustion/measure.py",
    "manners": "tests/engine/test_manners.py",
    "cancel": "tests/engine/test_cancel.py",
    "socket": "tests/engine/test_socket.py",
}
"""Where the tests of a word are; those without one are hostile."""
ROWS = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in PAGE.splitlines() if line.startswith("| ")]
ROWS = [row for row in ROWS if row[0] != "id"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_bad_input_has_a_test_where_the_page_says(row: list[str]) -> None:
    assert len(row) == 5, "a row has an id, an input, what the engine does, a counter and tests"
    named = re.findall(r"(?:(\w+) )?`(\w+)`|(\w+)", row[4])
    assert named, "it names a test"
    for place, test, whole in named:
        files = list(ROOT.glob(PLACES[whole or place]))
        assert files, f"{PLACES[whole or place]} is gone"
        if test:
            texts = [file.read_text() for file in files] + [f"mod {file.stem}\n" for file in files]
            found = [text for text in texts if re.search(rf"\b(fn|mod|def) {test}\b", text)]
            assert found, f"{test} is not in {PLACES[place]}"


def test_ids_are_not_given_twice() -> None:
    ids = [row[0] for row in ROWS]
    assert len(ids) == len(set(ids))
