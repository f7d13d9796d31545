"""Tier 2: both versions timed side by side, and a sign test that asks for much before it calls one slower.

A block runs the base, the head and the base again, in random order, each in a fresh process on one processor. A reading
is what the quickest tenth of many short slices took, so what others do on the machine matters little; what only now and
then takes long is not seen. A pair counts against the head if
it took longer by more than a margin; the margin is never less than twice what the base differs from itself. When so
many pairs count that chance would do it once in a thousand times, all is timed anew; only what fires twice is a
regression. When the base seems to differ from itself, nothing is said. A probe of which so many pairs do not count that
the rest could not make it fire is timed no longer: that changes no verdict, and saves most of the time where nothing
has changed.
"""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from math import comb
from typing import Literal, TypeAlias

from workbench.bench.gate import probes
from workbench.bench.gate.limits import Limits
from workbench.bench.gate.sides import Side
from workbench.results import Estimate, estimate

WARM_UP, WINDOW = 0.05, 0.2
"""Seconds for which a probe warms up, and for which it is timed."""
CHANCE = 1e-3
"""How often a sign test may fire though the head is slower by just the margin."""
LEAST = 12
"""Blocks of each probe at least, so that the ratio has an interval to be shown."""
VETO = 0.02
"""How often the base may fire against itself, either way, by chance."""
PATIENCE = 60.0
"""Seconds that a probe may take."""

Verdict: TypeAlias = Literal["pass", "slower", "unsure"]


class TrialError(Exception):
    """A probe does not work with one version; the text says which and how."""


@dataclass
class Block:
    """One reading of each, in nanoseconds for an operation."""

    base: float
    head: float
    again: float


