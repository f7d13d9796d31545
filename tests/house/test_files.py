"""What is in the repository: nothing of the machines it was made on, scenarios that lint, a changelog."""

import re
import subprocess
from pathlib import Path

import pytest

from workbench.scenario import lint, load

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = sorted((ROOT / "scenarios").glob("**/*.yaml"))
# In pieces, so that this file does not contain them.
PLACES = ["/wo" + "rk/", r"\bsha" + "red/", "artif" + "actory", "/tm" + r"p/(plan|bash)", "/ro" + "ot/"]


def tracked() -> list[Path]:
    """All files of the repository, as git knows them; those just deleted are no longer there."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split("\0")
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


def test_no_file_knows_the_machine_it_was_made_on() -> None:
    files = tracked()
    assert len(files) > 200
    places = re.compile("|".join(PLACES).encode(), re.IGNORECASE)
    found = [
        f"{file.relative_to(ROOT)}: {match.group().decode()}"
        for file in files
        for match in places.finditer(file.read_bytes())
    ]
    assert found == []


def test_there_are_scenarios() -> None:
    assert {"priority-routing", "throughput-latency", "custom-behaviour"} <= {file.stem for file in SCENARIOS}


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: file.stem)
def test_a_shipped_scenario_is_clean_named_like_its_file_and_tells_editors_its_schema(file: Path) -> None:
    assert lint(file) == []
    scenario = load(file)
    assert scenario.name == file.stem
    assert scenario.question.strip().endswith("?")
    first = file.read_text(encoding="utf-8").splitlines()[0]
    modeline = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert modeline is not None, first
    assert (file.parent / modeline[1]).resolve() == (ROOT / "schema" / "scenario.v1.json").resolve()


def test_the_changelog_says_what_is_new() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert len(set(headings)) == len(headings)


def test_the_licence_is_where_it_is_said_to_be() -> None:
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
