"""`workbench run`: the main job. A scenario goes in; a result, its figures and a page come out."""

import errno
import json
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from workbench.cli.aside import prints_aside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from workbench.model.conclude import Outcome
    from workbench.model.progress import Progress
    from workbench.results import Result, Run, Writer
    from workbench.scenario import Scenario, SweepPoint
    from workbench.sim.executor import Executor

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
    on: Annotated[
        str | None,
        typer.Option(metavar="tcp://HOST:PORT", help="Simulate on the workers of this Dask scheduler, all of them."),
    ] = None,
    time_limit: Annotated[
        str, typer.Option(metavar="TIME", help="A simulation that would probably take longer is not begun.")
    ] = "2 h",
    memory_limit: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="One that would probably take more is not begun; four fifths of what is free."
        ),
    ] = None,
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
        if on is not None and where == "real":
            _refuse("workbench run: --on is for simulations; the real world is this machine")
        limits = _limits(time_limit, memory_limit)
        if dry_run:
            _list(loaded, swept, count, where)
        if where == "virtual":
            _foresee(loaded, swept, count, jobs, limits, on=on, tell=dry_run)
        if dry_run:
            return
        with prints_aside(), _executor(on, jobs) as executor:
            bar = None if as_json else Bar()
            loaded, swept, found = _settled(loaded, swept, executor, bar)
            result, run, notes = _run(loaded, swept, count, executor, out, bar)
            notes = [*found, *notes]
    except ScenarioError as error:
        _refuse(str(error))
    if as_json:
        print(json.dumps(result.to_json(), allow_nan=False))
    else:
        _tell(loaded, result, run, notes)
    if not all(expected.holds for expected in result.expectations):
        raise typer.Exit(1)


@contextmanager
def _executor(on: str | None, jobs: int | None) -> "Iterator[Executor]":
    """Where simulations are run."""
    from workbench.sim.executor import Dask, ExecutorError, Local

    if on is None:
        yield Local(jobs)
        return
    try:
        cluster = Dask(on)
    except ExecutorError as error:
        _refuse(f"workbench run: --on: {error}")
    with cluster:
        yield cluster


def _limits(time_limit: str, memory_limit: str | None) -> tuple[float, float]:
    """Seconds, and bytes."""
    import psutil

    from workbench.scenario.units import DURATION, SIZE, QuantityError, parse

    option = "--time-limit"
    try:
        seconds = parse(time_limit, DURATION, positive=True)
        option = "--memory-limit"
        free = 0.8 * psutil.virtual_memory().available
        return seconds, free if memory_limit is None else parse(memory_limit, SIZE, positive=True)
    except QuantityError as error:
        _refuse(f"workbench run: {option}: {error.message}")


def _foresee(
    scenario: "Scenario",
    points: "list[SweepPoint]",
    count: int,
    jobs: int | None,
    limits: tuple[float, float],
    *,
    on: str | None,
    tell: bool,
) -> None:
    """Say before a simulation begins about what it will take, if that is asked or too much."""
    from workbench.sim.executor import Local
    from workbench.sim.forecast import forecast

    if on is not None:
        # Nobody knows the machines of a cluster.
        return
    at_work = Local(jobs).count
    expected = forecast(scenario, points, count, at_work)
    size = f"{expected.memory / (1 << 30):.1f} GiB"
    if tell:
        print(f"about {_span(expected.seconds)} and {size} of memory, {at_work} processes at work")
    elif expected.seconds > limits[0]:
        _refuse(
            f"workbench run: this would take about {_span(expected.seconds)} on {at_work} processes, more than the "
            f"limit of {_span(limits[0])}; make the run shorter or smaller, or raise --time-limit"
        )
    elif expected.memory > limits[1]:
        _refuse(
            f"workbench run: this would take about {size} of memory, more than the limit of "
            f"{limits[1] / (1 << 30):.1f} GiB; make the scenario smaller, use fewer --jobs, or raise --memory-limit"
        )


def _span(seconds: float) -> str:
    """About how long."""
    if seconds < 90:
        return f"{max(1.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _settled(
    scenario: "Scenario", points: "list[SweepPoint]", executor: "Executor", progress: "Bar | None"
) -> "tuple[Scenario, list[SweepPoint], list[str]]":
    """The scenario with its warm-up found, if it is to be found, and what is to be said of it."""
    if scenario.run.world == "real" or all(point.scenario.run.warm_up != "auto" for point in points):
        return scenario, points, []
    from workbench.model.progress import silent
    from workbench.sim.warmup import settled

    warm, settled_points, text = settled(scenario, points, executor, tell=progress.tell if progress else silent)
    return warm, settled_points, [text]


def _run(
    scenario: "Scenario",
    points: "list[SweepPoint]",
    count: int,
    executor: "Executor",
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
            task = _Task(scenario, points, count, executor, writer, progress.tell if progress else silent)
            try:
                outcome = _runner(scenario)(task)
            finally:
                if progress is not None:
                    progress.close()
            result = conclude(scenario, points, outcome, world=world, wall_s=time.perf_counter() - started)
            run = writer.finish(result, facts={"notes": list(outcome.notes)} | facts)
        _tell_story(points[0].scenario, run)
        write(run)
        return run.result, run, outcome.notes
    except (ResultError, ChildFailed, MeasurementError, custom.BehaviourFailed, WorkerLost) as error:
        _refuse(f"workbench run: {error}")
    except BrokenPipeError:
        raise
    except OSError as error:
        where = error.filename or out
        text = f"workbench run: {where}: {error.strerror or error}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            text += "; the replications that were finished are kept, and the same command goes on with them"
        _refuse(text)


@dataclass(frozen=True)
class _Task:
    """What is to be run."""

    scenario: "Scenario"
    points: "list[SweepPoint]"
    count: int
    executor: "Executor"
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
    from workbench.sim.sweep import alike, simulate

    runs = simulate(task.scenario, task.points, task.count, executor=task.executor, writer=task.writer, tell=task.tell)
    notes = alike(runs) if task.scenario.run.mode == "steady-state" else []
    return Outcome(runs, modelled(task.scenario), notes=notes)


def _tell_story(scenario: "Scenario", run: "Run") -> None:
    """Keep a short piece of a simulated run as a trace, where there are few enough hosts to follow it."""
    from workbench.model.cast import cast
    from workbench.sim import story

    if scenario.run.world != "virtual" or scenario.network == "none" or scenario.own_behaviours():
        return
    if len(cast(scenario).parts) <= story.MOST_HOSTS:
        run.attach("trace.json", story.trace(*story.told(scenario, scenario.run.seed)))


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
    if scenario.run.mode == "steady-state":
        print(f"{len(points)} points, each one run of {scenario.run.duration:g} s in {scenario.run.batches} batches")
        return
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
