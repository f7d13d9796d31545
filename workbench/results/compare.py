"""The comparison of two points that shared their luck: pairs of replications, and a verdict in one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from workbench.results import estimate
from workbench.results.histogram import Histogram
from workbench.results.result import Estimate, Point, Verdict
from workbench.results.wording import (
    difference_text,
    estimate_text,
    interval_text,
    metric_phrase,
    metric_unit,
    setting_label,
    value_label,
)

By = Literal["difference", "ratio"]

DEFAULT_METRICS = ("cross_site_share", "latency.p99", "lost", "throughput", "round_trip.p50")
"""What a verdict is about when the scenario does not say; those a result has."""


def verdicts(
    points: Sequence[Point],
    *,
    axis: str | None = None,
    baseline: Any = None,
    metrics: Sequence[str] = (),
    by: By = "difference",
) -> list[Verdict]:
    """One verdict per metric and value of the axis other than the baseline, at each setting of the other axes.

    `axis` defaults to the first swept key, `baseline` to its first value, `metrics` to those of DEFAULT_METRICS the
    points have. Without a sweep there is nothing to compare and the list is empty.
    """
    if not points or not points[0].set:
        return []
    axis = axis if axis is not None else next(iter(points[0].set))
    if any(axis not in point.set for point in points):
        raise ValueError(f"cannot compare over {axis!r}: it is not swept")
    if baseline is None:
        baseline = points[0].set[axis]
    if all(point.set[axis] != baseline for point in points):
        raise ValueError(f"cannot compare with {axis} = {baseline!r}: no point has this value")
    wanted = metrics or [name for name in DEFAULT_METRICS if any(name in point.metrics for point in points)]
    pairs = [
        (base, point)
        for point in points
        if point.set[axis] != baseline
        for base in points
        if base.set[axis] == baseline and _others(base, axis) == _others(point, axis)
    ]
    return [compare(base, point, metric, by=by) for metric in wanted for base, point in pairs]


def compare(baseline: Point, other: Point, metric: str, *, by: By = "difference") -> Verdict:
    """The verdict on one metric of two points, from replications paired by their index.

    `by` chooses what the sentence speaks of: the paired mean difference (simulated runs under common random numbers)
    or the median ratio (measured blocks, whose speed drifts together). A replication without a partner is left out.
    """
    pairs = paired(baseline, other, metric)
    first, second = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    unit = unit_of(metric, baseline, other)
    difference = estimate.difference(first, second, unit)
    ratio = ratio_of(first, second)
    return Verdict(
        text=_sentence(baseline, other, metric, difference, ratio, by),
        metric=metric,
        baseline=dict(baseline.set),
        other=dict(other.set),
        difference=difference,
        ratio=ratio,
        variance_reduction=variance_reduction(first, second),
    )


def paired(baseline: Point, other: Point, metric: str) -> list[tuple[float, float]]:
    """The metric's values in replications of the same index, baseline first, in the order of the index."""
    partners = {run.index: run for run in other.replications}
    return [
        (run.metrics[metric], partners[run.index].metrics[metric])
        for run in sorted(baseline.replications, key=lambda run: run.index)
        if run.index in partners and metric in run.metrics and metric in partners[run.index].metrics
    ]


def unit_of(metric: str, *points: Point) -> str:
    """The unit of a metric at some points, which its name alone need not tell."""
    return next((point.metrics[metric].unit for point in points if metric in point.metrics), metric_unit(metric))


def ratio_of(baseline: Sequence[float], other: Sequence[float]) -> Estimate | None:
    """The median of other over baseline per pair with its exact interval; None unless all values are positive."""
    if not baseline or min(*baseline, *other) <= 0:
        return None
    return estimate.median([b / a for a, b in zip(baseline, other, strict=True)], "ratio")


def variance_reduction(baseline: Sequence[float], other: Sequence[float]) -> float | None:
    """How many times smaller the pairing makes the variance of the difference: (s²a + s²b) / s²(b - a).

    Below 1 the pairing did harm. None with fewer than two pairs, or when the paired differences do not vary at all.
    """
    if len(baseline) < 2:
        return None
    together = estimate.variance([b - a for a, b in zip(baseline, other, strict=True)])
    apart = estimate.variance(baseline) + estimate.variance(other)
    # Rounding alone leaves about 1e-16 of the values; what is smaller than that is no variance.
    return apart / together if together > 1e-24 * apart else None


