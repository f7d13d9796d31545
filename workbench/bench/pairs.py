"""Pairs: in which order things are measured, and how much a comparison can be believed.

Machines drift: what is measured in the same minute can be compared, what is not cannot. So a block measures everything
once, what is to be compared next to each other in random order, and each comparison is made within a block. In every
block the baseline is measured a second time, as if it were something else: the ratio of those two (the A/A control) is
1 in truth, and what it is found to be tells what this machine makes of no difference at all.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workbench.results import Estimate, Point, compare

AGAIN = ".again"
"""What the second measurement of the baseline adds to a metric's name."""


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to measure in each block: a workload at a point of the sweep."""

    point: int
    workload: str
    group: str
    """What is compared with each other has the same."""
    again: bool = False
    """Whether this is the baseline's second time."""


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


def order(tasks: Sequence[Task], block: int, seed: int) -> list[Task]:
    """The tasks of one block: each group together, the groups and the tasks within each in random order.

    The same seed and block give the same order, whatever was measured before.
    """
    luck = random.Random(f"{seed}/{block}")
    groups = list(dict.fromkeys(task.group for task in tasks))
    luck.shuffle(groups)
    ordered = []
    for group in groups:
        members = [task for task in tasks if task.group == group]
        luck.shuffle(members)
        ordered += members
    return ordered


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
