"""Routing: who decides which instance gets a request, and what that does."""

from typing import Any

import pytest

from workbench.scenario import Scenario, load, points
from workbench.sim.replication import replicate


def scenario(**changes: Any) -> Scenario:
    data: dict[str, Any] = {
        "version": 1,
        "name": "routing",
        "sites": {"london": None, "frankfurt": None},
        "distances": {"table": "ibm-2024"},
        "services": {"foo": {"at": {"london": 2, "frankfurt": 2}, "workers": 2, "time": "exponential 2 ms"}},
        "workloads": {"users": {"at": ["london", "frankfurt"], "to": "foo", "load": "poisson 100/s"}},
        "run": {"duration": "8 s", "warm-up": "1 s", "seed": 3},
    }
    return Scenario.model_validate(data | changes)


@pytest.mark.parametrize("network", ["sockets", "none"])
@pytest.mark.parametrize("routing", ["round-robin", "random", "least-outstanding", "power-of-two", "sticky"])
def test_every_rule_serves_everybody(routing: str, network: str) -> None:
    extra = {"distances": None} if network == "none" else {}
    run = replicate(scenario(routing=routing, network=network, **extra), 0, 0, 1)
    assert run.counts["lost"] == 0
    assert run.metrics["answered"] > 1000


def test_the_shorter_of_two_is_between_any_and_the_shortest() -> None:
    busy = {"queue": {"at": {"london": 16}, "time": "exponential 1 ms"}}
    users = {"users": {"at": "london", "to": "queue", "load": "poisson 12800/s"}}
    means = {
        routing: replicate(
            scenario(routing=routing, network="none", distances=None, services=busy, workloads=users), 0, 0, 1
        ).metrics["latency.mean"]
        for routing in ("random", "power-of-two", "least-outstanding")
    }
    assert means["least-outstanding"] < means["power-of-two"] < means["random"] / 2


@pytest.mark.parametrize("unnoticed", ["0 s", "500 ms"])
def test_who_is_not_noticed_to_be_gone_takes_requests_along(unnoticed: str) -> None:
    faults = [{"at": "3 s", "for": "2 s", "kill": "london", "unnoticed": unnoticed}]
    run = replicate(scenario(routing="priority", faults=faults), 0, 0, 1)
    assert run.counts["lost"] == 0
    late = 0.5 if unnoticed != "0 s" else 0.0
    assert late <= run.metrics["latency.max"] < late + 0.2
    assert late <= run.metrics["failover_time"] < late + 0.2


def test_a_table_lays_a_link_between_every_two_sites_and_what_is_declared_counts_more() -> None:
    declared = [{"between": ["london", "tokyo"], "rtt": "1 ms"}]
    sites = {"london": None, "tokyo": None, "sydney": None}
    found = scenario(
        sites=sites,
        links=declared,
        services={"foo": {"at": {"london": 1}}},
        workloads={"users": {"at": "tokyo", "to": "foo", "load": "closed"}},
    )
    assert {link.between: link.rtt for link in found.every_link} == {
        ("london", "tokyo"): 0.001,
        ("london", "sydney"): 0.261,
        ("tokyo", "sydney"): 0.115,
    }


@pytest.mark.parametrize("name", ["three-regions", "thirteen-regions"])
def test_the_shipped_scenarios_run(name: str) -> None:
    shipped = load(f"scenarios/{name}.yaml", sets=["run.duration=12 s"])
    for point in points(shipped):
        assert replicate(point.scenario, 0, 0, 1).metrics["answered"] > 1000
