"""Nothing but ScenarioError leaves the loader, whatever the text."""

import random
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.scenario import Scenario, ScenarioError, lint, parse

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

PIECES = [
    *(
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "&a ",
        "*a",
        "<<: ",
        "!!python/name:os.system ",
        "? ",
        ": ",
        "- ",
        "[",
        "]",
        "{",
        "}",
    ),
    *(
        ",",
        "|\n",
        ">-\n",
        "'",
        '"',
        "#",
        "\t",
        "\n",
        "\r\n",
        "\r",
        " ",
        "\0",
        "\ufeff",
        "\u2028",
        "\x85",
        "\u202e",
        "\ud800",
    ),
    *(
        "é",
        "١",
        "null",
        "true",
        "no",
        ".nan",
        ".inf",
        "1e999",
        "-0",
        "0x",
        "0o8",
        "1_000",
        "9" * 50,
        "5",
        "5 ms",
        "-1 s",
    ),
    *("0 s", "1e9 h", "200/s", "5 %", "64 B", "flood", "closed 0", "poisson ", "exponential ", "kind: throughput\n"),
    *("extends: x.yaml\n", "sweep:\n  routing: [a]\n", "links: 5\n", "sites:\n", "name:\n", "run: {duration: 1 s}\n"),
    *("expect: [lost == 0]\n", "±", " when ", "@", "foo@london", "options: {a: [1]}\n", "\\x", "`", "%"),
]


def outcome(text: str, *sets: str) -> None:
    """A scenario or a ScenarioError whose problems all have a text and a place in the file."""
    try:
        scenario = parse(text, sets=sets)
    except ScenarioError as error:
        assert error.problems
        for problem in error.problems:
            assert problem.message
            assert all(char.isprintable() or char == "\n" for char in str(problem))
            assert problem.line == 0 or problem.file == "--set" or 1 <= problem.line <= text.count("\n") + 1
    else:
        assert isinstance(scenario, Scenario)


@given(st.text(max_size=300))
@relaxed
def test_any_text(text: str) -> None:
    outcome(text)


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
@relaxed
def test_any_yaml_like_text(text: str) -> None:
    outcome(text)


@given(st.binary(max_size=300))
@relaxed
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(data)
    assert lint(file), "no random bytes make a scenario"


@given(st.data())
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_mutation_of_a_good_file(good: str, data: st.DataObject) -> None:
    text = good
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        length = data.draw(st.sampled_from([0, 0, 1, 2, 5, 20]))
        text = text[:start] + data.draw(st.sampled_from(PIECES)) + text[start + length :]
    outcome(text)


@given(st.data())
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_in_the_place_of_any_other(good: str, data: st.DataObject) -> None:
    """Swaps the value of one key, so that the YAML stays well-formed and the models and checks are reached."""
    lines = good.split("\n")
    at = data.draw(st.sampled_from([number for number, line in enumerate(lines) if ":" in line]))
    key = lines[at].partition(":")[0]
    values = [
        "5",
        "-1",
        "text",
        "[]",
        "{}",
        "[1, 2]",
        "{a: 1}",
        "true",
        "~",
        "1e300",
        "'5 ms'",
        "5 B",
        "closed",
        "[a, b]",
        "[[a]]",
        "london",
    ]
    lines[at] = f"{key}: {data.draw(st.sampled_from(values))}"
    outcome("\n".join(lines))


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from([*PIECES, "run.seed=", "services.foo.", "links.0.", "="]), max_size=6).map("".join)
)
@relaxed
def test_any_setting(good: str, setting: str) -> None:
    outcome(good, setting)


def test_every_prefix_of_a_good_file(good: str) -> None:
    for end in range(0, len(good), 7):
        outcome(good[:end])


def test_any_path_is_a_name_or_a_sentence(tmp_path: Path) -> None:
    source = random.Random(7)
    for _ in range(50):
        name = "".join(source.choice(string.printable + "\0é") for _ in range(source.randint(1, 20)))
        assert lint(str(tmp_path / "no-such-folder") + "/" + name)
