"""`workbench calibrate`: what handling a message costs on this machine, for simulations to count with."""

from typing import Annotated

import typer


def command(
    runs: Annotated[int, typer.Option(min=2, help="How often it is measured, each time in fresh processes.")] = 5,
) -> None:
    """Measure what it costs a program to handle messages, and say how a scenario counts with it."""
    from workbench.bench.calibrate import costs
    from workbench.results.wording import full_text

    found = costs(runs)
    typer.echo(f"to wake a program that sleeps      {full_text(found.wake)}")
    typer.echo(f"to take up a message, or work      {full_text(found.step)}")
    typer.echo(f"for each KiB of it, at either end  {full_text(found.kib)}")
    typer.echo("in a scenario, or with --set:")
    typer.echo(f"  run.handling='{found.words()}'")