@dataclass(frozen=True, slots=True)
class Distance:
    """How far two distributions of durations lie apart.

    `kolmogorov` is the greatest gap between their distribution functions (0 to 1); `area` the area between them in
    seconds, which is the mean distance a sample must move (Wasserstein's distance); `quantiles` says for some
    quantiles how many seconds the second lies above the first.
    """

    kolmogorov: float
    area: float
    quantiles: dict[float, float]


def distance(first: Histogram, second: Histogram, quantiles: Sequence[float] = (0.5, 0.9, 0.99)) -> Distance | None:
    """The distance from the first distribution to the second; None when either has no sample."""
    if not first.count or not second.count:
        return None
    grid = np.union1d(first.values, second.values)
    gap = np.abs(_fraction_at(first, grid) - _fraction_at(second, grid))
    return Distance(
        kolmogorov=float(gap.max()),
        area=float(np.dot(gap[:-1], np.diff(grid)) / 1e9),
        quantiles={q: second.quantile(q) - first.quantile(q) for q in quantiles},
    )


def _fraction_at(histogram: Histogram, grid: Any) -> Any:
    cumulative = np.concatenate([[0], np.cumsum(histogram.counts)])
    return cumulative[np.searchsorted(histogram.values, grid, side="right")] / histogram.count


def _others(point: Point, axis: str) -> dict[str, Any]:
    return {key: value for key, value in point.set.items() if key != axis}


def _sentence(baseline: Point, other: Point, metric: str, difference: Estimate, ratio: Estimate | None, by: By) -> str:
    name, base = setting_label(other.set, baseline.set), setting_label(baseline.set, other.set)
    common = [value_label(key, value) for key, value in other.set.items() if baseline.set.get(key) == value]
    subject = f"{name} ({', '.join(common)})" if common else name
    phrase = metric_phrase(metric)
    mine, its = _values(baseline, other, metric)
    if difference.value is None:
        lacking, point = (name, other) if its.value is None else (base, baseline)
        notes = [note for run in point.replications for note in run.notes]
        why = f" ({notes[0]})" if notes else ""
        return f"{subject} cannot be compared with {base} in {phrase}: {lacking} has no value{why}"
    against = f"{estimate_text(its)} against {estimate_text(mine)} with {base}"
    if by == "ratio" and ratio is not None:
        if ratio.low is not None and ratio.high is not None and ratio.low <= 1.0 <= ratio.high:
            start = _undecided(subject, phrase, ratio, 1.0)
            return f"{start}: {against} (ratio {estimate_text(ratio)}, {_spread(ratio)}{_narrower(ratio)})"
        return f"{subject}: {phrase} is {estimate_text(ratio)} times that of {base}: {against} ({_spread(ratio)})"
    found = f"{difference_text(difference)}, {_spread(difference)}"
    detail = f"({found})"
    if difference.low is None or difference.high is None:
        return f"{subject}, {phrase}: {against} {detail}"
    if difference.low <= 0.0 <= difference.high:
        return f"{_undecided(subject, phrase, difference, 0.0)}: {against} ({found}{_narrower(difference)})"
    verb = "lowers" if difference.value < 0 else "raises"
    return f"{subject} {verb} {phrase}: {against} {detail}"


def _undecided(subject: str, phrase: str, value: Estimate, same: float) -> str:
    """An interval that holds "the same" holds other values, too, and proves nothing; unless it is that point alone."""
    if value.low == value.high == same:
        return f"{subject} shows no difference in {phrase}"
    return f"{subject}: no difference in {phrase} can be shown at this precision"


def _narrower(value: Estimate) -> str:
    """What makes an interval narrower that is too wide to tell."""
    return "" if value.low == value.high else "; four times the replications would halve it"


def _values(baseline: Point, other: Point, metric: str) -> tuple[Estimate, Estimate]:
    empty = Estimate(None, None, None, unit_of(metric, baseline, other), 0)
    return baseline.metrics.get(metric, empty), other.metrics.get(metric, empty)


def _spread(value: Estimate) -> str:
    if value.low is None or value.high is None:
        return f"no interval from {value.n} {'pair' if value.n == 1 else 'pairs'}"
    return f"95 % interval {interval_text(value)}, n = {value.n}"
