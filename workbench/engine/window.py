"""The window of a meter: what is measured, and how it is divided."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Window:
    """When a meter measures. All times are seconds of the world.

    A request belongs to the phase in which it was *sent*: "unmeasured" outside `start` to `end`, "before" the `fault`,
    "onset" within `guard` before it (the fault may find those on their way), "during" until `restore`, "recovery"
    within `settle` after it (lost connections are being made again), and "after".
    """

    start: float = 0.0
    end: float | None = None
    """None: the end of the world."""
    fault: float | None = None
    """When the first fault begins, if there is one."""
    restore: float | None = None
    """When the last repair ends the faults; None: never."""
    guard: float = 0.0
    settle: float = 0.0
    struck: tuple[int, ...] | None = None
    """The sites, by their place, from which asking fails over and back; None: all."""
    bin: float = 1.0
    """The width of the bins of the timeline; more than zero."""
