"""Every example of the cookbook runs as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGES = sorted(Path(__file__).parents[2].joinpath("docs/cookbook").glob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
EXAMPLES = [
    pytest.param(example, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, example in enumerate(
        re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE), 1
    )
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs(example, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_every_page_is_in_the_table_and_has_an_example_or_is_the_table():
    table = PAGES[[page.name for page in PAGES].index("README.md")].read_text()
    for page in PAGES:
        assert page.name == "README.md" or f"({page.name})" in table
    assert len(EXAMPLES) >= len(PAGES) - 1
