"""A short story of a scenario: what happened, message by message, as a trace that browsers show.

The trace is in Chrome's format (a JSON object with ``traceEvents``), which ui.perfetto.dev and chrome://tracing open: a
process for each site, a thread for each host, an arrow for each message, a span for each request.
"""

import json
from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Any

from workbench.scenario import Scenario
from workbench.sim.replication import Stage, world_of

LINES = 20_000
"""Scenes that are kept: the last ones."""
AFTER = 0.25
"""Seconds told after the moment that matters: the first fault, or the end of the warm-up."""
MOST_HOSTS = 200
"""With more than this nobody could follow a story."""


def told(scenario: Scenario, seed: int, index: int = 0) -> tuple[list[str], dict[str, str]]:
    """The scenes around the first fault, or after the warm-up, of one replication; and the site of each host."""
    world = world_of(scenario, seed, index, story=LINES)
    stage = Stage(scenario, world)
    faults = [event.at for event in scenario.fault_events()]
    until = min(scenario.run.duration, min(faults, default=scenario.run.measured_from) + AFTER)
    world.run(until=until)
    return world.story(), {part.name: part.site for part in stage.cast.parts}


def trace(lines: Iterable[str], sites: dict[str, str]) -> bytes:
    """The scenes as a Chrome trace."""
    return json.dumps({"displayTimeUnit": "ms", "traceEvents": list(_events(lines, sites))}).encode()


def _events(lines: Iterable[str], sites: dict[str, str]) -> Iterable[dict[str, Any]]:
    processes = {site: number for number, site in enumerate(dict.fromkeys(sites.values()), 1)}
    threads = {host: number for number, host in enumerate(sites, 1)}
    for site, number in processes.items():
        yield {"ph": "M", "name": "process_name", "pid": number, "args": {"name": site}}
    for host, number in threads.items():
        place: dict[str, Any] = {"pid": processes[sites[host]], "tid": number}
        yield {"ph": "M", "name": "thread_name", **place, "args": {"name": host}}
    flying: defaultdict[tuple[str, str], deque[int]] = defaultdict(deque)
    arrows = 0
    for line in lines:
        moment, host, what, *rest = line.split()
        process = processes.get(sites.get(host, host), 0)
        place = {"pid": process, "tid": threads.get(host, 0), "ts": int(moment) / 1e3}
        if what == "sent":
            arrows += 1
            flying[host, rest[-1]].append(arrows)
            yield {"ph": "X", "name": f"send {rest[0]} B", "dur": 1, **place, "args": {"to": rest[-1]}}
            yield {"ph": "s", "name": "message", "cat": "message", "id": arrows, **place}
        elif what == "received":
            yield {"ph": "X", "name": f"receive {rest[0]} B", "dur": 1, **place, "args": {"from": rest[-1]}}
            if flying[rest[-1], host]:
                arrow = flying[rest[-1], host].popleft()
                yield {"ph": "f", "bp": "e", "name": "message", "cat": "message", "id": arrow, **place}
        elif what in ("asked", "answered", "lost"):
            phase = "b" if what == "asked" else "e"
            yield {"ph": phase, "name": "request", "cat": "request", "id": rest[0], **place, "args": {"outcome": what}}
        else:
            yield {"ph": "i", "s": "t" if host in threads else "g", "name": " ".join([what, *rest]), **place}
