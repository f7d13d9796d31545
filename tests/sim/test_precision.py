"""Replications go on until the interval is as narrow as asked."""

from typing import Any

import pytest

from workbench.results.estimate import mean
from workbench.scenario import Scenario, points
from workbench.scenario.precision import parse_precision
from workbench.scenario.units import QuantityError
from workbench.sim.sweep import simulate


def scenario(until: str, most: int = 1000) -> Scenario:
    data: dict[str, Any] = {
        "version": 1,
        "name": "precision",
        "network": "none",
        "sites": {"here": None},
        "services": {"desk": {"at": {"here": 1}, "time": "exponential 1 ms"}},
        "workloads": {"users": {"at": "here", "to": "desk", "load": "poisson 700/s"}},
        "run": {
            "duration": "4 s",
            "warm-up": "1 s",
            "seed": 2,
            "replications": {"virtual": 3, "until": until, "most": most},
        },
    }
    return Scenario.model_validate(data)


def test_more_follow_until_it_is_precise() -> None:
    asked = scenario("latency.mean ± 3 %")
    runs = simulate(asked, points(asked), 3, jobs=1)
    found = mean([run.metrics["latency.mean"] for run in runs], "s")
    assert found.value is not None
    assert found.half_width is not None
    assert found.half_width <= 0.03 * found.value
    assert [run.index for run in runs] == list(range(len(runs)))
    assert len(runs) > 3
    assert [run.digest() for run in simulate(asked, points(asked), 3, jobs=2)] == [run.digest() for run in runs]


def test_there_is_an_end_to_it() -> None:
    asked = scenario("latency.mean ± 0.01 %", most=7)
    assert len(simulate(asked, points(asked), 3, jobs=1)) == 7


def test_what_is_precise_already_is_not_run_again() -> None:
    asked = scenario("latency.mean ± 90 %")
    assert len(simulate(asked, points(asked), 3, jobs=1)) == 3


@pytest.mark.parametrize(
    ("text", "value", "allowed"),
    [
        ("latency.p99 ± 1 ms", 5.0, 0.001),
        ("lost ± 3", 100.0, 3.0),
        ("lost ± 10 %", 100.0, 10.0),
        ("cross_site_share +- 1 %", 0.5, 0.01),
        ("users:latency.mean ± 2 %", 0.5, 0.01),
    ],
)
def test_what_a_precision_says(text: str, value: float, allowed: float) -> None:
    assert parse_precision(text).allowed(value) == pytest.approx(allowed)


@pytest.mark.parametrize(
    "text", ["latency.mean", "latency.mean ±", "latency.mean ± fast", "latensy ± 1 %", "lost ± x", 3]
)
def test_what_is_no_precision(text: object) -> None:
    with pytest.raises(QuantityError):
        parse_precision(text)
