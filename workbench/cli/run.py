"""`workbench run`: the main job. A scenario goes in; a result, its figures and a page come out."""

import errno
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from workbench.cli.aside import prints_aside

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from workbench.model.conclude import Outcome
    from workbench.model.progress import Progress
    from workbench.results import Result, Run, Writer
    from workbench.scenario import Scenario, SweepPoint

QUICK = {"virtual": 3, "real": 1}
"""Replications of a quick run; blocks of a quick measurement are three, the least with a middle."""


def command(
    scenario: Annotated[Path, typer.Argument(help="The scenario's YAML file.", show_default=False)],
    world: Annotated[
        str | None, typer.Option(help="virtual (simulated) or real (processes and sockets of this machine).")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Set a value of the scenario.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The seed; the same one gives the same virtual run.")] = None,
    replications: Annotated[int | None, typer.Option(min=1, help="How often each point is run.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes at work; all cores if not given.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few replications: a first look.")] = False,
    out: Annotated[Path, typer.Option(help="The folder that holds results.")] = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one summary object and nothing else.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be run, and stop.")] = False,
) -> None:
    """Run a scenario and report what it found.

    The exit code is 0 if everything expected holds, 1 if not, 2 if the input is wrong, 130 after Ctrl-C.
    What behaviours print goes to standard error.
    """
    from workbench.scenario import ScenarioError, load, points

    sets = list(set_ or ())
    if world is not None:
        sets.append(f"run.world={world}")
    if seed is not None:
        sets.append(f"run.seed={seed}")
    try:
        loaded = load(scenario, sets=sets)
        _refuse_swept(loaded, set_ or ())
        where = loaded.run.world
        count = replications or (QUICK[where] if quick else loaded.run.replications.in_world(where))
        if quick and _is_measurement(loaded):
            count = replications or 3
        loaded = load(scenario, sets=[*sets, f"run.replications.{where}={count}"])
        if replications or quick:
            # So many, and no more.
            loaded = load(scenario, sets=[*sets, f"run.replications={count}"])
        swept = points(loaded)
        if dry_run:
            _list(loaded, swept, count, where)
            return
        with prints_aside():
            result, run, notes = _run(loaded, swept, count, jobs, out, None if as_json else Bar())
    except ScenarioError as error:
        _refuse(str(error))
    if as_json:
        print(json.dumps(result.to_json(), allow_nan=False))
    else:
        _tell(loaded, result, run, notes)
    if not all(expected.holds for expected in result.expectations):
        raise typer.Exit(1)


def _run(
    scenario: "Scenario",
    points: "list[SweepPoint]",
    count: int,
    jobs: int | None,
    out: Path,
    progress: "Bar | None",
) -> "tuple[Result, Run, Sequence[str]]":
    """Run all that is to be run, and keep the result; also what is to be printed with it."""
    from workbench.bench.conductor import MeasurementError
    from workbench.bench.processes import ChildFailed
    from workbench.model import custom
    from workbench.model.conclude import conclude
    from workbench.model.progress import silent
    from workbench.report import write
    from workbench.results import ResultError, begin
    from workbench.sim.workers import WorkerLost

    started = time.perf_counter()
    world = scenario.run.world
    behaviours = custom.fingerprints(point.scenario for point in points)
    text = _yaml(scenario, behaviours)
    facts = {"directory": str(scenario.directory or Path.cwd()), "behaviours": behaviours} if behaviours else {}
    try:
        with begin(
            scenario.name, text, world=world, seed=scenario.run.seed, command=["workbench", *sys.argv[1:]], root=out
        ) as writer:
            task = _Task(scenario, points, count, jobs, writer, progress.tell if progress else silent)
            try:
                outcome = _runner(scenario)(task)
            finally:
                if progress is not None:
                    progress.close()
            result = conclude(scenario, points, outcome, world=world, wall_s=time.perf_counter() - started)
            run = writer.finish(result, facts={"notes": list(outcome.notes)} | facts)
        write(run)
        return run.result, run, outcome.notes
    except (ResultError, ChildFailed, MeasurementError, custom.BehaviourFailed, WorkerLost) as error:
        _refuse(f"workbench run: {error}")
    except BrokenPipeError:
        raise
    except OSError as error:
        where = error.filename or out
        text = f"workbench run: {where}: {error.strerror or error}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            text += "; the replications that were finished are kept, and the same command goes on with them"
        _refuse(text)


@dataclass(frozen=True)
class _Task:
    """What is to be run."""

    scenario: "Scenario"
    points: "list[SweepPoint]"
    count: int
    jobs: int | None
    writer: "Writer"
    tell: "Progress"


def _runner(scenario: "Scenario") -> "Callable[[_Task], Outcome]":
    """What runs this scenario: the simulator, the stage of real processes, or the measuring bench."""
    if scenario.run.world == "virtual":
        return _simulate
    if _is_about_subscriptions(scenario):
        return _subscribe
    return _measure if _is_measurement(scenario) else _play


def _simulate(task: _Task) -> "Outcome":
    from workbench.model.conclude import Outcome
    from workbench.model.links import modelled
    from workbench.sim.sweep import simulate

    runs = simulate(task.scenario, task.points, task.count, jobs=task.jobs, writer=task.writer, tell=task.tell)
    return Outcome(runs, modelled(task.scenario))


def _play(task: _Task) -> "Outcome":
    from workbench.bench.stage import play
    from workbench.model.conclude import Outcome
    from workbench.model.links import real

    runs = play(task.scenario, task.points, task.count, writer=task.writer, tell=task.tell)
    return Outcome(runs, real(task.scenario), notes=sorted({note for run in runs for note in run.notes}))


def _measure(task: _Task) -> "Outcome":
    from workbench.bench.conductor import measure
    from workbench.model.conclude import Outcome

    measured = measure(
        task.scenario,
        blocks=task.count,
        progress=task.tell,
        keep=task.writer.add,
        kept=tuple(task.writer.finished.values()),
    )
    return Outcome(measured.replications, measured.links, measured.verdicts, measured.notes)


def _subscribe(task: _Task) -> "Outcome":
    from workbench.bench.subscriptions import measure
    from workbench.model.conclude import Outcome

    runs = measure(task.scenario, task.points, task.count, writer=task.writer, tell=task.tell)
    return Outcome(runs, notes=sorted({note for run in runs for note in run.notes}))


def _is_about_subscriptions(scenario: "Scenario") -> bool:
    """Does it measure what subscriptions take?"""
    return any(service.subscriptions is not None for service in scenario.services.values())


def _is_measurement(scenario: "Scenario") -> bool:
    """Does it measure the libraries themselves, each workload in a run of its own?

    So it does where it says so, and where it asks for what only this can do: a flood, another library, a placement.
    """
    if scenario.run.world != "real":
        return False
    if _is_about_subscriptions(scenario):
        return True
    asked = scenario.library != "ours" or scenario.placement != "unpinned"
    swept = {"library", "placement"} & scenario.sweep.keys()
    loads = scenario.workloads.values()
    return asked or bool(swept) or any(load.alone or load.load.kind == "flood" for load in loads)


def _yaml(scenario: "Scenario", behaviours: "Mapping[str, str]") -> str:
    """The resolved scenario as YAML; the files of its behaviours decide the outcome, too."""
    from io import StringIO

    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    text = StringIO()
    text.writelines(f"# {file}: SHA-256 {digest}\n" for file, digest in behaviours.items())
    yaml.dump(scenario.model_dump(mode="json", by_alias=True, exclude_none=True), text)
    return text.getvalue()


def _list(scenario: "Scenario", points: "list[SweepPoint]", count: int, world: str) -> None:
    for number, point in enumerate(points):
        setting = ", ".join(f"{path} = {value}" for path, value in point.set.items()) or "as it stands"
        print(f"{number:4}  {setting}")
    runs = len(points) * count
    print(
        f"{len(points)} points × {count} replications = {runs} runs of {scenario.run.duration:g} s in the {world} world"
    )


def _tell(scenario: "Scenario", result: "Result", run: "Run", notes: "Sequence[str]") -> None:
    from rich.console import Console
    from rich.text import Text

    from workbench.report import tables
    from workbench.results.wording import failure_text

    console = Console(highlight=False)
    if scenario.question:
        console.print(Text(scenario.question.strip(), style="bold"))
    tables.show(tables.grid(result, tables.short_metrics(result)))
    for verdict in result.verdicts:
        console.print(Text(f"• {verdict.text}"))
    for expected in result.expectations:
        mark, style = ("holds", "green") if expected.holds else ("FAILS", "bold red")
        value = "" if expected.holds else f": {failure_text(expected)}"
        console.print(Text.assemble((f"{mark:5} ", style), expected.text, value))
    for link in result.links:
        if link.state == "not applied":
            console.print(Text(f"link {link.name}: not applied", style="yellow"))
    for note in notes:
        console.print(Text(note, style="dim"))
    console.print(Text(f"{result.wall_s:.1f} s{_speed(result)}", style="dim"))
    console.print(Text(f"page: {run.path / 'report.html'}", style="dim"), soft_wrap=True)


def _speed(result: "Result") -> str:
    """How fast it was simulated: by the clock, all processes together, and in one process while it simulates."""
    runs = [run for point in result.points for run in point.replications]
    busy = sum(run.wall_s for run in runs)
    if not result.events or not busy:
        return ""
    requests = sum(run.counts.get("sent", 0) for run in runs)
    return (
        f", {result.events:,} events, {result.events / result.wall_s:,.0f} a second; in one process "
        f"{result.events / busy:,.0f} events and {requests / busy:,.0f} requests a second"
    )


def _refuse_swept(scenario: "Scenario", sets: "Sequence[str]") -> None:
    """A value set for a swept key would be overridden by every point, without a word."""
    for path in (text.partition("=")[0].strip() for text in sets):
        if path in scenario.sweep:
            values = ", ".join(map(str, scenario.sweep[path]))
            _refuse(
                f"workbench run: --set {path}: the key is swept over {values}; narrow 'sweep.{path}' instead "
                "(compare and expect have to agree)"
            )


def _refuse(text: str) -> NoReturn:
    print(text, file=sys.stderr)
    raise typer.Exit(2)


class Bar:
    """A bar on a terminal, plain lines otherwise, on standard error."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar: Progress | None = None
        self._last = 0.0
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("starting", total=None)

    def tell(self, done: int, total: int, what: str) -> None:
        """So much is done of so much; `what` comes next."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, description=what)
        elif done == total or time.monotonic() - self._last > 5:
            self._last = time.monotonic()
            print(f"{done}/{total} {what}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
