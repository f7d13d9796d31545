"""From meters to metrics: what one run of one point has measured, under the names that scenarios use."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from workbench.engine.window import Window
from workbench.results import Histogram, TimelineRow
from workbench.scenario import Scenario

PHASES = ("before", "during", "after")
ALL_PHASES = ("before", "onset", "during", "recovery", "after")
"""Two short phases belong to no suffix: the onset, whose requests the fault may find on their way, and the recovery, in
which lost connections are being made again."""
ONSET = 0.5
"""Seconds before the first fault."""
RECOVERY = 1.0
"""Seconds after the last repair: a dialer tries again at least that often."""
QUANTILES = {"p50": 0.50, "p90": 0.90, "p99": 0.99}
BINS = 120
"""Bins of the timeline of a run."""


def window_of(scenario: Scenario, bins: int = BINS) -> Window:
    """The window of a scenario's runs. A fault that is never repaired lasts to the end."""
    events = scenario.fault_events()
    starts = [event.at for event in events if event.action in ("kill", "cut", "break")]
    ends = [event.at for event in events if event.action in ("restore", "heal", "break")]
    struck = {site for event in events if event.action == "kill" for _, site in event.instances}
    repaired = bool(ends) and not _open_faults(scenario)
    return Window(
        start=scenario.run.measured_from,
        end=scenario.run.duration,
        fault=min(starts, default=None),
        restore=max(ends) if repaired else None,
        guard=ONSET,
        settle=RECOVERY,
        struck=tuple(place for place, site in enumerate(scenario.sites) if site in struck),
        bin=scenario.run.duration / bins,
    )


@dataclass(frozen=True)
class Tally:
    """What was counted of one workload in one phase, by the time the requests were sent."""

    sent: int = 0
    answered: int = 0
    lost: int = 0
    cross: int = 0
    unplaced: int = 0
    """Answers of which nobody knows where they were given: a behaviour's replies need not say."""
    repeated: int = 0
    dropped: int = 0
    replies: int = 0
    """Answers to surveys that came in time."""
    late: int = 0
    latencies: Histogram = field(default_factory=lambda: Histogram.of([]))
    latency_sum: float = 0.0
    latency_max: float = 0.0
    reply_times: Histogram = field(default_factory=lambda: Histogram.of([]))

    @property
    def in_flight(self) -> int:
        """Requests that are neither answered nor lost."""
        return self.sent - self.answered - self.lost

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.sent + other.sent,
            self.answered + other.answered,
            self.lost + other.lost,
            self.cross + other.cross,
            self.unplaced + other.unplaced,
            self.repeated + other.repeated,
            self.dropped + other.dropped,
            self.replies + other.replies,
            self.late + other.late,
            self.latencies.merge(other.latencies),
            self.latency_sum + other.latency_sum,
            max(self.latency_max, other.latency_max),
            self.reply_times.merge(other.reply_times),
        )

    def since(self, earlier: "Tally") -> "Tally":
        """What has been counted since an earlier reading of the same meter."""
        return Tally(
            self.sent - earlier.sent,
            self.answered - earlier.answered,
            self.lost - earlier.lost,
            self.cross - earlier.cross,
            self.unplaced - earlier.unplaced,
            self.repeated - earlier.repeated,
            self.dropped - earlier.dropped,
            self.replies - earlier.replies,
            self.late - earlier.late,
            latencies := self.latencies.since(earlier.latencies),
            self.latency_sum - earlier.latency_sum,
            latencies.quantile(1.0) if latencies.count else 0.0,
            self.reply_times.since(earlier.reply_times),
        )

    @classmethod
    def read(cls, phase: Mapping[str, Any]) -> "Tally":
        """A tally from a native meter's snapshot of one phase."""
        return cls(
            sent=phase["sent"],
            answered=phase["answered"],
            lost=phase["lost"],
            cross=phase["cross"],
            unplaced=phase["unplaced"],
            repeated=phase["repeated"],
            dropped=phase["dropped"],
            replies=phase["replies"],
            late=phase["late"],
            latencies=_histogram(phase["latencies"]),
            latency_sum=phase["latency_sum_ns"] / 1e9,
            latency_max=phase["latency_max_ns"] / 1e9,
            reply_times=_histogram(phase["reply_times"]),
        )


