"""Calibration: what a message costs on this machine beyond its wire, for the virtual world to count with.

A client asks a service that does nothing, one request at a time, each in a process of its own: half a round trip is
what it costs to hand a message from one program to another. The Python twins of the roles play it, as they play a
scenario in the real world.
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.bench.stage import play
from workbench.model.progress import Progress, silent
from workbench.results import Estimate, Replication, estimate
from workbench.scenario import parse, points

PING = """\
version: 1
name: calibration
sites: {here: , there: }
links: [{between: [here, there], delay: 0 s}]
services: {echo: {at: {there: 1}}}
workloads: {ping: {at: here, to: echo, load: closed think 1 ms}}
run: {world: real, duration: 2.5 s, warm-up: 0.5 s, seed: 1}
"""
"""A client that pauses between requests, as one at little load does: both ends have gone to sleep when one comes."""


def handling(count: int = 5, *, tell: Progress = silent) -> Estimate:
    """Half the median round trip of fresh processes, in seconds, with its interval over `count` runs."""
    scenario = parse(PING)
    return estimated(play(scenario, points(scenario), count, tell=tell))


def estimated(runs: Sequence[Replication]) -> Estimate:
    """What a message costs, from runs of the ping."""
    return estimate.mean([run.metrics["latency.p50"] / 2 for run in runs], "s")
