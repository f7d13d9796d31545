"""Forecasts: about how much time and memory a run will take, before it is started."""

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.scenario import Scenario, SweepPoint, predicted_messages

REQUEST_S = 5e-6
"""Seconds of one processor that a request takes over the engine's sockets, in a small world …"""
CROWDED_S = 15e-6
"""… and in one of a hundred thousand hosts, whose memory is mostly not at hand."""
STATION_S = 2e-6
"""Seconds that it takes without a network."""
HOST_BYTES = 4_096
"""Bytes that a host takes, with its socket and what surrounds it …"""
CONNECTION_BYTES = 4_096
"""… and that a connection takes, with both its ends."""
RUN_BYTES = 64 << 10
"""Bytes that what is kept of a replication takes: counts by time, and histograms, however long it was."""
PROCESS_BYTES = 160 << 20
"""Bytes that a process takes that has loaded the workbench."""


@dataclass(frozen=True)
class Forecast:
    """About what a run will take. It is right within a factor of two or three, behaviours in Python left out."""

    seconds: float
    """Of the clock, all processes at work."""
    memory: float
    """Bytes, of all processes together."""


def forecast(scenario: Scenario, points: Sequence[SweepPoint], count: int, jobs: int) -> Forecast:
    """What `count` replications of each point will take on so many processes. Rates are of a present server's core."""
    runs = 1 if scenario.run.mode == "steady-state" else count
    costs = [_cost(point.scenario) for point in points]
    seconds = runs * sum(cost for cost, _ in costs)
    at_work = max(1, min(jobs, runs * len(points)))
    largest = sorted((size for _, size in costs for _ in range(runs)), reverse=True)[:at_work]
    kept = RUN_BYTES * runs * len(points) * max(1, len(scenario.workloads))
    return Forecast(seconds / at_work, sum(largest) + PROCESS_BYTES * (at_work + 1) + kept)


def _cost(scenario: Scenario) -> tuple[float, float]:
    """Seconds of a processor and bytes that one replication takes."""
    hosts = sum(sum(service.at.values()) for service in scenario.services.values())
    hosts += sum(load.clients * len(load.at) for load in scenario.workloads.values())
    messages = predicted_messages(scenario)
    if scenario.network == "none":
        return messages * STATION_S, hosts * HOST_BYTES / 4
    connections = sum(
        load.clients * len(load.at) * sum(scenario.services[load.to].at.values())
        for load in scenario.workloads.values()
        if load.to in scenario.services
    )
    crowded = min(1.0, hosts / 100_000)
    each = REQUEST_S + (CROWDED_S - REQUEST_S) * crowded
    waiting = sum(
        min(load.send_queue, 1_000) * load.size if load.load.kind == "flood" else 0
        for load in scenario.workloads.values()
    )
    return messages * each, hosts * HOST_BYTES + connections * (CONNECTION_BYTES + waiting)