@dataclass(frozen=True)
class Reading:
    """What a meter showed of one workload at the end of a run."""

    workload: str
    tallies: Mapping[str, Tally]
    """By phase; in a run without faults everything is "before"."""
    failover: float | None
    failback: float | None
    timeline: tuple[TimelineRow, ...]
    in_system: float = 0.0
    """The mean number of requests on their way, waiting or worked on, over the whole run."""
    is_batch: bool = False
    """It is a piece of a run: what is answered in it may have been sent before."""

    def since(self, earlier: "Reading", then: float, now: float) -> "Reading":
        """What the meter has counted between an earlier reading, at `then`, and this one, at `now`."""
        return Reading(
            self.workload,
            {phase: tally.since(earlier.tallies[phase]) for phase, tally in self.tallies.items()},
            None,
            None,
            tuple(row for row in self.timeline if then <= row["bin_start_s"] < now),
            (self.in_system * now - earlier.in_system * then) / (now - then),
            is_batch=True,
        )

    @classmethod
    def read(cls, workload: str, snapshot: Mapping[str, Any]) -> "Reading":
        """A reading from a native meter's snapshot."""
        width, sites = snapshot["bin_ns"] / 1e9, snapshot["sites"]
        timeline: list[TimelineRow] = [
            {
                "workload": workload,
                "bin_start_s": place * width,
                "sent": row["sent"],
                "answered": {site: count for site, count in zip(sites, row["answered"], strict=True) if count},
                "lost": row["lost"],
                "latency_sum_s": row["latency_sum_ns"] / 1e9,
            }
            for place, row in enumerate(snapshot["bins"])
        ]
        return cls(
            workload,
            {phase: Tally.read(snapshot["phases"][phase]) for phase in ALL_PHASES},
            None if snapshot["failover_ns"] is None else snapshot["failover_ns"] / 1e9,
            None if snapshot["failback_ns"] is None else snapshot["failback_ns"] / 1e9,
            tuple(timeline),
            snapshot["mean_inside"],
        )

    @classmethod
    def merged(cls, readings: "Iterable[Reading]") -> "Reading":
        """Several meters, one at least, as one."""
        readings = list(readings)
        rows: dict[float, TimelineRow] = {}
        for row in (row for reading in readings for row in reading.timeline):
            known = rows.setdefault(
                row["bin_start_s"], {**row, "sent": 0, "answered": {}, "lost": 0, "latency_sum_s": 0.0}
            )
            known["sent"] += row["sent"]
            known["lost"] += row["lost"]
            known["latency_sum_s"] += row["latency_sum_s"]
            for site, count in row["answered"].items():
                known["answered"][site] = known["answered"].get(site, 0) + count
        return cls(
            readings[0].workload,
            {phase: sum((one.tallies[phase] for one in readings), Tally()) for phase in ALL_PHASES},
            min((one.failover for one in readings if one.failover is not None), default=None),
            min((one.failback for one in readings if one.failback is not None), default=None),
            tuple(rows[start] for start in sorted(rows)),
            sum(one.in_system for one in readings),
            is_batch=readings[0].is_batch,
        )


@dataclass(frozen=True)
class Measured:
    """The metrics of one run, and the distributions and counts behind them."""

    metrics: dict[str, float]
    histograms: dict[str, Histogram]
    timeline: tuple[TimelineRow, ...]
    counts: dict[str, int]


