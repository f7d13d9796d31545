"""Two runs of one scenario side by side: simulated beside measured, or before beside after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workbench.report.tables import Cell, Grid, all_metrics, main_metrics
from workbench.results import compare, estimate
from workbench.results.compare import Distance
from workbench.results.result import Estimate, Point, Result
from workbench.results.wording import (
    metric_label,
    metric_order,
    quantity_text,
    setting_label,
)


@dataclass(frozen=True, slots=True)
class Row:
    """One metric at one setting in both runs; `difference` is second minus first."""

    set: dict[str, Any]
    metric: str
    first: Estimate
    second: Estimate
    difference: Estimate


@dataclass(frozen=True, slots=True)
class Beside:
    """Two results side by side, over the settings and metrics both have; `distances` by setting and histogram."""

    names: tuple[str, str]
    rows: tuple[Row, ...]
    distances: tuple[tuple[dict[str, Any], str, Distance], ...]
    paired: bool
    """Whether the differences come from replications that shared their seeds."""


def beside(first: Result, second: Result, metrics: Sequence[str] | None = None) -> Beside:
    """Sets two results beside each other, a simulated one before a measured one.

    Differences are taken over pairs when both runs are simulated with the same seeds, and else between means.
    `metrics` defaults to the main ones that both have.
    """
    first, second = in_order(first, second)
    both = set(all_metrics(first)) & set(all_metrics(second))
    wanted = main_metrics(first) if metrics is None else metrics
    names = sorted((name for name in wanted if name in both), key=metric_order)
    pairs = [(one, other) for one in first.points for other in second.points if one.set == other.set]
    paired = first.world == second.world == "virtual" and all(_same_seeds(*pair) for pair in pairs)
    return Beside(
        names=_names(first, second),
        rows=tuple(_row(one, other, name, paired) for one, other in pairs for name in names),
        distances=tuple(
            (one.set, name, apart)
            for one, other in pairs
            for name in _histograms(one)
            if (apart := compare.distance(one.histogram(name), other.histogram(name))) is not None
        ),
        paired=paired,
    )


def in_order(first: Result, second: Result) -> tuple[Result, Result]:
    """The two with the simulated one before the measured one."""
    return (second, first) if first.world == "real" and second.world == "virtual" else (first, second)


def grid(content: Beside) -> Grid:
    """One row per metric, under a row that names the setting: first, second, difference with its interval."""
    rows: list[tuple[Cell, ...]] = []
    where: dict[str, Any] = {}
    for row in content.rows:
        if row.set != where:
            rows.append((Cell(setting_label(row.set)), Cell(""), Cell(""), Cell("")))
        where = row.set
        # En spaces indent in a page too, where plain ones would vanish.
        label = Cell(("\u2002\u2002" if where else "") + metric_label(row.metric))
        rows.append((label, Cell.of(row.first), Cell.of(row.second), Cell.difference(row.difference)))
    return Grid(("", *content.names, "difference"), tuple(rows))


def distance_grid(content: Beside) -> Grid:
    """How far the distributions lie apart: one row per setting and histogram of whole-scenario latencies."""
    rows = [
        (
            Cell(f"{setting_label(where)}: {metric_label(name)}" if where else metric_label(name)),
            Cell(quantity_text(apart.kolmogorov, "1")),
            Cell(quantity_text(apart.area, "s")),
            *(Cell.difference(Estimate(shift, None, None, "s", 1)) for shift in apart.quantiles.values()),
        )
        for where, name, apart in content.distances
    ]
    shifts = [f"p{q * 100:g} apart" for q in (content.distances[0][2].quantiles if content.distances else ())]
    return Grid(("", "greatest gap", "mean distance", *shifts), tuple(rows))


def _row(one: Point, other: Point, metric: str, paired: bool) -> Row:
    unit = compare.unit_of(metric, one, other)
    if paired:
        pairs = compare.paired(one, other, metric)
        difference = estimate.difference([pair[0] for pair in pairs], [pair[1] for pair in pairs], unit)
    else:
        difference = estimate.unpaired_difference(_values(one, metric), _values(other, metric), unit)
    missing = Estimate(None, None, None, unit, 0)
    return Row(one.set, metric, one.metrics.get(metric, missing), other.metrics.get(metric, missing), difference)


def _values(point: Point, metric: str) -> list[float]:
    return [run.metrics[metric] for run in point.replications if metric in run.metrics]


def _histograms(point: Point) -> list[str]:
    names = dict.fromkeys(name for run in point.replications for name in run.histograms)
    return [name for name in names if ":" not in name and "." not in name]


def _same_seeds(one: Point, other: Point) -> bool:
    return [(run.index, run.seed) for run in one.replications] == [(run.index, run.seed) for run in other.replications]


def _names(first: Result, second: Result) -> tuple[str, str]:
    if first.world != second.world:
        words = {"virtual": "simulated", "real": "measured"}
        return words.get(first.world, first.world), words.get(second.world, second.world)
    return first.run or "first", second.run or "second"
