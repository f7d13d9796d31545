"""Compact kinds expand to the normal form, and nobody sees the difference."""

import pytest

from workbench.scenario import ScenarioError, parse, points
from workbench.scenario.kinds import KINDS

TEXT = """\
version: 1
kind: throughput
name: pipes
question: How fast?
libraries: [ours, zeromq]
sizes: [64 B, 1 KiB]
placements: [one-core, two-cores]
duration: 1 s
warm-up: 250 ms
blocks: 4
expect:
  - throughput > 1000/s when library = ours
"""


def test_throughput_expands_to_the_normal_form() -> None:
    scenario = parse(TEXT)
    assert (scenario.name, scenario.question) == ("pipes", "How fast?")
    assert (scenario.run.world, scenario.run.duration, scenario.run.warm_up) == ("real", 1.25, 0.25)
    assert scenario.run.replications.in_world("real") == 4
    assert scenario.services["sink"].pattern == "collect"
    assert scenario.workloads["flood"].load.kind == "flood"
    assert scenario.sweep == {
        "library": ("ours", "zeromq"),
        "placement": ("one-core", "two-cores"),
        "workloads.flood.size": ("64 B", "1 KiB"),
    }
    assert len(points(scenario)) == 8
    assert [expectation.text for expectation in scenario.expect] == ["throughput > 1000/s when library = ours"]
    assert parse(TEXT).model_dump(mode="json", by_alias=True) == scenario.model_dump(mode="json", by_alias=True)


def test_what_is_not_varied_is_not_swept() -> None:
    scenario = parse("{version: 1, kind: throughput, name: pipes, libraries: [nng]}")
    assert scenario.sweep == {}
    assert scenario.library == "nng"


def test_settings_reach_both_forms() -> None:
    scenario = parse(TEXT, sets=["blocks=2", "run.seed=9", "libraries=[ours, tcp]"])
    assert scenario.run.replications.in_world("real") == 2
    assert scenario.run.seed == 9
    assert scenario.sweep["library"] == ("ours", "tcp")


def test_a_problem_of_the_expanded_form_stands_where_it_was_written() -> None:
    with pytest.raises(ScenarioError) as raised:
        parse(TEXT.replace("when library = ours", "when library = nng"))
    (problem,) = raised.value.problems
    assert (problem.line, problem.message) == (12, "unknown value of library 'nng'")


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_kind_gives_a_scenario_from_its_defaults(name: str) -> None:
    scenario = parse(f"{{version: 1, kind: {name}, name: defaults}}")
    assert points(scenario)
