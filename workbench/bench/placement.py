"""Which processors the two ends of a measurement may use: that decides the latency, so it is always told."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.scenario.schema import PlacementName


class PlacementError(ValueError):
    """This machine has no such placement."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The processors of the end that binds (the receiver) and of the end that connects (the sender); None for any."""

    receiver: list[int] | None
    sender: list[int] | None

    def __str__(self) -> str:
        if self.receiver is None or self.sender is None:
            return "wherever the kernel puts them"
        return f"receiver on processor {self.receiver[0]}, sender on processor {self.sender[0]}"


def place(
    name: PlacementName,
    allowed: Sequence[int] | None = None,
    siblings: Callable[[int], set[int]] | None = None,
) -> Placement:
    """The processors for a placement, among those this process may use. Raises PlacementError.

    Two cores are two physical ones where the machine tells which processors share a core: two hyper-threads of one core
    wake each other like one core and compute like half of one.
    """
    usable = sorted(os.sched_getaffinity(0)) if allowed is None else sorted(allowed)
    siblings = siblings or _siblings
    match name:
        case "unpinned":
            return Placement(None, None)
        case "one-core":
            return Placement([usable[0]], [usable[0]])
        case "two-cores":
            other = next((cpu for cpu in usable[1:] if cpu not in siblings(usable[0])), None)
            if other is None:
                raise PlacementError(
                    "two cores are not to be had: this process may use only "
                    + (f"processor {usable[0]}" if len(usable) == 1 else f"the threads of one core, {usable}")
                )
            return Placement([usable[0]], [other])


def _siblings(cpu: int) -> set[int]:
    """The processors on the same physical core, itself included."""
    try:
        text = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text(encoding="ascii")
        return parse_cpus(text)
    except (OSError, ValueError):
        return {cpu}


def parse_cpus(text: str) -> set[int]:
    """The processors in a list as the kernel writes it: "0-3,8"."""
    cpus: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        cpus.update(range(int(first), int(last or first) + 1))
    return cpus
