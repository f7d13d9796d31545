"""A histogram of durations: whole nanoseconds and how often each was seen."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.results.ranks import order_statistic_ranks

NANOSECONDS = 1_000_000_000
"""Nanoseconds in a second."""


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Distinct values in nanoseconds, ascending, with how often each occurred.

    Exact when filled with samples; a coarser meter passes the values its buckets stand for. Every answer is in seconds.
    An empty histogram is allowed: its count is 0, its mean and quantiles are NaN.
    """

    values: NDArray[np.int64]
    counts: NDArray[np.int64]

    def __post_init__(self) -> None:
        values = _whole(self.values)
        counts = _whole(self.counts)
        if values.ndim != 1 or values.shape != counts.shape:
            raise ValueError(f"a histogram needs as many counts as values, not {counts.shape} for {values.shape}")
        if values.size and not bool(np.all(values[1:] > values[:-1])):
            raise ValueError("a histogram's values must ascend, each of them once")
        if bool(np.any(counts < 0)):
            raise ValueError("a histogram's counts cannot be negative")
        seen = counts > 0
        object.__setattr__(self, "values", _frozen(values[seen]))
        object.__setattr__(self, "counts", _frozen(counts[seen]))

    @classmethod
    def of(cls, nanoseconds: ArrayLike) -> Histogram:
        """The histogram of single samples, given in nanoseconds in any order."""
        values, counts = np.unique(_whole(nanoseconds), return_counts=True)
        return cls(values, counts.astype(np.int64))

    @classmethod
    def merged(cls, histograms: Iterable[Histogram]) -> Histogram:
        """One histogram of all samples of all the given ones; empty if none is given."""
        parts = list(histograms)
        if not parts:
            return cls(np.empty(0, np.int64), np.empty(0, np.int64))
        values, place = np.unique(np.concatenate([part.values for part in parts]), return_inverse=True)
        counts = np.zeros(values.size, np.int64)
        np.add.at(counts, place, np.concatenate([part.counts for part in parts]))
        return cls(values, counts)

    def merge(self, other: Histogram) -> Histogram:
        """A new histogram of this one's samples and the other's."""
        return Histogram.merged((self, other))

    def since(self, earlier: Histogram) -> Histogram:
        """What has been added since an earlier state of the same histogram."""
        counts = self.counts.copy()
        counts[np.searchsorted(self.values, earlier.values)] -= earlier.counts
        return Histogram(self.values[counts > 0], counts[counts > 0])

    @property
    def count(self) -> int:
        """How many samples there are."""
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        """The mean in seconds; NaN when empty."""
        if not self.values.size:
            return math.nan
        return float(np.dot(self.values.astype(np.float64), self.counts) / self.counts.sum() / NANOSECONDS)

    def quantile(self, q: float) -> float:
        """The smallest value, in seconds, that at least a fraction `q` of the samples do not exceed; NaN when empty.

        This is the inverse of the empirical distribution function (type 1 of Hyndman and Fan 1996), so the answer is
        always a value that was seen. `q` is a fraction from 0 (the smallest) to 1 (the largest).
        """
        if not 0.0 <= q <= 1.0:
            raise ValueError(f"a quantile is asked for by a fraction from 0 to 1, not {q}")
        if not self.values.size:
            return math.nan
        return self._at_rank(_rank(q, self.count))

    def quantile_interval(self, q: float, confidence: float = 0.95) -> tuple[float, float] | None:
        """The order-statistic interval of a quantile in seconds, or None when there are too few samples for one.

        It holds for independent samples. Requests of one run queue behind each other and are not independent: for them
        take the spread between replications (`estimate.percentile`), which this interval would understate.
        """
        ranks = order_statistic_ranks(self.count, q, confidence)
        return None if ranks is None else (self._at_rank(ranks[0]), self._at_rank(ranks[1]))

    def cumulative(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The empirical distribution function: values in seconds, and the fraction of samples not above each."""
        return self.values / NANOSECONDS, np.cumsum(self.counts) / max(1, self.count)

    def to_json(self) -> dict[str, list[int]]:
        """Two lists of whole numbers, `values` in nanoseconds and `counts`."""
        return {"values": self.values.tolist(), "counts": self.counts.tolist()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Histogram:
        """The inverse of `to_json`."""
        return cls(data["values"], data["counts"])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return np.array_equal(self.values, other.values) and np.array_equal(self.counts, other.counts)

    def __hash__(self) -> int:
        return hash((self.values.tobytes(), self.counts.tobytes()))

    def __repr__(self) -> str:
        return f"Histogram({self.count} samples, {self.values.size} values)"

    def _at_rank(self, rank: int) -> float:
        return float(self.values[np.searchsorted(np.cumsum(self.counts), rank)] / NANOSECONDS)


def _rank(q: float, count: int) -> int:
    # Rounded first: 0.07 * 100 is a hair above 7 in binary, and must not become rank 8.
    return max(1, math.ceil(round(q * count, 6)))


def _whole(data: ArrayLike) -> NDArray[np.int64]:
    array = np.asarray(data)
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise ValueError("a histogram holds whole nanoseconds and whole counts")
    return array.astype(np.int64)


def _frozen(array: NDArray[np.int64]) -> NDArray[np.int64]:
    array.setflags(write=False)
    return array
