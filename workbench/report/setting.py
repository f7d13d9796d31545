"""What a report needs from a run's scenario: its question, and when what was out of order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.scenario.schema import FaultEvent


@dataclass(frozen=True, slots=True)
class Window:
    """A time during which something was out of order; `stop_s` is None when it lasted to the end."""

    start_s: float
    stop_s: float | None
    text: str


@dataclass(frozen=True, slots=True)
class Setting:
    """The question of a scenario and the windows of its faults."""

    question: str = ""
    windows: tuple[Window, ...] = ()
    theory: tuple[Mapping[str, float], ...] = ()
    """What theory says of the metrics, for each point of the sweep."""
    compared: tuple[str, ...] = ()
    """The metrics that the scenario is about, as it names them."""


def read(scenario_yaml: str) -> Setting:
    """The setting of a resolved scenario; an empty one when this workbench no longer understands its text.

    The numbers of an old run stay readable even when the language of scenarios has moved on.
    """
    from workbench.report import theory
    from workbench.scenario import ScenarioError, parse, points

    try:
        scenario = parse(scenario_yaml)
    except ScenarioError:
        return Setting()
    try:
        said = theory.of_points([point.scenario for point in points(scenario)])
    except ScenarioError:
        said = ()
    return Setting(scenario.question, windows(scenario.fault_events()), said, scenario.compare.metrics)


def windows(events: Sequence[FaultEvent]) -> tuple[Window, ...]:
    """Each beginning of a fault with its end: kill with restore, cut with heal; a broken connection has no length."""
    found = []
    for place, event in enumerate(events):
        if event.action == "break":
            found.append(Window(event.at, event.at, f"{_between(event)} broken"))
        elif event.action in _ENDS:
            ends = (
                later.at
                for later in events[place + 1 :]
                if later.action == _ENDS[event.action]
                and (later.instances, later.link) == (event.instances, event.link)
            )
            text = f"{_instances(event)} down" if event.action == "kill" else f"{_between(event)} cut"
            found.append(Window(event.at, next(ends, None), text))
    return tuple(found)


def _instances(event: FaultEvent) -> str:
    sites = list(dict.fromkeys(site for _, site in event.instances))
    if len(event.instances) == 1:
        return f"{event.instances[0][0]} at {sites[0]}"
    return " and ".join(sites)


def _between(event: FaultEvent) -> str:
    return " – ".join(event.link or ())


_ENDS = {"kill": "restore", "cut": "heal"}
