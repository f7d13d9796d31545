"""Tables of results: one grid of cells, shown on a terminal, as plain text, or in a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.results.result import Estimate, Result
from workbench.results.wording import (
    MISSING,
    MetricName,
    difference_text,
    estimate_text,
    interval_text,
    metric_label,
    metric_order,
    setting_label,
)

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

MOST_COLUMNS = 5
"""With more points than this a table is turned: one row per point, one column per metric."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A value and, smaller beside it, its interval."""

    value: str
    interval: str = ""

    def __str__(self) -> str:
        return f"{self.value} {self.interval}".rstrip()

    @classmethod
    def of(cls, estimate: Estimate | None) -> Cell:
        """The cell of an estimate; a dash where there is none."""
        return cls(MISSING) if estimate is None else cls(estimate_text(estimate), interval_text(estimate))

    @classmethod
    def difference(cls, estimate: Estimate) -> Cell:
        """The cell of a difference, which shows its sign."""
        return cls(difference_text(estimate), interval_text(estimate))


@dataclass(frozen=True, slots=True)
class Grid:
    """Column heads and rows; the first column names the rows."""

    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def grid(result: Result, metrics: Sequence[str] | None = None) -> Grid:
    """One row per metric and one column per point, or turned when there are many points.

    `metrics` defaults to `main_metrics`.
    """
    names = main_metrics(result) if metrics is None else list(metrics)
    points = [setting_label(point.set) for point in result.points]
    cells = [[Cell.of(point.metrics.get(name)) for point in result.points] for name in names]
    labels = [metric_label(name) for name in names]
    if len(points) > MOST_COLUMNS:
        rows = [(Cell(point), *(row[place] for row in cells)) for place, point in enumerate(points)]
        return Grid(("", *labels), tuple(rows))
    return Grid(("", *points), tuple((Cell(label), *row) for label, row in zip(labels, cells, strict=True)))


def main_metrics(result: Result) -> list[str]:
    """The metrics of the whole scenario and those a verdict is about, in reading order; the rest is detail."""
    chosen = {name for name in _names(result) if not MetricName.parse(name).workload}
    chosen |= {verdict.metric for verdict in result.verdicts}
    return sorted(chosen, key=metric_order)


ON_THE_PAGE = ("lost_share", "in_system")
"""Metrics that say in another way what others say: in a short table only where a verdict is about them."""


def short_metrics(result: Result) -> list[str]:
    """The main metrics without their phases, which belong on the page; a share is nothing without them."""
    phased = {name for name in main_metrics(result) if MetricName.parse(name).phase}
    compared = {verdict.metric for verdict in result.verdicts}
    shown = [name for name in main_metrics(result) if name not in phased or name in compared or "cross" in name]
    shown = [name for name in shown if name not in ON_THE_PAGE or name in compared]
    # Without a phase the share is that of the time before the fault.
    return [name for name in shown if f"{name}.before" not in shown or "share" not in name]


def all_metrics(result: Result) -> list[str]:
    """Every metric that any point has, in reading order."""
    return sorted(set(_names(result)), key=metric_order)


def table(content: Grid, title: str | None = None) -> Table:
    """A grid as a table for a terminal, the intervals dimmed."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for place, head in enumerate(content.heads):
        # Text, not a string: names come from the user and may hold what looks like markup.
        # Rather a narrow first column than an interval broken over two lines.
        shown.add_column(Text(head), justify="right" if place else "left", overflow="fold", no_wrap=bool(place))
    for first, *others in content.rows:
        shown.add_row(Text(str(first)), *(_styled(cell) for cell in others))
    return shown


def text(content: Grid) -> str:
    """A grid as plain text in columns, with a line under the heads; ends with a line break."""
    rows = [content.heads, *(tuple(str(cell) for cell in row) for row in content.rows)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(content.heads))]
    lines = [_line(row, widths) for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "".join(f"{line.rstrip()}\n" for line in lines)


def show(content: Grid) -> None:
    """Prints a grid: as a table on a terminal wide enough for it, else as plain text, which loses nothing."""
    from rich.console import Console

    console = Console()
    columns = range(1, len(content.heads))
    values = sum(2 + max((len(str(row[place])) for row in content.rows), default=0) for place in columns)
    if console.is_terminal and console.width >= values + 16:
        console.print(table(content))
    else:
        print(text(content), end="")


def _styled(cell: Cell) -> Text:
    from rich.text import Text

    return Text.assemble(cell.value, (f" {cell.interval}" if cell.interval else "", "dim"))


def _line(row: Iterable[str], widths: Sequence[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])


def _names(result: Result) -> list[str]:
    return [name for point in result.points for name in point.metrics]
