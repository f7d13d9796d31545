"""The README tells the truth: its code runs, and every command, option and file that it mentions is there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from workbench.cli import app
from workbench.scenario import parse

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
PROSE = re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)
MAKE = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
TOP_LEVEL = ("workbench", "engine", "scenarios", "notebooks", "tests", "schema")


def options() -> dict[str, set[str]]:
    """The options of each verb of the command line."""
    group: Any = typer.main.get_command(app)
    return {
        name: {flag for parameter in verb.params for flag in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
        for name, verb in group.commands.items()
    }


OPTIONS = options()
ALL_OPTIONS = set.union(*OPTIONS.values())


def numbered(language: str) -> list[Any]:
    found = [text for name, text in BLOCKS if name == language]
    return [pytest.param(text, id=f"{language}-{place}") for place, text in enumerate(found, start=1)]


def commands() -> list[list[str]]:
    """The lines of blocks without a language that are commands."""
    lines = [line for name, text in BLOCKS if name in ("", "sh", "console") for line in text.splitlines()]
    words = [line.removeprefix("$ ").split("#")[0] for line in lines]
    return [shlex.split(line) for line in words if re.match(r"(\.venv/bin/)?(workbench|make|git|pip|python3?)\b", line)]


def test_the_readme_is_there() -> None:
    assert README.startswith("# ")
    assert numbered("python")
    assert [words for words in commands() if words[0] == "make"][:2] == [["make", "run"], ["make", "test"]]


@pytest.mark.parametrize("code", numbered("python"))
def test_its_python_runs(code: str, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("text", numbered("yaml"))
def test_its_scenarios_are_scenarios(text: str) -> None:
    assert parse(text, base=ROOT / "scenarios").name


@pytest.mark.parametrize("words", [pytest.param(words, id=" ".join(words)) for words in commands()])
def test_its_commands_are_there(words: list[str]) -> None:
    program, *rest = words
    if program == "make":
        assert {word for word in rest if "=" not in word} <= MAKE
    if program.endswith("workbench"):
        assert_call(rest)


def assert_call(words: list[str]) -> None:
    """The verb is one, its options are, and the scenarios named are there."""
    verb, *rest = words
    assert verb in OPTIONS, words
    assert {word.partition("=")[0] for word in rest if word.startswith("-")} <= OPTIONS[verb], words
    for word in rest:
        if word.endswith((".yaml", ".py")):
            assert (ROOT / word).is_file(), word


SPANS = re.findall(r"`([^`\n]+)`", PROSE)


@pytest.mark.parametrize("span", sorted({span for span in SPANS if re.match(r"(workbench|make) \S", span)}))
def test_commands_in_its_text_are_there(span: str) -> None:
    program, verb, *rest = span.split()
    if program == "make":
        assert {verb, *rest} <= MAKE
    else:
        assert_call([verb, *rest])


def test_options_in_its_text_are_those_of_the_verb_they_stand_with() -> None:
    """An option in a line that names one verb is that verb's; elsewhere it is anyone's."""
    mentioned = 0
    for line in PROSE.splitlines():
        verbs = set(re.findall(r"`workbench (\w+)", line))
        known = OPTIONS[verbs.pop()] if len(verbs) == 1 else ALL_OPTIONS
        for option in re.findall(r"`(--[a-z-]+)", line):
            assert option in known, line
            mentioned += 1
    assert mentioned


def test_every_verb_is_mentioned() -> None:
    spans = {word for span in SPANS for word in span.split()}
    assert set(OPTIONS) <= spans


def links() -> list[str]:
    """The targets of links and pictures that are files of ours."""
    targets = re.findall(r"\]\(([^)\s]+)\)", README)
    return sorted({target.partition("#")[0] for target in targets if not target.startswith(("http", "#"))})


@pytest.mark.parametrize("target", links())
def test_its_links_lead_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_the_places_on_its_map_exist() -> None:
    places = set(re.findall(rf"(?<![\w/.-])((?:{'|'.join(TOP_LEVEL)})/[\w./-]*\w)", README))
    assert len(places) > 10
    # A notebook is named without its suffix: it is a pair of files.
    missing = [place for place in places if not (ROOT / place).exists() and not list(ROOT.glob(f"{place}.*"))]
    assert missing == []
