"""The small languages inside values: distributions, loads, expectations."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.scenario import (
    METRICS,
    Distribution,
    Load,
    metric_named,
    parse_distribution,
    parse_expectation,
    parse_load,
)
from workbench.scenario.units import QuantityError

seconds = st.floats(1e-9, 1e4)


@pytest.mark.parametrize(
    ("text", "meant", "mean"),
    [
        ("2 ms", Distribution("constant", 0.002), 0.002),
        ("exponential 2 ms", Distribution("exponential", 0.002), 0.002),
        ("uniform 1 ms to 3 ms", Distribution("uniform", 0.001, 0.003), 0.002),
        ("normal 2 ms sd 0.5 ms", Distribution("normal", 0.002, 0.0005), 0.002),
        ("lognormal 2 ms cv 0.5", Distribution("lognormal", 0.002, 0.5), 0.002),
    ],
)
def test_distributions(text: str, meant: Distribution, mean: float) -> None:
    assert parse_distribution(text) == meant
    assert parse_distribution(f"  {text}  ") == meant
    assert meant.mean == mean
    assert str(meant) == text.replace("0.5 ms", "500 µs")


@given(
    st.one_of(
        st.builds(Distribution, st.just("constant"), st.floats(0, 1e4)),
        st.builds(Distribution, st.just("exponential"), seconds),
        st.tuples(seconds, seconds).map(lambda pair: Distribution("uniform", min(pair), max(pair))),
        st.tuples(seconds, seconds).map(lambda pair: Distribution("normal", max(pair), min(pair))),
        st.builds(Distribution, st.just("lognormal"), seconds, st.floats(1e-6, 100)),
    )
)
def test_every_distribution_reads_back_equal(distribution: Distribution) -> None:
    assert parse_distribution(str(distribution)) == distribution


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("exponential", "a duration is missing after 'exponential', for example 'exponential 2 ms'"),
        ("exponential 0 ms", "a duration must be more than zero here: '0 ms'"),
        ("exponential 2", "'2' needs a unit, for example '2 ms'"),
        ("exponential 2 ms sd 1 ms", "'sd 1 ms' is not expected after a complete time"),
        ("uniform 3 ms to 1 ms", "a uniform time goes from the smaller to the larger: 'uniform 3 ms to 1 ms'"),
        ("uniform 3 ms", "'to' is missing in 'uniform 3 ms': written like 'uniform 1 ms to 3 ms'"),
        (
            "normal 1 ms sd 2 ms",
            "a normal time with more deviation than mean would mostly be cut off at zero: 'normal 1 ms sd 2 ms'",
        ),
        (
            "lognormal 2 ms cv nan",
            "a coefficient of variation is a number above 0, at most 100, without a unit, not 'nan'",
        ),
        ("zipf 2 ms", "unknown distribution 'zipf'"),
        ("pareto 2 ms", "'shape' is missing in 'pareto 2 ms': written like 'pareto 2 ms shape 2.5'"),
        (
            "pareto 2 ms shape 1",
            (
                "the shape of a pareto time is a number (above 1, or there is no mean; at most 100) "
                "without a unit, not '1'"
            ),
        ),
        ("empirical", "'empirical' needs a file beside the scenario, for example 'empirical times.txt'"),
        (7, "'7' needs a unit, for example '7 ms'"),
        (None, "expected a distribution of a time, for example 'exponential 2 ms', not nothing"),
    ],
)
def test_what_is_no_distribution(text: object, message: str) -> None:
    with pytest.raises(QuantityError) as raised:
        parse_distribution(text)
    assert raised.value.message == message


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("poisson 200/s", Load("poisson", 200.0)),
        ("paced 1/ms", Load("paced", 1000.0)),
        ("closed", Load("closed")),
        ("closed 4", Load("closed", outstanding=4)),
        ("closed think 1 ms", Load("closed", think=Distribution("constant", 0.001))),
        ("closed 4 think exponential 1 ms", Load("closed", outstanding=4, think=Distribution("exponential", 0.001))),
        ("flood", Load("flood")),
    ],
)
def test_loads(text: str, meant: Load) -> None:
    assert parse_load(text) == meant
    assert parse_load(str(meant)) == meant
    assert meant.open == (meant.rate is not None)


@given(
    st.one_of(
        st.builds(Load, st.sampled_from(["poisson", "paced"]), st.floats(1e-6, 1e9)),
        st.builds(
            Load,
            st.just("closed"),
            st.none(),
            st.integers(1, 100_000),
            st.none() | seconds.map(lambda mean: Distribution("exponential", mean)),
        ),
    )
)
def test_every_load_reads_back_equal(load: Load) -> None:
    assert parse_load(str(load)) == load


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("poisson", "poisson needs a rate per client, for example 'poisson 200/s'"),
        ("poisson 0/s", "a rate must be more than zero here: '0/s'"),
        ("poisson 200", "'200' needs a unit, for example '200/s'"),
        ("paced 5/s twice", "'twice' is not expected after a complete load"),
        ("closed 100001", "a closed load keeps from 1 to 100,000 requests under way, not 100001"),
        ("closed -1", "'closed' is followed by a number of requests or by 'think', not by '-1'"),
        ("closed 4 thnk 1 ms", "only 'think' and a time may follow, not 'thnk'"),
        ("closed 4 think", "'think' needs a time, for example 'closed 4 think exponential 1 ms'"),
        ("flood 5/s", "'5/s' is not expected after a complete load"),
        ("burst", "unknown load 'burst'"),
        ("", "unknown load ''"),
        (200, "expected a load, for example 'poisson 200/s', not the number 200"),
    ],
)
def test_what_is_no_load(text: object, message: str) -> None:
    with pytest.raises(QuantityError) as raised:
        parse_load(text)
    assert raised.value.message == message


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        ("lost == 0", [0], [1, None, math.nan]),
        ("lost = 0", [0], [1]),
        ("lost != 0", [1], [0]),
        ("latency.p99 <= 200 ms", [0.2, 0.1], [0.2001, None, math.nan]),
        ("latency.p99 < 200 ms", [0.1999], [0.2]),
        ("throughput >= 1000000/s", [1e6], [999_999.0]),
        ("throughput > 1000000/s", [1e6 + 1], [1e6]),
        ("cross_site_share = 50 % ± 1 %", [0.49, 0.51, 0.5], [0.4899, 0.5101, None]),
        ("cross_site_share != 50 % +- 1 %", [0.4899, 0.52], [0.49, 0.5]),
        ("users:cross_site_share.during ≥ 0.99", [0.99, 1.0], [0.98]),
    ],
)
def test_expectations(text: str, good: list[float], bad: list[Any]) -> None:
    expectation = parse_expectation(text)
    assert all(expectation.holds(value) for value in good)
    assert not any(expectation.holds(value) for value in bad)
    assert str(expectation) == text
    assert parse_expectation(expectation) is expectation


def test_the_parts_of_an_expectation() -> None:
    text = "new-york:cross_site_share.before = 50 % ± 1 % when routing = round-robin and services.foo.workers = 4"
    expectation = parse_expectation(text)
    assert (expectation.metric, expectation.op, expectation.value, expectation.tolerance) == (
        "new-york:cross_site_share.before",
        "==",
        0.5,
        0.01,
    )
    assert expectation.when == {"routing": "round-robin", "services.foo.workers": 4}
    metric = metric_named(expectation.metric)
    assert (metric.workload, metric.name, metric.phase) == ("new-york", "cross_site_share", "before")


def test_an_expectation_is_about_the_points_it_names() -> None:
    expectation = parse_expectation("lost == 0 when routing = priority and run.duration = 1 s and world = real")
    point = {"routing": "priority", "run.duration": "1000 ms"}
    assert expectation.applies(point, "real")
    assert not expectation.applies(point, "virtual")
    assert not expectation.applies({**point, "routing": "round-robin"}, "real")
    assert not expectation.applies({"routing": "priority"}, "real")
    assert parse_expectation("lost == 0").applies({}, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("latncy.p99 <= 1 s", "unknown metric 'latncy.p99'"),
        ("latency <= 1 s", "unknown metric 'latency'"),
        ("throughput.during > 1/s", "the metric 'throughput' has no '.during'"),
        ("lost <= 1 s", "'lost' is a count: compare it with a number, not with '1 s'"),
        ("cross_site_share < 50", "'50' needs a unit, for example '50 %'"),
        ("lost == 0 when routing", "'routing' is not a condition; it goes 'path = value'"),
        ("lost == 0 when a = 1 and a = 2", "the condition names 'a' twice"),
        (7, "expected an expectation, for example 'lost == 0', not the number 7"),
    ],
)
def test_what_is_no_expectation(text: Any, message: str) -> None:
    with pytest.raises(QuantityError) as raised:
        parse_expectation(text)
    assert raised.value.message == message


@given(st.text(max_size=60), st.sampled_from([parse_distribution, parse_load, parse_expectation]))
def test_no_text_does_worse_than_a_quantity_error(text: str, parser: Any) -> None:
    try:
        parsed = parser(text)
    except QuantityError as error:
        if error.span is not None:
            assert 0 <= error.span[0] < error.span[1] <= len(text)
        return
    assert parser(str(parsed)) == parsed


@given(st.sampled_from(sorted(METRICS)), st.sampled_from(["<", "<=", "==", ">", ">=", "!="]), st.floats(0, 1))
def test_every_metric_can_be_expected(name: str, op: str, value: float) -> None:
    kind = METRICS[name][0]
    unit = "" if kind is None else {"%": " %", "s": " s", "/s": "/s", "B": " B"}[kind.base]
    expectation = parse_expectation(f"{name} {op} {value:.6f}{unit}")
    assert expectation.op == op
    assert parse_expectation(expectation._spelled()) == expectation
