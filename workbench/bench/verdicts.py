"""Verdicts: the ratio of two measured points in a sentence, with its interval and with what the control allows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from workbench.bench.peers import PEERS
from workbench.results import Estimate, Point, Verdict, compare, estimate
from workbench.results.control import Control, claimable, control
from workbench.results.wording import MetricName, estimate_text, interval_text, metric_label, setting_label
from workbench.scenario.schema import Comparison

DEFAULT = ("throughput", "round_trip.p50")
"""What a verdict is about when the scenario does not say: these, of every workload that has them."""


def verdicts(points: Sequence[Point], comparison: Comparison | None) -> tuple[list[Verdict], list[Control]]:
    """One verdict for each metric and each point beside its baseline, and the controls they rest on.

    Without a comparison there are no verdicts, but still the controls of the only point.
    """
    axis = comparison.path if comparison is not None else None
    bases = [point for point in points if comparison is None or point.set[comparison.path] == comparison.baseline]
    wanted = (comparison.metrics if comparison is not None else ()) or _default(points)
    told: list[Verdict] = []
    controls: list[Control] = []
    for metric in wanted:
        for base in bases:
            against = control(base, metric)
            controls += [] if against is None else [against]
            others = [point for point in points if axis is not None and _beside(point, base, axis)]
            told += [_verdict(base, other, metric, axis, against, points) for other in others]
    return told, controls


def _verdict(
    base: Point, other: Point, metric: str, axis: str | None, against: Control | None, points: Sequence[Point]
) -> Verdict:
    found = compare.compare(base, other, metric, by="ratio")
    if found.ratio is None:
        return found
    if axis == "library":
        text = _libraries(base, other, metric, against, points)
    else:
        text = f"{found.text}; {against or 'no A/A control'}"
        if claimable(found.ratio, against) is False:
            text += "; this is less than the control allows to claim"
    return dataclasses.replace(found, text=text)


def _libraries(base: Point, other: Point, metric: str, against: Control | None, points: Sequence[Point]) -> str:
    """A sentence such as "two cores: our round trip takes 0.15 of ZeroMQ's (95 % interval 0.14–0.16, 10 blocks; …)"."""
    pairs = compare.paired(base, other, metric)
    # The sentence is about the baseline, so its ratio is the other way round; the medians of an even number of blocks
    # are not each other's inverse.
    ratio = estimate.median([first / second for first, second in pairs], "ratio")
    mine, theirs = (PEERS[point.set["library"]].possessive for point in (base, other))
    where = _where(base)
    subject = f"{mine} {_quantity(metric, points)}"
    size = f"{estimate_text(ratio)} {'times' if (ratio.value or 0.0) >= 1.0 else 'of'} {theirs}"
    beside = f"({_interval(ratio)}; {against or 'no A/A control'}{_doubt(against)})"
    verb = "takes" if MetricName.parse(metric).quantity.startswith("round_trip") else "is"
    match claimable(ratio, against):
        case True:
            return f"{where}{subject} {verb} {size} {beside}"
        case False:
            return f"{where}{subject} and {theirs} cannot be told apart: a ratio of {estimate_text(ratio)} {beside}"
        case None:
            return f"{where}{subject} {verb} about {size} {beside}; that is too little for a claim"


def _interval(ratio: Estimate) -> str:
    blocks = f"{ratio.n} {'block' if ratio.n == 1 else 'blocks'}"
    if ratio.low is None or ratio.high is None:
        return f"no interval from {blocks}"
    return f"95 % interval {interval_text(ratio).strip('[]').replace(', ', '–')}, {blocks}"


def _doubt(against: Control | None) -> str:
    return "" if against is None or against.sound else ", and even that interval does not hold 1"


def _where(point: Point) -> str:
    others = {key: value for key, value in point.set.items() if key != "library"}
    placement = str(others.pop("placement", "")).replace("-", " ")
    parts = ([placement] if placement else []) + ([setting_label(others)] if others else [])
    return f"{', '.join(parts)}: " if parts else ""


def _quantity(metric: str, points: Sequence[Point]) -> str:
    """The quantity in words; the workload is named only where several have it."""
    name = MetricName.parse(metric)
    quantity = metric_label(name.quantity).removesuffix(" p50")
    having = {
        MetricName.parse(each).workload
        for point in points
        for each in point.metrics
        if MetricName.parse(each).quantity == name.quantity and MetricName.parse(each).workload
    }
    return f"{quantity} ({name.workload})" if name.workload and len(having) > 1 else quantity


def _default(points: Sequence[Point]) -> tuple[str, ...]:
    names = dict.fromkeys(name for point in points for name in point.metrics)
    chosen = [name for name in names if ":" in name and MetricName.parse(name).quantity in DEFAULT]
    return tuple(sorted(chosen, key=lambda name: DEFAULT.index(MetricName.parse(name).quantity)))


def _beside(point: Point, base: Point, axis: str) -> bool:
    """Whether a point differs from the baseline in the axis and in nothing else."""
    return point.set[axis] != base.set[axis] and _without(point.set, axis) == _without(base.set, axis)


def _without(setting: dict[str, Any], axis: str) -> dict[str, Any]:
    return {key: value for key, value in setting.items() if key != axis}
