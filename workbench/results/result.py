"""What a run found: immutable, complete, and the same words in Python, in JSON and on disk."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from workbench.results.histogram import Histogram


class TimelineRow(TypedDict):
    """What happened to one workload's requests within one bin of world time.

    `sent` counts requests by the time they were sent, `answered` (per answering site), `lost` and `latency_sum_s` by
    the time the answer arrived or was given up.
    """

    workload: str
    bin_start_s: float
    sent: int
    answered: dict[str, int]
    lost: int
    latency_sum_s: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % interval, its unit ("s", "1", "count", "1/s" or "ratio") and the samples behind it.

    No value: the thing did not happen (a fail-over without a fault). No bounds: too few samples to tell the spread.
    """

    value: float | None
    low: float | None
    high: float | None
    unit: str
    n: int

    def __post_init__(self) -> None:
        for number in (self.value, self.low, self.high):
            if number is not None and not math.isfinite(number):
                raise ValueError(f"an estimate holds finite numbers or None, not {number}")

    @property
    def half_width(self) -> float | None:
        """Half the interval's width, or None without an interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    def to_json(self) -> dict[str, Any]:
        """The five fields by their names."""
        return {"value": self.value, "low": self.low, "high": self.high, "unit": self.unit, "n": self.n}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Estimate:
        """The inverse of `to_json`."""
        return cls(
            value=_number(data["value"]),
            low=_number(data["low"]),
            high=_number(data["high"]),
            unit=str(data["unit"]),
            n=int(data["n"]),
        )


@dataclass(frozen=True, slots=True)
class Replication:
    """One run of one point: its seed, what was measured, and what it took.

    A metric that has no value here is left out rather than written as NaN, and a histogram without samples is dropped.
    Histograms go by metric name, for example "latency" or "new-york:latency".
    """

    point: int
    index: int
    seed: int
    metrics: dict[str, float]
    histograms: dict[str, Histogram] = field(default_factory=dict)
    timeline: Sequence[TimelineRow] = ()
    counts: dict[str, int] = field(default_factory=dict)
    events: int = 0
    wall_s: float = 0.0
    notes: Sequence[str] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    """Of the metrics whose names do not tell: those that behaviours observe."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "timeline", tuple(self.timeline))
        object.__setattr__(self, "notes", tuple(self.notes))
        kept = {name: histogram for name, histogram in self.histograms.items() if histogram.count}
        object.__setattr__(self, "histograms", kept)
        for name, value in self.metrics.items():
            if not math.isfinite(value):
                raise ValueError(f"metric {name!r} is {value}: a metric without a value is left out")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"a seed is a whole number below 2^64, not {self.seed}")

    def digest(self) -> str:
        """A fingerprint of all that must repeat bit for bit when this replication is run again.

        The wall time and the notes are left out: they tell about the machine, not about the run.
        """
        data = self.to_json()
        del data["wall_s"], data["notes"]
        return hashlib.sha256(json.dumps(data, sort_keys=True, allow_nan=False).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON data; numbers come back exactly."""
        return {
            "point": self.point,
            "index": self.index,
            "seed": self.seed,
            "metrics": {name: float(value) for name, value in self.metrics.items()},
            "histograms": {name: histogram.to_json() for name, histogram in self.histograms.items()},
            "timeline": [dict(row) for row in self.timeline],
            "counts": {name: int(count) for name, count in self.counts.items()},
            "events": int(self.events),
            "wall_s": float(self.wall_s),
            "notes": list(self.notes),
        } | ({"units": dict(self.units)} if self.units else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Replication:
        """The inverse of `to_json`."""
        return cls(
            point=int(data["point"]),
            index=int(data["index"]),
            seed=int(data["seed"]),
            metrics={str(name): float(value) for name, value in data["metrics"].items()},
            histograms={str(name): Histogram.from_json(value) for name, value in data["histograms"].items()},
            timeline=[_timeline_row(row) for row in data["timeline"]],
            counts={str(name): int(count) for name, count in data["counts"].items()},
            events=int(data["events"]),
            wall_s=float(data["wall_s"]),
            notes=[str(note) for note in data["notes"]],
            units={str(name): str(unit) for name, unit in data.get("units", {}).items()},
        )


@dataclass(frozen=True, slots=True)
class Point:
    """One setting of the swept keys, and what its replications say together."""

    set: dict[str, Any]
    metrics: dict[str, Estimate]
    replications: Sequence[Replication] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "replications", tuple(self.replications))

    def histogram(self, name: str) -> Histogram:
        """All replications' samples of one histogram together; empty if none has it."""
        return Histogram.merged(run.histograms[name] for run in self.replications if name in run.histograms)

    def to_json(self) -> dict[str, Any]:
        """The setting and the estimates; the replications stay in the results folder."""
        return {"set": dict(self.set), "metrics": {name: value.to_json() for name, value in self.metrics.items()}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Point:
        """The inverse of `to_json`, without replications."""
        return cls(
            set=dict(data["set"]),
            metrics={str(name): Estimate.from_json(value) for name, value in data["metrics"].items()},
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """The comparison of one metric at two points, in a sentence and in numbers.

    `difference` is other minus baseline, from pairs of replications; `ratio` is other over baseline, where it means
    something. `variance_reduction` says how many times more replications it would have taken without the pairing.
    """

    text: str
    metric: str
    baseline: dict[str, Any]
    other: dict[str, Any]
    difference: Estimate
    ratio: Estimate | None = None
    variance_reduction: float | None = None

    def to_json(self) -> dict[str, Any]:
        """All fields by their names."""
        return {
            "text": self.text,
            "metric": self.metric,
            "baseline": dict(self.baseline),
            "other": dict(self.other),
            "difference": self.difference.to_json(),
            "ratio": None if self.ratio is None else self.ratio.to_json(),
            "variance_reduction": self.variance_reduction,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Verdict:
        """The inverse of `to_json`."""
        return cls(
            text=str(data["text"]),
            metric=str(data["metric"]),
            baseline=dict(data["baseline"]),
            other=dict(data["other"]),
            difference=Estimate.from_json(data["difference"]),
            ratio=None if data["ratio"] is None else Estimate.from_json(data["ratio"]),
            variance_reduction=_number(data["variance_reduction"]),
        )


@dataclass(frozen=True, slots=True)
class ExpectationResult:
    """Whether one expectation of the scenario held, and the value it was held against.

    `set` is the point of the sweep that the value is of: the first that fails, if any does.
    """

    text: str
    holds: bool
    value: float | None = None
    set: dict[str, Any] = field(default_factory=dict)
    unit: str = ""
    """Of the value; without one it is that of the metric's name."""

    def to_json(self) -> dict[str, Any]:
        """The text and whether it holds; of one that does not, the value with its unit and its point, too."""
        told: dict[str, Any] = {"text": self.text, "holds": self.holds}
        if not self.holds:
            told |= {"value": self.value, "set": self.set} | ({"unit": self.unit} if self.unit else {})
        return told

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ExpectationResult:
        """What `to_json` made, or the manifest, which has the value always; earlier ones have no point."""
        where, unit = dict(data.get("set", {})), str(data.get("unit", ""))
        return cls(str(data["text"]), bool(data["holds"]), data.get("value"), where, unit)


@dataclass(frozen=True, slots=True)
class Link:
    """How a run treated one declared link: "shaped", "not applied" (both real) or "modelled" (virtual)."""

    name: str
    state: str

    def to_json(self) -> dict[str, str]:
        """Both fields by their names."""
        return {"name": self.name, "state": self.state}


@dataclass(frozen=True, slots=True)
class Result:
    """All that one run of one scenario found."""

    scenario: str
    world: str
    run: str
    points: Sequence[Point]
    verdicts: Sequence[Verdict] = ()
    expectations: Sequence[ExpectationResult] = ()
    events: int = 0
    wall_s: float = 0.0
    links: Sequence[Link] = ()

    def __post_init__(self) -> None:
        for name in ("points", "verdicts", "expectations", "links"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def to_json(self) -> dict[str, Any]:
        """The summary that `--json` prints: estimates and verdicts, no samples."""
        return {
            "scenario": self.scenario,
            "world": self.world,
            "run": self.run,
            "points": [point.to_json() for point in self.points],
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
            "expectations": [expectation.to_json() for expectation in self.expectations],
            "events": self.events,
            "wall_s": self.wall_s,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        """A result with what the summary holds: no replications or links, and values of failed expectations only."""
        return cls(
            scenario=str(data["scenario"]),
            world=str(data["world"]),
            run=str(data["run"]),
            points=[Point.from_json(point) for point in data["points"]],
            verdicts=[Verdict.from_json(verdict) for verdict in data["verdicts"]],
            expectations=[ExpectationResult.from_json(item) for item in data["expectations"]],
            events=int(data["events"]),
            wall_s=float(data["wall_s"]),
        )


def _timeline_row(row: Mapping[str, Any]) -> TimelineRow:
    return {
        "workload": str(row["workload"]),
        "bin_start_s": float(row["bin_start_s"]),
        "sent": int(row["sent"]),
        "answered": {str(site): int(count) for site, count in row["answered"].items()},
        "lost": int(row["lost"]),
        "latency_sum_s": float(row["latency_sum_s"]),
    }


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
