"""Pairs: in which order things are measured, and how much a comparison can be believed.

Machines drift: what is measured in the same minute can be compared, what is not cannot. So a block measures everything
once, what is to be compared next to each other in random order, and each comparison is made within a block. In every
block the baseline is measured a second time, as if it were something else: the ratio of those two (the A/A control) is
1 in truth, and what it is found to be tells what this machine makes of no difference at all.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to measure in each block: a workload at a point of the sweep."""

    point: int
    workload: str
    group: str
    """What is compared with each other has the same."""
    again: bool = False
    """Whether this is the baseline's second time."""


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
