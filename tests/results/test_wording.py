import pytest

from workbench.results import Estimate, wording
from workbench.results.wording import MetricName, difference_text, full_text, metric_label, metric_phrase, quantity_text


@pytest.mark.parametrize(
    ("value", "low", "high", "unit", "said"),
    [
        (0.0752, 0.0749, 0.0755, "s", "75.2 ms [74.9, 75.5]"),
        (0.0752, 0.0552, 0.0952, "s", "75 ms [55, 95]"),
        (10.5e-6, 10e-6, 11e-6, "s", "10.5 µs [10.0, 11.0]"),
        (0.0, -0.002, 0.002, "s", "0 ms [−2, 2]"),
        (2.5, None, None, "s", "2.50 s"),
        (0.5, 0.4996, 0.5004, "1", "50.00 % [49.96, 50.04]"),
        (0.0, 0.0, 0.0, "1", "0.0 % [0.0, 0.0]"),
        (1321234.0, 1.3e6, 1.34e6, "1/s", "1,320,000/s [1,300,000, 1,340,000]"),
        (12003.0, None, None, "count", "12,003"),
        (0.35, 0.1, 0.6, "count", "0.35 [0.10, 0.60]"),
        (0.62, 0.6, 0.64, "ratio", "0.62 [0.60, 0.64]"),
        (None, None, None, "s", "—"),
    ],
)
def test_a_value_has_the_digits_its_interval_supports(
    value: float | None, low: float | None, high: float | None, unit: str, said: str
) -> None:
    assert full_text(Estimate(value, low, high, unit, 20)) == said


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (1e-9, "s", "1.00 ns"),
        (999.6e-9, "s", "1,000 ns"),
        (3.14159e-5, "s", "31.4 µs"),
        (0.0, "s", "0 s"),
        (-0.0, "1", "0.0 %"),
        (0.12345, "1", "12.3 %"),
        (1e6, "1/s", "1,000,000/s"),
        (0.0001234, "1", "0.0123 %"),
    ],
)
def test_a_bare_value_has_three_digits_at_a_readable_scale(value: float, unit: str, said: str) -> None:
    assert quantity_text(value, unit) == said


@pytest.mark.parametrize(
    ("estimate", "said"),
    [
        (Estimate(-0.5, -0.501, -0.499, "1", 9), "−50.0 points"),
        (Estimate(0.0031, None, None, "s", 1), "+3.10 ms"),
        (Estimate(0.0, 0.0, 0.0, "count", 9), "0"),
        (Estimate(-0.0002, -0.0033, 0.0028, "s", 9), "−0.2 ms"),
        (Estimate(None, None, None, "s", 0), "—"),
    ],
)
def test_a_difference_shows_its_sign(estimate: Estimate, said: str) -> None:
    assert difference_text(estimate) == said


def test_a_name_is_taken_apart_at_workload_and_phase() -> None:
    assert MetricName.parse("new-york:latency.p99.during") == MetricName("latency.p99", "new-york", "during")
    assert MetricName.parse("latency.p99") == MetricName("latency.p99")
    assert MetricName.parse("something.new") == MetricName("something.new")


def test_metrics_are_said_in_words() -> None:
    assert metric_label("new-york:cross_site_share.during") == "new-york: cross-site share, during the fault"
    assert metric_phrase("new-york:cross_site_share.during") == "the cross-site share of new-york during the fault"
    assert metric_phrase("lost") == "lost requests"
    assert metric_label("own_thing") == "own thing"


def test_units_are_those_the_scenario_language_expects() -> None:
    from workbench.scenario.expect import METRICS
    from workbench.scenario.units import DURATION, FRACTION, RATE, SIZE

    units = {id(DURATION): "s", id(FRACTION): "1", id(RATE): "1/s", id(SIZE): "B", id(None): "count"}
    assert {name: wording.metric_unit(name) for name in METRICS} == {
        name: units[id(kind)] for name, (kind, _) in METRICS.items()
    }


def test_reading_order_is_whole_run_then_phases_then_workloads() -> None:
    names = ["b:lost", "latency.p99", "lost.during", "lost", "requests", "lost.before", "zzz"]
    assert sorted(names, key=wording.metric_order) == [
        "requests",
        "lost",
        "lost.before",
        "lost.during",
        "latency.p99",
        "zzz",
        "b:lost",
    ]


def test_a_point_is_named_by_its_values_and_numbers_by_their_key() -> None:
    assert wording.setting_label({"routing": "priority", "services.foo.workers": 4}) == "priority, workers = 4"
    assert wording.setting_label({"a": "x", "b": "y"}, {"a": "x", "b": "z"}) == "y"
    assert wording.setting_label({}) == "all"