def measure(window: Window, readings: Iterable[Reading]) -> Measured:
    """Name what was measured. Raises RuntimeError if a request was counted twice or got lost uncounted."""
    readings = list(readings)
    metrics: dict[str, float] = {}
    histograms: dict[str, Histogram] = {}
    counts: dict[str, int] = {}
    # Where behaviours take the place of all workloads there is nothing to measure.
    everybody = [("", Reading.merged(readings))] if readings else []
    for prefix, reading in everybody + [(f"{one.workload}:", one) for one in readings]:
        whole = sum(reading.tallies.values(), Tally())
        if (whole.in_flight < 0 and not reading.is_batch) or whole.answered != whole.latencies.count:
            raise RuntimeError(
                f"the books of {reading.workload} do not balance: {whole.sent} sent, {whole.answered} answered, "
                f"{whole.lost} lost, {whole.latencies.count} latencies"
            )
        _name(metrics, prefix, "", whole)
        steady = reading.tallies["before"]
        _put(metrics, f"{prefix}cross_site_share", steady.cross, steady.answered - steady.unplaced)
        if not reading.is_batch:
            metrics[f"{prefix}in_flight"] = whole.in_flight
        metrics[f"{prefix}in_system"] = reading.in_system
        if window.fault is not None:
            for phase in PHASES:
                _name(metrics, prefix, f".{phase}", reading.tallies[phase])
        if reading.failover is not None:
            metrics[f"{prefix}failover_time"] = reading.failover
        if reading.failback is not None:
            metrics[f"{prefix}failback_time"] = reading.failback
        histograms[f"{prefix}latency"] = whole.latencies
        histograms[f"{prefix}reply"] = whole.reply_times
        for what in ("sent", "answered", "lost", "in_flight", "repeated"):
            counts[f"{prefix}{what}"] = getattr(whole, what)
    timeline = tuple(row for reading in readings for row in reading.timeline)
    return Measured(metrics, histograms, timeline, counts)


def observed(observations: Iterable[tuple[str, float, str]]) -> tuple[dict[str, float], dict[str, str]]:
    """The mean, the median and the 99th percentile of what behaviours have observed, by name, and their units."""
    values: dict[str, list[float]] = {}
    units: dict[str, str] = {}
    for name, value, unit in observations:
        values.setdefault(name, []).append(float(value))
        for what in ("mean", "p50", "p99"):
            units.setdefault(f"observed.{name}.{what}", "ratio" if unit == "1" else unit)
    metrics: dict[str, float] = {}
    for name, seen in values.items():
        metrics[f"observed.{name}.mean"] = float(np.mean(seen))
        metrics[f"observed.{name}.p50"], metrics[f"observed.{name}.p99"] = map(float, np.quantile(seen, (0.5, 0.99)))
        metrics[f"observed.{name}.count"] = len(seen)
    return metrics, units


def _name(metrics: dict[str, float], prefix: str, suffix: str, tally: Tally) -> None:
    for what in ("answered", "lost", "repeated"):
        metrics[f"{prefix}{what}{suffix}"] = getattr(tally, what)
    metrics[f"{prefix}requests{suffix}"] = tally.sent
    _put(metrics, f"{prefix}lost_share{suffix}", tally.lost, tally.answered + tally.lost)
    if tally.dropped:
        metrics[f"{prefix}dropped{suffix}"] = tally.dropped
    if tally.replies or tally.late:
        _put(metrics, f"{prefix}completeness{suffix}", tally.replies, tally.replies + tally.late)
        _put(metrics, f"{prefix}complete_share{suffix}", tally.answered, tally.answered + tally.lost)
        metrics[f"{prefix}late{suffix}"] = tally.late
    if tally.reply_times.count:
        metrics[f"{prefix}reply.p50{suffix}"] = tally.reply_times.quantile(0.5)
        metrics[f"{prefix}reply.p99{suffix}"] = tally.reply_times.quantile(0.99)
    if suffix:
        _put(metrics, f"{prefix}cross_site_share{suffix}", tally.cross, tally.answered - tally.unplaced)
    if tally.answered:
        metrics[f"{prefix}latency.mean{suffix}"] = tally.latency_sum / tally.answered
        metrics[f"{prefix}latency.max{suffix}"] = tally.latency_max
        for name, q in QUANTILES.items():
            metrics[f"{prefix}latency.{name}{suffix}"] = tally.latencies.quantile(q)


def _histogram(pairs: Sequence[Sequence[int]]) -> Histogram:
    columns = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    return Histogram(columns[:, 0], columns[:, 1])


def _put(metrics: dict[str, float], name: str, part: int, whole: int) -> None:
    if whole:
        metrics[name] = part / whole


def _open_faults(scenario: Scenario) -> bool:
    """Is something still broken at the end?"""
    broken: set[object] = set()
    for event in scenario.fault_events():
        targets = set(event.instances) if event.link is None else {frozenset(event.link)}
        if event.action in ("kill", "cut"):
            broken |= targets
        elif event.action in ("restore", "heal"):
            broken -= targets
    return bool(broken)
