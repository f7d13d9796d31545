import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.results import (
    Estimate,
    ExpectationResult,
    Histogram,
    Link,
    Point,
    Replication,
    Result,
    TimelineRow,
    Verdict,
)

finite = st.floats(allow_nan=False, allow_infinity=False)
maybe = st.none() | finite
names = st.text(min_size=1, max_size=20)
whole = st.integers(0, 2**53)
estimates = st.builds(Estimate, maybe, maybe, maybe, st.sampled_from(["s", "1", "count", "1/s", "ratio"]), whole)
settings = st.dictionaries(names, st.none() | st.booleans() | whole | finite | names, max_size=3)
points = st.builds(Point, settings, st.dictionaries(names, estimates, max_size=4))
verdicts = st.builds(Verdict, names, names, settings, settings, estimates, st.none() | estimates, maybe)
expectations = st.builds(ExpectationResult, names, st.booleans())
results = st.builds(
    Result,
    names,
    st.sampled_from(["virtual", "real"]),
    names,
    st.lists(points, max_size=3),
    st.lists(verdicts, max_size=3),
    st.lists(expectations, max_size=3),
    whole,
    finite,
)
histograms = st.lists(st.integers(0, 10**12), max_size=20).map(Histogram.of)
rows = st.fixed_dictionaries(
    {
        "workload": names,
        "bin_start_s": finite,
        "sent": whole,
        "answered": st.dictionaries(names, whole, max_size=3),
        "lost": whole,
        "latency_sum_s": finite,
    }
)
replications = st.builds(
    Replication,
    whole,
    whole,
    st.integers(0, 2**64 - 1),
    st.dictionaries(names, finite, max_size=4),
    st.dictionaries(names, histograms, max_size=2),
    st.lists(rows, max_size=3),
    st.dictionaries(names, whole, max_size=3),
    whole,
    finite,
    st.lists(names, max_size=2),
)


@given(results)
def test_a_result_comes_back_from_json_as_it_was(result: Result) -> None:
    assert Result.from_json(json.loads(json.dumps(result.to_json(), allow_nan=False))) == result


@given(replications)
def test_a_replication_comes_back_from_json_as_it_was(replication: Replication) -> None:
    back = Replication.from_json(json.loads(json.dumps(replication.to_json(), allow_nan=False)))
    assert back == replication
    assert back.digest() == replication.digest()


def test_the_summary_has_exactly_the_promised_keys() -> None:
    value = Estimate(0.5, 0.4, 0.6, "1", 20)
    result = Result(
        scenario="s",
        world="virtual",
        run="r",
        points=[Point({"routing": "priority"}, {"cross_site_share": value}, [Replication(0, 0, 0, {})])],
        verdicts=[Verdict("text", "cross_site_share", {"routing": "a"}, {"routing": "b"}, value, None, 2.0)],
        expectations=[ExpectationResult("lost == 0", True, 0.0)],
        events=5,
        wall_s=1.5,
        links=[Link("a – b", "modelled")],
    )
    number = {"value": 0.5, "low": 0.4, "high": 0.6, "unit": "1", "n": 20}
    assert result.to_json() == {
        "scenario": "s",
        "world": "virtual",
        "run": "r",
        "points": [{"set": {"routing": "priority"}, "metrics": {"cross_site_share": number}}],
        "verdicts": [
            {
                "text": "text",
                "metric": "cross_site_share",
                "baseline": {"routing": "a"},
                "other": {"routing": "b"},
                "difference": number,
                "ratio": None,
                "variance_reduction": 2.0,
            }
        ],
        "expectations": [{"text": "lost == 0", "holds": True}],
        "events": 5,
        "wall_s": 1.5,
    }


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_no_number_is_left_that_json_cannot_hold(number: float) -> None:
    with pytest.raises(ValueError, match="finite numbers or None"):
        Estimate(number, None, None, "s", 1)
    with pytest.raises(ValueError, match="a metric without a value is left out"):
        Replication(0, 0, 0, {"latency.p50": number})


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_fits_into_64_bits(seed: int) -> None:
    with pytest.raises(ValueError, match="below 2\\^64"):
        Replication(0, 0, seed, {})


def test_the_digest_knows_the_run_and_forgets_the_machine() -> None:
    row: TimelineRow = {
        "workload": "w",
        "bin_start_s": 0.0,
        "sent": 1,
        "answered": {"a": 1},
        "lost": 0,
        "latency_sum_s": 0.1,
    }
    one = Replication(0, 0, 7, {"lost": 0.1}, timeline=[row], events=3, wall_s=1.0, notes=["slow"])
    same = Replication(0, 0, 7, {"lost": 0.1}, timeline=[row], events=3, wall_s=2.0)
    other = Replication(0, 0, 7, {"lost": 0.1 + 1e-17 + 1e-16}, timeline=[row], events=3, wall_s=1.0)
    assert one.digest() == same.digest()
    assert one.digest() != other.digest()


def test_a_point_pools_the_histograms_of_its_replications() -> None:
    runs = [Replication(0, i, i, {}, {"latency": Histogram.of([i, i + 1])}) for i in range(3)]
    assert Point({}, {}, runs).histogram("latency") == Histogram.of([0, 1, 1, 2, 2, 3])
    assert Point({}, {}, runs).histogram("nothing").count == 0
