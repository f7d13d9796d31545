"""Tier 3: the figures of every run in one file, a line of JSON each, and steps in them. It never blocks.

Small losses add up that no single comparison can see. A step is believed when at least `LEAST` runs lie on either side
of it, it is at least `SMALLEST` high, and Welch's test says that chance would do it less than once in a thousand times
though the place was chosen for its height (p times the number of places; Bonferroni).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LEAST = 3
SMALLEST = 0.05
CHANCE = 1e-3
LONGEST = 200
"""Runs that are looked at, from the newest."""


@dataclass(frozen=True)
class Step:
    """A figure that has changed and stayed."""

    figure: str
    commit: str
    """Of the first run after it."""
    change: float
    """Of the mean, as a share: 0.1 for a tenth more."""
    p: float

    def __str__(self) -> str:
        return f"{self.figure} has been {self.change:+.1%} since {self.commit} (p = {self.p:.1e})"


def append(path: Path, *, commit: str, machine: str, figures: Mapping[str, float]) -> None:
    """Adds a run. A line is written whole or not at all, whatever else is being written. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"commit": commit, "machine": machine, "figures": dict(figures)}, sort_keys=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def runs(path: Path, machine: str) -> list[dict[str, Any]]:
    """The runs of this machine, oldest first; lines that are none are passed over. Raises OSError."""
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            run = json.loads(line)
            if run["machine"] == machine and isinstance(run["figures"], dict):
                found.append(run)
        except (ValueError, KeyError, TypeError):
            continue
    return found[-LONGEST:]


def steps(kept: Sequence[Mapping[str, Any]]) -> list[Step]:
    """The highest step of each figure, where there is one."""
    names = dict.fromkeys(name for run in kept for name in run["figures"])
    found = (
        _step(name, [(run["commit"], run["figures"][name]) for run in kept if name in run["figures"]]) for name in names
    )
    return [step for step in found if step is not None]


def _step(name: str, values: Sequence[tuple[str, float]]) -> Step | None:
    logs = [math.log(value) for _, value in values if value > 0]
    places = range(LEAST, len(logs) - LEAST + 1)
    if len(logs) != len(values) or not places:
        return None
    p, place = min((_welch(logs[:at], logs[at:]), at) for at in places)
    p = min(1.0, p * len(places))
    change = math.exp(_mean(logs[place:]) - _mean(logs[:place])) - 1.0
    return Step(name, values[place][0], change, p) if p < CHANCE and abs(change) >= SMALLEST else None


def _welch(first: Sequence[float], second: Sequence[float]) -> float:
    from scipy.stats import ttest_ind

    if len({*first}) == len({*second}) == 1:
        # What is counted does not vary at all; then any difference is one.
        return 0.0 if first[0] != second[0] else 1.0
    return float(ttest_ind(first, second, equal_var=False).pvalue)


def _mean(values: Iterable[float]) -> float:
    kept = list(values)
    return math.fsum(kept) / len(kept)
