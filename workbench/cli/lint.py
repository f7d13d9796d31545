"""workbench lint: everything that is wrong with scenario files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.aside import prints_aside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.scenario import Problem


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

    The behaviours that a file names are imported, to see that they are there. The exit code is 2 if anything is wrong.
    """
    from workbench.scenario import lint

    errors = 0
    for path in scenarios:
        problems = lint(path, sets=set_ or ()) or _behaviours(path, set_ or ())
        for problem in problems:
            typer.echo(str(problem))
        if not problems:
            typer.echo(f"{path}: fine")
        errors += len(problems)
    if errors:
        typer.echo(f"{errors} {'error' if errors == 1 else 'errors'}", err=True)
        raise typer.Exit(2)


def _behaviours(path: Path, sets: Sequence[str]) -> list[Problem]:
    """What keeps the behaviours of a scenario, which is fine otherwise, from being played."""
    from workbench.scenario import ScenarioError, load, points

    scenario = load(path, sets=sets)
    named = dict.fromkeys(name for point in points(scenario) for name in point.scenario.behaviours())
    if not named:
        return []
    from workbench.model.custom import load_behaviour

    problems: list[Problem] = []
    for name in named:
        try:
            with prints_aside():
                load_behaviour(scenario, name)
        except ScenarioError as error:
            problems += error.problems
    return problems
