"""Surveys over the engine's sockets, against order statistics."""

from typing import Any

import pytest

from workbench.scenario import Scenario
from workbench.sim import theory
from workbench.sim.replication import replicate


def survey(deadline: str, **changes: Any) -> Any:
    data: dict[str, Any] = {
        "version": 1,
        "name": "survey",
        "sites": {"here": None},
        "services": {"all": {"at": {"here": 10}, "pattern": "survey", "workers": 20, "time": "exponential 10 ms"}},
        "workloads": {"board": {"at": "here", "to": "all", "load": "poisson 20/s", "deadline": deadline}},
        "run": {"duration": "200 s", "warm-up": "1 s", "seed": 2},
    }
    return replicate(Scenario.model_validate(data | changes), 0, 0, 1)


@pytest.mark.parametrize("network", ["sockets", "none"])
@pytest.mark.parametrize("deadline", [30, 50])
def test_completeness_is_what_order_statistics_say(deadline: int, network: str) -> None:
    run = survey(f"{deadline} ms", network=network)
    # The round trip within the site takes a hundred microseconds of the deadline.
    left = (deadline - (0.1 if network == "sockets" else 0.0)) / 10
    assert run.metrics["complete_share"] == pytest.approx(theory.all_within(10, left), abs=0.03)
    assert run.metrics["completeness"] == pytest.approx(theory.all_within(1, left), abs=0.005)


def test_who_is_dead_is_missed_in_every_survey() -> None:
    faults = [{"at": "100 s", "kill": "all@here"}]
    run = survey("200 ms", faults=faults)
    assert run.metrics["complete_share.before"] > 0.999
    assert run.metrics["complete_share.during"] == 0.0
    assert run.metrics["late.during"] > 10_000


def test_the_mean_of_the_slowest_of_ten() -> None:
    run = survey("1 s")
    assert run.metrics["complete_share"] == 1.0
    assert run.metrics["latency.mean"] == pytest.approx(0.0001 + 0.01 * theory.slowest_of(10), rel=0.02)


def test_the_tail_at_scale() -> None:
    """Of requests that need answers of a hundred servers, 63 % wait for one that is slower than 99 of a hundred are.

    Dean and Barroso, The tail at scale, Communications of the ACM 56(2), 2013.
    """
    p99 = "46.05 ms"
    run = survey(p99, services={"all": SERVERS | {"at": {"here": 100}}}, network="none")
    assert run.metrics["completeness"] == pytest.approx(0.99, abs=0.001)
    assert 1 - run.metrics["complete_share"] == pytest.approx(0.634, abs=0.03)


def test_late_answers_are_heard_and_not_counted() -> None:
    run = survey("20 ms")
    assert run.metrics["completeness"] == pytest.approx(theory.all_within(1, 1.99), abs=0.01)
    assert run.metrics["reply.p99"] == pytest.approx(0.0001 + 0.01 * theory.deadline_for(1, 0.99), rel=0.05)


SERVERS: dict[str, Any] = {"pattern": "survey", "workers": 20, "time": "exponential 10 ms"}
