"""From replications to a result: expectations, and which points they are about."""

from typing import Any

import pytest

from workbench.model.conclude import Outcome, conclude, expectations
from workbench.results import Estimate, Link, Point, Replication, Result, Verdict
from workbench.results.wording import failure_text
from workbench.scenario import Scenario, parse, points

TEXT = """\
version: 1
name: swept
sites: {here: }
services: {foo: {at: {here: 1}}}
workloads: {users: {at: here, to: foo, load: closed}}
run: {duration: 1 s}
sweep: {routing: [round-robin, priority], services.foo.workers: [1, 4]}
"""


def scenario(*expected: str) -> Scenario:
    return parse(TEXT + "expect:\n" + "".join(f'  - "{text}"\n' for text in expected))


def point(routing: str, workers: int, **metrics: float | None) -> Point:
    estimates = {name.replace("__", "."): Estimate(value, None, None, "1", 1) for name, value in metrics.items()}
    return Point({"routing": routing, "services.foo.workers": workers}, estimates)


POINTS = [
    point("round-robin", 1, lost=0, latency__p99=0.3),
    point("round-robin", 4, lost=0, latency__p99=0.1),
    point("priority", 1, lost=2, latency__p99=0.2),
    point("priority", 4, lost=0, latency__p99=None),
]


@pytest.mark.parametrize(
    ("text", "holds", "value"),
    [
        ("lost == 0 when routing = round-robin", True, 0),
        # The value is that of the point that fails.
        ("lost == 0", False, 2),
        ("lost == 0 when routing = priority", False, 2),
        ("lost == 0 when routing = priority and services.foo.workers = 4", True, 0),
        ("latency.p99 <= 300 ms when routing = round-robin", True, 0.3),
        ("latency.p99 < 300 ms when routing = round-robin", False, 0.3),
        ("latency.p99 < 300 ms when services.foo.workers = 4", False, None),
        # What was not measured does not hold.
        ("answered > 0", False, None),
        ("lost == 0 when world = virtual and routing = round-robin", True, 0),
    ],
)
def test_an_expectation_holds_at_every_point_that_it_is_about(text: str, holds: bool, value: float | None) -> None:
    (result,) = expectations(scenario(text), POINTS, "virtual")
    assert (result.text, result.holds, result.value) == (text, holds, value)


def test_a_failure_names_the_first_point_that_fails() -> None:
    (result,) = expectations(scenario("lost == 0"), POINTS, "virtual")
    assert result.set == {"routing": "priority", "services.foo.workers": 1}
    assert failure_text(result) == "it is 2 with priority, workers = 1"
    (result,) = expectations(scenario("latency.p99 <= 300 ms when services.foo.workers = 4"), POINTS, "virtual")
    assert failure_text(result) == "it was not measured with priority, workers = 4"


def test_an_expectation_about_no_point_does_not_hold() -> None:
    nowhere = [found for found in POINTS if found.set["routing"] == "priority"]
    (result,) = expectations(scenario("lost == 0 when routing = round-robin"), nowhere, "virtual")
    assert (result.holds, result.value) == (False, None)


def test_an_expectation_about_the_other_world_is_left_out() -> None:
    expected = scenario("lost == 0 when world = real", "lost >= 0 when world = virtual", "lost >= 0")
    assert [result.text for result in expectations(expected, POINTS, "virtual")] == [
        "lost >= 0 when world = virtual",
        "lost >= 0",
    ]
    assert [result.holds for result in expectations(expected, POINTS, "real")] == [False, True]


def runs() -> list[Replication]:
    """Two replications of four points, in any order."""
    return [
        Replication(point, index, 1, {"lost": float(point), "latency.p50": 0.1 * (point + 1) + 0.01 * index}, events=10)
        for index in (1, 0)
        for point in (3, 1, 0, 2)
    ]


def result(outcome: Outcome, *expected: str, world: str = "virtual") -> Result:
    whole = scenario(*(expected or ("lost >= 0",)))
    return conclude(whole, points(whole), outcome, world=world, wall_s=2.5)


def test_replications_are_folded_into_their_points() -> None:
    told = result(Outcome(runs(), [Link("within here", "modelled")]), "lost < 3")
    assert [found.set for found in told.points] == [
        {"routing": routing, "services.foo.workers": workers}
        for routing in ("round-robin", "priority")
        for workers in (1, 4)
    ]
    assert [[run.index for run in found.replications] for found in told.points] == [[0, 1]] * 4
    assert [found.metrics["lost"].value for found in told.points] == [0, 1, 2, 3]
    assert told.points[1].metrics["latency.p50"].value == pytest.approx(0.205)
    assert (told.scenario, told.world, told.run, told.events, told.wall_s) == ("swept", "virtual", "", 80, 2.5)
    assert [(expected.holds, expected.value) for expected in told.expectations] == [(False, 3)]
    assert told.links[0].state == "modelled"


def test_the_comparison_of_the_scenario_makes_the_verdicts() -> None:
    told = result(Outcome(runs()))
    # Two points with one worker, and two with four, differ in their routing.
    pairs = {(repr(verdict.baseline), repr(verdict.other)) for verdict in told.verdicts if verdict.metric == "lost"}
    assert len(pairs) == 2
    assert all(verdict.baseline["routing"] == "round-robin" for verdict in told.verdicts)


def test_a_runner_may_say_verdicts_of_its_own_even_none() -> None:
    own: dict[str, Any] = {"baseline": {}, "other": {}, "difference": Estimate(None, None, None, "1", 0)}
    verdict = Verdict("no difference", "lost", **own)
    assert result(Outcome(runs(), verdicts=[verdict])).verdicts == (verdict,)
    assert result(Outcome(runs(), verdicts=[])).verdicts == ()


def test_without_a_sweep_there_is_no_verdict() -> None:
    alone = parse(TEXT.partition("sweep:")[0])
    assert conclude(alone, points(alone), Outcome([]), world="virtual", wall_s=0).verdicts == ()
