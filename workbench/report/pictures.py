"""The pictures of one run: which figures it gets, under which names, with which words below them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.report import curves, plots, stories, style, tables
from workbench.report.setting import Setting
from workbench.report.tables import short_metrics
from workbench.results.result import Result
from workbench.results.store import Run
from workbench.results.wording import MetricName

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished figure: its name as a file (without ending), what it shows, and the PNG."""

    name: str
    caption: str
    png: bytes


def pictures(run: Run, setting: Setting) -> list[Picture]:
    """All figures that the run's result allows, the one that answers the question first."""
    result = run.result
    shown = shown_metrics(result)
    asked = [name for name in setting.compared if name in tables.all_metrics(result)]
    drawn = {
        "curves": curves.curves(result, asked or shown, setting.theory, beside=_BESIDE),
        "answers-over-time": plots.answers_over_time(result, setting.windows),
        "timeline": plots.timeline(result, setting.windows) if setting.windows else None,
        "libraries": plots.libraries(result),
        "latency": plots.distribution(result, _histogram(result, "latency")),
        "round-trip": plots.distribution(result, _histogram(result, "round_trip")),
        "replies": plots.distribution(result, _histogram(result, "reply")),
        "story": _story(run),
    }
    # The bars of a comparison of libraries already show every metric with its interval.
    if drawn["libraries"] is None:
        drawn["metrics"] = plots.intervals(result, shown, setting.theory)
    return _finished(drawn, provenance(run))


def _story(run: Run) -> Figure | None:
    """The space-time diagram of the run's trace, if it has one."""
    trace = run.path / TRACE
    return stories.space_time(trace.read_bytes()) if trace.is_file() else None


def worlds_pictures(run: Run, other: Run) -> list[Picture]:
    """The figures that set a simulated run beside a measured one."""
    simulated, measured = (run, other) if run.manifest.world == "virtual" else (other, run)
    drawn = {
        "worlds-latency": plots.worlds(simulated.result, measured.result),
        "worlds-metrics": plots.worlds_intervals(simulated.result, measured.result, shown_metrics(simulated.result)),
    }
    return _finished(drawn, f"{provenance(simulated)}\n{provenance(measured)}")


def provenance(run: Run) -> str:
    """One line that says where a figure's numbers come from: world, seed or machine, replications, run."""
    manifest = run.manifest
    source = "measured" if manifest.world == "real" else "simulated"
    if manifest.world == "real":
        source += f" on {manifest.machine.get('cpu', 'unknown')}, {manifest.machine.get('cores', '?')} cores"
    each = max((len(point.replications) for point in run.result.points), default=0)
    replications = "1 replication" if each == 1 else f"{each} replications"
    return f"{source}, seed {manifest.seed}, {replications} a point · {manifest.scenario}/{manifest.run}"


def shown_metrics(result: Result) -> list[str]:
    """The metrics worth a panel: those of the short table that differ from nothing, without plain counts of what was
    offered.
    """
    return [
        name
        for name in short_metrics(result)
        if MetricName.parse(name).quantity not in _UNREMARKABLE
        and any(point.metrics[name].value for point in result.points if name in point.metrics)
    ]


def _histogram(result: Result, quantity: str) -> str:
    """The name of all workloads' histogram of a quantity, or of the first workload's that has one of its own."""
    there = dict.fromkeys(name for point in result.points for run in point.replications for name in run.histograms)
    own = (name for name in there if name.endswith(f":{quantity}"))
    return quantity if quantity in there else next(own, quantity)


def _finished(drawn: Mapping[str, Figure | None], footer: str) -> list[Picture]:
    return [
        Picture(name, _CAPTIONS[name], style.png(figure, footer))
        for name, figure in drawn.items()
        if figure is not None
    ]


TRACE = "trace.json"
"""The file of a run with its short story; see `workbench.sim.story`."""
_UNREMARKABLE = {"requests", "answered", "in_flight"}
_TAIL = (
    "take longer than a given time. The line is all replications together, the band reaches from the fastest "
    "replication to the slowest."
)
_BESIDE = {"subscription.bytes": ("subscription.zeromq", "as libzmq lays it out")}
_CAPTIONS = {
    "curves": (
        "What the scenario asks for, over the number that it varies. The bands are 95 % intervals over the "
        "replications; dashed, where a formula is known, what theory says."
    ),
    "answers-over-time": (
        "Who answered, over time. The white line is the mean over the replications, the dark band around it holds 95 % "
        "of them; the hatched time is a fault's."
    ),
    "timeline": (
        "What was sent, answered and lost, and the mean latency of what was answered, over the time of the run; the "
        "hatched time is a fault's. Means over the replications, for the first points."
    ),
    "replies": (
        "How many of the answers to surveys take longer than a given time, those that came after the deadline included."
    ),
    "story": (
        "A short piece of the first replication of the first point: each host a line, each message a stroke from who "
        "sent it to who received it; crosses mark what went wrong. The whole piece is in trace.json, for "
        "ui.perfetto.dev or chrome://tracing."
    ),
    "libraries": (
        "Means over the blocks with their 95 % intervals (black). Behind each value, its ratio to ours: the median "
        "over interleaved blocks and the exact 95 % interval of that median."
    ),
    "latency": f"How many answers {_TAIL}",
    "round-trip": f"How many round trips {_TAIL}",
    "metrics": (
        "Each metric with its 95 % interval over the replications. A cross is what theory says, where a formula is "
        "known."
    ),
    "worlds-latency": (
        "The distribution of latency, simulated and measured. Where the two agree the lines cover each other."
    ),
    "worlds-metrics": "Each metric with its 95 % interval, simulated and measured.",
}
