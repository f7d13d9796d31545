"""Calibration: what it costs a program on this machine to handle messages, for the virtual world to count with.

Three small scenarios, which nobody asks about, are played by the Python twins of the roles in fresh processes, as the
real world plays any: requests to a service that does nothing, alone and far apart, small and large; and something
published to many at one site. What they took is solved for the costs in `run.handling`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from workbench.bench.stage import play
from workbench.model.progress import Progress, silent
from workbench.results import Estimate, Replication, estimate
from workbench.scenario import parse, points

LARGE = 64
"""KiB of a large request."""
MANY = 32
"""Subscribers at one site."""
WIRE = 5e-6
"""Seconds that the virtual world's loopback takes, one way."""
SCENARIO = """\
version: 1
name: calibration
sites: {here: , there: }
links: [{between: [here, there], delay: 0 s}]
services: {SERVICE}
workloads: {asker: {at: here, to: service, LOAD}}
run: {world: real, duration: 2.5 s, warm-up: 0.5 s, seed: 1}
"""
# Before each of these both programs have gone to sleep.
ALONE, BULKY = (
    SCENARIO.replace("SERVICE", f"service: {{at: {{there: 1}}, workers: 4, reply: {size}}}").replace(
        "LOAD", f"load: paced 200/s, size: {size}"
    )
    for size in ("64 B", f"{LARGE} KiB")
)
FAN = SCENARIO.replace("SERVICE", f"service: {{at: {{there: {MANY}}}, pattern: subscribe}}").replace(
    "LOAD", "load: paced 100/s, timeout: 200 ms"
)


@dataclass(frozen=True)
class Costs:
    """The costs of `run.handling`, in seconds, each with its interval over the runs."""

    wake: Estimate
    step: Estimate
    kib: Estimate

    def words(self) -> str:
        """As a scenario has them."""
        values = {field.name: getattr(self, field.name).value or 0.0 for field in fields(self)}
        return "{" + ", ".join(f"{name}: {value * 1e6:.2f}us" for name, value in values.items()) + "}"


def costs(count: int = 5, *, tell: Progress = silent) -> Costs:
    """Measure them in `count` runs of each scenario."""
    runs = []
    for text in (ALONE, BULKY, FAN):
        scenario = parse(text)
        runs.append(play(scenario, points(scenario), count, tell=tell))
    return solved(*runs)


def solved(alone: Sequence[Replication], bulky: Sequence[Replication], fan: Sequence[Replication]) -> Costs:
    """The costs from runs of the three scenarios.

    A request that comes alone wakes who asks, who answers and who asks again, and is taken up twice: 3 wake + 2 step. A
    large one is copied four times more. What is published wakes two, and of many at one site nine in ten have heard it
    when so many steps are done: 2 wake + 0.9 MANY step.
    """
    found = []
    for one, large, many in zip(alone, bulky, fan, strict=True):
        trip, wide = one.metrics["latency.p50"] - 2 * WIRE, many.metrics["latency.p90"] - WIRE
        step = max(0.0, (wide - trip * 2 / 3) / (0.9 * MANY - 4 / 3))
        wake = max(0.0, (trip - 2 * step) / 3)
        kib = max(0.0, (large.metrics["latency.p50"] - one.metrics["latency.p50"]) / (4 * LARGE))
        found.append((wake, step, kib))
    return Costs(*(estimate.mean(list(values), "s") for values in zip(*found, strict=True)))
