"""workbench lint: everything that is wrong with scenario files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    scenarios: Annotated[
        list[Path], typer.Argument(metavar="SCENARIO...", help="Scenario files to look at.", show_default=False)
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="PATH=VALUE", help="Look at the scenario with this value set.", show_default=False
        ),
    ] = None,
) -> None:
    """Print all errors of scenario files at once, each with its line and what was probably meant.

    The exit code is 2 if there are any.
    """
    from workbench.scenario import lint

    errors = 0
    for path in scenarios:
        problems = lint(path, sets=set_ or ())
        for problem in problems:
            typer.echo(str(problem))
        if not problems:
            typer.echo(f"{path}: fine")
        errors += len(problems)
    if errors:
        typer.echo(f"{errors} {'error' if errors == 1 else 'errors'}", err=True)
        raise typer.Exit(2)
