"""`workbench compare`: two runs of one scenario side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from workbench.report.worlds import Beside


def command(
    first: Annotated[
        str, typer.Argument(help="A run: its folder, scenario/run, scenario/latest, or a scenario's name.")
    ],
    second: Annotated[str, typer.Argument(help="The run to set beside it.")],
    everything: Annotated[bool, typer.Option("--all", help="Every workload's metrics too.")] = False,
    results: Annotated[Path, typer.Option("--results", help="The folder that holds results.")] = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Set two runs beside each other: every metric of both, the difference with its 95 % interval, and the distance."""
    from workbench.report import tables, worlds
    from workbench.results import ResultError, open_run

    try:
        runs = [open_run(name, root=results) for name in (first, second)]
        if runs[0].path.resolve() == runs[1].path.resolve():
            _refuse(f"{first} and {second} are the same run, {runs[0].path}; `workbench list` shows the others")
        one, other = (run.result for run in runs)
    except ResultError as error:
        _refuse(str(error))
    both = worlds.beside(one, other, tables.all_metrics(one) if everything else None)
    if not both.rows:
        _refuse(f"{one.scenario}/{one.run} and {other.scenario}/{other.run} have no setting and metric in common")
    if as_json:
        typer.echo(json.dumps(_data(both), indent=2))
        return
    pairing = "paired by replication" if both.paired else "unpaired (Welch)"
    tables.show(worlds.grid(both))
    typer.echo(f"difference: {both.names[1]} minus {both.names[0]}, 95 % interval, {pairing}\n")
    if both.distances:
        tables.show(worlds.distance_grid(both))


def _refuse(sentence: str) -> NoReturn:
    typer.echo(f"workbench compare: {sentence}", err=True)
    raise typer.Exit(2)


def _data(both: Beside) -> dict[str, Any]:
    return {
        "names": list(both.names),
        "paired": both.paired,
        "rows": [
            {
                "set": row.set,
                "metric": row.metric,
                "first": row.first.to_json(),
                "second": row.second.to_json(),
                "difference": row.difference.to_json(),
            }
            for row in both.rows
        ],
        "distances": [
            {
                "set": where,
                "histogram": name,
                "kolmogorov": apart.kolmogorov,
                "area": apart.area,
                "quantiles": {f"p{q * 100:g}": shift for q, shift in apart.quantiles.items()},
            }
            for where, name, apart in both.distances
        ],
    }
