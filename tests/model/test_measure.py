"""From meters to metrics: phases, names, merging, and books that must balance."""

from dataclasses import replace
from typing import Any

import pytest

from workbench._engine import Meter
from workbench.engine.window import Window
from workbench.model.measure import ALL_PHASES, PHASES, Reading, Tally, measure, observed, window_of
from workbench.results import Histogram
from workbench.scenario import parse

TEXT = """\
version: 1
name: two
sites: {here: , there: }
links: [{between: [here, there], rtt: 10 ms}]
services: {foo: {at: {here: 1, there: 1}}}
workloads: {users: {at: here, to: foo, load: closed}}
run: {duration: 10 s, warm-up: 1 s}
"""


def window(*faults: str) -> Window:
    return window_of(parse(TEXT + f"faults: [{', '.join(faults)}]\n"))


def test_the_window_without_faults() -> None:
    assert window() == Window(start=1, end=10, guard=0.5, settle=1, struck=(), bin=10 / 120)


def test_the_window_goes_from_the_first_fault_to_the_last_repair() -> None:
    both = window("{at: 4 s, for: 2 s, cut: [here, there]}", "{at: 3 s, for: 1 s, kill: foo@there}")
    assert (both.fault, both.restore, both.struck) == (3, 6, (1,))
    assert window("{at: 3 s, kill: here}", "{at: 4 s, restore: here}").restore == 4
    assert window("{at: 3 s, break: [here, there]}").restore == 3


def test_a_fault_that_is_never_repaired_lasts_to_the_end() -> None:
    assert window("{at: 3 s, kill: foo@here}").restore is None
    half = window("{at: 2 s, for: 1 s, cut: [here, there]}", "{at: 5 s, kill: foo@here}")
    assert (half.fault, half.restore, half.struck) == (2, None, (0,))


PLAN = Window(start=1, end=10, fault=4, restore=6, guard=0.5, settle=1, struck=(0,), bin=0.5)
ASKED = {
    "before": [1.2, 2.0, 3.4],
    "onset": [3.6, 3.9],
    "during": [4.0, 4.1, 5.9],
    "recovery": [6.0, 6.9],
    "after": [7.0, 9.5],
}
"""When requests are sent, by the phase they belong to: half a second before the fault, and one after the repair."""


def read(*, lost: tuple[float, ...] = (), silent: tuple[float, ...] = (), workload: str = "users") -> Reading:
    """A meter that has seen what is in ASKED; a site answers from home but while home is dead."""
    meter = Meter(["here", "there"], PLAN)
    for moment in [0.5, *(moment for moments in ASKED.values() for moment in moments), 10.5]:
        meter.sent(moment)
        if moment in lost:
            meter.lost(moment, moment + 0.02)
        elif moment not in silent:
            away = 4 <= moment < 6
            meter.answered(moment, moment + (0.03 if away else 0.01), 0, 1 if away else 0)
    return Reading.read(workload, meter.snapshot())


def test_requests_are_counted_in_the_phase_in_which_they_were_sent() -> None:
    measured = measure(PLAN, [read(lost=(4.1, 9.5), silent=(2.0,))])
    metrics = measured.metrics
    # Nothing of the warm-up, nor of what is sent after the end.
    assert (metrics["requests"], metrics["answered"], metrics["lost"], metrics["in_flight"]) == (12, 9, 2, 1)
    assert [metrics[f"requests.{phase}"] for phase in PHASES] == [3, 3, 2]
    assert [metrics[f"answered.{phase}"] for phase in PHASES] == [2, 2, 1]
    assert [metrics[f"lost.{phase}"] for phase in PHASES] == [0, 1, 1]
    assert [metrics[f"cross_site_share.{phase}"] for phase in PHASES] == [0, 1, 0]
    # Without a suffix the share is that of the time before the fault.
    assert metrics["cross_site_share"] == 0
    assert metrics["latency.p50.before"] == pytest.approx(0.01, rel=0.01)
    assert metrics["latency.max.during"] == pytest.approx(0.03)
    assert metrics["latency.mean"] == pytest.approx((7 * 0.01 + 2 * 0.03) / 9)
    assert metrics["failover_time"] == pytest.approx(0.03)
    assert metrics["failback_time"] == pytest.approx(0.01)
    assert measured.counts["sent"] == 12
    assert measured.counts["users:in_flight"] == 1


