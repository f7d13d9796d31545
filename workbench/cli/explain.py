"""workbench explain: what a key of a scenario means."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    path: Annotated[
        str, typer.Argument(metavar="[PATH]", help="A key, such as workloads.load; all of them when left out.")
    ] = "",
) -> None:
    """Say what a key of a scenario means, how it is written, its unit and its default."""
    from workbench.scenario import ScenarioError, explain

    try:
        typer.echo(explain(path))
    except ScenarioError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
