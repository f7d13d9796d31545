"""Draws from the distributions that scenarios declare, as the native roles make them."""

from collections.abc import Sequence
from pathlib import Path

from workbench.engine.world import Stream
from workbench.scenario import Distribution, Scenario
from workbench.scenario.durations import durations


def sample(distribution: Distribution, luck: Stream, values: Sequence[float] = ()) -> float:
    """Draw one, in seconds; `values` are those of an empirical distribution."""
    if distribution.kind == "empirical":
        return values[luck.choose(len(values))]
    return luck.sample(distribution.kind, distribution.a, distribution.b)


def values_in(scenario: Scenario, file: str, *, ascending: bool = False) -> tuple[float, ...]:
    """The durations in a file beside the scenario; none where no file is named."""
    return durations((scenario.directory or Path.cwd()) / file, ascending=ascending) if file else ()
