"""Warm-up: how much of a run's beginning is not typical of the rest."""

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial

from workbench.model.progress import Progress, silent
from workbench.scenario import Scenario, ScenarioError, SweepPoint
from workbench.scenario.problem import Problem
from workbench.sim.executor import Executor
from workbench.sim.replication import Stage, world_of

PILOTS = 5
"""Runs of each point that are averaged."""
BINS = 1_000
"""Pieces that a pilot run is cut into, at most."""
FEWEST = 50
"""Pieces that it takes to see anything."""
BATCH = 5


def settled(
    scenario: Scenario, points: Sequence[SweepPoint], executor: Executor, *, tell: Progress = silent
) -> tuple[Scenario, list[SweepPoint], str]:
    """Find the warm-up where it is to be found: the scenario and its points with it, and a sentence about it.

    All points get the longest that any of them needs, so that they are measured over the same time. Raises
    ScenarioError if the runs are too short to tell, or have too few requests.
    """
    if all(point.scenario.run.warm_up != "auto" for point in points):
        return scenario, list(points), ""
    pilots = [(number, index) for number in range(len(points)) for index in range(PILOTS)]
    series: dict[tuple[int, int], list[tuple[float, int]]] = {}
    run = partial(_pilot, [point.scenario for point in points], scenario.run.seed)
    with closing(executor.share(run, pilots)) as shared:
        for task, found in shared:
            series[task] = found
            tell(len(series), len(pilots), "finding the warm-up")
    longest = 0.0
    for number, point in enumerate(points):
        means = _means([series[number, index] for index in range(PILOTS)])
        cut = mser5(means) if means is not None else None
        if cut is None or means is None:
            what = (
                "has too few requests to see when it settles" if means is None else "is still settling half way through"
            )
            where = f" ({', '.join(f'{path} = {value}' for path, value in point.set.items())})" if point.set else ""
            message = f"{scenario.name}: warm-up: auto: a run of {scenario.run.duration:g} s {what}{where}"
            raise ScenarioError([Problem("", 0, 0, message, hint="make the run longer, or give the warm-up as a time")])
        longest = max(longest, cut / len(means) * point.scenario.run.duration)
    text = f"warm-up: {longest:g} s, found by MSER-5 from {len(pilots)} pilot runs"
    warm = [replace(point, scenario=_with(point.scenario, longest)) for point in points]
    return _with(scenario, longest), warm, text


def mser5(values: Sequence[float]) -> int | None:
    """How many of the values belong to the warm-up, by the marginal standard error rule over batches of five.

    Of z_1 … z_m, the means of five values each, those before d are cut off where
    Σ_{i > d} (z_i − mean of z_{d+1} … z_m)² / (m − d)² is least (White, An effective truncation heuristic for bias
    reduction in simulation output, Simulation 69, 1997; Spratt 1998 for the batches). None if that is not in the first
    half: then the series is too short to tell.
    """
    batches = [math.fsum(values[at : at + BATCH]) / BATCH for at in range(0, len(values) - BATCH + 1, BATCH)]
    best, least = 0, math.inf
    # From the end, so that sums can be carried on; Welford's update keeps them exact.
    mean = spread = 0.0
    for count, value in enumerate(reversed(batches), 1):
        step = value - mean
        mean += step / count
        spread += step * (value - mean)
        cut = len(batches) - count
        # With very few left the rule is known to be fooled.
        if count >= BATCH and spread / count**2 <= least:
            best, least = cut, spread / count**2
    return None if 2 * best >= len(batches) else best * BATCH


def _pilot(scenarios: Sequence[Scenario], seed: int, task: tuple[int, int]) -> list[tuple[float, int]]:
    """Of each piece of a run: the sum of the latencies of what was sent in it, and how many they are."""
    number, index = task
    stage = Stage(_with(scenarios[number], 0.0), world_of(scenarios[number], seed, index), bins=BINS)
    stage.world.run(until=stage.scenario.run.duration)
    found = [(0.0, 0)] * BINS
    for reading in stage.readings():
        for row in reading.timeline:
            place = min(BINS - 1, round(row["bin_start_s"] / stage.scenario.run.duration * BINS))
            total, count = found[place]
            found[place] = total + row["latency_sum_s"], count + sum(row["answered"].values())
    return found


def _means(series: Sequence[Sequence[tuple[float, int]]]) -> list[float] | None:
    """The mean latency of each piece over all pilots, in as many pieces as have requests; None for too few."""
    totals = [math.fsum(pieces[place][0] for pieces in series) for place in range(BINS)]
    counts = [sum(pieces[place][1] for pieces in series) for place in range(BINS)]
    # What was sent at the very end is not answered yet.
    last = max((place for place, count in enumerate(counts) if count), default=0)
    totals, counts = totals[: last + 1], counts[: last + 1]
    while not all(counts):
        totals = [math.fsum(totals[at : at + 2]) for at in range(0, len(totals), 2)]
        counts = [sum(counts[at : at + 2]) for at in range(0, len(counts), 2)]
        if len(counts) < FEWEST:
            return None
    return [total / count for total, count in zip(totals, counts, strict=True)]


def _with(scenario: Scenario, warm_up: float) -> Scenario:
    run = scenario.run.model_copy(update={"warm_up": warm_up})
    changed = scenario.model_copy(update={"run": run})
    return changed.read_in(scenario.directory)
