"""`workbench verify`: run a simulated replication again and compare it bit for bit."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from workbench.cli.aside import prints_aside


def command(
    run: Annotated[str, typer.Argument(help="A run: its folder, scenario/run, scenario/latest, or a scenario's name.")],
    everything: Annotated[bool, typer.Option("--all", help="Every replication, not the first of each point.")] = False,
    results: Annotated[Path, typer.Option("--results", help="The folder that holds results.")] = Path("results"),
) -> None:
    """Replay a run of the virtual world and compare every number with what was kept.

    The exit code is 0 if all are identical, 1 if not, 2 if the run cannot be replayed.
    """
    from workbench.model import custom
    from workbench.results import ResultError, open_run
    from workbench.scenario import ScenarioError, parse, points
    from workbench.sim.replication import again as played

    try:
        opened = open_run(_newest_virtual(run, results), root=results)
        kept = opened.result
        if kept.world != "virtual":
            _refuse("only runs of the virtual world can be replayed; the real one never repeats itself")
        facts = opened.manifest.facts
        base = Path(facts.get("directory", opened.path))
        scenario = parse(opened.scenario_yaml, name=f"{opened.path / 'scenario.yaml'}", base=base)
        swept = points(scenario)
        with prints_aside():
            behaviours = custom.fingerprints(point.scenario for point in swept)
        if behaviours != facts.get("behaviours", {}):
            _refuse(f"the behaviours in {base} have changed since this run")
    except (ResultError, ScenarioError) as error:
        _refuse(str(error))
    different = checked = 0
    for number, point in enumerate(swept):
        for replication in kept.points[number].replications[: None if everything else 1]:
            with prints_aside():
                again = played(point.scenario, number, replication.index, scenario.run.seed)
            checked += 1
            if again.digest() != replication.digest():
                different += 1
                typer.echo(f"point {number}, replication {replication.index}: different")
    typer.echo(f"{checked - different} of {checked} replications are identical, bit for bit")
    if different:
        raise typer.Exit(1)


def _newest_virtual(run: str, results: Path) -> str:
    """For the bare name of a scenario its newest run of the virtual world; otherwise the run as it was named."""
    from workbench.results import list_runs

    mine = [entry for entry in list_runs(results) if entry.scenario == run and entry.manifest is not None]
    virtual = [entry for entry in mine if entry.manifest is not None and entry.manifest.world == "virtual"]
    return str(max(virtual, key=lambda entry: entry.run).path) if virtual else run


def _refuse(sentence: str) -> NoReturn:
    typer.echo(f"workbench verify: {sentence}", err=True)
    raise typer.Exit(2)
