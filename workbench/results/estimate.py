"""From replications to estimates: a value, its 95 % interval, and how many samples stand behind it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workbench.results.histogram import Histogram
from workbench.results.ranks import order_statistic_ranks
from workbench.results.result import Estimate, Point, Replication
from workbench.results.wording import metric_unit

CONFIDENCE = 0.95
"""The confidence of every interval the workbench prints."""


def summarise(setting: Mapping[str, Any], replications: Iterable[Replication]) -> Point:
    """A point from its replications, in the order of their index, however they arrived."""
    ordered = sorted(replications, key=lambda replication: replication.index)
    return Point(set=dict(setting), metrics=estimates(ordered), replications=ordered)


def estimates(replications: Sequence[Replication]) -> dict[str, Estimate]:
    """Every metric of the replications as a mean over them, in the order the metrics first appear.

    A percentile is the mean over the replications' own percentiles. A metric that only some replications have is
    averaged over those, and its `n` says how many they were.
    """
    names = dict.fromkeys(name for replication in replications for name in replication.metrics)
    units = {name: unit for replication in reversed(replications) for name, unit in replication.units.items()}
    return {
        name: mean(
            [run.metrics[name] for run in replications if name in run.metrics], units.get(name, metric_unit(name))
        )
        for name in names
    }


def mean(values: Sequence[float], unit: str) -> Estimate:
    """The mean of one value per replication with Student's t interval.

    x ± t(n - 1, 0.975) · s / √n, with s² the sample variance over n - 1 (Law, Simulation Modeling and Analysis,
    section 4.5).
    It supposes that the values are independent and roughly normal, as means over a replication are. What is never
    negative keeps an interval that is not, and a fraction (unit "1") one that ends at 1. One value has no interval;
    none has no value.
    """
    n = len(values)
    if n == 0:
        return Estimate(None, None, None, unit, 0)
    centre = math.fsum(values) / n
    if n == 1:
        return Estimate(centre, None, None, unit, 1)
    half = student_t(n - 1) * math.sqrt(variance(values) / n)
    low, high = centre - half, centre + half
    if min(values) >= 0.0:
        low = max(0.0, low)
    if unit == "1" and max(values) <= 1.0:
        high = min(1.0, high)
    return Estimate(centre, low, high, unit, n)


def difference(baseline: Sequence[float], other: Sequence[float], unit: str) -> Estimate:
    """The mean of other minus baseline over pairs, with Student's t interval of the paired differences.

    Under common random numbers a pair shares its luck, which the difference removes (Law, chapter 11).
    """
    differences = [b - a for a, b in zip(baseline, other, strict=True)]
    n = len(differences)
    if n < 2:
        return Estimate(differences[0] if differences else None, None, None, unit, n)
    centre = math.fsum(differences) / n
    half = student_t(n - 1) * math.sqrt(variance(differences) / n)
    return Estimate(centre, centre - half, centre + half, unit, n)


def unpaired_difference(baseline: Sequence[float], other: Sequence[float], unit: str) -> Estimate:
    """The difference of two means, other minus baseline, of samples that share nothing.

    Welch's interval: variances may differ, degrees of freedom by Welch and Satterthwaite (Law, section 10.2).
    """
    n = min(len(baseline), len(other))
    if n == 0:
        return Estimate(None, None, None, unit, 0)
    centre = math.fsum(other) / len(other) - math.fsum(baseline) / len(baseline)
    if n < 2:
        return Estimate(centre, None, None, unit, n)
    a, b = variance(baseline) / len(baseline), variance(other) / len(other)
    if a + b == 0.0:
        return Estimate(centre, centre, centre, unit, n)
    freedom = (a + b) ** 2 / (a**2 / (len(baseline) - 1) + b**2 / (len(other) - 1))
    half = student_t(freedom) * math.sqrt(a + b)
    return Estimate(centre, centre - half, centre + half, unit, n)


def median(values: Sequence[float], unit: str) -> Estimate:
    """The median of independent values with its exact order-statistic interval.

    No distribution is supposed (see `order_statistic_ranks`), so a few blocks spoilt by the machine do no harm. Fewer
    than six values have no interval.
    """
    ordered = sorted(values)
    n = len(ordered)
    if n == 0:
        return Estimate(None, None, None, unit, 0)
    middle = ordered[n // 2] if n % 2 else (ordered[n // 2 - 1] + ordered[n // 2]) / 2
    ranks = order_statistic_ranks(n, 0.5, CONFIDENCE)
    if ranks is None:
        return Estimate(middle, None, None, unit, n)
    return Estimate(middle, ordered[ranks[0] - 1], ordered[ranks[1] - 1], unit, n)


def proportion(hits: int, trials: int) -> Estimate:
    """The share of independent trials that hit, with the exact interval of Clopper and Pearson (1934).

    Requests of one run are not independent trials; for their shares take the `mean` over replications.
    """
    if not 0 <= hits <= trials:
        raise ValueError(f"of {trials} trials {hits} cannot have hit")
    if trials == 0:
        return Estimate(None, None, None, "1", 0)
    from scipy.special import betaincinv

    tail = (1.0 - CONFIDENCE) / 2.0
    low = float(betaincinv(hits, trials - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, trials - hits, 1.0 - tail)) if hits < trials else 1.0
    return Estimate(hits / trials, low, high, "1", trials)


def percentile(histograms: Iterable[Histogram], q: float) -> Estimate:
    """The mean over replications of each one's own q-quantile, in seconds, with Student's t interval.

    Within a run waiting times follow each other closely; between runs they are independent. So the spread is taken
    between runs (Law, chapter 9). Empty histograms are left out and not counted in `n`.
    """
    return mean([histogram.quantile(q) for histogram in histograms if histogram.count], "s")


def variance(values: Sequence[float]) -> float:
    """The sample variance, over n - 1; needs two values."""
    centre = math.fsum(values) / len(values)
    return math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1)


def student_t(freedom: float, confidence: float = CONFIDENCE) -> float:
    """The two-sided quantile of Student's distribution, for example 2.262 at 9 degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1.0 + confidence) / 2.0))
