"""The A/A control: the baseline measured a second time in every block, and what may be claimed beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from workbench.results import compare
from workbench.results.result import Estimate, Point

AGAIN = ".again"
"""What the second measurement of the baseline adds to a metric's name."""


@dataclass(frozen=True, slots=True)
class Control:
    """The baseline against itself, for one metric at one setting of the other axes."""

    metric: str
    set: dict[str, Any]
    ratio: Estimate
    """The median of second over first, with its interval."""

    @property
    def half_width(self) -> float | None:
        """How far from 1, as a factor less 1, the interval reaches: no claim smaller than this. None without one."""
        if not self.ratio.low or not self.ratio.high:
            return None
        return math.exp(max(abs(math.log(self.ratio.low)), abs(math.log(self.ratio.high)))) - 1.0

    @property
    def sound(self) -> bool:
        """Whether the interval holds the truth, which is 1. Five in a hundred do not by mere chance."""
        return self.ratio.low is None or self.ratio.high is None or self.ratio.low <= 1.0 <= self.ratio.high

    def __str__(self) -> str:
        half = self.half_width
        if half is None:
            return "no A/A interval"
        return f"A/A ± {half:.2f}" if half >= 0.01 else f"A/A ± {half:.3f}"


def control(baseline: Point, metric: str) -> Control | None:
    """The control that a baseline's replications hold for a metric; None when there is none.

    A metric without a workload is that of the only workload that has it, and has its control.
    """
    seconds = {name for run in baseline.replications for name in run.metrics if name.endswith(AGAIN)}
    found = [name for name in seconds if name == metric + AGAIN or name.endswith(f":{metric}{AGAIN}")]
    if len(found) != 1:
        return None
    (second,) = found
    first = second.removesuffix(AGAIN)
    pairs = [
        (run.metrics[first], run.metrics[second])
        for run in baseline.replications
        if first in run.metrics and second in run.metrics
    ]
    ratio = compare.ratio_of([first for first, _ in pairs], [second for _, second in pairs])
    return None if ratio is None else Control(metric, dict(baseline.set), ratio)


def claimable(ratio: Estimate, against: Control | None) -> bool | None:
    """Whether a ratio differs from 1 by more than chance and more than the control allows.

    None when there are too few blocks to tell, or no control to tell it by.
    """
    if ratio.low is None or ratio.high is None or against is None or against.half_width is None:
        return None
    room = 1.0 + against.half_width
    return ratio.low > room or ratio.high < 1.0 / room
