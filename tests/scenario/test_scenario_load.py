"""From a file to models: round trips, extends, --set, behaviours, limits."""

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, model_validator
from ruamel.yaml import YAML

from workbench.scenario import Scenario, ScenarioError, lint, load, parse
from workbench.scenario.load import _Loading
from workbench.scenario.schema import Model
from workbench.scenario.tree import Source, read_tree


def messages(text: str, *sets: str) -> list[str]:
    with pytest.raises(ScenarioError) as raised:
        parse(text, sets=sets)
    return [problem.message for problem in raised.value.problems]


def test_quantities_become_si_numbers(good: str) -> None:
    scenario = parse(good)
    assert scenario.name == "good"
    assert scenario.links[0].rtt == 0.076
    assert scenario.links[0].one_way == 0.038
    assert scenario.links[0].jitter == 0.0002
    assert scenario.sites["london"].within.one_way == 20e-6
    assert scenario.sites["new-york"].within.one_way == 50e-6
    assert scenario.services["foo"].time.mean == 0.002
    assert scenario.workloads["users"].size == 1024
    assert scenario.workloads["users"].load.rate == 200.0
    assert scenario.workloads["users"].at == ("new-york", "london")
    assert scenario.workloads["firehose"].at == ("london",)
    assert scenario.run.replications.in_world("virtual") == 3
    assert scenario.run.replications.in_world("real") == 2
    assert scenario.link("london", "new-york") is scenario.links[0]
    assert scenario.link("london", "london") is scenario.sites["london"].within


def test_defaults() -> None:
    scenario = parse(
        "{version: 1, name: a, sites: {s: }, services: {f: {at: {s: 1}}}, "
        "workloads: {w: {at: s, to: f, load: closed}}, run: {duration: 1 s}}"
    )
    service, workload = scenario.services["f"], scenario.workloads["w"]
    assert (service.pattern, service.workers, service.time.mean, service.queue, service.reply) == (
        "reply",
        1,
        0.0,
        1000,
        64,
    )
    assert (workload.clients, workload.size, workload.timeout, workload.resend) == (1, 64, 5.0, 60.0)
    assert (workload.routing, workload.alone, workload.behaviour, workload.options) == (None, False, None, {})
    assert (scenario.routing, scenario.library, scenario.placement) == ("round-robin", "ours", "unpinned")
    assert (scenario.run.warm_up, scenario.run.seed, scenario.run.world) == (0.0, 1, "virtual")
    assert scenario.run.replications.in_world("real") == scenario.run.replications.in_world("virtual") == 10
    assert scenario.comparison() is None


def test_a_dump_is_yaml_that_loads_equal(good: str, tmp_path: Path) -> None:
    scenario = parse(good)
    dump = scenario.model_dump(mode="json", by_alias=True)
    assert dump["run"]["warm-up"] == "1 s"
    assert dump["faults"][0]["for"] == "1 s"
    assert dump["workloads"]["users"]["size"] == "1 KiB"
    file = tmp_path / "again.yaml"
    with file.open("w") as stream:
        YAML(typ="safe").dump(dump, stream)
    again = load(file)
    assert again == scenario
    assert again.model_dump(mode="json", by_alias=True) == dump
    assert again.model_copy(update={"routing": "priority"}) != scenario


def test_a_scenario_travels_to_another_process(good: str, tmp_path: Path) -> None:
    scenario = parse(good, base=tmp_path)
    copy = pickle.loads(pickle.dumps(scenario))
    assert copy == scenario
    assert copy.directory == tmp_path


def test_an_error_travels_to_another_process() -> None:
    with pytest.raises(ScenarioError) as raised:
        parse("name: [")
    copy = pickle.loads(pickle.dumps(raised.value))
    assert copy.problems == raised.value.problems


def test_models_cannot_be_changed(good: str) -> None:
    scenario = parse(good)
    with pytest.raises(ValueError, match="frozen"):
        scenario.run.seed = 3


