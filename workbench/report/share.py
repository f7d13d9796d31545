"""The share of answers by answering site over time, from a point's timelines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.results.result import Point


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares per bin: `mean` has a row per site, NaN where a bin had no answer.

    `low` and `high` bound the middle 95 % of the replications' cumulative shares (this site and those before it), so
    that they lie around the upper edge of a site's area when the areas are stacked.
    """

    sites: tuple[str, ...]
    start_s: NDArray[np.float64]
    width_s: float
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def shares(point: Point, workload: str) -> Shares | None:
    """The shares of one workload's answers at a point; None if it has no answers over at least two bins.

    Bins after the last request was sent are left out: the few late answers there say nothing about shares.
    """
    rows = [
        (place, row)
        for place, run in enumerate(point.replications)
        for row in run.timeline
        if row["workload"] == workload
    ]
    last = max((row["bin_start_s"] for _, row in rows if row["sent"]), default=0.0)
    rows = [(place, row) for place, row in rows if row["bin_start_s"] <= last]
    starts = sorted({row["bin_start_s"] for _, row in rows})
    sites = _ordered(workload, {site for _, row in rows for site, count in row["answered"].items() if count})
    if len(starts) < 2 or not sites:
        return None
    bins, order = (
        {start: place for place, start in enumerate(starts)},
        {site: place for place, site in enumerate(sites)},
    )
    counts = np.zeros((len(point.replications), len(sites), len(starts)))
    for place, row in rows:
        for site, count in row["answered"].items():
            if count:
                counts[place, order[site], bins[row["bin_start_s"]]] += count
    pooled = counts.sum(axis=0)
    cumulative = np.cumsum(counts, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = pooled / pooled.sum(axis=0)
        each = cumulative / cumulative[:, -1:, :]
    # A bin that no replication answered in is NaN in all of them; there is no band there.
    silent = np.isnan(each).all(axis=0)
    bounds = np.nanquantile(np.where(silent, 0.0, each), (0.025, 0.975), axis=0)
    low, high = np.where(silent, np.nan, bounds)
    return Shares(sites, np.array(starts), float(np.min(np.diff(starts))), mean, low, high)


def _ordered(workload: str, sites: set[str]) -> tuple[str, ...]:
    """By name, the workload's own site first when it is called like one: home is the lowest area."""
    return tuple(sorted(sites, key=lambda site: (site != workload, site)))
