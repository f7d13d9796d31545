import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.results import Histogram, Point, Replication, compare, estimate


def point(setting: dict[str, object], values: list[float], metric: str = "cross_site_share") -> Point:
    runs = [Replication(0, index, index, {metric: value}) for index, value in enumerate(values)]
    return estimate.summarise(setting, runs)


def test_the_verdict_is_one_sentence_with_both_values_the_difference_and_its_interval() -> None:
    base = point({"routing": "round-robin"}, [0.5, 0.501, 0.499, 0.5])
    other = point({"routing": "priority"}, [0.0, 0.0, 0.0, 0.0])
    verdict = compare.compare(base, other, "cross_site_share")
    assert verdict.text == (
        "priority lowers the cross-site share: 0.0 % against 50.0 % with round-robin "
        "(−50.0 points, 95 % interval [−50.1, −49.9], n = 4)"
    )
    assert verdict.difference.value == pytest.approx(-0.5)
    assert verdict.ratio is None


def test_a_difference_the_interval_does_not_tell_from_nought_is_called_none() -> None:
    base = point({"routing": "round-robin"}, [0.010, 0.012, 0.011], "latency.p99")
    other = point({"routing": "priority"}, [0.012, 0.010, 0.0111], "latency.p99")
    text = compare.compare(base, other, "latency.p99").text
    assert text.startswith(
        "priority: no difference in the latency p99 can be shown at this precision: 11 ms against 11 ms with "
        "round-robin ("
    )
    assert "95 % interval [" in text
    assert text.endswith("], n = 3; four times the replications would halve it)")


def test_what_never_differed_shows_no_difference() -> None:
    base, other = (
        point({"routing": "round-robin"}, [0, 0, 0], "lost"),
        point({"routing": "priority"}, [0, 0, 0], "lost"),
    )
    text = compare.compare(base, other, "lost").text
    assert text.startswith("priority shows no difference in lost requests: 0 against 0 with round-robin (")


def test_a_ratio_whose_interval_holds_one_decides_nothing() -> None:
    base = point({"library": "ours"}, [1e6 + i for i in range(8)], "throughput")
    other = point({"library": "nng"}, [1e6 + 7 - i for i in range(8)], "throughput")
    text = compare.compare(base, other, "throughput", by="ratio").text
    assert text.startswith("nng: no difference in the throughput can be shown at this precision: ")
    assert text.endswith("; four times the replications would halve it)")


def test_names_units_and_phases_come_from_the_metric_and_the_point() -> None:
    base = point({"services.foo.workers": 2, "size": "64 B"}, [10.0, 12.0], "london:lost.during")
    other = point({"services.foo.workers": 4, "size": "64 B"}, [40.0, 43.0], "london:lost.during")
    text = compare.compare(base, other, "london:lost.during").text
    assert text.startswith("workers = 4 (size = 64 B) raises lost requests of london during the fault: ")
    assert " with workers = 2 (" in text


def test_one_replication_gives_values_and_says_there_is_no_interval() -> None:
    verdict = compare.compare(point({"a": "x"}, [0.5]), point({"a": "y"}, [0.25]), "cross_site_share")
    assert verdict.text == (
        "y, the cross-site share: 25.0 % against 50.0 % with x (−25.0 points, no interval from 1 pair)"
    )
    assert verdict.variance_reduction is None


def test_a_metric_that_one_side_lacks_is_said_with_the_reason() -> None:
    base = point({"library": "ours"}, [2.0, 2.0], "throughput")
    other = Point({"library": "nng"}, {}, [Replication(0, 0, 0, {}, notes=["pynng is not installed"])])
    verdict = compare.compare(base, other, "throughput")
    assert verdict.text == (
        "nng cannot be compared with ours in the throughput: nng has no value (pynng is not installed)"
    )
    assert verdict.difference.value is None


def test_replications_are_paired_by_index_not_by_place() -> None:
    base = point({"a": "x"}, [0.1, 0.2, 0.3])
    runs = [Replication(0, index, index, {"cross_site_share": (index + 1) / 10}) for index in (2, 0, 5)]
    assert compare.paired(base, estimate.summarise({"a": "y"}, runs), "cross_site_share") == [(0.1, 0.1), (0.3, 0.3)]


def test_shared_luck_narrows_the_interval_by_the_factor_it_reports() -> None:
    luck = np.random.default_rng(1)
    shared = luck.normal(10, 3, 4000)
    base, other = shared + luck.normal(0, 1, 4000), shared + luck.normal(1, 1, 4000)
    # (10 + 10) / 2
    assert compare.variance_reduction(base.tolist(), other.tolist()) == pytest.approx(10, rel=0.1)
    assert compare.variance_reduction(base.tolist(), other[::-1].tolist()) == pytest.approx(1, rel=0.1)


