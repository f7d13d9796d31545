"""The applications tell the same figures as the native roles whose place they take: ``behaviours: zinc``."""

from pathlib import Path

import pytest

from workbench.results import Estimate, Replication
from workbench.results.estimate import estimates
from workbench.scenario import load
from workbench.sim.replication import replicate

SCENARIOS = Path(__file__).parents[2] / "scenarios"
BOTH = ("native", "zinc")


def played(name: str, behaviours: str, count: int, *sets: str) -> list[Replication]:
    """So many replications of a scenario, at one point."""
    scenario = load(
        SCENARIOS / f"{name}.yaml", sets=[f"behaviours={behaviours}", "compare={}", "sweep={}", "expect=[]", *sets]
    )
    return [replicate(scenario, 0, index, seed=5) for index in range(count)]


def assert_same(native: Estimate, zinc: Estimate, *, narrower_than: float) -> None:
    """Both intervals have something in common, and neither is so wide that this would say nothing."""
    for one in (native, zinc):
        assert one.value is not None and one.low is not None and one.high is not None
        assert one.high - one.low <= narrower_than * one.value
    assert native.low <= zinc.high and zinc.low <= native.high, (native, zinc)


@pytest.mark.parametrize(("hosts", "breadth"), [(40, 3), (40, 12)])
def test_a_message_takes_as_long_to_every_member_of_a_tree(hosts: int, breadth: int) -> None:
    sets = (f"services.subscribers.at.hall={hosts}", f"services.subscribers.breadth={breadth}", "run.duration=1500 ms")
    native, zinc = (played("broadcast-tree", behaviours, 1, *sets)[0].metrics for behaviours in BOTH)
    for metric in ("requests", "answered", "lost", "latency.mean", "latency.p50", "latency.max"):
        assert zinc[metric] == pytest.approx(native[metric], abs=1e-9), metric
    assert native["answered"] == hosts * 25
    # Beats are handed on, too.
    assert native["busiest_share"] < zinc["busiest_share"] < 1.5 * native["busiest_share"]


def test_a_directory_hears_as_many_as_a_surveyor() -> None:
    native, zinc = (estimates(played("discovery-survey", behaviours, 4, "run.duration=60 s")) for behaviours in BOTH)
    assert_same(native["completeness"], zinc["completeness"], narrower_than=0.2)
    assert_same(native["reply.p99"], zinc["reply.p99"], narrower_than=0.02)
    assert native["requests"] == zinc["requests"]
    assert native["breakdowns"] == zinc["breakdowns"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("rate", [40, 60, 70])
def test_a_tree_of_workers_serves_as_one_queue_does(rate: int) -> None:
    """Erlang's C formula knows the mean wait; the tree's four hops come to 0.2 ms."""
    sets = (f"workloads.tasks.load=poisson {rate}/s",)
    native, zinc = (estimates(played("autonomous-balancing", behaviours, 8, *sets)) for behaviours in BOTH)
    for metric in ("latency.mean", "latency.p50", "latency.p99"):
        assert_same(native[metric], zinc[metric], narrower_than=0.25)
    waits = {40: 0.0015, 60: 0.0178, 70: 0.0635}[rate]
    told = zinc["latency.mean"]
    assert told.value is not None and told.low is not None
    # Within twice the half width: of three 95 % intervals one in seven would miss otherwise.
    assert abs(told.value - (0.1 + waits + 0.0002)) <= 2 * (told.value - told.low)
    assert native["lost"].value == zinc["lost"].value == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_message_takes_as_long_to_a_thousand() -> None:
    native, zinc = (played("broadcast-tree", behaviours, 1)[0].metrics for behaviours in BOTH)
    for metric in ("answered", "lost", "latency.mean", "latency.max"):
        assert zinc[metric] == pytest.approx(native[metric], abs=1e-9), metric
