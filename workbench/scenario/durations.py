"""Durations from a file: what an empirical distribution draws from, and the moments of a trace.

One a line, with its unit ("1.2 ms"); empty lines and those that begin with '#' say nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path as FilePath
from typing import TYPE_CHECKING

from workbench.scenario.paths import Path
from workbench.scenario.units import DURATION, QuantityError, parse, shown

if TYPE_CHECKING:
    from workbench.scenario.schema import Scenario

MOST = 1_000_000
"""Lines of such a file."""


def durations(file: FilePath, *, ascending: bool = False) -> tuple[float, ...]:
    """The durations in a file, in seconds. Raises ValueError with what a person needs to know."""
    try:
        return _read(file, file.stat().st_mtime_ns, ascending)
    except OSError as error:
        raise ValueError(f"{shown(str(file.name))} cannot be read: {error.strerror}") from None


def files_of(scenario: Scenario) -> Iterator[tuple[Path, str, str]]:
    """Where a scenario names such a file: the path of the value, "empirical" or "trace", and the file's name."""
    for name, service in scenario.services.items():
        if service.time.file:
            yield ("services", name, "time"), "empirical", service.time.file
    for name, workload in scenario.workloads.items():
        if workload.load.file:
            yield ("workloads", name, "load"), "trace", workload.load.file
        if workload.load.think is not None and workload.load.think.file:
            yield ("workloads", name, "load"), "empirical", workload.load.think.file


@cache
def _read(file: FilePath, changed: int, ascending: bool) -> tuple[float, ...]:
    del changed
    values: list[float] = []
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            values.append(parse(text, DURATION))
        except QuantityError as error:
            raise ValueError(f"{file.name}:{number}: {error.message}") from None
        if ascending and len(values) > 1 and values[-1] < values[-2]:
            raise ValueError(f"{file.name}:{number}: {text} comes before the line above; a trace goes forward")
        if len(values) > MOST:
            raise ValueError(f"{file.name} has more than {MOST:,} lines")
    if not values:
        raise ValueError(f"{file.name} has no duration in it")
    return tuple(values)