def test_without_any_variance_there_is_no_factor() -> None:
    assert compare.variance_reduction([1.0, 2.0], [2.0, 3.0]) is None
    assert compare.variance_reduction([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]) is None


def test_a_ratio_is_the_median_over_blocks_whatever_the_drift() -> None:
    drift = [1.0, 5.0, 2.0, 9.0, 3.0, 7.0]
    ratio = compare.ratio_of(drift, [0.5 * value for value in drift])
    assert ratio is not None
    assert (ratio.value, ratio.low, ratio.high, ratio.unit, ratio.n) == (0.5, 0.5, 0.5, "ratio", 6)


def test_a_ratio_to_nought_is_none() -> None:
    assert compare.ratio_of([0.0, 1.0], [1.0, 1.0]) is None
    assert compare.ratio_of([], []) is None


def test_a_verdict_by_ratio_speaks_of_the_ratio() -> None:
    base = point({"library": "ours"}, [2e6 + i for i in range(20)], "throughput")
    other = point({"library": "zeromq"}, [1e6 + i for i in range(20)], "throughput")
    text = compare.compare(base, other, "throughput", by="ratio").text
    assert text.startswith("zeromq: the throughput is 0.500")
    assert "times that of ours: 1,000,0" in text
    assert text.endswith("n = 20)")


def test_every_other_value_is_compared_with_the_baseline_at_each_setting_of_the_other_axes() -> None:
    points = [
        point({"workers": workers, "routing": routing}, [0.1, 0.2]) for workers in (2, 4) for routing in ("a", "b", "c")
    ]
    found = compare.verdicts(points, axis="routing", baseline="b")
    assert [(v.other["workers"], v.other["routing"]) for v in found] == [(2, "a"), (2, "c"), (4, "a"), (4, "c")]
    assert {v.baseline["routing"] for v in found} == {"b"}
    first = compare.verdicts(points)
    assert [(v.baseline["workers"], v.other["workers"]) for v in first] == [(2, 4)] * 3


def test_without_a_sweep_there_is_nothing_to_compare() -> None:
    assert compare.verdicts([point({}, [0.1])]) == []


@pytest.mark.parametrize(("axis", "baseline"), [("nowhere", None), ("a", "z")])
def test_an_axis_or_baseline_that_is_not_there_is_refused(axis: str, baseline: str | None) -> None:
    with pytest.raises(ValueError, match="cannot compare"):
        compare.verdicts([point({"a": "x"}, [0.1]), point({"a": "y"}, [0.1])], axis=axis, baseline=baseline)


histograms = st.lists(st.integers(0, 10**9), min_size=1, max_size=60).map(Histogram.of)


@given(histograms, histograms)
def test_a_distance_is_symmetric_and_nought_only_for_equals(one: Histogram, other: Histogram) -> None:
    there, back = compare.distance(one, other), compare.distance(other, one)
    assert there is not None
    assert back is not None
    assert 0 <= there.kolmogorov <= 1
    assert math.isclose(there.kolmogorov, back.kolmogorov)
    assert math.isclose(there.area, back.area)
    assert there.quantiles == {q: -shift for q, shift in back.quantiles.items()}
    zero = compare.distance(one, one)
    assert zero is not None
    assert (zero.kolmogorov, zero.area) == (0, 0)


def test_the_distance_agrees_with_scipy() -> None:
    from scipy import stats

    luck = np.random.default_rng(4)
    one, other = luck.integers(0, 10**6, 500), luck.integers(10**5, 10**6, 700)
    found = compare.distance(Histogram.of(one), Histogram.of(other))
    assert found is not None
    assert found.kolmogorov == pytest.approx(stats.ks_2samp(one, other).statistic)
    assert found.area == pytest.approx(stats.wasserstein_distance(one, other) / 1e9)


def test_a_shift_moves_every_quantile_by_itself() -> None:
    found = compare.distance(Histogram.of(range(1000)), Histogram.of(range(500, 1500)))
    assert found is not None
    assert found.kolmogorov == pytest.approx(0.5)
    assert found.area == pytest.approx(500e-9)
    assert all(shift == pytest.approx(500e-9) for shift in found.quantiles.values())


def test_a_distance_to_nothing_is_none() -> None:
    assert compare.distance(Histogram.of([]), Histogram.of([1])) is None
