"""How quiet the machine was while we measured. It is recorded; it never makes a reading disappear."""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

STOLEN = 0.01
"""Share of the processors' time that the hypervisor may take before a reading counts as disturbed."""
OTHERS = 0.05
"""The same for other processes of this machine."""
LOAD = 0.75
"""Load average for each processor above which a machine is busy before we have begun."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The counters of the machine and of us, in seconds since either began; None where the machine does not tell."""

    clock_s: float
    stolen_s: float | None
    processes_s: float | None
    """Processor time of all processes, the kernel's work for them included, interrupts not."""
    ours_s: float
    """Processor time of this process and of those children that have ended."""

    @classmethod
    def now(cls) -> Moment:
        """As the kernel counts it, in steps of ten milliseconds."""
        mine, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        ours = mine.ru_utime + mine.ru_stime + children.ru_utime + children.ru_stime
        ticks = _ticks()
        if ticks is None:
            return cls(time.monotonic(), None, None, ours)
        user, nice, system, steal = ticks
        second = os.sysconf("SC_CLK_TCK")
        return cls(time.monotonic(), steal / second, (user + nice + system) / second, ours)


@dataclass(frozen=True, slots=True)
class Quietness:
    """What went on beside us between two moments, as shares of all processors' time; None where unknown."""

    seconds: float
    stolen: float | None
    others: float | None

    @classmethod
    def between(cls, earlier: Moment, later: Moment, processors: int | None = None) -> Quietness:
        """From the first moment to the second. Our children must have ended by then to be told from others."""
        seconds = later.clock_s - earlier.clock_s
        room = max(seconds, 1e-9) * (processors or os.cpu_count() or 1)
        stolen = others = None
        if earlier.stolen_s is not None and later.stolen_s is not None:
            stolen = _share((later.stolen_s - earlier.stolen_s) / room)
        if earlier.processes_s is not None and later.processes_s is not None:
            ours = later.ours_s - earlier.ours_s
            others = _share((later.processes_s - earlier.processes_s - ours) / room)
        return cls(seconds, stolen, others)

    @property
    def disturbed(self) -> bool:
        """Whether somebody took more than a reading should bear."""
        return (self.stolen or 0.0) > STOLEN or (self.others or 0.0) > OTHERS

    def __str__(self) -> str:
        if self.stolen is None or self.others is None:
            return "how quiet the machine was is not known"
        text = f"other processes took {self.others:.1%} of the processors, the hypervisor {self.stolen:.1%}"
        return f"disturbed: {text}" if self.disturbed else text


def before() -> str:
    """How busy the machine is before we begin, in a sentence."""
    try:
        load = os.getloadavg()[0]
    except OSError:
        return "the load of the machine before the measurement is not known"
    busy = load > LOAD * (os.cpu_count() or 1)
    return f"load average before the measurement {load:.2f}" + (": the machine was busy" if busy else "")


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))


def _ticks() -> tuple[int, int, int, int] | None:
    """The ticks spent on user, nice and system, and those stolen."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0].split()
        return int(fields[1]), int(fields[2]), int(fields[3]), int(fields[8])
    except (OSError, ValueError, IndexError):
        return None
