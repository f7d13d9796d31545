import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.results import Histogram

samples = st.lists(st.integers(0, 10**12), max_size=200)
some = st.lists(st.integers(0, 10**12), min_size=1, max_size=200)
fractions = st.floats(0, 1)


@given(samples, samples)
def test_merging_two_is_counting_both_together(first: list[int], second: list[int]) -> None:
    assert Histogram.of(first).merge(Histogram.of(second)) == Histogram.of(first + second)


@given(st.lists(samples, max_size=5))
def test_merging_many_is_counting_all_together(parts: list[list[int]]) -> None:
    everything = [sample for part in parts for sample in part]
    assert Histogram.merged(map(Histogram.of, parts)) == Histogram.of(everything)


@given(some, fractions)
def test_a_quantile_is_the_smallest_value_that_the_fraction_does_not_exceed(data: list[int], q: float) -> None:
    rank = max(1, math.ceil(round(q * len(data), 6)))
    assert Histogram.of(data).quantile(q) == sorted(data)[rank - 1] / 1e9


@given(some, fractions, fractions)
def test_quantiles_do_not_fall(data: list[int], p: float, q: float) -> None:
    histogram = Histogram.of(data)
    assert histogram.quantile(min(p, q)) <= histogram.quantile(max(p, q))


def test_a_rank_is_not_pushed_up_by_binary_fractions() -> None:
    # 0.07 * 100 is 7.000000000000001
    assert Histogram.of(range(1, 101)).quantile(0.07) == 7e-9


@given(some)
def test_mean_and_count_are_those_of_the_samples(data: list[int]) -> None:
    histogram = Histogram.of(data)
    assert histogram.count == len(data)
    assert histogram.mean == pytest.approx(sum(data) / len(data) / 1e9)


@given(samples)
def test_json_and_pickle_give_the_same_histogram_back(data: list[int]) -> None:
    histogram = Histogram.of(data)
    assert Histogram.from_json(json.loads(json.dumps(histogram.to_json()))) == histogram
    assert pickle.loads(pickle.dumps(histogram)) == histogram


def test_an_empty_histogram_has_no_mean_and_no_quantile() -> None:
    empty = Histogram.of([])
    assert empty.count == 0
    assert math.isnan(empty.mean)
    assert math.isnan(empty.quantile(0.5))
    assert empty.quantile_interval(0.5) is None


def test_values_that_were_never_seen_are_dropped() -> None:
    assert Histogram(np.array([1, 2, 3]), np.array([4, 0, 1])) == Histogram(np.array([1, 3]), np.array([4, 1]))


@pytest.mark.parametrize(
    ("values", "counts", "complaint"),
    [
        ([2, 1], [1, 1], "must ascend"),
        ([1, 1], [1, 1], "must ascend"),
        ([1], [-1], "cannot be negative"),
        ([1, 2], [1], "as many counts as values"),
        ([0.5], [1], "whole nanoseconds"),
    ],
)
def test_a_broken_histogram_is_refused(values: list[int], counts: list[int], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Histogram(np.array(values), np.array(counts))


def test_a_quantile_outside_nought_and_one_is_refused() -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        Histogram.of([1]).quantile(99)


def test_a_histogram_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Histogram.of([1, 2]).counts[0] = 7


def test_the_order_statistic_interval_of_a_quantile_covers_it() -> None:
    # The p90 of an exponential with mean 1 ms is ln(10) ms.
    luck = np.random.default_rng(3)
    truth, hits = math.log(10) * 1e-3, 0
    for _ in range(1000):
        interval = Histogram.of(luck.exponential(1e6, 400).astype(np.int64)).quantile_interval(0.9)
        assert interval is not None
        hits += interval[0] <= truth <= interval[1]
    assert 0.935 <= hits / 1000 <= 0.985
