"""Ranks of sorted samples that enclose a quantile, whatever the distribution."""

from __future__ import annotations


def order_statistic_ranks(n: int, q: float = 0.5, confidence: float = 0.95) -> tuple[int, int] | None:
    """Ranks (counted from 1) of the two sorted samples between which the q-quantile lies with the given confidence.

    Exact and free of assumptions about the distribution: of `n` independent samples the number that fall below the
    quantile is binomial (n, q), so the interval from the l-th to the u-th covers it with probability
    F(u - 1) - F(l - 1), where F is that binomial's distribution function (David and Nagaraja, Order Statistics, 7.1).
    Each tail gets at most half of what the confidence leaves. For a median: n = 20 gives 6 and 15, n = 30 gives 10
    and 21. None when `n` is too small for any such pair (below 6 for a median at 95 %).
    """
    if not 0.0 <= q <= 1.0:
        raise ValueError(f"a quantile is asked for by a fraction from 0 to 1, not {q}")
    if n < 1 or q in (0.0, 1.0):
        return None
    tail = (1.0 - confidence) / 2.0
    lower = _below(n, q, tail)
    # The upper rank is the lower one of the mirrored quantile, counted from the other end.
    upper = _below(n, 1.0 - q, tail)
    return None if lower < 1 or upper < 1 else (lower, n + 1 - upper)


def _below(n: int, q: float, tail: float) -> int:
    """The largest rank l with P(binomial(n, q) < l) <= tail; 0 if there is none."""
    from scipy.special import bdtr

    low, high = 0, n  # F(low - 1) <= tail always holds at 0; search where it stops holding
    while low < high:
        middle = (low + high + 1) // 2
        if float(bdtr(middle - 1, n, q)) <= tail:
            low = middle
        else:
            high = middle - 1
    return low
