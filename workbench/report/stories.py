"""The space-time diagram of a short story: hosts one below the other, time to the right, a line for each message."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workbench.report import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_HOSTS = 16
MOST_MESSAGES = 120
"""More lines than this are a grey cloud; the first ones are drawn."""


def space_time(trace: bytes) -> Figure | None:
    """The messages of a trace as lines from who sent them to who received them; None without any.

    Requests that were lost, hosts that died and links that were cut are marked.
    """
    events: list[dict[str, Any]] = json.loads(trace)["traceEvents"]
    names = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    sites = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    home = {event["tid"]: sites[event["pid"]] for event in events if event["name"] == "thread_name"}
    messages = _messages(events)
    if not messages or not names:
        return None
    marks = [event for event in events if event["ph"] == "i" and not event["name"].startswith("pipe up")]
    # Around what went wrong, if anything did.
    begins = min((event["ts"] for event in marks if "pipe" not in event["name"]), default=messages[0][0]) - 20_000
    messages = [one for one in messages if one[0] >= begins][:MOST_MESSAGES]
    if not messages:
        return None
    first, last = messages[0][0], max(one[1] for one in messages)
    rows = [tid for tid in names if any(tid in one[2:] for one in messages)][:MOST_HOSTS]
    rows.sort(key=lambda tid: (home[tid], names[tid]))
    height = {tid: place for place, tid in enumerate(rows)}
    colour = style.colours((home[tid] for tid in rows), style.SITES)
    with style.applied():
        figure, axes = style.panels(1, 1, height_in=1.2 + 0.36 * len(rows))
        panel = axes[0][0]
        for tid in rows:
            panel.axhline(height[tid], color=colour[home[tid]], linewidth=2.0, alpha=0.8)
        for sent, arrived, source, target in messages:
            if source in height and target in height:
                ends = [(sent - first) / 1e3, (arrived - first) / 1e3]
                panel.plot(ends, [height[source], height[target]], color=style.INK, linewidth=0.7, alpha=0.75)
                panel.plot(ends[1], height[target], marker="o", markersize=2.5, color=style.INK)
        for event in marks:
            at = (event["ts"] - first) / 1e3
            if 0 <= at <= (last - first) / 1e3 and event["tid"] in height:
                panel.plot(at, height[event["tid"]], marker="x", markersize=9, color=style.MEASURED, markeredgewidth=2)
                if not event["name"].startswith("pipe"):
                    place = (at, height[event["tid"]])
                    panel.annotate(event["name"], place, xytext=(6, 4), textcoords="offset points", fontsize=9)
        panel.set_yticks(range(len(rows)), [style.short(names[tid], 36) for tid in rows])
        panel.set_ylim(len(rows) - 0.4, -0.6)
        panel.set_xlabel(f"time (ms), from {first / 1e6:.3f} s of the run on")
        panel.grid(visible=False, axis="y")
        _site_legend(figure, colour)
    return figure


def _messages(events: list[dict[str, Any]]) -> list[tuple[float, float, int, int]]:
    """(sent, arrived, from, to) of each message that arrived, in microseconds, in order."""
    sent = {event["id"]: event for event in events if event["ph"] == "s"}
    found = [
        (sent[event["id"]]["ts"], event["ts"], sent[event["id"]]["tid"], event["tid"])
        for event in events
        if event["ph"] == "f" and event["id"] in sent
    ]
    return sorted(found)


def _site_legend(figure: Figure, colour: Mapping[Any, str]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=tint, linewidth=2, label=f"hosts in {site}") for site, tint in colour.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
