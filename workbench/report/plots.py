"""The figures: each a function from results to a matplotlib figure, its axes labelled with units.

Every function returns None when the result does not hold what it would draw. Nothing here runs anything.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.report import style
from workbench.report.setting import Window
from workbench.report.share import Shares, shares
from workbench.results import compare
from workbench.results.histogram import Histogram
from workbench.results.result import Estimate, Point, Result
from workbench.results.wording import (
    MetricName,
    axis_unit,
    estimate_text,
    full_text,
    interval_text,
    metric_label,
    metric_unit,
    setting_label,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 12
"""More panels than this nobody compares; a figure draws the first ones."""


def answers_over_time(result: Result, windows: Sequence[Window] = ()) -> Figure | None:
    """Who answered whom, when: the share of answers by site over time, the times of faults shaded.

    One row per workload, one column per point (wrapped when there are many). The white line between two areas is the
    mean over replications, the dark band around it holds 95 % of them.
    """
    places = range(len(result.points))
    workloads = dict.fromkeys(
        row["workload"] for point in result.points for run in point.replications for row in run.timeline
    )
    found_shares = ((name, place, shares(result.points[place], name)) for name in workloads for place in places)
    cells = list(islice((cell for cell in found_shares if cell[2] is not None), MOST_PANELS))
    if not cells:
        return None
    columns = len(places) if 1 < len(places) <= 3 else min(3, len(cells))
    rows = -(-len(cells) // columns)
    sites = style.colours((site for *_, found in cells if found for site in found.sites), style.SITES)
    with style.applied():
        figure, axes = style.panels(rows, columns, height_in=2.7, share_y=True)
        for number, (name, place, found) in enumerate(cells):
            panel = axes[number // columns][number % columns]
            assert found is not None
            _share_panel(panel, found, sites, windows)
            setting = f"{setting_label(result.points[place].set)}:" if result.points[place].set else ""
            panel.set_title(style.title(setting, f"requests of {name}", columns), pad=20 if windows else 8)
            if number % columns == 0:
                panel.set_ylabel("share of answers (%)")
            if number + columns >= len(cells):
                panel.set_xlabel("time since the run began (s)")
        _clear(axes, len(cells))
        _site_legend(figure, sites, bool(windows))
    return figure


def timeline(result: Result, windows: Sequence[Window] = ()) -> Figure | None:
    """What was sent, answered and lost a second, and how long it took, over the time of the run; faults shaded.

    One column for each point, the first ones. Means over the replications; the first second is often the dialling.
    """
    points = [point for point in result.points if any(run.timeline for run in point.replications)][:3]
    if not points:
        return None
    with style.applied():
        figure, axes = style.panels(2, len(points), height_in=2.4, share_y=False)
        tops = [0.0, 0.0]
        for column, point in enumerate(points):
            upper, lower = axes[0][column], axes[1][column]
            starts, width, counts, latency = _over_time(point)
            edges = np.append(starts, starts[-1] + width)
            for name, colour in (("sent", style.INK), ("answered", style.POINTS[0]), ("lost", style.MEASURED)):
                upper.stairs(counts[name], edges, baseline=None, color=colour, linewidth=1.5, label=name)
            factor, unit = axis_unit([float(np.nanmax(latency)) if np.isfinite(latency).any() else 0.0], "s")
            lower.stairs(latency * factor, edges, baseline=None, color=style.POINTS[1], linewidth=1.5)
            lower.set_xlabel("time since the run began (s)")
            upper.set_title(style.short(setting_label(point.set)) if point.set else "", pad=20 if windows else 8)
            lower.set_ylabel(f"mean latency ({unit})")
            tops[0] = max(tops[0], float(max(counts[name].max() for name in counts)))
            for panel in (upper, lower):
                panel.set_xlim(edges[0], edges[-1])
                panel.set_ylim(bottom=0)
                _shade(panel, windows, float(edges[-1]), named=panel is upper)
        axes[0][0].set_ylabel("messages (1/s)")
        for panel in axes[0]:
            panel.set_ylim(0, tops[0] * 1.08 or 1.0)
        figure.legend(*_unique_handles([axes[0][0]]), loc="outside lower center", ncols=3)
    return figure


def _over_time(point: Point) -> tuple[Any, float, dict[str, Any], Any]:
    """The beginning of each bin, their width, the rates of what was counted in them, and the mean latencies."""
    rows = [row for run in point.replications for row in run.timeline]
    starts = np.array(sorted({row["bin_start_s"] for row in rows}))
    place = {start: number for number, start in enumerate(starts)}
    counts = {name: np.zeros(len(starts)) for name in ("sent", "answered", "lost")}
    spent = np.zeros(len(starts))
    for row in rows:
        at = place[row["bin_start_s"]]
        counts["sent"][at] += row["sent"]
        counts["answered"][at] += sum(row["answered"].values())
        counts["lost"][at] += row["lost"]
        spent[at] += row["latency_sum_s"]
    width = float(np.min(np.diff(starts))) if len(starts) > 1 else 1.0
    with np.errstate(invalid="ignore", divide="ignore"):
        latency = spent / counts["answered"]
    each = width * len([run for run in point.replications if run.timeline])
    return starts, width, {name: values / each for name, values in counts.items()}, latency


def _shade(panel: Axes, windows: Sequence[Window], end: float, *, named: bool) -> None:
    for window in windows:
        stop = end if window.stop_s is None else window.stop_s
        panel.axvspan(
            window.start_s, stop, facecolor="none", edgecolor=style.FAULT, hatch="///", alpha=0.35, linewidth=0
        )
        if named:
            panel.text(
                (window.start_s + stop) / 2,
                1.03,
                style.short(window.text),
                transform=panel.get_xaxis_transform(),
                ha="center",
                color=style.FAULT,
                fontsize=9.5,
            )


def distribution(result: Result, histogram: str = "latency") -> Figure | None:
    """How many answers take longer than any given time: one line per point, both axes logarithmic.

    The band holds all replications, the line all of their samples. Results with a placement get a panel for each. A
    panel has no more lines than there are colours; further points are left to the tables.
    """
    points = [point for point in result.points if point.histogram(histogram).count]
    if not points:
        return None
    groups: dict[Any, list[Point]] = {}
    for point in points:
        group = groups.setdefault(point.set.get("placement"), [])
        if len(group) < len(style.POINTS):
            group.append(point)
    points = [point for group in groups.values() for point in group]
    colour = style.colours(_series(point) for point in points)
    everything = Histogram.merged(point.histogram(histogram) for point in points)
    factor, unit = axis_unit([everything.quantile(0.5)], "s")
    with style.applied():
        figure, axes = style.panels(1, len(groups), height_in=4.2, share_y=True)
        for panel, (placement, members) in zip(axes[0], groups.items(), strict=True):
            for point in members:
                _tail(panel, point, histogram, factor, colour[_series(point)])
            panel.set_xscale("log")
            panel.set_yscale("log")
            panel.set_xlabel(f"{_noun(histogram)} ({unit})")
            if placement is not None:
                panel.set_title(style.short(str(placement)))
            _plain_log(panel.xaxis)
        axes[0][0].set_ylabel("share of answers slower than this")
        _tail_ticks(axes[0], everything.count)
        handles, labels = _unique_handles(axes[0])
        figure.legend(handles, labels, loc="outside lower center", ncols=style.legend_columns(labels, 5))
    return figure


def intervals(result: Result, metrics: Sequence[str], theory: Sequence[Mapping[str, float]] = ()) -> Figure | None:
    """Each metric at each point with its 95 % interval; one panel per metric, one row per point.

    `theory` is what it says of the metrics, for each point.
    """
    points = list(result.points)[:MOST_PANELS]
    series = {
        setting_label(point.set): (style.POINTS[place % len(style.POINTS)], point) for place, point in enumerate(points)
    }
    said = {setting_label(point.set): values for point, values in zip(points, theory, strict=False)}
    sides = [{name: (colour, point.metrics) for name, (colour, point) in series.items()}]
    return _forest(sides, metrics, [""], said)


def libraries(
    result: Result, quantities: Sequence[str] = ("throughput", "round_trip.p50"), baseline: str = "ours"
) -> Figure | None:
    """Throughput and round trips as bars with intervals, per library and placement, and each one's ratio to ours.

    The ratio is the median over interleaved blocks with its exact interval; a library without numbers says why. A
    quantity that a verdict is about is drawn for the workloads the verdicts name, else for all workloads together.
    """
    points = [point for point in result.points if "library" in point.set]
    names = list(dict.fromkeys(str(point.set["library"]) for point in points))
    placements = list(dict.fromkeys(point.set.get("placement") for point in points))
    drawn = [name for quantity in quantities for name in _metrics_of(result, quantity)]
    if len(names) < 2 or not drawn:
        return None
    colour = style.colours(names)
    with style.applied():
        figure, axes = style.panels(len(drawn), len(placements), height_in=0.9 + 0.45 * len(names))
        for row, metric in zip(axes, drawn, strict=True):
            for panel, placement in zip(row, placements, strict=True):
                here = {str(p.set["library"]): p for p in points if p.set.get("placement") == placement}
                _bars(panel, metric, names, here, colour, baseline)
                where = f", {placement}" if placement is not None else ""
                panel.set_title(style.short(f"{metric_label(metric)}{where}"))
            for panel in row[1:]:
                panel.tick_params(labelleft=False)
    return figure


def worlds(simulated: Result, measured: Result, histogram: str = "latency") -> Figure | None:
    """The distribution of latency as simulated and as measured, one panel per point that both have."""
    pairs = [pair for pair in _pairs(simulated, measured) if all(point.histogram(histogram).count for point in pair)]
    pairs = pairs[:MOST_PANELS]
    if not pairs:
        return None
    columns = min(3, len(pairs))
    with style.applied():
        figure, axes = style.panels(-(-len(pairs) // columns), columns, height_in=3.6, share_y=True)
        for number, (one, other) in enumerate(pairs):
            panel = axes[number // columns][number % columns]
            first, second = one.histogram(histogram), other.histogram(histogram)
            factor, unit = axis_unit([first.quantile(0.5)], "s")
            for part, name, colour, width in (
                (first, "simulated", style.SIMULATED, 3.2),
                (second, "measured", style.MEASURED, 1.5),
            ):
                values, fractions = part.cumulative()
                line = panel.step(values * factor, fractions * 100, where="post", color=colour, label=name)
                line[0].set_linewidth(width)  # the wider first: where they agree, both are seen
            panel.set_xscale("log")
            _plain_log(panel.xaxis)
            panel.set_title(style.short(setting_label(one.set)), pad=22)
            apart = compare.distance(first, second)
            if apart is not None:
                panel.text(
                    0,
                    1.02,
                    f"greatest gap {apart.kolmogorov * 100:.1f} %",
                    transform=panel.transAxes,
                    color=style.FAINT,
                    fontsize=10,
                )
            panel.set_xlabel(f"{_noun(histogram)} ({unit})")
            if number % columns == 0:
                panel.set_ylabel("answers at most this slow (%)")
        _clear(axes, len(pairs))
        figure.legend(*_unique_handles([axes[0][0]]), loc="outside lower center", ncols=2)
    return figure


def worlds_intervals(simulated: Result, measured: Result, metrics: Sequence[str]) -> Figure | None:
    """Metrics as simulated and as measured, with their intervals, one row per point that both have."""
    pairs = _pairs(simulated, measured)[:MOST_PANELS]
    sides = [
        {setting_label(pair[side].set): (colour, pair[side].metrics) for pair in pairs}
        for side, colour in enumerate((style.SIMULATED, style.MEASURED))
    ]
    return _forest(sides, metrics, ["simulated", "measured"])


def _share_panel(panel: Axes, found: Shares, sites: Mapping[Hashable, str], windows: Sequence[Window]) -> None:
    edges = np.append(found.start_s, found.start_s[-1] + found.width_s)
    below = np.zeros_like(found.start_s)
    for place, site in enumerate(found.sites):
        above = below + np.nan_to_num(found.mean[place]) * 100
        panel.stairs(above, edges, baseline=below, fill=True, color=sites[site], linewidth=0)
        below = above
    for place in range(len(found.sites) - 1):
        panel.fill_between(
            edges,
            _closed(found.low[place]) * 100,
            _closed(found.high[place]) * 100,
            step="post",
            color=style.INK,
            alpha=0.45,
            linewidth=0,
        )
        panel.stairs(np.cumsum(found.mean, axis=0)[place] * 100, edges, baseline=None, color="white", linewidth=1.0)
    for window in windows:
        stop = edges[-1] if window.stop_s is None else window.stop_s
        panel.axvspan(
            window.start_s, stop, facecolor="none", edgecolor=style.FAULT, hatch="///", alpha=0.35, linewidth=0
        )
        for edge in {window.start_s, stop}:
            panel.axvline(edge, color=style.FAULT, linewidth=1.2, linestyle=(0, (4, 2)))
        panel.text(
            (window.start_s + stop) / 2,
            1.025,
            style.short(window.text),
            transform=panel.get_xaxis_transform(),
            ha="center",
            color=style.FAULT,
            fontsize=9.5,
        )
    panel.set_xlim(edges[0], edges[-1])
    panel.set_ylim(0, 100)
    panel.grid(visible=False)


def _closed(values: Any) -> Any:
    """The last value again, so that a stepped band reaches the last bin's end."""
    return np.append(values, values[-1])