def test_fault_events_include_the_ends(good: str) -> None:
    events = parse(good).fault_events()
    assert [(event.at, event.action, event.instances, event.link) for event in events] == [
        (2.0, "kill", (("foo", "new-york"),), None),
        (3.0, "restore", (("foo", "new-york"),), None),
        (3.0, "cut", (), ("new-york", "london")),
        (4.0, "heal", (), ("london", "new-york")),
    ]


def test_what_was_put_right_can_go_wrong_again(good: str) -> None:
    faults = "{at: 2 s, for: 1 s, kill: london}, {at: 3 s, kill: foo@london}, {at: 4 s, restore: foo@london}"
    links = "{at: 2 s, for: 1 s, cut: [london, new-york]}, {at: 3 s, break: [london, new-york]}"
    links += ", {at: 3500 ms, cut: [new-york, london]}"
    scenario = parse(good, sets=[f"faults=[{faults}, {links}]"])
    swapped = parse(good, sets=["faults=[{at: 3 s, kill: foo@london}, {at: 2 s, for: 1 s, kill: london}]"])
    assert [event.action for event in swapped.fault_events()] == ["kill", "restore", "kill"]
    assert [event.action for event in scenario.fault_events()] == [
        *("kill", "cut", "restore", "heal", "kill", "break", "cut", "restore"),
    ]


def test_killing_a_site_kills_every_service_in_it(good: str) -> None:
    scenario = parse(good, sets=["faults=[{at: 2 s, kill: london}]"])
    assert scenario.fault_events()[0].instances == (("foo", "london"), ("sink", "london"))


def test_yaml_is_1_2() -> None:
    text = (
        "{version: 1, name: a, sites: {no: , s: }, services: {f: {at: {s: 0x2}, options: {on: yes, octal: 0o17, "
        "time: 1:30, "
        "day: 2026-01-02, old: 017, float: 1e3, quoted: '5'}}}, workloads: {w: {at: s, to: f, load: closed}}, "
        "run: {duration: 1 s}, "
        "links: [{between: [no, s], delay: 0 s}]}"
    )
    scenario = parse(text)
    assert list(scenario.sites) == ["no", "s"]
    assert scenario.services["f"].at == {"s": 2}
    options = {"on": "yes", "octal": 15, "time": "1:30", "day": "2026-01-02", "old": 17, "float": 1000.0, "quoted": "5"}
    assert scenario.services["f"].options == options


# -- extends


@pytest.fixture(name="family")
def _family(tmp_path: Path, good: str) -> Path:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "serve.py").write_text("def serve(): ...\n")
    text = good.replace("    time: exponential 2 ms\n", "    time: exponential 2 ms\n    behaviour: serve.py:serve\n")
    (tmp_path / "base" / "good.yaml").write_text(text)
    child = tmp_path / "child.yaml"
    child.write_text(
        "extends: base/good.yaml\nname: child\nservices: {foo: {workers: 8}}\nfaults: []\nexpect: []\ncompare: "
        "{metrics: []}\n"
    )
    return child


def test_extends_merges_mappings_and_replaces_the_rest(family: Path) -> None:
    child, base = load(family), load(family.parent / "base" / "good.yaml")
    assert child.name == "child"
    assert child.services["foo"].workers == 8
    assert child.services["foo"].at == base.services["foo"].at
    assert child.workloads == base.workloads
    assert (child.faults, child.expect) == ((), ())
    assert child.compare.path == "routing"


def test_behaviours_of_an_extended_file_are_relative_to_it(family: Path) -> None:
    child = load(family)
    assert child.services["foo"].behaviour == f"{Path('base', 'serve.py')}:serve"
    assert child.directory == family.parent


def test_a_problem_in_an_extended_file_is_shown_there(family: Path) -> None:
    base = family.parent / "base" / "good.yaml"
    base.write_text(base.read_text().replace("76 ms", "76"))
    family.write_text(family.read_text() + "routing: priorty\n")
    problems = lint(family)
    assert [(Path(problem.file).name, problem.line) for problem in problems] == [("good.yaml", 9), ("child.yaml", 7)]


