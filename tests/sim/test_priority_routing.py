"""What the shipped scenario promises, replication by replication, in the virtual world."""

from pathlib import Path

import pytest

from workbench.model.conclude import Outcome, conclude
from workbench.results import Replication, Result
from workbench.scenario import load, points
from workbench.sim.sweep import simulate

SCENARIO = Path(__file__).resolve().parents[2] / "scenarios" / "priority-routing.yaml"
COUNT = 10


@pytest.fixture(scope="module")
def result() -> Result:
    scenario = load(SCENARIO)
    swept = points(scenario)
    runs = simulate(scenario, swept, COUNT, jobs=2)
    return conclude(scenario, swept, Outcome(runs), world="virtual", wall_s=1.0)


@pytest.fixture(scope="module")
def turns(result: Result) -> list[Replication]:
    assert result.points[0].set == {"routing": "round-robin"}
    return list(result.points[0].replications)


@pytest.fixture(scope="module")
def priority(result: Result) -> list[Replication]:
    assert result.points[1].set == {"routing": "priority"}
    return list(result.points[1].replications)


def share(run: Replication, phase: str = "", workload: str = "new-york") -> float:
    return run.metrics[f"{workload}:cross_site_share{phase}"]


def test_in_turns_half_of_the_requests_leave_home(turns: list[Replication]) -> None:
    assert len(turns) == COUNT
    for run in turns:
        assert share(run) == pytest.approx(0.5, abs=0.01)
        assert share(run) == share(run, ".before")
        assert share(run, "", "london") == pytest.approx(0.5, abs=0.01)
        assert share(run, ".after") == pytest.approx(0.5, abs=0.02)


def test_with_priorities_none_leaves_home_but_while_home_is_dead(priority: list[Replication]) -> None:
    for run in priority:
        assert (share(run), share(run, ".during"), share(run, ".after")) == (0, 1, 0)
        assert {share(run, phase, "london") for phase in ("", ".before", ".during", ".after")} == {0}


def test_with_either_policy_every_request_is_answered_from_london_while_new_york_is_dead(
    turns: list[Replication], priority: list[Replication]
) -> None:
    for run in turns + priority:
        assert share(run, ".during") == 1
        assert share(run, ".during", "london") == 0
        assert run.metrics["lost"] == 0
        assert run.counts["sent"] == run.counts["answered"] + run.counts["lost"] + run.counts["in_flight"]
        # At least a round trip to London, and not much more: connections break at once, and requests are sent again.
        assert 0.076 < run.metrics["failover_time"] < 0.2


def test_the_requests_come_home_when_home_is_back(priority: list[Replication]) -> None:
    for run in priority:
        assert 0 < run.metrics["failback_time"] < 2


def test_both_policies_have_the_same_luck(turns: list[Replication], priority: list[Replication]) -> None:
    """Common random numbers: users ask at the same moments, whatever becomes of it."""
    sent = [run.metrics["requests"] for run in turns]
    assert sent == [run.metrics["requests"] for run in priority]
    assert len(set(sent)) > COUNT / 2, "and other replications have other luck"
    for one, other in zip(turns, priority, strict=True):
        assert one.seed == other.seed
        timelines = [
            [(row["workload"], row["bin_start_s"], row["sent"]) for row in run.timeline] for run in (one, other)
        ]
        assert timelines[0] == timelines[1]


def test_the_verdicts_and_expectations_are_about_it(result: Result) -> None:
    assert [verdict.metric for verdict in result.verdicts] == [
        "cross_site_share",
        "latency.mean",
        "latency.p99",
        "lost",
    ]
    (verdict, *_) = result.verdicts
    assert verdict.difference.value == pytest.approx(-0.5, abs=0.01)
    assert verdict.difference.low is not None
    assert verdict.difference.low < -0.49
    assert [expected.text for expected in result.expectations if not expected.holds] == []
    assert len(result.expectations) == len(load(SCENARIO).expect)
