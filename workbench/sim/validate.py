"""The simulator against theory: cells, each a scenario whose answer is known, and how far off the simulator is.

Every cell is a scenario as a user could write it, run by the same code. Its replications are independent, so their
spread gives the standard error of their mean, and a simulator that is right is as many standard errors off, z, as
chance has it: the z of all cells together are a sample of the normal distribution. (Few replications give a Student's
t; z is the normal deviate of the same probability.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

from workbench.model.progress import Progress, silent
from workbench.results import Replication
from workbench.results.estimate import variance
from workbench.scenario import Scenario
from workbench.sim import theory
from workbench.sim.executor import Local
from workbench.sim.replication import replicate

Task = tuple[int, int]
"""A cell's number and a replication's index."""

LARGEST_Z = 3.5
"""Beyond it lies one z in two thousand."""
SMALLEST_P = 0.01
SERVICE = 0.001
"""The mean service time of every cell, in seconds."""


@dataclass(frozen=True)
class Cell:
    """One number that theory knows."""

    model: str
    setting: str
    quantity: str
    theory: float
    scenario: Scenario
    read: Callable[[Replication], float]
    """The number that one replication gives, in the unit of `theory`."""
    replications: int
    fold: str = "mean"
    """How replications become one number: "mean", or "variance" for formulas about the spread itself."""


@dataclass(frozen=True)
class Outcome:
    """What came of a cell."""

    cell: Cell
    simulated: float
    standard_error: float
    z: float

    @property
    def holds(self) -> bool:
        """Is it within what chance does?"""
        return abs(self.z) <= LARGEST_Z


@dataclass(frozen=True)
class Validation:
    """All cells together."""

    outcomes: tuple[Outcome, ...]

    @property
    def p(self) -> float:
        """The probability of z's at least as unlike a normal sample as these (Kolmogorov and Smirnov)."""
        from scipy.stats import kstest

        return float(kstest([outcome.z for outcome in self.outcomes], "norm").pvalue)

    @property
    def holds(self) -> bool:
        """Is every cell right, and all of them together no better or worse than chance?"""
        return all(outcome.holds for outcome in self.outcomes) and self.p > SMALLEST_P


def validate(
    *,
    seed: int = 1,
    jobs: int | None = None,
    bias: float = 0.0,
    only: Sequence[str] = (),
    effort: float = 1.0,
    tell: Progress = silent,
) -> Validation:
    """Run the cells, all or those of the models `only`.

    `effort` scales how long each replication is. `bias` makes every service time longer by this share, to see that it
    is found: then the validation must fail.
    """
    chosen = [cell for cell in cells(bias, effort) if not only or cell.model in only]
    tasks = [(number, index) for number, cell in enumerate(chosen) for index in range(cell.replications)]
    # The long ones first: then no process is left alone with one at the end.
    tasks.sort(key=lambda task: -_effort(chosen[task[0]]))
    values: dict[Task, float] = {}
    run = partial(_run, chosen, seed)
    with closing(Local(jobs).share(run, tasks)) as shared:
        for task, value in shared:
            values[task] = value
            tell(len(values), len(tasks), "validating")
    return Validation(
        tuple(
            _outcome(cell, [values[number, index] for index in range(cell.replications)])
            for number, cell in enumerate(chosen)
        )
    )


def cells(bias: float = 0.0, effort: float = 1.0) -> list[Cell]:
    """Every cell, in the order of the table."""
    build = _Builder(bias, effort)
    parts = (build.single, build.several, build.general, build.bounded, build.choosing, build.surveys, build.spread)
    return [cell for part in parts for cell in part()]


def _run(chosen: Sequence[Cell], seed: int, task: Task) -> float:
    number, index = task
    cell = chosen[number]
    # Each cell has luck of its own: z's that share it would not be independent.
    return cell.read(replicate(cell.scenario, number, index, seed + 1000 * number))


def _effort(cell: Cell) -> float:
    return cell.scenario.run.duration


def _outcome(cell: Cell, values: Sequence[float]) -> Outcome:
    count = len(values)
    spread = variance(values)
    if cell.fold == "mean":
        simulated = math.fsum(values) / count
        error = math.sqrt(spread / count)
    else:
        # The variance of a sample variance, the fourth moment estimated from the sample.
        centre = math.fsum(values) / count
        fourth = math.fsum((value - centre) ** 4 for value in values) / count
        simulated = spread
        error = math.sqrt(max(0.0, fourth - spread**2 * (count - 3) / (count - 1)) / count)
    return Outcome(cell, simulated, error, _deviate((simulated - cell.theory) / error, count - 1))