def test_a_cycle_of_files_is_refused(family: Path) -> None:
    base = family.parent / "base" / "good.yaml"
    base.write_text(base.read_text() + "extends: ../child.yaml\n")
    (problem,) = lint(family)
    assert problem.message == "the scenario extends itself: child.yaml -> good.yaml -> child.yaml"
    assert Path(problem.file).name == "good.yaml"


def test_a_long_chain_of_files_is_refused(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number}.yaml").write_text(f"extends: {number + 1}.yaml\n")
    assert "more than 8 files extend one another" in [problem.message for problem in lint(tmp_path / "0.yaml")]


def test_a_text_cannot_extend_a_file(good: str) -> None:
    assert messages(good + "extends: other.yaml\n") == ["a text that is not in a file cannot extend one"]


# -- --set


@pytest.mark.parametrize(
    ("setting", "look", "value"),
    [
        ("run.seed=9", lambda scenario: scenario.run.seed, 9),
        ("services.foo.time=uniform 1 ms to 3 ms", lambda scenario: scenario.services["foo"].time.b, 0.003),
        ("links.0.rate=1 Gbit/s", lambda scenario: scenario.links[0].rate, 1e9),
        ("workloads.users.at=[london]", lambda scenario: scenario.workloads["users"].at, ("london",)),
        ("services.foo.at.new-york=3", lambda scenario: scenario.services["foo"].at["new-york"], 3),
        ("run.replications=4", lambda scenario: scenario.run.replications.real, 4),
        ("services.foo.options.a.b=1", lambda scenario: scenario.services["foo"].options, {"a": {"b": 1}}),
        ("sweep={}", lambda scenario: scenario.sweep, {}),
    ],
)
def test_a_value_can_be_set_by_path(good: str, setting: str, look: object, value: object) -> None:
    sets = [setting, "expect=[]", "compare={}"]
    assert callable(look)
    assert look(parse(good)) != value
    assert look(parse(good, sets=sets)) == value


def test_setting_one_of_two_spellings_takes_the_other_away(good: str) -> None:
    link = parse(good, sets=["links.0.delay=1 ms"]).links[0]
    assert (link.delay, link.rtt, link.one_way) == (0.001, None, 0.001)


def test_setting_one_world_keeps_the_number_of_the_other(good: str) -> None:
    text = good.replace("{virtual: 3, real: 2}", "5")
    replications = parse(text, sets=["run.replications.real=1"]).run.replications
    assert (replications.virtual, replications.real) == (5, 1)


@pytest.mark.parametrize(
    ("setting", "message", "hint", "column"),
    [
        ("routng=priority", "a scenario has no key 'routng'", "did you mean 'routing'?", 1),
        ("services.fo.workers=2", "there is no 'fo' in 'services'", "did you mean 'foo'?", 10),
        ("services.foo.wrkers=2", "'services.foo' has no key 'wrkers'", "did you mean 'workers'?", 14),
        ("links.3.rtt=2 ms", "'links' has no position '3'", "", 7),
        ("run.seed.x=2", "'run.seed' is a single value and has no 'x'", "", 10),
        ("routing=priorty", "unknown routing policy 'priorty'", "did you mean 'priority'?", 9),
        ("run.duration=5", "'5' needs a unit, for example '5 ms'", "", 14),
        (
            "run.seed=*x",
            "aliases (*name) are off in scenarios; write the value out, or share it with 'extends'",
            "",
            10,
        ),
        ("run.seed", "a value is set like routing=priority: path, equals sign, value, on one line", "", 1),
        ("run.seed=", "a value is set like routing=priority: path, equals sign, value, on one line", "", 1),
        ("=1", "a value is set like routing=priority: path, equals sign, value, on one line", "", 1),
        ("run.seed=1\n2", "a value is set like routing=priority: path, equals sign, value, on one line", "", 1),
    ],
)
def test_a_wrong_setting_is_shown_as_it_was_typed(
    good: str, setting: str, message: str, hint: str, column: int
) -> None:
    with pytest.raises(ScenarioError) as raised:
        parse(good.replace("sweep:\n  routing: [round-robin, priority]\n", "sweep:\n"), sets=[setting])
    problem = next(problem for problem in raised.value.problems if problem.file == "--set")
    assert (problem.message, problem.hint, problem.line, problem.column) == (message, hint, 1, column)
    assert problem.snippet == setting.replace("\n", " ")


