"""The judgement: what each tier found, what of it is excused, and what follows."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from workbench.bench.gate import counters, history, probes, sides, tracer, trials
from workbench.bench.gate.limits import GateFile, Waiver
from workbench.bench.gate.sides import Side

Outcome: TypeAlias = Literal["pass", "regression", "inconclusive"]
Tell: TypeAlias = Callable[[int, int, str], None]
"""Told what is done next: how many are done, of how many, and what."""


@dataclass(frozen=True)
class Digest:
    """What one scenario simulates, in both versions."""

    scenario: str
    base: str
    head: str

    @property
    def finding(self) -> str:
        """Its name."""
        return f"{self.scenario}: simulated numbers"

    @property
    def comparable(self) -> bool:
        """Whether both versions can simulate it."""
        return not (self.base.startswith("error: ") or self.head.startswith("error: "))

    @property
    def changed(self) -> bool:
        """Whether the numbers are others, or the head cannot simulate any more what the base can."""
        return self.base != self.head and not self.base.startswith("error: ")


@dataclass(frozen=True)
class Judgement:
    """All that the gate found."""

    base: Side
    head: Side
    file: GateFile
    today: datetime.date
    counted: Sequence[counters.Counted] = ()
    digests: Sequence[Digest] = ()
    timed: Sequence[trials.Timed] = ()
    uncounted: Sequence[str] = ()
    """Why something could not be measured."""
    steps: Sequence[history.Step] = field(default_factory=tuple)
    """What the history shows; it never decides."""

    @property
    def found(self) -> list[str]:
        """The names of all regressions, excused or not."""
        return [
            *(row.finding for row in self.counted if row.regressed),
            *(digest.finding for digest in self.digests if digest.changed),
            *(row.finding for row in self.timed if row.verdict == "slower"),
        ]

    @property
    def blocking(self) -> list[str]:
        """Of these, those that nothing excuses."""
        return [finding for finding in self.found if self.waiver(finding) is None]

    @property
    def unsure(self) -> list[str]:
        """What nothing can be said about."""
        return [*self.uncounted, *(row.finding for row in self.timed if row.verdict == "unsure")]

    @property
    def outcome(self) -> Outcome:
        """What follows."""
        if self.blocking:
            return "regression"
        return "inconclusive" if self.unsure else "pass"

    def waiver(self, finding: str) -> Waiver | None:
        """What excuses a finding today."""
        return self.file.waiver(finding, self.today)


def judge(
    top: Path,
    base: str,
    *,
    file: GateFile,
    cache: Path,
    names: Sequence[str],
    tiers: Sequence[int],
    seed: int,
    today: datetime.date,
    tell: Tell,
) -> Judgement:
    """Builds both versions and measures them. Raises sides.SideError."""

    def say(what: str) -> None:
        tell(0, 0, what)

    cache.mkdir(parents=True, exist_ok=True)
    first, second = sides.of_commit(top, base, cache, say), sides.of_tree(top, cache, say)
    counted: list[counters.Counted] = []
    digests: list[Digest] = []
    timed: list[trials.Timed] = []
    problems: list[str] = []
    if 1 in tiers:
        for name in names:
            try:
                counted += counters.compare(first, second, [name], file.limits, say)
            except (counters.CountError, tracer.TraceError) as error:
                problems.append(str(error))
        say("simulating")
        scenarios = sorted((top / "scenarios").glob("*.yaml"))
        try:
            both = [counters.digests(side, scenarios) for side in (first, second)]
            # A scenario that is measured is not simulated.
            common = [path for path in scenarios if all(str(path) in each for each in both)]
            digests = [Digest(path.stem, *(each[str(path)] for each in both)) for path in common]
        except counters.CountError as error:
            problems.append(str(error))
    if 2 in tiers:
        try:
            timed = trials.measure(first, second, names, file.limits, seed, tell)
        except trials.TrialError as error:
            problems.append(str(error))
    sides.prune(cache)
    return Judgement(first, second, file, today, counted, digests, timed, tuple(dict.fromkeys(problems)))


def all_probes() -> list[str]:
    """The names of all probes."""
    return list(probes.PROBES)
