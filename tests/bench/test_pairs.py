"""The order of blocks, and ratios against what is known."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from workbench.bench.pairs import Task, order
from workbench.results import Estimate, Point, Replication
from workbench.results.control import Control, claimable, control

TASKS = [
    Task(point, workload, f"{workload} {point % 2}", again)
    for point in range(6)
    for workload in ("flood", "ping")
    for again in ((False, True) if point < 2 else (False,))
]


def test_a_block_measures_everything_once() -> None:
    for block in range(20):
        assert Counter(order(TASKS, block, seed=1)) == Counter(TASKS)


def test_what_is_compared_is_measured_side_by_side() -> None:
    for block in range(20):
        groups = [task.group for task in order(TASKS, block, seed=1)]
        changes = sum(one != other for one, other in pairwise(groups))
        assert changes == len(set(groups)) - 1


def test_the_order_follows_from_seed_and_block_alone() -> None:
    assert order(TASKS, 5, seed=1) == order(TASKS, 5, seed=1)
    assert order(TASKS, 5, seed=1) != order(TASKS, 6, seed=1)
    assert order(TASKS, 5, seed=1) != order(TASKS, 5, seed=2)


def test_every_task_of_a_group_comes_first_about_as_often() -> None:
    first = Counter(next(task for task in order(TASKS, block, 9) if task.group == "ping 0") for block in range(900))
    assert len(first) == 4
    # 225 expected each; six standard deviations are 78.
    assert all(147 < count < 303 for count in first.values()), first


def test_neither_the_baseline_nor_its_second_time_has_a_fixed_place() -> None:
    ahead = 0
    for block in range(400):
        tasks = [task for task in order(TASKS, block, seed=4) if task.point == 0 and task.workload == "ping"]
        ahead += tasks[0].again
    assert 140 < ahead < 260  # 200 expected, six standard deviations are 60


def point(first: list[float], again: list[float] | None = None, library: str = "ours") -> Point:
    runs = []
    for at, value in enumerate(first):
        metrics = {"flood:throughput": value}
        if again is not None:
            metrics["flood:throughput.again"] = again[at]
        runs.append(Replication(point=0, index=at, seed=1, metrics=metrics))
    return Point({"library": library}, {}, runs)


def test_the_control_is_the_second_time_over_the_first_in_each_block() -> None:
    factors = [0.97, 0.98, 0.99, 1.0, 1.01, 1.02, 1.03, 1.04]
    # The level drifts fourfold; the ratios within a block do not see it.
    levels = [100.0 * (1 + at / 2) for at in range(8)]
    again = [level * factor for level, factor in zip(levels, factors, strict=True)]
    found = control(point(levels, again), "flood:throughput")
    assert found is not None
    assert found.ratio.n == 8
    assert found.ratio.value == pytest.approx(1.005)
    # Of eight sorted values the first and the last enclose the median with 99.2 %, the second and seventh with 93.0 %.
    assert (found.ratio.low, found.ratio.high) == (pytest.approx(0.97), pytest.approx(1.04))
    assert found.half_width == pytest.approx(0.04)
    assert found.sound
    assert str(found) == "A/A ± 0.04"


def test_a_half_width_counts_from_one_and_the_same_either_way_round() -> None:
    low = Control("m", {}, Estimate(0.85, 0.8, 0.9, "ratio", 10))
    high = Control("m", {}, Estimate(1 / 0.85, 1 / 0.9, 1 / 0.8, "ratio", 10))
    assert low.half_width == pytest.approx(0.25)
    assert high.half_width == pytest.approx(0.25)
    assert not low.sound
    assert not high.sound


def test_a_block_without_its_second_time_is_left_out_of_the_control() -> None:
    whole = point([1.0] * 6, [1.0] * 6)
    torn = Replication(point=0, index=6, seed=1, metrics={"flood:throughput": 1.0})
    found = control(Point({}, {}, [*whole.replications, torn]), "flood:throughput")
    assert found is not None
    assert found.ratio.n == 6
    assert control(point([1.0, 2.0]), "flood:throughput") is None


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1.06, 1.2, True),
        (1.04, 1.2, False),  # within what the control makes of no difference
        (0.9, 1.1, False),
        (0.7, 0.94, True),
        (0.7, 0.96, False),
    ],
)
def test_no_claim_is_smaller_than_the_control_allows(low: float, high: float, expected: bool) -> None:
    against = Control("m", {}, Estimate(1.0, 0.96, 1.05, "ratio", 10))
    assert claimable(Estimate((low + high) / 2, low, high, "ratio", 10), against) is expected


def test_without_intervals_nothing_is_claimed_and_nothing_denied() -> None:
    against = Control("m", {}, Estimate(1.0, 0.96, 1.05, "ratio", 10))
    assert claimable(Estimate(2.0, None, None, "ratio", 3), against) is None
    assert claimable(Estimate(2.0, 1.9, 2.1, "ratio", 10), None) is None
    unsure = Control("m", {}, Estimate(1.0, None, None, "ratio", 3))
    assert claimable(Estimate(2.0, 1.9, 2.1, "ratio", 10), unsure) is None
