"""Behaviours from local files: what is accepted, and in which words the rest is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench.engine.virtual import VirtualWorld
from workbench.model.custom import Peers, blame, fingerprints, load_behaviour, start
from workbench.scenario import Scenario, ScenarioError, parse

TEXT = """\
version: 1
name: own
sites: {here: }
services: {foo: {at: {here: 1}, behaviour: "own.py:serve"}}
workloads:
  users: {at: here, to: foo, load: closed, behaviour: "own.py:ask"}
  others: {at: here, to: foo, load: closed}
run: {duration: 1 s}
"""
CODE = """
from functools import partial

async def serve(host, peers, *, busy=0.0): ...
def ask(host, peers): yield
def plain(host, peers): return None
NUMBER = 42
async def _with(host, peers, extra): ...
bound = partial(serve, busy=1.0)
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    (tmp_path / "own.py").write_text(CODE)
    return parse(TEXT, base=tmp_path)


@pytest.fixture
def refused(scenario: Scenario) -> Callable[[str], str]:
    def _refused(reference: str) -> str:
        with pytest.raises(ScenarioError) as refusal:
            load_behaviour(scenario, reference)
        (problem,) = refusal.value.problems
        assert problem.file == f"behaviour {reference}"
        return problem.message

    return _refused


def test_coroutines_and_generators_are_behaviours(scenario: Scenario) -> None:
    assert load_behaviour(scenario, "own.py:serve").__name__ == "serve"
    assert load_behaviour(scenario, "own.py:ask").__name__ == "ask"
    assert load_behaviour(scenario, "own.py:bound") is not None
    assert scenario.own_behaviours() == ["own.py:serve", "own.py:ask"]


def test_a_file_that_is_not_there(refused: Callable[[str], str], tmp_path: Path) -> None:
    assert refused("other.py:serve") == f"there is no file {tmp_path / 'other.py'}"
    (tmp_path / "folder.py").mkdir()
    assert refused("folder.py:serve") == f"there is no file {tmp_path / 'folder.py'}"


def test_a_function_that_is_not_there(refused: Callable[[str], str], tmp_path: Path) -> None:
    message = refused("own.py:sevre")
    assert message == f"{tmp_path / 'own.py'} has no function 'sevre'; it has: _with, ask, plain, serve"
    (tmp_path / "empty.py").write_text("")
    assert refused("empty.py:serve").endswith("it has: none")


@pytest.mark.parametrize("name", ["plain", "NUMBER", "partial"])
def test_something_that_cannot_be_played(refused: Callable[[str], str], name: str) -> None:
    assert refused(f"own.py:{name}") == (f"{name} is neither a coroutine (async def) nor a SimPy process (a generator)")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import nothing_of_this_name", "No module named 'nothing_of_this_name'"),
        ("1 / 0", "ZeroDivisionError"),
        ("def serve(:", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit(3)"),
        ("\0", "null byte"),
    ],
)
def test_a_file_that_cannot_be_imported(refused: Callable[[str], str], tmp_path: Path, code: str, why: str) -> None:
    (tmp_path / "broken.py").write_text(code)
    message = refused("broken.py:serve")
    assert message.startswith(f"importing {tmp_path / 'broken.py'} failed: ")
    assert why in message


def test_starting_hands_over_peers_and_options(scenario: Scenario, tmp_path: Path) -> None:
    got: list[Any] = []

    async def behaviour(host: Any, peers: Peers, **options: Any) -> None:
        got.append((host.name, peers, options))

    world = VirtualWorld()
    peers = Peers(dials=(("there", 1),))
    world.host("one").play(lambda host: start(behaviour, host, peers, {"busy": 2}))
    world.run(until=1)
    assert got == [("one", peers, {"busy": 2})]


def test_options_that_do_not_fit_are_the_scenario_s_mistake(scenario: Scenario) -> None:
    function = load_behaviour(scenario, "own.py:serve")
    host = VirtualWorld().host("one")
    with pytest.raises(ScenarioError, match=r"behaviour serve: .*unexpected keyword argument 'bsuy'"):
        start(function, host, Peers(), {"bsuy": 1})
    with pytest.raises(ScenarioError, match="missing 1 required positional argument: 'extra'"):
        start(load_behaviour(scenario, "own.py:_with"), host, Peers(), {})


def test_a_file_s_fingerprint_changes_with_its_text(scenario: Scenario, tmp_path: Path) -> None:
    before = fingerprints([scenario, scenario])
    assert list(before) == ["own.py"]
    assert fingerprints([]) == {}
    (tmp_path / "own.py").write_text(CODE + "# edited\n")
    after = fingerprints([scenario])
    assert list(after) == ["own.py"]
    assert after != before


def test_our_own_mistakes_are_not_blamed_on_the_user() -> None:
    try:
        parse("{")
    except ScenarioError as error:
        ours = error.with_traceback(error.__traceback__.tb_next if error.__traceback__ else None)
    assert blame(ours) is None
    try:
        raise ValueError("theirs")
    except ValueError as error:
        failure = blame(error)
    assert str(failure).startswith("behaviour test_custom.py:test_our_own_mistakes_are_not_blamed_on_the_user failed: ")
