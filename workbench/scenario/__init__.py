"""Scenarios: what a YAML file says, checked, as frozen models. This package knows nothing of running them.

| to | use |
|---|---|
| read a file, or a text | `load`, `parse` |
| see all that is wrong | `lint`, or the `problems` of a `ScenarioError` |
| go through a sweep | `points` |
| tell whether a result is as expected | `Expectation.holds` |
| tell people and editors what keys mean | `explain`, `json_schema` |

The models are in `schema`; the small languages inside values in `units`, `distribution`, `load_shape` and `expect`;
what is checked between keys in `check`; compact kinds in `kinds`.
"""

from workbench.scenario.check import predicted_messages
from workbench.scenario.distribution import Distribution, parse_distribution
from workbench.scenario.expect import METRICS, Expectation, Metric, metric_named, parse_expectation
from workbench.scenario.explain import explain, json_schema
from workbench.scenario.load import lint, load, parse
from workbench.scenario.load_shape import Load, parse_load
from workbench.scenario.problem import Problem, ScenarioError
from workbench.scenario.schema import (
    Compare,
    Comparison,
    Failure,
    Fault,
    FaultEvent,
    Link,
    LinkShape,
    Replications,
    Run,
    Scenario,
    Service,
    Site,
    Workload,
)
from workbench.scenario.sweep import SweepPoint, points

__all__ = [
    "METRICS",
    "Compare",
    "Comparison",
    "Distribution",
    "Expectation",
    "Failure",
    "Fault",
    "FaultEvent",
    "Link",
    "LinkShape",
    "Load",
    "Metric",
    "Problem",
    "Replications",
    "Run",
    "Scenario",
    "ScenarioError",
    "Service",
    "Site",
    "SweepPoint",
    "Workload",
    "explain",
    "json_schema",
    "lint",
    "load",
    "metric_named",
    "parse",
    "parse_distribution",
    "parse_expectation",
    "parse_load",
    "points",
    "predicted_messages",
]