def test_every_metric_is_there_for_the_whole_and_for_each_workload() -> None:
    metrics = measure(PLAN, [read(), read(workload="others", lost=(4.1,))]).metrics
    plain = {name for name in metrics if ":" not in name}
    for workload in ("users", "others"):
        assert {name.partition(":")[2] for name in metrics if name.startswith(f"{workload}:")} == plain
        assert metrics[f"{workload}:requests"] == 12
    assert metrics["requests"] == 24
    assert (metrics["lost"], metrics["users:lost"], metrics["others:lost"]) == (1, 0, 1)


def test_without_a_fault_there_are_no_phases_and_what_never_happened_has_no_name() -> None:
    plan = replace(PLAN, fault=None, restore=None, struck=())
    meter = Meter(["here", "there"], plan)
    meter.sent(2.0)
    metrics = measure(plan, [Reading.read("users", meter.snapshot())]).metrics
    assert not [name for name in metrics if name.endswith(PHASES)]
    assert not {"failover_time", "failback_time", "latency.p50", "cross_site_share"} & set(metrics)
    assert (metrics["requests"], metrics["in_flight"]) == (1, 1)


def test_meters_of_several_processes_add_up() -> None:
    one, other = read(lost=(4.1,)), read(silent=(2.0,))
    both = Reading.merged([one, other])
    for phase in ALL_PHASES:
        assert both.tallies[phase].sent == one.tallies[phase].sent + other.tallies[phase].sent
    assert both.failover == min(one.failover or 9, other.failover or 9)
    assert [row["bin_start_s"] for row in both.timeline] == sorted({row["bin_start_s"] for row in one.timeline})
    for name in ("sent", "lost"):
        assert sum(row[name] for row in both.timeline) == sum(  # type: ignore[literal-required]
            row[name]  # type: ignore[literal-required]
            for reading in (one, other)
            for row in reading.timeline
        )
    assert sum(sum(row["answered"].values()) for row in both.timeline) == 2 * 14 - 2
    # What was merged is as it was.
    assert one == read(lost=(4.1,))


def test_where_nothing_was_metered_there_is_nothing_to_tell() -> None:
    """As where behaviours take the place of all workloads."""
    measured = measure(PLAN, [])
    assert (measured.metrics, measured.histograms, measured.timeline, measured.counts) == ({}, {}, (), {})


@pytest.mark.parametrize(
    "wrong",
    [
        {"answered": 13},
        {"lost": 3},
        {"latencies": Histogram.of([10_000_000])},
        {"answered": 2, "lost": 1},
    ],
    ids=["answered twice", "lost twice", "a latency missing", "an answer missing"],
)
def test_books_that_do_not_balance_are_refused(wrong: dict[str, Any]) -> None:
    good = read()
    measure(PLAN, [good])
    tallies = {**good.tallies, "before": replace(good.tallies["before"], **wrong)}
    with pytest.raises(RuntimeError, match="the books of users do not balance"):
        measure(PLAN, [replace(good, tallies=tallies)])


def test_tallies_add_up() -> None:
    one = Tally(sent=3, answered=2, lost=1, latencies=Histogram.of([100, 200]), latency_sum=0.3, latency_max=0.2)
    other = Tally(
        sent=2, answered=1, cross=1, repeated=4, latencies=Histogram.of([500]), latency_sum=0.5, latency_max=0.5
    )
    both = one + other
    assert (both.sent, both.answered, both.lost, both.cross, both.repeated, both.in_flight) == (5, 3, 1, 1, 4, 1)
    assert both.latencies.count == 3
    assert (both.latency_sum, both.latency_max) == (0.8, 0.5)


def test_observations_become_metrics_of_their_own() -> None:
    seen = [("wait", float(value), "s") for value in range(101)] + [("hit", True, "1"), ("hit", False, "1")]
    metrics, units = observed(seen)
    assert metrics["observed.wait.mean"] == metrics["observed.wait.p50"] == 50
    assert metrics["observed.wait.p99"] == pytest.approx(99)
    assert metrics["observed.wait.count"] == 101
    assert metrics["observed.hit.mean"] == 0.5
    assert observed([]) == ({}, {})
    assert (units["observed.wait.p99"], units["observed.hit.mean"]) == ("s", "ratio")
