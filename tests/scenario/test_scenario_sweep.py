"""Sweeps: the points, and what they have to do with comparisons and expectations."""

import time

import pytest

from workbench.scenario import ScenarioError, parse, points


def test_points_are_every_combination_in_order(good: str) -> None:
    scenario = parse(good)
    found = points(scenario)
    assert [point.set for point in found] == [
        {"routing": "round-robin", "services.foo.workers": 1},
        {"routing": "round-robin", "services.foo.workers": 4},
        {"routing": "priority", "services.foo.workers": 1},
        {"routing": "priority", "services.foo.workers": 4},
    ]
    for point in found:
        assert point.scenario.routing == point.set["routing"]
        assert point.scenario.services["foo"].workers == point.set["services.foo.workers"]
        assert (point.scenario.sweep, point.scenario.expect, point.scenario.compare.path) == ({}, (), None)
        assert point.scenario.workloads == scenario.workloads
        assert point.scenario.faults == scenario.faults


def test_a_scenario_without_a_sweep_is_its_own_point(good: str) -> None:
    scenario = parse(good.split("sweep:")[0])
    (point,) = points(scenario)
    assert point.set == {}
    assert point.scenario == scenario


def test_a_point_loads_again_by_itself(good: str) -> None:
    for point in points(parse(good)):
        (again,) = points(type(point.scenario).model_validate(point.scenario.model_dump(mode="json", by_alias=True)))
        assert again.scenario == point.scenario


def test_any_value_can_be_swept(good: str) -> None:
    scenario = parse(
        good.split("sweep:")[0]
        + "sweep:\n  links.0.delay: [1 ms, 40 ms]\n  workloads.users.at: [new-york, [new-york, london]]\n"
        + "  services.foo.at.london: [1, 2]\n"
    )
    found = points(scenario)
    assert len(found) == 8
    assert {point.scenario.links[0].one_way for point in found} == {0.001, 0.04}
    assert {point.scenario.links[0].rtt for point in found} == {None}
    assert {point.scenario.workloads["users"].at for point in found} == {("new-york",), ("new-york", "london")}
    assert found[0].scenario.services["foo"].at == {"new-york": 2, "london": 1}


def test_comparison_fills_in_the_defaults(good: str) -> None:
    comparison = parse(good).comparison()
    assert comparison is not None
    assert (comparison.path, comparison.baseline, comparison.others) == ("routing", "round-robin", ("priority",))
    assert comparison.metrics == ("cross_site_share", "users:latency.p99.during")
    other = parse(good, sets=["compare={path: services.foo.workers, baseline: 4}"]).comparison()
    assert other is not None
    assert (other.baseline, other.others, other.metrics) == (4, (1,), ())


def test_every_point_is_checked_and_each_mistake_told_once(good: str) -> None:
    text = (
        good.split("sweep:")[0]
        + "sweep:\n  services.foo.workers: [1, none, 4]\n  run.duration: [5 s, 3 s]\n  routing: [priority]\n"
    )
    with pytest.raises(ScenarioError) as raised:
        parse(text)
    told = [problem.message for problem in raised.value.problems]
    assert told == [
        "the fault comes after the end of the run (3 s)",
        "the fault comes after the end of the run (3 s)",
        "expected the number of workers, a whole number from 1 to 10,000, not the text 'none'",
    ]


def test_what_a_sweep_overrides_need_not_be_right_by_itself(good: str) -> None:
    text = good.split("sweep:")[0].replace("to: foo", "to: swept")
    with pytest.raises(ScenarioError):
        parse(text)
    assert len(points(parse(text + "sweep:\n  workloads.users.to: [foo]\n"))) == 1


def test_a_thousand_points_are_read_in_seconds(good: str) -> None:
    good = good.replace("  firehose:\n    at: london\n    to: sink\n    load: flood\n", "")
    text = good.split("sweep:")[0] + "sweep:\n  services.foo.workers: [" + ", ".join(map(str, range(1, 101))) + "]\n"
    text += "  services.foo.queue: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n"
    started = time.perf_counter()
    assert len(points(parse(text))) == 1000
    assert time.perf_counter() - started < 20.0
