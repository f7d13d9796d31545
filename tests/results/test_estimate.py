import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.results import Estimate, Histogram, Replication, estimate
from workbench.results.ranks import order_statistic_ranks

REPEATS = 2000

# 95 % of 2000 has a standard error of 0.5 points; four of them on either side.
COVERED = (0.93, 0.97)

numbers = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40)


def covered(make: object, truth: float, draw: object) -> float:
    hits = 0
    for _ in range(REPEATS):
        found: Estimate = make(draw())  # type: ignore[operator]
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= truth <= found.high
    return hits / REPEATS


@pytest.mark.parametrize("n", [2, 3, 10, 30])
def test_the_interval_of_a_mean_covers_it_in_95_of_100_experiments(n: int) -> None:
    luck = np.random.default_rng(n)
    share = covered(lambda data: estimate.mean(data, "s"), 10.0, lambda: luck.normal(10.0, 2.0, n).tolist())
    assert COVERED[0] <= share <= COVERED[1]


@pytest.mark.parametrize("n", [6, 20, 30, 31])
def test_the_interval_of_a_median_covers_it_at_least_as_often_as_it_says(n: int) -> None:
    # A lognormal is far from normal; the median of one with mu = 0 is 1. The exact coverage is known.
    luck = np.random.default_rng(n)
    share = covered(lambda data: estimate.median(data, "ratio"), 1.0, lambda: luck.lognormal(0, 2.0, n).tolist())
    ranks = order_statistic_ranks(n)
    assert ranks is not None
    exact = sum(math.comb(n, k) for k in range(ranks[0], ranks[1])) / 2**n
    assert exact >= 0.95
    assert abs(share - exact) < 0.02


def test_the_interval_of_a_paired_difference_covers_it() -> None:
    luck = np.random.default_rng(5)

    def draw() -> tuple[list[float], list[float]]:
        shared = luck.normal(0, 10, 10)
        return (shared + luck.normal(0, 1, 10)).tolist(), (shared + luck.normal(2, 1, 10)).tolist()

    share = covered(lambda pair: estimate.difference(*pair, "s"), 2.0, draw)
    assert COVERED[0] <= share <= COVERED[1]


def test_welchs_interval_covers_a_difference_of_unequal_samples() -> None:
    luck = np.random.default_rng(6)

    def draw() -> tuple[list[float], list[float]]:
        return luck.normal(0, 1, 20).tolist(), luck.normal(3, 5, 6).tolist()

    share = covered(lambda pair: estimate.unpaired_difference(*pair, "s"), 3.0, draw)
    assert COVERED[0] <= share <= COVERED[1]


@pytest.mark.parametrize("truth", [0.02, 0.5])
def test_the_interval_of_a_proportion_never_covers_less_than_it_says(truth: float) -> None:
    luck = np.random.default_rng(9)
    share = covered(lambda hits: estimate.proportion(hits, 200), truth, lambda: int(luck.binomial(200, truth)))
    assert share >= COVERED[0]


def test_a_proportion_that_never_hit_still_has_an_upper_bound() -> None:
    # The rule of three: about 3.7 / n at 95 % two-sided.
    found = estimate.proportion(0, 100)
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 100))


@pytest.mark.parametrize(
    ("n", "ranks"), [(5, None), (6, (1, 6)), (20, (6, 15)), (30, (10, 21)), (50, (18, 33)), (1, None), (0, None)]
)
def test_the_ranks_around_a_median_are_the_tabled_ones(n: int, ranks: tuple[int, int] | None) -> None:
    assert order_statistic_ranks(n) == ranks


@given(st.integers(1, 400), st.floats(0.01, 0.99))
def test_ranks_leave_each_tail_at_most_its_half(n: int, q: float) -> None:
    ranks = order_statistic_ranks(n, q)
    if ranks is None:
        return
    low, high = ranks
    below = [math.comb(n, k) * q**k * (1 - q) ** (n - k) for k in range(n + 1)]
    assert sum(below[:low]) <= 0.025 + 1e-9
    assert sum(below[high:]) <= 0.025 + 1e-9
    # and they are the closest such ranks
    assert sum(below[: low + 1]) > 0.025 - 1e-9
    assert sum(below[high - 1 :]) > 0.025 - 1e-9


@given(numbers)
def test_a_mean_lies_within_its_interval(data: list[float]) -> None:
    found = estimate.mean(data, "s")
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    slack = 1e-9 * max(1.0, *map(abs, data))
    assert found.low - slack <= found.value <= found.high + slack
    assert found.value == pytest.approx(float(np.mean(data)), abs=slack)
    assert found.n == len(data)


@given(numbers)
def test_the_order_of_replications_does_not_matter(data: list[float]) -> None:
    assert estimate.mean(data, "s") == estimate.mean(data[::-1], "s")


def test_one_value_has_no_interval_and_none_has_no_value() -> None:
    assert estimate.mean([3.0], "s") == Estimate(3.0, None, None, "s", 1)
    assert estimate.mean([], "s") == Estimate(None, None, None, "s", 0)
    assert estimate.median([1.0, 3.0], "s") == Estimate(2.0, None, None, "s", 2)


def test_the_interval_of_a_mean_is_the_one_worked_out_by_hand() -> None:
    # With t = 2.26216 at nine degrees of freedom, from a printed table.
    data = [1.20, 1.50, 1.68, 1.89, 0.95, 1.49, 1.58, 1.55, 0.50, 1.09]
    found = estimate.mean(data, "s")
    half = 2.26216 * math.sqrt(sum((x - 1.343) ** 2 for x in data) / 9 / 10)
    assert found.value == pytest.approx(1.343)
    assert found.half_width == pytest.approx(half, rel=1e-5)


def test_the_interval_of_a_fraction_stays_within_nought_and_one() -> None:
    found = estimate.mean([0.0, 0.0, 0.4], "1")
    assert found.low == 0.0
    found = estimate.mean([1.0, 1.0, 0.6], "1")
    assert found.high == 1.0


def test_what_can_be_negative_keeps_a_negative_bound() -> None:
    found = estimate.mean([-0.1, 0.0, 0.4], "s")
    assert found.low is not None
    assert found.low < 0


def test_a_percentile_is_the_mean_of_the_replications_own() -> None:
    runs = [Histogram.of(range(start, start + 100)) for start in (0, 100, 200)]
    found = estimate.percentile([*runs, Histogram.of([])], 0.5)
    assert found.value == pytest.approx(149e-9)
    assert found.n == 3


def test_a_metric_that_only_some_replications_have_says_how_many() -> None:
    runs = [Replication(0, 0, 1, {"lost": 1.0, "failover_time": 0.5}), Replication(0, 1, 2, {"lost": 3.0})]
    found = estimate.estimates(runs)
    assert found["lost"].value == 2.0
    assert found["failover_time"] == Estimate(0.5, None, None, "s", 1)


def test_a_point_holds_its_replications_in_order_however_they_arrived() -> None:
    runs = [Replication(0, index, index, {"lost": float(index)}) for index in (2, 0, 1)]
    point = estimate.summarise({"routing": "priority"}, runs)
    assert [run.index for run in point.replications] == [0, 1, 2]
    assert point == estimate.summarise({"routing": "priority"}, reversed(runs))
