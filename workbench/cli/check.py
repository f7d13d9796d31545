"""`workbench check`: the performance gate."""

import datetime
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from workbench.bench.gate.judge import Judgement

EXIT = {"pass": 0, "regression": 1, "inconclusive": 3}
QUICK_PAIRS = 12


def command(
    base: Annotated[
        str | None, typer.Option(help="The commit to compare with; where this branch left main if not given.")
    ] = None,
    tier: Annotated[
        list[int] | None, typer.Option(min=1, max=2, help="Only this tier: 1 counts, 2 times. May be repeated.")
    ] = None,
    probe: Annotated[list[str] | None, typer.Option(help="Only this probe. May be repeated.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help=f"Time {QUICK_PAIRS} pairs: a first look.")] = False,
    limits: Annotated[
        Path | None, typer.Option(help="The file of limits and waivers [default: .ci/gate.yaml].")
    ] = None,
    summary: Annotated[
        Path | None, typer.Option(help="Append the Markdown to this file [default: $GITHUB_STEP_SUMMARY].")
    ] = None,
    history: Annotated[Path | None, typer.Option(help="Append the figures to this file, and look for steps.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where versions are built [default: ~/.cache/workbench/gate].")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides the order of what is timed.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one object and nothing else.")] = False,
) -> None:
    """Does the working tree do more, or take longer, than the commit it is based on?

    Both are built alike. What one operation costs is counted exactly; how long it takes is compared in interleaved
    pairs. The exit code is 0 if there is no regression, 1 if there is one, 3 if that cannot be said, 2 if something is
    wrong with the question.
    """
    from workbench.bench.gate import sides
    from workbench.bench.gate.judge import all_probes, judge
    from workbench.bench.gate.limits import FILE, LimitsError, read
    from workbench.cli.run import Bar

    known = all_probes()
    if unknown := sorted(set(probe or ()) - set(known)):
        _refuse(f"there is no probe '{unknown[0]}'; there are {', '.join(known)}")
    bar = Bar()
    try:
        top = sides.repository(Path.cwd())
        if limits is not None and not limits.is_file():
            _refuse(f"{limits}: there is no such file")
        file = read(limits or top / FILE)
        if quick:
            file = file.model_copy(update={"limits": file.limits.model_copy(update={"pairs": QUICK_PAIRS})})
        found = judge(
            top,
            base or sides.default_base(top),
            file=file,
            cache=cache or _cache(),
            names=probe or known,
            tiers=tier or (1, 2),
            seed=seed,
            today=datetime.datetime.now(datetime.UTC).date(),
            tell=bar.tell,
        )
    except (sides.SideError, LimitsError) as error:
        _refuse(str(error))
    finally:
        bar.close()
    if history is not None:
        found = _remember(found, history)
    _print(found, summary, as_json)
    raise typer.Exit(EXIT[found.outcome])


def _print(found: "Judgement", summary: Path | None, as_json: bool) -> None:
    import json

    from workbench.bench.gate.summary import markdown

    text = markdown(found)
    told = summary or (Path(os.environ["GITHUB_STEP_SUMMARY"]) if "GITHUB_STEP_SUMMARY" in os.environ else None)
    if told is not None:
        with told.open("a", encoding="utf-8") as file:
            file.write(text)
    if as_json:
        print(json.dumps(_object(found)))
    else:
        print(text, end="")


def _object(found: "Judgement") -> dict[str, object]:
    return {
        "outcome": found.outcome,
        "base": found.base.label,
        "head": found.head.label,
        "regressions": found.blocking,
        "waived": [finding for finding in found.found if finding not in found.blocking],
        "unsure": found.unsure,
        "counted": [
            {"probe": row.probe, "counter": row.counter, "base": row.base, "head": row.head, "allowed": row.allowed}
            for row in found.counted
        ],
        "timed": [
            {
                "probe": row.probe,
                "ratio": row.ratio.value,
                "low": row.ratio.low,
                "high": row.ratio.high,
                "pairs": row.ratio.n,
                "control": [row.control.low, row.control.high],
                "margin": row.margin,
                "detectable": row.detectable,
                "verdict": row.verdict,
            }
            for row in found.timed
        ],
    }


def _remember(found: "Judgement", path: Path) -> "Judgement":
    """Append what was found for the head to the history, and look for steps in it."""
    import dataclasses
    import statistics

    from workbench.bench.gate import history
    from workbench.results.machine import machine

    here = machine()
    name = f"{here.cpu}, {here.cores} cores"
    figures = {f"{row.finding}": row.head for row in found.counted}
    figures |= {row.finding: statistics.median(block.head for block in row.blocks) for row in found.timed}
    history.append(path, commit=found.head.label, machine=name, figures=figures)
    return dataclasses.replace(found, steps=history.steps(history.runs(path, name)))


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "workbench" / "gate"


def _refuse(text: str) -> NoReturn:
    typer.echo(f"workbench check: {text}", err=True)
    raise typer.Exit(2)