def _deviate(t: float, freedom: int) -> float:
    """The normal deviate that is as probable as this t."""
    from scipy.stats import norm
    from scipy.stats import t as student

    tail = float(norm.isf(student.sf(abs(t), freedom)))
    return math.copysign(min(tail, 40.0), t)


class _Builder:
    """Makes the cells. Times in the scenarios are in milliseconds, the mean service time being one."""

    def __init__(self, bias: float, effort: float) -> None:
        self.scale = 1.0 + bias
        self.effort = effort

    def single(self) -> Iterator[Cell]:
        """M/M/1: mean, median and 99th percentile of the time in the system."""
        for load in (0.5, 0.7, 0.8, 0.9):
            scenario = self._queue(load, {0.5: 60_000, 0.7: 120_000, 0.8: 200_000, 0.9: 500_000}[load])
            setting = f"load {load}"
            yield Cell("M/M/1", setting, "mean time", 1 / (1 - load), scenario, _Metric("latency.mean"), 30)
            value = theory.sojourn_quantile_mm1(load, 0.5)
            yield Cell("M/M/1", setting, "median time", value, scenario, _Metric("latency.p50"), 30)
        for load in (0.5, 0.7, 0.8):
            # The quantile of a run is biased by one over its length: so these are few and long.
            scenario = self._queue(load, {0.5: 300_000, 0.7: 600_000, 0.8: 1_200_000}[load])
            value = theory.sojourn_quantile_mm1(load, 0.99)
            read = _Metric("latency.p99")
            yield Cell("M/M/1", f"load {load}", "99th percentile", value, scenario, read, 16)
        for load in (0.5, 0.8):
            value = load / (1 - load)
            scenario = self._queue(load, 150_000, warm=False)
            yield Cell("M/M/1", f"load {load}", "number in the system", value, scenario, _Metric("in_system", 1.0), 30)

    def several(self) -> Iterator[Cell]:
        """M/M/c: the mean time."""
        for workers in (2, 4, 8, 16):
            for load in (0.5, 0.7, 0.8, 0.9):
                requests = {0.5: 60_000, 0.7: 80_000, 0.8: 120_000, 0.9: 300_000}[load]
                value = 1.0 + theory.wait_mmc(workers, load)
                scenario = self._queue(load, requests, workers=workers)
                setting = f"{workers} workers, load {load}"
                yield Cell("M/M/c", setting, "mean time", value, scenario, _Metric("latency.mean"), 30)

    def general(self) -> Iterator[Cell]:
        """M/G/1: the mean time, for every distribution there is."""
        weibull = math.sqrt(math.gamma(1 + 2 / 0.7) / math.gamma(1 + 1 / 0.7) ** 2 - 1)
        laws = (
            ("constant", "{0}", 0.0),
            ("uniform", "uniform {half} to {more}", 1 / math.sqrt(12)),
            ("lognormal", "lognormal {0} cv 1.5", 1.5),
            ("weibull", "weibull {0} shape 0.7", weibull),
            ("pareto", "pareto {0} shape 6", 1 / math.sqrt(6 * 4)),
            ("normal", "normal {0} sd {fifth}", 0.2),
        )
        for name, text, variation in laws:
            for load in (0.5, 0.8):
                one = self.scale
                time = text.format(
                    f"{one!r} ms", half=f"{one / 2!r} ms", more=f"{3 * one / 2!r} ms", fifth=f"{one / 5!r} ms"
                )
                value = 1.0 + theory.wait_mg1(load, variation)
                requests = 100_000 if load < 0.7 else 250_000
                scenario = self._queue(load, requests, time=time)
                yield Cell("M/G/1", f"{name}, load {load}", "mean time", value, scenario, _Metric("latency.mean"), 30)

    def bounded(self) -> Iterator[Cell]:
        """M/M/1/K: the share of requests that is lost."""
        for room in (5, 20):
            for load in (0.8, 1.0, 1.1, 2.0):
                value = theory.loss_mm1k(load, room)
                scenario = self._queue(load, 150_000, queue=room - 1, when_full="drop-new")
                setting = f"room for {room}, load {load:.1f}"
                yield Cell("M/M/1/K", setting, "share lost", value, scenario, _Metric("lost_share", 1.0), 30)

    def choosing(self) -> Iterator[Cell]:
        """The supermarket model: the shorter of two queues of a thousand, and any of them."""
        for load in (0.5, 0.7, 0.8):
            # Without a choice the number of queues is no matter, and few of them forget their beginning sooner.
            for routing, drawn, queues in (("random", 1, 10), ("power-of-two", 2, 1000)):
                value = theory.sojourn_power_of(drawn, load)
                scenario = self._queue(load, 600_000, instances=queues, routing=routing)
                setting = f"{drawn} of {queues} queues, load {load}"
                yield Cell("supermarket", setting, "mean time", value, scenario, _Metric("latency.mean"), 20)

    def surveys(self) -> Iterator[Cell]:
        """Surveys of servers that answer independently: order statistics."""
        for count in (2, 5, 10, 20, 50, 100):
            scenario = self._survey(count, 1000.0)
            value = theory.slowest_of(count)
            yield Cell("maximum of n", f"{count} servers", "mean time", value, scenario, _Metric("latency.mean"), 30)
        for count, deadline in ((10, 3.0), (10, 5.0), (100, 5.0), (100, 7.0), (500, 7.0), (500, 10.0)):
            scenario = self._survey(count, deadline)
            setting = f"{count} servers, deadline {deadline:g}"
            value = theory.all_within(count, deadline)
            read = _Metric("complete_share", 1.0)
            yield Cell("survey", setting, "share complete", value, scenario, read, 30)
        for count, share_ in ((10, 0.99), (100, 0.99)):
            # As above: the quantile of a run is biased by one over its length.
            scenario = self._survey(count, 1000.0, times=8.0)
            value = theory.deadline_for(count, share_)
            setting = f"{count} servers"
            yield Cell("survey", setting, "deadline for 99 %", value, scenario, _Metric("latency.p99"), 16)
        for count in (10, 100):
            # One server in a hundred is slow; how many of those who ask all of them notice?
            slow = theory.deadline_for(1, 0.99)
            scenario = self._survey(count, slow)
            value = 1 - theory.all_within(count, slow)
            read = _Metric("lost_share", 1.0)
            yield Cell("survey", f"fan-out {count}", "share beyond p99", value, scenario, read, 30)

    def spread(self) -> Iterator[Cell]:
        """How much the mean of a run varies: what run lengths are planned with."""
        for load in (0.3, 0.5, 0.6):
            scenario = self._queue(load, 20_000, warm=False, scaled=False)
            value = theory.run_variance_mm1(load)
            read = _Root("in_system", math.sqrt(scenario.run.duration / SERVICE))
            yield Cell("run length", f"load {load}", "variance × length", value, scenario, read, 600, "variance")

    def _queue(
        self,
        load: float,
        requests: int,
        *,
        workers: int = 1,
        instances: int = 1,
        time: str | None = None,
        queue: int = 1_000_000,
        when_full: str = "block",
        routing: str = "random",
        warm: bool = True,
        scaled: bool = True,
    ) -> Scenario:
        rate = load * workers * instances / SERVICE
        length = requests * (self.effort if scaled else 1.0) / rate
        warm_up = length / 8 if warm else 0.0
        service = {
            "at": {"here": instances},
            "workers": workers,
            "time": time or f"exponential {self.scale!r} ms",
            "queue": queue,
            "when-full": when_full,
        }
        return self._scenario(service, rate, length, warm_up, routing)

    def _survey(self, count: int, deadline: float, times: float = 1.0) -> Scenario:
        service = {
            "at": {"here": count},
            "workers": 1000,
            "time": f"exponential {self.scale!r} ms",
            "pattern": "survey",
        }
        # They come one at a time: those under way at the end are in no mean, and they would be the slow ones.
        rate = 10.0
        length = times * max(500_000 / count, 1_000) * self.effort / rate
        extra = {"deadline": f"{deadline!r} ms"}
        return self._scenario(service, rate, length, 0.0, "random", extra)

    def _scenario(
        self,
        service: dict[str, Any],
        rate: float,
        length: float,
        warm_up: float,
        routing: str,
        extra: dict[str, str] | None = None,
    ) -> Scenario:
        workload = {"at": "here", "to": "queue", "load": f"poisson {rate!r}/s", "timeout": "100 s"}
        data = {
            "version": 1,
            "name": "validation",
            "network": "none",
            "sites": {"here": None},
            "services": {"queue": service},
            "workloads": {"users": workload | (extra or {})},
            "routing": routing,
            "run": {"duration": f"{length!r} s", "warm-up": f"{warm_up!r} s", "seed": 1},
        }
        return Scenario.model_validate(data)


@dataclass(frozen=True)
class _Metric:
    """A metric of the replication, in mean service times (or as it is, with a unit of 1)."""

    name: str
    unit: float = SERVICE

    def __call__(self, run: Replication) -> float:
        return run.metrics[self.name] / self.unit


@dataclass(frozen=True)
class _Root:
    """A metric times the root of the run's length: its variance is what formulas about run lengths speak of."""

    name: str
    root: float

    def __call__(self, run: Replication) -> float:
        return run.metrics[self.name] * self.root