def _site_legend(figure: Figure, sites: Mapping[Hashable, str], faulty: bool) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=colour, label=f"answered in {style.short(str(site))}") for site, colour in sites.items()]
    if len(sites) > 1:
        handles.append(Patch(facecolor=style.INK, alpha=0.45, label="95 % of replications"))
    if faulty:
        handles.append(Patch(facecolor="white", edgecolor=style.FAULT, hatch="///", linewidth=0, label="fault"))
    labels = [str(handle.get_label()) for handle in handles]
    figure.legend(handles=handles, loc="outside lower center", ncols=style.legend_columns(labels, 4))


def _tail(panel: Axes, point: Point, histogram: str, factor: float, colour: str) -> None:
    pooled = point.histogram(histogram)
    levels = np.geomspace(1.0, 1.0 / pooled.count, 240)
    if len(point.replications) > 1:
        runs = [run.histograms[histogram] for run in point.replications if histogram in run.histograms]
        fewest = min(run.count for run in runs)
        covered = levels[levels >= 1.0 / fewest]
        times = np.array([[run.quantile(1.0 - level) for level in covered] for run in runs]) * factor
        panel.fill_betweenx(covered, times.min(axis=0), times.max(axis=0), color=colour, alpha=0.22, linewidth=0)
    values, fractions = pooled.cumulative()
    # Before its first value nothing is faster: the line starts at 1 there and steps down at each value.
    slower = np.append(1.0, 1.0 - fractions[:-1])
    panel.step(values * factor, slower, where="pre", color=colour, label=style.short(_series(point)))