@dataclass(frozen=True)
class Timed:
    """What came of one probe."""

    probe: str
    blocks: tuple[Block, ...]
    limits: Limits
    confirmation: tuple[Block, ...] = ()
    """The blocks that were measured because the first ones fired."""

    @property
    def finding(self) -> str:
        """Its name."""
        return f"{self.probe}: time"

    @property
    def ratio(self) -> Estimate:
        """The median of head over base, with its exact interval; from all blocks there are."""
        return estimate.median([block.head / block.base for block in self.blocks + self.confirmation], "ratio")

    @property
    def control(self) -> Estimate:
        """The same of the base over itself."""
        return estimate.median([block.again / block.base for block in self.blocks + self.confirmation], "ratio")

    @property
    def half_width(self) -> float:
        """How far from 1 the interval of the control reaches."""
        low, high = self.control.low or 0.0, self.control.high or math.inf
        return max(high, 1.0 / low if low else math.inf) - 1.0

    @property
    def settled(self) -> bool:
        """Whether no further pair could change what is said: it cannot fire any more, and the base agrees with itself.

        The margin is never less than that of the limits, so who stays below that does not count whatever comes.
        """
        needed = cut_off(self.limits.pairs, CHANCE)
        below = sum(block.head <= block.base * (1.0 + self.limits.time) for block in self.blocks)
        return (
            len(self.blocks) >= LEAST and below > self.limits.pairs - needed and self.half_width <= self.limits.unsure
        )

    @property
    def margin(self) -> float:
        """What a pair must exceed to count against the head."""
        return max(self.limits.time, 2.0 * self.half_width)

    @property
    def verdict(self) -> Verdict:
        """Whether the head is slower."""
        if self.half_width > self.limits.unsure or self._disagrees():
            return "unsure"
        if fires(self.blocks, self.margin) and self.confirmation and fires(self.confirmation, self.margin):
            return "slower"
        return "pass"

    @property
    def spread(self) -> float:
        """The standard deviation of the logarithm of one pair's ratio, from the middle half, as if it were normal."""
        logs = sorted(math.log(block.head / block.base) for block in self.blocks + self.confirmation)
        count = len(logs)
        return (logs[(3 * count) // 4] - logs[count // 4]) / 1.349

    @property
    def detectable(self) -> float:
        """The smallest slow-down that both stages would find in nine of ten cases, as a share; see `power`."""
        for step in range(1, 1_000):
            if power(step / 1_000, self.spread, self.margin, self.limits.pairs) >= 0.9:
                return step / 1_000
        return math.inf

    def _disagrees(self) -> bool:
        blocks = self.blocks + self.confirmation
        needed = cut_off(len(blocks), VETO / 2)
        above = sum(block.again > block.base for block in blocks)
        below = sum(block.again < block.base for block in blocks)
        # That it disagrees by less than the least margin does no harm.
        return max(above, below) >= needed and abs((self.control.value or 1.0) - 1.0) > self.limits.time / 2


def measure(
    base: Side, head: Side, names: Sequence[str], limits: Limits, seed: int, tell: Callable[[int, int, str], None]
) -> list[Timed]:
    """Times each probe in both versions. Raises TrialError."""
    chosen = [name for name in names if probes.PROBES[name].timed]
    first = _blocks(base, head, chosen, limits, f"{seed}/first", tell)
    found = [Timed(name, tuple(first[name]), limits) for name in chosen]
    doubtful = [one.probe for one in found if fires(one.blocks, one.margin)]
    if not doubtful:
        return found
    second = _blocks(base, head, doubtful, limits, f"{seed}/second", tell)
    return [Timed(one.probe, one.blocks, limits, tuple(second.get(one.probe, ()))) for one in found]


def fires(blocks: Iterable[Block], margin: float) -> bool:
    """Whether so many pairs exceed the margin that chance is no excuse."""
    kept = list(blocks)
    return sum(block.head > block.base * (1.0 + margin) for block in kept) >= cut_off(len(kept), CHANCE)


@cache
def cut_off(pairs: int, chance: float) -> int:
    """How many of so many fair coins show heads with at most this probability: 24 of 30 for one in a thousand.

    The sign test; Conover, Practical Nonparametric Statistics, section 3.4. More than `pairs` if none does.
    """
    tail = 0
    for heads in range(pairs, -1, -1):
        tail += comb(pairs, heads)
        if tail > chance * 2**pairs:
            return heads + 1
    return 0


def power(slower: float, spread: float, margin: float, pairs: int) -> float:
    """How often a slow-down is found by both stages, if the logarithms of a pair's ratio are normal with `spread`."""
    if spread == 0.0:
        return float(slower > margin)
    distance = (math.log1p(slower) - math.log1p(margin)) / spread
    p = 0.5 * math.erfc(-distance / math.sqrt(2.0))
    needed = cut_off(pairs, CHANCE)
    once = math.fsum(comb(pairs, k) * p**k * (1.0 - p) ** (pairs - k) for k in range(needed, pairs + 1))
    return once**2


def read(side: Side, name: str) -> float:
    """One reading by a fresh process, in nanoseconds for an operation. Raises TrialError."""
    command = [sys.executable, "-P", probes.__file__, name, "time", str(WARM_UP), str(WINDOW)]
    try:
        done = subprocess.run(command, env=side.environment(), capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise TrialError(
            f"the probe '{name}' hangs with {side.name} ({side.label}): nothing in {PATIENCE:g} s"
        ) from None
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise TrialError(
            f"the probe '{name}' fails with {side.name} ({side.label}): "
            + (said[-1] if said else f"exit code {done.returncode}")
        )
    return float(json.loads(done.stdout)["ns"])


def _blocks(
    base: Side, head: Side, names: Sequence[str], limits: Limits, seed: str, tell: Callable[[int, int, str], None]
) -> dict[str, list[Block]]:
    """The blocks of each probe, interleaved; within a block the three readings of a probe follow each other."""
    found: dict[str, list[Block]] = {name: [] for name in names}
    luck = random.Random(seed)
    for block in range(limits.pairs):
        left = [name for name in names if not Timed(name, tuple(found[name]), limits).settled]
        for name in luck.sample(left, len(left)):
            tell(block, limits.pairs, f"timing {name}")
            taken = {"base": base, "head": head, "again": base}
            values = {who: read(taken[who], name) for who in luck.sample(list(taken), 3)}
            found[name].append(Block(**values))
    return found
