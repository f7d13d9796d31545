"""What theory says of a scenario's point, where a formula is known: laid over the figures, never into the numbers.

Each formula holds under what its function says; a point that it does not fit has no theory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from workbench.scenario import Scenario, Service, Workload


def expected(point: Scenario) -> dict[str, float]:
    """The metrics of one point of a sweep as theory has them, in SI units; empty where none is known."""
    if len(point.workloads) != 1 or point.faults:
        return {}
    (workload,) = point.workloads.values()
    service = point.services[workload.to]
    if service.behaviour is not None or workload.behaviour is not None or point.network == "none":
        return {}
    if service.pattern == "survey":
        return survey(point, service, workload)
    if service.breadth is not None:
        return tree(point, service, workload)
    if service.pattern == "subscribe" and service.subscriptions is None:
        return slow_subscriber(service, workload, point)
    return {}


def survey(point: Scenario, service: Service, workload: Workload) -> dict[str, float]:
    """Independent answers that are exponential after the round trip: nobody waits for a worker."""
    if service.time.kind != "exponential" or len(workload.at) != 1:
        return {}
    within, whole = 0.0, 1.0
    for site, count in service.at.items():
        link = point.link(workload.at[0], site)
        if link is None:
            return {}
        left = workload.deadline - 2 * link.one_way - 2 * link.jitter
        share = -math.expm1(-left / service.time.mean) if left > 0 else 0.0
        within += count * share
        whole *= share**count
    return {"completeness": within / sum(service.at.values()), "complete_share": whole}


def tree(point: Scenario, service: Service, workload: Workload) -> dict[str, float]:
    """A tree on one site whose hosts are idle when a message comes: each step is a wire, and the copies one sends."""
    sites = {*service.at, *workload.at}
    breadth, count = service.breadth, sum(service.at.values())
    if len(sites) != 1 or breadth is None or service.time.mean or workload.load.mean_rate is None:
        return {}
    (site,) = sites
    link = point.sites[site].within
    if link.jitter or link.rate or link.loss:
        return {}
    most = min(breadth, count - 1)
    busy = workload.load.mean_rate * workload.clients * most * service.hand_on
    if busy >= 1:
        return {"busiest_share": 1.0}
    arrivals = [link.one_way]
    total = longest = link.one_way
    # Host j has the children breadth * j + 1 and on, and all of them hear it when it has written to all.
    for host in range(1, count):
        parent = (host - 1) // breadth
        children = min(breadth, count - 1 - breadth * parent)
        at = arrivals[parent] + children * service.hand_on + link.one_way
        arrivals.append(at)
        total += at
        longest = max(longest, at)
    return {"latency.mean": total / count, "latency.max": longest, "busiest_share": busy}


def slow_subscriber(service: Service, workload: Workload, point: Scenario) -> dict[str, float]:
    """A paced publisher, and one subscriber that takes longer than the messages come apart; in the steady state."""
    rate, busy = workload.load.mean_rate, service.time.mean
    if workload.load.kind != "paced" or sum(service.at.values()) != 1 or service.time.kind != "constant":
        return {}
    queues = point.queues(workload)
    if rate is None or rate * busy <= 1 or queues.when_full not in ("drop-new", "drop-old") or service.patience:
        return {}
    return {"lost_share": 1 - 1 / (rate * busy)}


def of_points(points: Sequence[Scenario]) -> tuple[Mapping[str, float], ...]:
    """What theory says of each point."""
    return tuple(expected(point) for point in points)
