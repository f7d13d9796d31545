"""Curves: metrics over a swept number, with their intervals, and what theory says laid over them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.report import style
from workbench.results.result import Estimate, Point, Result
from workbench.results.wording import axis_unit, metric_label, metric_unit, setting_label
from workbench.scenario.units import DURATION, FRACTION, RATE, SIZE, QuantityError, parse

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEWEST = 3
"""Values of an axis that a curve is worth drawing over."""
MOST_ROWS = 4
"""Metrics in one figure."""
MOST_COLUMNS = 3
WIDE = 20
"""An axis whose values are so many times apart is logarithmic."""
_UNITS = ((DURATION, "s"), (RATE, "1/s"), (SIZE, "B"), (FRACTION, "1"))


def curves(
    result: Result,
    metrics: Sequence[str],
    theory: Sequence[Mapping[str, float]] = (),
    *,
    beside: Mapping[str, tuple[str, str]] | None = None,
) -> Figure | None:
    """Each metric over the swept number with the most values: a row for each metric, a line for each other setting.

    Where two more keys are swept, the second has a column for each of its values. `theory` is a mapping of metrics for
    each point, dashed. `beside` maps a metric to another that is dotted beside it, and what that is called.
    """
    axis = swept_number(result)
    drawn = [name for name in metrics if _has(result.points, name)][:MOST_ROWS]
    if axis is None or not drawn:
        return None
    others = _other_keys(result, axis)
    lines, columns = (others[:1], others[1:2])
    if len(others) > 2:
        return None
    panes = _groups(result, columns)[:MOST_COLUMNS]
    series = list(dict.fromkeys(_label(point, lines) for point in result.points))[: len(style.POINTS)]
    colour = style.colours(series)
    values = [quantity(point.set[axis])[0] for point in result.points]
    across, unit = axis_unit([max(values)], quantity(result.points[0].set[axis])[1])
    with style.applied():
        height = 3.0 if len(drawn) > 1 or len(panes) > 1 else 4.2
        figure, axes = style.panels(len(drawn), len(panes), height_in=height, share_y=False)
        for row, metric in zip(axes, drawn, strict=True):
            _row(row, metric, result, panes, lines, axis, across, colour, theory, beside or {})
        for panel, pane in zip(axes[0], panes, strict=True):
            if columns:
                panel.set_title(style.short(setting_label({columns[0]: pane})))
        for panel in axes[-1]:
            name = axis.rpartition(".")[2].replace("-", " ").replace("_", " ")
            panel.set_xlabel(f"{name} ({unit})" if unit else name)
        _legend(figure, axes)
    return figure


def swept_number(result: Result) -> str | None:
    """The swept key whose values are numbers or quantities, and most; None if none has enough of them."""
    best, most = None, FEWEST - 1
    for key in dict.fromkeys(key for point in result.points for key in point.set):
        values = list(dict.fromkeys(str(point.set.get(key)) for point in result.points))
        if len(values) > most and all(_is_quantity(value) for value in values):
            best, most = key, len(values)
    return best


def quantity(value: Any) -> tuple[float, str]:
    """A swept value as a number, and its unit. Raises QuantityError for what is neither number nor quantity."""
    try:
        return float(value), "count"
    except (TypeError, ValueError):
        pass
    for kind, unit in _UNITS:
        try:
            return parse(str(value), kind), unit
        except QuantityError:
            continue
    raise QuantityError(f"{value!r} is no quantity")


def _is_quantity(value: Any) -> bool:
    try:
        quantity(value)
    except QuantityError:
        return False
    return True


def _has(points: Sequence[Point], metric: str) -> bool:
    return any(metric in point.metrics and point.metrics[metric].value is not None for point in points)


def _other_keys(result: Result, axis: str) -> list[str]:
    keys = dict.fromkeys(key for point in result.points for key in point.set if key != axis)
    return [key for key in keys if len({str(point.set.get(key)) for point in result.points}) > 1]


def _groups(result: Result, keys: Sequence[str]) -> list[Any]:
    return list(dict.fromkeys(point.set[keys[0]] for point in result.points)) if keys else [None]


def _label(point: Point, keys: Sequence[str]) -> str:
    return setting_label({key: point.set[key] for key in keys}) if keys else ""


def _row(
    row: Sequence[Axes],
    metric: str,
    result: Result,
    panes: Sequence[Any],
    lines: Sequence[str],
    axis: str,
    across: float,
    colour: Mapping[Any, str],
    theory: Sequence[Mapping[str, float]],
    beside: Mapping[str, tuple[str, str]],
) -> None:
    """One metric in all columns, on one scale."""
    found = [point.metrics[metric] for point in result.points if metric in point.metrics]
    numbers = [estimate.value for estimate in found if estimate.value is not None]
    factor, unit = axis_unit([sorted(numbers)[len(numbers) // 2]], found[0].unit if found else metric_unit(metric))
    ends: list[float] = []
    for place, panel in enumerate(row):
        for series, tint in colour.items():
            members = [
                (number, point)
                for number, point in enumerate(result.points)
                if _label(point, lines) == series and (panes[place] is None or panes[place] in point.set.values())
            ]
            members.sort(key=lambda member: quantity(member[1].set[axis])[0])
            ends += _line(panel, metric, members, axis, across, factor, tint, str(series))
            ends += _dotted(panel, metric, members, axis, across, factor, tint, beside)
            ends += _theory(panel, metric, members, axis, across, factor, theory)
        xs = sorted({quantity(point.set[axis])[0] * across for point in result.points})
        if xs[0] > 0 and xs[-1] / xs[0] >= WIDE:
            panel.set_xscale("log")
            panel.set_xticks(xs)
        if place:
            panel.tick_params(labelleft=False)
    positive = [end for end in ends if end > 0]
    logarithmic = len(positive) == len(ends) and max(positive, default=1) / min(positive, default=1) >= WIDE
    for panel in row:
        if logarithmic:
            panel.set_yscale("log")
            panel.set_ylim(min(positive) / 1.5, max(positive) * 1.5)
        elif ends:
            pad = 0.06 * (max(ends) - min(ends)) or 0.05 * abs(max(ends)) or 1.0
            panel.set_ylim(min(ends) - pad, max(ends) + pad)
        _plain(panel)
    label = textwrap.fill(metric_label(metric), 24)
    row[0].set_ylabel(f"{label}\n({unit})" if unit else label)


def _line(
    panel: Axes,
    metric: str,
    members: Sequence[tuple[int, Point]],
    axis: str,
    across: float,
    factor: float,
    tint: str,
    label: str,
) -> list[float]:
    """One line with the intervals of its points; returns what it reaches to."""
    at: list[float] = []
    estimates: list[Estimate] = []
    for _, point in members:
        estimate = point.metrics.get(metric)
        if estimate is not None and estimate.value is not None:
            at.append(quantity(point.set[axis])[0] * across)
            estimates.append(estimate)
    if not at:
        return []
    centre = [(estimate.value or 0.0) * factor for estimate in estimates]
    # On a logarithmic axis an interval that reaches to nothing would hide what it is about.
    low = [(e.value if e.low is None or e.low <= 0 else e.low) or 0.0 for e in estimates]
    high = [(e.value if e.high is None else e.high) or 0.0 for e in estimates]
    lows, highs = [value * factor for value in low], [value * factor for value in high]
    panel.fill_between(at, lows, highs, color=tint, alpha=0.25, linewidth=0)
    panel.plot(
        at, centre, color=tint, marker="o", markersize=4.5, label=style.short(label) or "found, with its interval"
    )
    return [*lows, *centre, *highs]


def _dotted(
    panel: Axes,
    metric: str,
    members: Sequence[tuple[int, Point]],
    axis: str,
    across: float,
    factor: float,
    tint: str,
    beside: Mapping[str, tuple[str, str]],
) -> list[float]:
    if metric not in beside:
        return []
    other, label = beside[metric]
    there = [(point, point.metrics[other].value) for _, point in members if other in point.metrics]
    at = [quantity(point.set[axis])[0] * across for point, value in there if value is not None]
    values = [value * factor for _, value in there if value is not None]
    panel.plot(at, values, color=tint, linestyle=(0, (1, 1.5)), linewidth=1.6)
    if values:
        panel.plot([], [], color=style.INK, linestyle=(0, (1, 1.5)), linewidth=1.6, label=label)
    return values


def _theory(
    panel: Axes,
    metric: str,
    members: Sequence[tuple[int, Point]],
    axis: str,
    across: float,
    factor: float,
    theory: Sequence[Mapping[str, float]],
) -> list[float]:
    there = [
        (point, theory[number][metric])
        for number, point in members
        if number < len(theory) and metric in theory[number]
    ]
    if not there:
        return []
    at = [quantity(point.set[axis])[0] * across for point, _ in there]
    values = [value * factor for _, value in there]
    panel.plot(
        at, values, color=style.INK, linestyle=(0, (4, 2)), linewidth=1.3, marker="x", markersize=6, label="theory"
    )
    return values


def _plain(panel: Axes) -> None:
    """Ticks in plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    for scale, ticks in ((panel.get_xscale(), panel.xaxis), (panel.get_yscale(), panel.yaxis)):
        if scale == "log":
            if ticks is panel.yaxis:
                ticks.set_major_locator(LogLocator(numticks=9))
            ticks.set_minor_locator(NullLocator())
        ticks.set_major_formatter(
            FuncFormatter(lambda value, _: f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:g}")
        )


def _legend(figure: Figure, axes: Sequence[Sequence[Axes]]) -> None:
    found: dict[str, Any] = {}
    for panel in [panel for row in axes for panel in row]:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    labels = list(found)
    figure.legend(list(found.values()), labels, loc="outside lower center", ncols=style.legend_columns(labels, 5))