# -- behaviours


def test_a_behaviour_must_exist_beside_the_scenario(good: str, tmp_path: Path) -> None:
    text = good.replace("    time: exponential 2 ms\n", "    behaviour: mine/serve.py:serve\n")
    file = tmp_path / "scenario.yaml"
    file.write_text(text)
    assert [problem.message for problem in lint(file)] == ["there is no file 'mine/serve.py' beside the scenario"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "serve.py").write_text(
        "async def serve(host, peers): ...\nraise SystemExit('a scenario is not imported when it is read')\n"
    )
    assert lint(file) == []
    assert load(file).directory == tmp_path
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with pytest.raises(ScenarioError):
        load(file, base=elsewhere)


@pytest.mark.parametrize(
    ("code", "fine"),
    [
        ("async def serve(host, peers): ...", True),
        ("from elsewhere import serve", True),
        ("from elsewhere import *", True),
        ("serve = print", True),
        ("if True:\n    async def serve(host, peers): ...", True),
        # Not read as Python: importing it says more.
        ("async def (", True),
        ("async def sevre(host, peers): ...\nraise SystemExit", False),
        ("", False),
    ],
)
def test_a_behaviour_must_be_in_its_file_which_is_not_run(good: str, tmp_path: Path, code: str, fine: bool) -> None:
    (tmp_path / "own.py").write_text(code)
    file = tmp_path / "own.yaml"
    file.write_text(good.replace("    time: exponential 2 ms\n", "    behaviour: own.py:serve\n"))
    problems = lint(file)
    assert [problem.message for problem in problems] == ([] if fine else ["there is no function 'serve' in 'own.py'"])
    if "sevre" in code:
        assert (problems[0].hint, problems[0].allowed) == ("did you mean 'sevre'?", "sevre")


def test_a_text_without_a_base_does_not_look_for_behaviours(good: str) -> None:
    scenario = parse(good.replace("    time: exponential 2 ms\n", "    behaviour: no_such.py:serve\n"))
    assert scenario.directory is None


# -- limits and files


def test_limits(good: str) -> None:
    assert messages("x" * (2 << 20)) == ["the text is larger than 1 MiB; a scenario is a page of text"]
    assert messages("é" * (1 << 20)) != []
    assert messages(f"{good}options: [{'0,' * 100_001}]") == ["the file has more than 100,000 values"]
    assert messages("[" * 100_000) == ["the file is nested more than 32 levels deep"]
    assert messages("{a: " * 100_000) == ["the file is nested more than 32 levels deep"]
    assert messages("- " * 100_000 + "x") == ["the file is nested more than 32 levels deep"]


HEAD = "{version: 1, name: a, run: {duration: 1 s}, sites: {s: }, "
ONE = HEAD + "services: {f: {at: {s: 1}}}, workloads: {w: {at: s, to: f, load: closed}}"


@pytest.mark.parametrize(
    ("text", "first", "number"),
    [
        (
            HEAD + "services: {f: {at: {s: 1}}}, workloads: {w: {to: f, load: closed, at: [" + "x," * 50_000 + "]}}}",
            "unknown site 'x'",
            101,
        ),
        (ONE + "," + ",".join(f"key{number}: 1" for number in range(20_000)) + "}", "unknown key 'key0'", 101),
        (
            ONE + ", sweep: {routing: [" + "1," * 50_000 + "]}}",
            "the sweep has 50,000 values; at most 1,000 are allowed",
            1,
        ),
        (
            ONE + ", sweep: {services.f.options" + ".a" * 300 + ": [1]}}",
            "the path 'services.f.options.a.a.a.a.a.…'",
            1,
        ),
        (ONE + ", expect: ['lost = " + "1 ± " * 100_000 + "']}", "the expectation 'lost = 1 ± 1 ± 1 ± 1 ± 1 ± 1 …'", 1),
        (
            ONE.replace("{s: }", "{" + ",".join(f"s{number}: " for number in range(2000)) + ", s: }") + "}",
            "the scenario has 2,001 sites; at most 1,000 are allowed",
            1,
        ),
    ],
    ids=["sites", "keys", "values", "path", "expectation", "many sites"],
)
def test_a_hostile_file_costs_no_more_than_its_length(text: str, first: str, number: int) -> None:
    started = time.perf_counter()
    told = messages(text)
    assert time.perf_counter() - started < 20.0
    assert told[0].startswith(first)
    assert len(told) == number


