"""`workbench validate`: the simulator against queueing theory."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from workbench.sim.validate import Validation

QUICK = 0.1
"""The effort of a quick validation: each run is so much shorter."""


def command(
    quick: Annotated[bool, typer.Option("--quick", help="Shorter runs: a tenth of the work.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="The seed of all cells.")] = 1,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes at work; all cores if not given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one object and nothing else.")] = False,
) -> None:
    """Hold the simulator against what theory knows: queues, surveys, choices of two.

    z says by how many standard errors the simulator is off. The exit code is 1 if any |z| is beyond 3.5, or if all
    together are not what chance gives.
    """
    from workbench.cli.run import Bar
    from workbench.model.progress import silent
    from workbench.sim.validate import validate

    bar = None if as_json else Bar()
    try:
        validation = validate(seed=seed, jobs=jobs, effort=QUICK if quick else 1.0, tell=bar.tell if bar else silent)
    finally:
        if bar is not None:
            bar.close()
    if as_json:
        print(json.dumps(_object(validation), allow_nan=False))
    else:
        _tell(validation)
    if not validation.holds:
        raise typer.Exit(1)


def _object(validation: "Validation") -> dict[str, Any]:
    rows = [
        {
            "model": outcome.cell.model,
            "setting": outcome.cell.setting,
            "quantity": outcome.cell.quantity,
            "simulated": outcome.simulated,
            "theory": outcome.cell.theory,
            "standard_error": outcome.standard_error,
            "z": outcome.z,
        }
        for outcome in validation.outcomes
    ]
    return {"cells": rows, "kolmogorov_smirnov_p": validation.p, "holds": validation.holds}


def _tell(validation: "Validation") -> None:
    from rich.console import Console
    from rich.table import Table

    from workbench.sim.validate import LARGEST_Z, SMALLEST_P

    table = Table(box=None, pad_edge=False)
    for title in ("model", "setting", "quantity"):
        table.add_column(title)
    for title in ("simulated", "theory", "s.e.", "z"):
        table.add_column(title, justify="right")
    for outcome in validation.outcomes:
        numbers = [f"{value:.5g}" for value in (outcome.simulated, outcome.cell.theory, outcome.standard_error)]
        z = f"{outcome.z:+.2f}" if outcome.holds else f"[bold red]{outcome.z:+.2f}[/]"
        table.add_row(outcome.cell.model, outcome.cell.setting, outcome.cell.quantity, *numbers, z)
    console = Console(highlight=False)
    console.print(table)
    out = sum(not outcome.holds for outcome in validation.outcomes)
    largest = max(abs(outcome.z) for outcome in validation.outcomes)
    console.print(
        f"{len(validation.outcomes)} cells, {out} with |z| beyond {LARGEST_Z:g}; the largest is {largest:.2f}. "
        f"Together they are {'what' if validation.p > SMALLEST_P else 'not what'} chance gives "
        f"(Kolmogorov-Smirnov p = {validation.p:.3f})."
    )
