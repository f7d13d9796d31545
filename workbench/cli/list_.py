"""`workbench list`: the runs there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from workbench.results import Entry


def command(
    scenario: Annotated[str | None, typer.Argument(help="Only runs of this scenario.", show_default=False)] = None,
    results: Annotated[Path, typer.Option("--results", help="The folder that holds results.")] = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list and nothing else.")] = False,
) -> None:
    """List finished, incomplete and damaged runs, the newest of each scenario last."""
    from workbench.results import ResultError, list_runs

    try:
        entries = list_runs(results, scenario)
    except ResultError as error:
        typer.echo(f"workbench list: {error}", err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps([_data(entry) for entry in entries], indent=2))
    elif not entries:
        typer.echo(f"no runs{f' of {scenario}' if scenario else ''} in {results}")
    else:
        _show(entries)


def _show(entries: list[Entry]) -> None:

    from workbench.report import tables
    from workbench.report.tables import Cell, Grid
    from workbench.results.wording import quantity_text

    rows: list[tuple[Cell, ...]] = []
    for entry in entries:
        manifest = entry.manifest
        if manifest is None:
            rows.append((Cell(entry.scenario), Cell(entry.run), Cell(""), Cell(""), Cell(""), Cell(entry.state)))
            continue
        held = sum(item["holds"] for item in manifest.expectations)
        expected = len(manifest.expectations)
        state = f"complete, {held} of {expected} hold" if expected else "complete"
        size = f"{manifest.points:,} × {manifest.replications // max(1, manifest.points):,}"
        wall = quantity_text(manifest.wall_s, "s")
        rows.append(tuple(map(Cell, (entry.scenario, entry.run, manifest.world, size, wall, state))))
    heads = ("scenario", "run", "world", "points", "wall time", "state")
    tables.show(Grid(heads, tuple(rows)))
    for entry in entries:
        if entry.problem:
            typer.echo(entry.problem, err=True)


def _data(entry: Entry) -> dict[str, Any]:
    data: dict[str, Any] = {"scenario": entry.scenario, "run": entry.run, "path": str(entry.path), "state": entry.state}
    if entry.manifest is not None:
        told = ("world", "started", "wall_s", "points", "replications")
        data |= {name: getattr(entry.manifest, name) for name in told}
    return data | ({"problem": entry.problem} if entry.problem else {})
