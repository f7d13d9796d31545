"""`workbench calibrate`: what a message costs on this machine, for simulations to count with."""

from typing import Annotated

import typer


def command(
    runs: Annotated[int, typer.Option(min=2, help="How often it is measured, each time in fresh processes.")] = 5,
) -> None:
    """Measure what a message costs beyond its wire, and say how a scenario counts with it."""
    from workbench.bench.calibrate import handling
    from workbench.results.wording import full_text

    found = handling(runs)
    assert found.value is not None
    typer.echo(f"a message costs {full_text(found)} here, beyond its wire; in a scenario, or with --set:")
    typer.echo(f"  run.handling={found.value * 1e6:.0f}us")