def _tail_ticks(row: Sequence[Axes], count: int) -> None:
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    # A line is worth reading down to where ten samples are left.
    lowest = 10.0 ** -max(1, min(5, int(np.floor(np.log10(max(count, 1) / 10)))))
    marks = [(0.5, "p50"), (0.1, "p90"), (0.01, "p99"), (0.001, "p99.9"), (1e-4, "p99.99"), (1e-5, "p99.999")]
    for panel in row:
        panel.set_ylim(lowest, 1.15)
        panel.yaxis.set_major_locator(FixedLocator([10.0**-power for power in range(6)]))
        panel.yaxis.set_major_formatter(FixedFormatter(["100 %", "10 %", "1 %", "0.1 %", "0.01 %", "0.001 %"]))
        panel.yaxis.set_minor_locator(NullLocator())
    side = row[-1].secondary_yaxis("right")
    shown = [mark for mark in marks if mark[0] >= lowest]
    side.yaxis.set_major_locator(FixedLocator([level for level, _ in shown]))
    side.yaxis.set_major_formatter(FixedFormatter([name for _, name in shown]))
    side.yaxis.set_minor_locator(NullLocator())
    side.spines["right"].set_visible(False)
    side.tick_params(length=0)


def _plain_log(axis: Any) -> None:
    """Log ticks as 0.1, 1, 10 and, where a decade is wide enough to read them, 2 and 5 between."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = axis.get_view_interval()
    wide = low > 0 and high / low > 300
    axis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axis.set_minor_locator(NullLocator())


def _forest(
    sides: Sequence[Mapping[str, tuple[str, Mapping[str, Estimate]]]],
    metrics: Sequence[str],
    names: Sequence[str],
    theory: Mapping[str, Mapping[str, float]] | None = None,
) -> Figure | None:
    """Panels of intervals; `sides` are drawn beside each other in every row (simulated and measured)."""
    rows = list(dict.fromkeys(label for side in sides for label in side))
    drawn = [
        metric
        for metric in metrics
        if any(metric in values and values[metric].value is not None for side in sides for _, values in side.values())
    ][:MOST_PANELS]
    if not rows or not drawn:
        return None
    columns = 1 if len(drawn) == 1 else 2
    with style.applied():
        lines = -(-len(drawn) // columns)
        figure, axes = style.panels(lines, columns, height_in=0.95 + 0.34 * len(rows) * len(sides))
        for number, metric in enumerate(drawn):
            panel = axes[number // columns][number % columns]
            said = {row: values[metric] for row, values in (theory or {}).items() if metric in values}
            _forest_panel(panel, metric, rows, sides, names, said)
            if number % columns:
                panel.tick_params(labelleft=False)
        _clear(axes, len(drawn))
        if len(sides) > 1:
            figure.legend(
                *_unique_handles([panel for row in axes for panel in row]), loc="outside lower center", ncols=len(sides)
            )
    return figure


def _forest_panel(
    panel: Axes,
    metric: str,
    rows: Sequence[str],
    sides: Sequence[Mapping[str, tuple[str, Mapping[str, Estimate]]]],
    names: Sequence[str],
    theory: Mapping[str, float],
) -> None:
    found = [values[metric] for side in sides for _, values in side.values() if metric in values]
    ends = [end for estimate in found for end in (estimate.value, estimate.low, estimate.high) if end is not None]
    ends += theory.values()
    factor, unit = axis_unit(ends, found[0].unit if found else metric_unit(metric))
    for row, label in enumerate(rows):
        for place, (side, name) in enumerate(zip(sides, names, strict=True)):
            height = row + (place - (len(sides) - 1) / 2) * 0.42
            colour, values = side.get(label, (style.FAINT, {}))
            estimate = values.get(metric)
            text = "—" if estimate is None else full_text(estimate)
            panel.text(1.02, height, text, transform=panel.get_yaxis_transform(), va="center", fontsize=9.5)
            if estimate is None or estimate.value is None:
                continue
            centre = estimate.value * factor
            low = centre if estimate.low is None else estimate.low * factor
            high = centre if estimate.high is None else estimate.high * factor
            panel.plot([low, high], [height, height], color=colour, linewidth=2.4, solid_capstyle="butt")
            panel.plot([low, low], [height - 0.1, height + 0.1], color=colour, linewidth=1.6)
            panel.plot([high, high], [height - 0.1, height + 0.1], color=colour, linewidth=1.6)
            panel.plot(centre, height, marker="o", markersize=6.5, color=colour, linestyle="none", label=name or None)
    for row, label in enumerate(rows):
        if label in theory:
            panel.plot(theory[label] * factor, row, marker="x", markersize=9, color=style.INK, linestyle="none")
    low, high = min(ends) * factor, max(ends) * factor
    pad = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    panel.set_xlim(low - pad, high + pad)
    panel.set_ylim(len(rows) - 0.4, -0.6)
    panel.set_yticks(range(len(rows)), [style.short(row, 24) for row in rows])
    panel.grid(visible=False, axis="y")
    panel.locator_params(axis="x", nbins=5)
    panel.ticklabel_format(axis="x", useOffset=False) if high != low else panel.set_xticks([low])
    panel.set_title(style.short(metric_label(metric)))
    panel.set_xlabel(unit or "number")


def _bars(
    panel: Axes,
    metric: str,
    names: Sequence[str],
    here: Mapping[str, Point],
    colour: Mapping[Hashable, str],
    baseline: str,
) -> None:
    kept = compare.unit_of(metric, *here.values())
    missing = Estimate(None, None, None, kept, 0)
    found = {name: here[name].metrics.get(metric, missing) if name in here else missing for name in names}
    longest = max((estimate.high or estimate.value or 0.0 for estimate in found.values()), default=0.0)
    factor, unit = axis_unit([longest], kept)
    for place, (name, estimate) in enumerate(found.items()):
        if estimate.value is None:
            panel.text(
                longest * factor * 0.01,
                place,
                style.short(_why(here.get(name))),
                va="center",
                color=style.FAINT,
                fontsize=9.5,
                style="italic",
            )
            continue
        panel.barh(place, estimate.value * factor, height=0.62, color=colour[name])
        if estimate.low is not None and estimate.high is not None:
            panel.plot([estimate.low * factor, estimate.high * factor], [place, place], color=style.INK, linewidth=1.6)
        beside = _ratio_text(here.get(baseline), here[name], metric) if name != baseline else ""
        panel.annotate(
            f"{_short(estimate, factor, unit)}{beside}",
            ((estimate.high or estimate.value) * factor, place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9.5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
        )
    # Room on the right for the text of the longest bar.
    panel.set_xlim(0, longest * factor * 1.9 or 1.0)
    panel.set_ylim(len(names) - 0.4, -0.6)
    panel.set_yticks(range(len(names)), [style.short(name, 24) for name in names])
    panel.grid(visible=False, axis="y")
    panel.locator_params(axis="x", nbins=6)
    panel.set_xlabel(unit)


def _short(estimate: Estimate, factor: float, unit: str) -> str:
    assert estimate.value is not None
    return f"{estimate.value * factor:.3g} million/s" if unit == "million/s" else estimate_text(estimate)


def _ratio_text(baseline: Point | None, other: Point, metric: str) -> str:
    if baseline is None:
        return ""
    pairs = compare.paired(baseline, other, metric)
    ratio = compare.ratio_of([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    return "" if ratio is None else f"   × {estimate_text(ratio)} {interval_text(ratio)}".rstrip()


def _why(point: Point | None) -> str:
    notes = [note for run in point.replications for note in run.notes] if point is not None else []
    return notes[0] if notes else "not measured"


def _metrics_of(result: Result, quantity: str) -> list[str]:
    """The metrics that tell a quantity: those verdicts are about, or the plain one, or each workload's."""
    there = list(dict.fromkeys(name for point in result.points for name in point.metrics))
    telling = [
        name for name in there if MetricName.parse(name) == MetricName(quantity, MetricName.parse(name).workload)
    ]
    judged = {verdict.metric for verdict in result.verdicts}
    return [name for name in telling if name in judged] or [name for name in telling if name == quantity] or telling


def _pairs(simulated: Result, measured: Result) -> list[tuple[Point, Point]]:
    return [(one, other) for one in simulated.points for other in measured.points if one.set == other.set]


def _series(point: Point) -> str:
    return setting_label({key: value for key, value in point.set.items() if key != "placement"})


def _noun(histogram: str) -> str:
    if MetricName.parse(histogram).quantity == "reply":
        return "time from survey to answer"
    return metric_label(histogram).replace("latency", "time from request to answer")


def _unique_handles(panels: Sequence[Axes]) -> tuple[list[Any], list[str]]:
    found = {
        label: handle for panel in panels for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    return list(found.values()), list(found)


def _clear(axes: Sequence[Sequence[Axes]], used: int) -> None:
    for panel in [panel for row in axes for panel in row][used:]:
        panel.remove()
