"""Invented results with the shape of real ones: two policies, a site that dies and comes back, twenty replications."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from workbench.results import (
    ExpectationResult,
    Histogram,
    Link,
    Replication,
    Result,
    Run,
    TimelineRow,
    begin,
    compare,
    estimate,
)

SCENARIO = """\
version: 1
name: priority-routing
question: Does priority routing keep New York's requests out of London, and what does it cost when New York dies?
sites:
  new-york: {within: {delay: 50 us}}
  london: {within: {delay: 50 us}}
links:
  - {between: [new-york, london], rtt: 70 ms}
services:
  foo: {at: {new-york: 2, london: 2}, pattern: reply, workers: 4, time: exponential 2 ms}
workloads:
  new-york: {at: new-york, to: foo, clients: 4, load: poisson 50/s}
  london: {at: london, to: foo, clients: 4, load: poisson 50/s}
faults:
  - {at: 20 s, for: 20 s, kill: foo@new-york}
run: {duration: 60 s, replications: 20, seed: 7}
sweep: {routing: [round-robin, priority]}
"""

FAULT = (20.0, 40.0)
SITES = ("new-york", "london")


def routed(world: str = "virtual", replications: int = 20, offset_s: float = 0.0) -> Result:
    """A result of two policies; `offset_s` makes every answer later, as a real machine would."""
    points = [
        estimate.summarise(
            {"routing": policy}, [_replication(place, policy, index, offset_s) for index in range(replications)]
        )
        for place, policy in enumerate(("round-robin", "priority"))
    ]
    metrics = ("new-york:cross_site_share", "latency.p99", "failover_time", "lost")
    return Result(
        scenario="priority-routing",
        world=world,
        run="",
        points=points,
        verdicts=compare.verdicts(points, metrics=metrics),
        expectations=[
            ExpectationResult("cross_site_share < 1 % when routing = priority", True, 0.0),
            ExpectationResult("lost == 0", False, 3.4),
        ],
        events=1_234_567,
        wall_s=8.4,
        links=[Link("new-york – london", "modelled" if world == "virtual" else "shaped")]
        + ([] if world == "virtual" else [Link("within new-york", "not applied")]),
    )


def measured_libraries(blocks: int = 30) -> Result:
    """A benchmark of four libraries at two placements, one of them not installed."""
    points, place = [], 0
    for placement in ("one-core", "two-cores"):
        for library, (rate, trip) in _LIBRARIES.items():
            runs = [_block(place, index, rate, trip, placement) for index in range(blocks)]
            if library == "nng":
                runs = [Replication(place, 0, 0, {}, notes=["pynng is not installed"])]
            points.append(estimate.summarise({"library": library, "placement": placement}, runs))
            place += 1
    verdicts = compare.verdicts(points, axis="library", metrics=("throughput", "round_trip.p50"), by="ratio")
    return Result("throughput-latency", "real", "", points, verdicts, wall_s=412.0)


def keep(result: Result, root: Path, scenario_yaml: str = SCENARIO) -> Run:
    """The result in a results folder, as a run leaves it."""
    command = ["workbench", "run", f"scenarios/{result.scenario}.yaml", "--seed", "7"]
    with begin(result.scenario, scenario_yaml, world=result.world, seed=7, command=command, root=root) as writer:
        return writer.finish(result)


@pytest.fixture(scope="session")
def virtual() -> Result:
    return routed()


@pytest.fixture(scope="session")
def real() -> Result:
    return routed("real", replications=3, offset_s=0.0004)


@pytest.fixture(scope="session")
def libraries() -> Result:
    return measured_libraries()


@pytest.fixture(scope="session")
def keep_in() -> Callable[..., Run]:
    return keep


@pytest.fixture
def kept(tmp_path: Path) -> Callable[..., Run]:
    def _keep(result: Result, scenario_yaml: str = SCENARIO) -> Run:
        return keep(result, tmp_path / "results", scenario_yaml)

    return _keep


def _replication(place: int, policy: str, index: int, offset_s: float) -> Replication:
    # One stream per index, so that the points share their luck as under common random numbers.
    luck = np.random.default_rng([7, index])
    metrics: dict[str, float] = {}
    timeline: list[TimelineRow] = []
    everything = []
    for home in SITES:
        count = luck.poisson(200 * 60)
        sent = np.sort(luck.uniform(0, 60, count))
        service = luck.exponential(0.002, count)
        down = (sent >= FAULT[0] + 0.1) & (sent < FAULT[1])
        dead = (sent >= FAULT[0]) & (sent < FAULT[0] + 0.1)
        away = luck.permutation(np.arange(count) % 2 == 0) if policy == "round-robin" else np.zeros(count, bool)
        site_away = np.where(home == "new-york", away | down, np.where(down, False, away))
        latency = service + 0.0001 + offset_s + np.where(site_away, 0.070, 0.0) + luck.exponential(0.0002, count)
        lost = dead & ~site_away & (luck.uniform(size=count) < 0.2) & (home == "new-york")
        quiet = ~lost
        metrics |= {
            f"{home}:cross_site_share": float(site_away[sent < FAULT[0]].mean()),
            f"{home}:cross_site_share.during": float(site_away[(sent > FAULT[0]) & (sent < FAULT[1])].mean()),
            f"{home}:latency.p99": float(np.quantile(latency[quiet], 0.99)),
        }
        everything.append((count, site_away, sent, latency, lost))
        timeline += _timeline(home, sent, latency, site_away, lost)
    sent = np.concatenate([part[2] for part in everything])
    away = np.concatenate([part[1] for part in everything])
    lost = np.concatenate([part[4] for part in everything])
    latency = np.concatenate([part[3] for part in everything])[~lost]
    for phase, chosen in (("before", sent < 20), ("during", (sent >= 20) & (sent < 40)), ("after", sent >= 40)):
        metrics[f"cross_site_share.{phase}"] = float(away[chosen].mean())
    metrics |= {
        "requests": float(sent.size),
        "answered": float(latency.size),
        "lost": float(lost.sum()),
        "in_flight": 0.0,
        "repeated": float(luck.poisson(3)),
        "cross_site_share": float(away[sent < FAULT[0]].mean()),
        "latency.mean": float(latency.mean()),
        "failover_time": 0.07 + float(luck.exponential(0.004)),
        "failback_time": 0.002 + float(luck.exponential(0.01)),
    }
    metrics |= {f"latency.p{int(q * 100)}": float(np.quantile(latency, q)) for q in (0.5, 0.9, 0.99)}
    return Replication(
        point=place,
        index=index,
        seed=7_000 + index,
        metrics=metrics,
        # Buckets of about one percent, like a meter's.
        histograms={
            "latency": Histogram.of(np.round(1.01 ** np.round(np.log(latency * 1e9) / np.log(1.01))).astype(int))
        },
        timeline=timeline,
        counts={"sent": int(sent.size)},
        events=int(sent.size) * 6,
        wall_s=0.2,
    )


def _timeline(
    home: str, sent: np.ndarray, latency: np.ndarray, away: np.ndarray, lost: np.ndarray
) -> list[TimelineRow]:
    other = SITES[1 - SITES.index(home)]
    bins = np.arange(0, 61, 0.5)
    kept = ~lost
    answers = {
        site: np.histogram((sent + latency)[kept & there], bins)[0] for site, there in ((home, ~away), (other, away))
    }
    sends, losses = np.histogram(sent, bins)[0], np.histogram(sent[lost], bins)[0]
    sums = np.histogram((sent + latency)[kept], bins, weights=latency[kept])[0]
    return [
        {
            "workload": home,
            "bin_start_s": float(start),
            "sent": int(sends[place]),
            "answered": {site: int(counts[place]) for site, counts in answers.items() if counts[place]},
            "lost": int(losses[place]),
            "latency_sum_s": float(sums[place]),
        }
        for place, start in enumerate(bins[:-1])
    ]


def _block(place: int, index: int, rate: float, trip: float, placement: str) -> Replication:
    luck = np.random.default_rng([place, index])
    drift = 1 + 0.08 * np.sin(index)
    slow = 6.0 if placement == "two-cores" else 1.0
    metrics = {
        "throughput": rate * drift * float(luck.lognormal(0, 0.03)),
        "round_trip.p50": trip * slow / drift * float(luck.lognormal(0, 0.03)),
    }
    samples = np.round(luck.lognormal(np.log(metrics["round_trip.p50"] * 1e9), 0.2, 2000)).astype(int)
    return Replication(place, index, index, metrics, {"round_trip": Histogram.of(samples)}, wall_s=2.0)


_LIBRARIES = {
    "ours": (4.9e6, 15.1e-6),
    "zeromq": (1.21e6, 48.7e-6),
    "nng": (3.1e4, 71e-6),
    "tcp": (3.9e5, 14.2e-6),
    "tcp-batched": (7.9e6, 14.3e-6),
}
