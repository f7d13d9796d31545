"""Answers a scenario at once, in this process, and keeps nothing: for notebooks and programs."""

from __future__ import annotations

import time

from workbench.model.conclude import Outcome, conclude
from workbench.model.links import modelled
from workbench.results import Result
from workbench.scenario import Scenario, points
from workbench.sim.sweep import simulate


def answer(scenario: Scenario, *, replications: int | None = None) -> Result:
    """Simulate every point of the scenario and fold the runs into one result, as `workbench run` does.

    `replications` is how many of each point, 1 or more; without it as many as the scenario says for the virtual world.
    """
    began = time.perf_counter()
    swept = points(scenario)
    count = replications or scenario.run.replications.in_world("virtual")
    runs = simulate(scenario, swept, count, jobs=1)
    outcome = Outcome(runs, modelled(scenario))
    return conclude(scenario, swept, outcome, world="virtual", wall_s=time.perf_counter() - began)
