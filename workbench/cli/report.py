"""`workbench report`: the page of a run, made again from its numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from workbench.results import Entry


def command(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Runs: a folder, scenario/run, scenario/latest, or a scenario's name. The newest run of all if none.",
            show_default=False,
        ),
    ] = None,
    alone: Annotated[bool, typer.Option("--alone", help="Do not set a run of the other world beside it.")] = False,
    results: Annotated[Path, typer.Option("--results", help="The folder that holds results.")] = Path("results"),
) -> None:
    """Make the figures and report.html of runs, simulated and measured ones of one scenario side by side."""
    from workbench.report import write
    from workbench.results import ResultError, list_runs, open_run

    try:
        names = runs or [_newest(list_runs(results), results)]
        opened = [open_run(name, root=results) for name in names]
        for run in opened:
            # Two runs named together, one of each world, are meant for each other.
            partners = [
                other
                for other in opened
                if other.manifest.scenario == run.manifest.scenario and other.manifest.world != run.manifest.world
            ]
            typer.echo(write(run, beside=partners[0] if partners else None, alone=alone))
    except ResultError as error:
        typer.echo(f"workbench report: {error}", err=True)
        raise typer.Exit(2) from None


def _newest(entries: list[Entry], results: Path) -> str:
    from workbench.results import ResultError

    complete = [entry for entry in entries if entry.manifest is not None]
    if not complete:
        raise ResultError(f"there is no finished run in {results}")
    return str(max(complete, key=lambda entry: entry.run).path)