def test_a_bomb_costs_nothing() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{row}: &a{row} [{', '.join([f'*a{row - 1}'] * 9)}]" for row in range(1, 12)]
    started = time.perf_counter()
    assert len(messages("\n".join(rows))) > 12
    assert time.perf_counter() - started < 5.0


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    def only(path: Path) -> str:
        (problem,) = lint(path)
        assert str(problem) == f"{path}: {problem.message}"
        return problem.message

    assert only(tmp_path / "no-such.yaml") == "there is no such file"
    assert only(tmp_path) == "this is a folder, not a file"
    os.mkfifo(tmp_path / "pipe.yaml")
    assert only(tmp_path / "pipe.yaml") == "this is not an ordinary file"
    assert only(tmp_path / ("x" * 300)).startswith("the file cannot be read: ")
    big = tmp_path / "big.yaml"
    big.write_bytes(b"#" * ((1 << 20) + 1))
    assert only(big) == "the file is larger than 1 MiB; a scenario is a page of text"
    (problem,) = lint("nul\0.yaml")
    assert problem.message in ("this is not a file name", "there is no such file")  # Pythons differ


def test_a_message_cannot_move_the_cursor() -> None:
    with pytest.raises(ScenarioError) as raised:
        parse('{"routing": "\\x1b[31mred\\u202e"}', name="bad\x1b[2J.yaml")
    assert all(char.isprintable() or char == "\n" for char in str(raised.value))


def test_a_long_line_is_cut_around_the_caret(good: str) -> None:
    text = good.replace("question: Is this a good scenario?", f'question: "{"long " * 100}", routing: x').replace(
        "x\n", "x\n", 1
    )
    with pytest.raises(ScenarioError) as raised:
        parse(text)
    assert all(len(line) < 130 for line in str(raised.value).split("\n")[1:3])


def test_carriage_returns_change_nothing(good: str) -> None:
    assert parse(good.replace("\n", "\r\n")) == parse(good)


def test_import_is_light() -> None:
    code = (
        "import sys, workbench.scenario; print(*[name for name in ('numpy', 'pandas', 'simpy', 'typer') if "
        "name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


def test_what_is_sent_is_counted_before_it_is_sent(good: str) -> None:
    text = good.split("sweep:")[0].replace("poisson 200/s", "closed 100000")
    (message,) = messages(text, "links.0.rtt=0 ms", "services.foo.time=0 s")
    assert message.startswith("this run would send about 3e11 messages (1 point, 3 replications of 5 s)")
    assert isinstance(parse(text, sets=["workloads.users.load=closed 100"]), Scenario)


class _Deep(Model):
    """Something that may be written in a short way, as text for a number."""

    number: int = Field(description="A number.")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"number": value} if isinstance(value, str) else value


class _Outer(Model):
    deep: _Deep | None = Field(default=None, description="What may be written in a short way.")
    other: int = Field(default=0, description="Something else.")


@pytest.mark.timeout(10)
def test_what_is_wrong_at_a_path_that_the_file_does_not_have_is_told_once() -> None:
    """The wrong number stands in the file as the whole of `deep` only, and goes with it."""
    loading = _Loading(None)
    tree = read_tree("deep: many\nother: few\n", Source("outer.yaml"), loading.problems)
    assert tree is not None
    found, left, gone = loading._shaped(_Outer, tree)
    assert found == _Outer()
    assert gone == {("deep",), ("other",)}
    assert left.plain() == {}
    assert [(problem.line, problem.column) for problem in loading.problems] == [(1, 7), (2, 8)]
