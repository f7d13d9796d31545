"""Tier 1: what an operation costs in instructions, allocations, system calls, bytes and events, and what comes of it.

Nothing here depends on how fast or how busy the machine is. What is left of chance is some tenth of a percent, so a
finding is counted again before it is believed, and the smallest of the counts is kept.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from workbench.bench.gate import probes, tracer
from workbench.bench.gate.limits import Limits
from workbench.bench.gate.sides import Side

Counter: TypeAlias = Literal["instructions", "allocations", "system_calls", "bytes", "events"]
COUNTERS: tuple[Counter, ...] = get_args(Counter)
Counts: TypeAlias = dict[Counter, float]
"""For one operation."""

AGAIN = 2
"""How often a finding is counted again."""


class CountError(Exception):
    """A probe does not work with one version; the text says which and how."""


@dataclass(frozen=True)
class Counted:
    """One counter of one probe, in both versions."""

    probe: str
    counter: Counter
    base: float
    head: float
    allowed: float
    """The largest count of the head that is no regression."""

    @property
    def finding(self) -> str:
        """Its name."""
        return f"{self.probe}: {self.counter.replace('_', ' ')}"

    @property
    def regressed(self) -> bool:
        """Whether the head does too much."""
        return self.head > self.allowed

    @property
    def ratio(self) -> float | None:
        """Head over base."""
        return self.head / self.base if self.base else None


def compare(base: Side, head: Side, names: Sequence[str], limits: Limits, tell: Callable[[str], None]) -> list[Counted]:
    """Counts what each probe costs in both versions. Raises CountError and tracer.TraceError."""
    found = []
    for name in names:
        tell(f"counting {name}")
        first, second = count(base, name), count(head, name)
        rows = _rows(name, first, second, limits)
        for _ in range(AGAIN):
            if not any(row.regressed for row in rows):
                break
            tell(f"counting {name} again")
            first, second = _least(first, count(base, name)), _least(second, count(head, name))
            rows = _rows(name, first, second, limits)
        found += rows
    return found


def count(side: Side, name: str) -> Counts:
    """What one operation of a probe costs in one version. Raises CountError and tracer.TraceError."""
    times = probes.PROBES[name].counted
    with _started(side, name) as (process, said):
        idle, busy = tracer.steps(process.pid, 2, said["allocators"], lambda: _go(process))
    found: Counts = {
        "instructions": (busy.instructions - idle.instructions) / times,
        "allocations": (busy.allocations - idle.allocations) / times,
    }
    with _started(side, name) as (process, _):
        before, after = tracer.calls(process.pid, 2, lambda: _go(process))
    found["system_calls"] = (after.entered - before.entered) / times
    found["bytes"] = (after.written - before.written) / times
    if said["simulates"]:
        with _started(side, name) as (process, _):
            _go(process)
            found["events"] = json.loads(_line(process, name, side))["events"] / times
    return found


def digests(side: Side, scenarios: Sequence[Path]) -> dict[str, str]:
    """What comes of each scenario of the virtual world, at its first point: the fingerprint of every number.

    A scenario that this version cannot read has none; what it says about that is its value, after "error: ".
    """
    command = [sys.executable, "-P", "-c", _REPLAY, *map(str, scenarios)]
    done = subprocess.run(command, env=side.environment(), capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise CountError(f"{side.name} cannot simulate: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _rows(name: str, base: Counts, head: Counts, limits: Limits) -> list[Counted]:
    return [Counted(name, each, base[each], head[each], _allowed(each, base[each], limits)) for each in head]


def _allowed(counter: Counter, base: float, limits: Limits) -> float:
    limit: float = getattr(limits, counter)
    return base + limit if counter in ("system_calls", "allocations") else base * (1.0 + limit)


def _least(one: Counts, other: Counts) -> Counts:
    return {each: min(value, other[each]) for each, value in one.items()}


@contextmanager
def _started(side: Side, name: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A probe that has warmed up and waits to be let go; killed in the end."""
    process = subprocess.Popen(
        [sys.executable, "-P", probes.__file__, name, "count"],
        env=side.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process, json.loads(_line(process, name, side))
        finally:
            process.kill()


def _line(process: subprocess.Popen[str], name: str, side: Side) -> str:
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    if not line:
        said = process.stderr.read().strip().splitlines()
        raise CountError(f"the probe '{name}' fails with {side.name} ({side.label}): {said[-1] if said else 'no word'}")
    return line


def _go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write(os.linesep)
    process.stdin.flush()


_REPLAY = """
import json, sys
from workbench.scenario import load, points
from workbench.sim.replication import replicate
found = {}
for name in sys.argv[1:]:
    try:
        scenario = load(name)
        if scenario.run.world == "virtual":
            found[name] = replicate(points(scenario)[0].scenario, 0, 0, 1).digest()
    except BaseException as error:  # a panic of the native engine is no Exception
        found[name] = "error: " + str(error).partition("\\n")[0]
print(json.dumps(found))
"""
