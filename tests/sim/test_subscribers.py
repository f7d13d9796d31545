"""Subscribers that are too slow: what the rules for full queues do, and the snail."""

from typing import Any

import pytest

from workbench.scenario import Scenario, load, points
from workbench.sim.replication import replicate


def run(subscriber: dict[str, Any], publisher: dict[str, Any], duration: str = "12 s") -> Any:
    data = {
        "version": 1,
        "name": "slow",
        "sites": {"here": None},
        "services": {"reader": {"at": {"here": 1}, "pattern": "subscribe", "time": "2 ms"} | subscriber},
        "workloads": {"writer": {"at": "here", "to": "reader", "load": "paced 1000/s", "size": "4 KiB"} | publisher},
        "run": {"duration": duration, "seed": 2},
    }
    return replicate(Scenario.model_validate(data), 0, 0, 1)


def test_the_snail_dies_after_two_seconds_and_loses_nothing_before() -> None:
    shipped = load("scenarios/suicidal-snail.yaml")
    point = next(point for point in points(shipped) if point.set["services.snail.like"] == "zeromq")
    for index in range(5):
        seen = replicate(point.scenario, 0, index, 1)
        assert seen.metrics["gave_up"] == 1
        died = seen.metrics["give_up_time"]
        assert died == pytest.approx(2.0, rel=0.05)
        # All that was sent until a second before has been received: nothing was dropped.
        assert seen.metrics["answered"] == pytest.approx((died - 1.0) * 1000, abs=3)


@pytest.mark.parametrize(("rule", "each"), [("drop-new", 0.002), ("drop-old", 0.001)])
def test_a_longer_queue_makes_everything_that_is_not_dropped_older(rule: str, each: float) -> None:
    waits = []
    for length in (50, 150):
        seen = run({"queue": 50, "when-full": rule}, {"send-queue": length, "timeout": "2 s"})
        assert seen.metrics["lost_share"] == pytest.approx(0.5, abs=0.08)
        waits.append(seen.metrics["latency.p50"])
    # The newest waits until all before it have been worked on, two milliseconds each. Where the oldest gives way, half
    # of those in front do, so the queue moves twice as fast.
    assert waits[1] - waits[0] == pytest.approx(100 * each, rel=0.03)


def test_who_blocks_loses_nothing_and_is_later_and_later() -> None:
    seen = run({"queue": 50}, {"send-queue": 50, "timeout": "60 s"})
    assert seen.counts["lost"] == 0
    assert seen.metrics["latency.max"] == pytest.approx(6.0, rel=0.02)


def test_every_subscriber_counts() -> None:
    seen = run({"at": {"here": 5}, "time": "10 us"}, {})
    assert seen.metrics["answered"] == pytest.approx(5 * 12_000, rel=0.01)
    assert seen.metrics["lost"] <= 5
