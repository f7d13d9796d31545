"""The rhythm of a native client, and the distributions that it draws from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

Drawn: TypeAlias = tuple[str, float, float] | tuple[str, Sequence[float]]
"""A distribution in seconds: constant (a), exponential (mean a), uniform (a to b), normal (mean a, standard deviation
b), lognormal (mean a, coefficient of variation b), pareto or weibull (mean a, shape b); or "empirical", its values."""

NOTHING: Drawn = ("constant", 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """How a native client asks: `kind` is poisson, paced, bursty, trace, closed or flood, the rest what that needs.

    `rate` per second (of a bursty load: while it is on), `on` and `off` the mean seconds of a burst and of the pause
    after it, `moments` those of a trace, ascending, in seconds; `outstanding` requests of a closed load, with a `think`
    between.
    """

    kind: str
    rate: float = 1.0
    outstanding: int = 1
    think: Drawn = NOTHING
    on: float = 1.0
    off: float = 0.0
    moments: Sequence[float] = ()
