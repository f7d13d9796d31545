"""Sweep: the points of a scenario, and single values set by path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from workbench.scenario.paths import Path, find, put
from workbench.scenario.schema import Model, Scenario
from workbench.scenario.tree import Node, Place, Source, graft
from workbench.scenario.units import QuantityError

ABOUT_THE_WHOLE = ("sweep", "compare", "expect")
"""Keys that concern a scenario as a whole; a point has none of them."""

_NOT_SWEPT = {
    "version": "the version is that of the whole file",
    "name": "the name is that of the whole scenario",
    "question": "the question is that of the whole scenario",
    "extends": "a file is extended once",
    "sweep": "a sweep cannot vary itself",
    "compare": "the comparison is about the whole sweep",
    "expect": "an expectation says itself, with 'when', which points it is about",
    "run.world": "the two worlds give two results; run the scenario twice, with --world",
    "run.seed": "all points share their seeds, so that they differ by nothing else; use replications",
    "run.replications": "all points are replicated alike, so that they can be compared in pairs",
}


@dataclass(frozen=True)
class SweepPoint:
    """One combination of a sweep."""

    set: dict[str, Any]
    """Path -> value, as the file has it."""
    scenario: Scenario
    """The scenario at this point: no sweep, comparison or expectations any more."""


def points(scenario: Scenario) -> list[SweepPoint]:
    """Every point of the sweep, the last path varying fastest; one point when there is no sweep."""
    tree = graft(scenario.model_dump(mode="json", by_alias=True), Place(Source("<scenario>")))
    axes = [[(text, find(Scenario, tree, text), value) for value in values] for text, values in scenario.sweep.items()]
    result = []
    for combination in product(*axes):
        at = template(tree)
        for _, path, value in combination:
            at = put(Scenario, at, path, graft(value, tree.place))
        model = Scenario.model_validate(at.plain()).read_in(scenario.directory)
        result.append(SweepPoint({text: value for text, _, value in combination}, model))
    return result


def template(tree: Node) -> Node:
    """A scenario's tree without what concerns the whole."""
    return Node(
        {name: child for name, child in tree.value.items() if name not in ABOUT_THE_WHOLE}, tree.place, tree.key
    )


def combinations(axes: dict[Path, list[Node]]) -> Iterator[list[tuple[Path, Node]]]:
    """Every combination of the values of these axes, the last axis varying fastest."""
    for combination in product(*axes.values()):
        yield list(zip(axes, combination, strict=True))


def axis(model: type[Model], tree: Node, text: str) -> Path:
    """The path of a sweep axis. Raises QuantityError where there is nothing, or nothing that can be swept."""
    for prefix, reason in _NOT_SWEPT.items():
        if text == prefix or text.startswith(f"{prefix}."):
            raise QuantityError(f"'{prefix}' cannot be swept: {reason}")
    if text == "run":
        raise QuantityError("'run' cannot be swept as a whole; give the path of a single key, such as run.duration")
    return find(model, tree, text)
