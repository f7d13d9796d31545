"""The warm-up found by MSER-5, and the long run cut into batches."""

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.results.estimate import mean
from workbench.scenario import Scenario, ScenarioError, points
from workbench.sim.executor import Local
from workbench.sim.replication import again, batches
from workbench.sim.sweep import alike, simulate
from workbench.sim.warmup import mser5, settled


def queue(load: float, **run: Any) -> Scenario:
    """M/M/1 with a mean service time of a millisecond."""
    data: dict[str, Any] = {
        "version": 1,
        "name": "queue",
        "network": "none",
        "sites": {"here": None},
        "services": {"desk": {"at": {"here": 1}, "time": "exponential 1 ms", "queue": 1_000_000}},
        "workloads": {"users": {"at": "here", "to": "desk", "load": f"poisson {1000 * load:g}/s", "timeout": "1000 s"}},
        "run": {"seed": 5, **run},
    }
    return Scenario.model_validate(data)


def naive(values: list[float]) -> int | None:
    """The rule as it is printed."""
    z = [sum(values[at : at + 5]) / 5 for at in range(0, len(values) - 4, 5)]

    def error(cut: int) -> float:
        rest = z[cut:]
        centre = sum(rest) / len(rest)
        return sum((value - centre) ** 2 for value in rest) / len(rest) ** 2

    best = min(range(len(z) - 4), key=error)
    return None if 2 * best >= len(z) else 5 * best


@given(st.lists(st.integers(0, 40), min_size=25, max_size=200), st.integers(0, 2**32))
def test_it_cuts_where_the_rule_says(steps: list[int], seed: int) -> None:
    luck = random.Random(seed)
    values = [step + luck.random() for step in steps]
    assert mser5(values) == naive(values)


def test_a_step_is_cut_off_and_a_steady_series_is_not() -> None:
    luck = random.Random(1)
    steady = [10 + luck.gauss(0, 1) for _ in range(400)]
    assert mser5([0.0] * 50 + steady) == 50
    cut = mser5(steady)
    assert cut is not None
    assert cut <= 100
    assert mser5([float(value) for value in range(100)]) is None, "what only rises has not settled"


def test_a_slow_start_is_left_out() -> None:
    """Ten closed clients come back at once at first: the queue begins full, and lasts for seconds."""
    scenario = Scenario.model_validate(
        {
            "version": 1,
            "name": "start",
            "network": "none",
            "sites": {"here": None},
            "services": {"desk": {"at": {"here": 1}, "time": "1 ms", "queue": 1_000_000}},
            "workloads": {
                "users": {"at": "here", "to": "desk", "load": "closed 1000 think exponential 2 s", "timeout": "100 s"}
            },
            "run": {"duration": "20 s", "warm-up": "auto", "seed": 1},
        }
    )
    warm, swept, text = settled(scenario, points(scenario), Local(1))
    assert warm.run.warm_up == swept[0].scenario.run.warm_up
    assert 0.5 < warm.run.measured_from < 8
    assert text == f"warm-up: {warm.run.measured_from:g} s, found by MSER-5 from 5 pilot runs"
    assert settled(scenario, points(scenario), Local(2))[0] == warm, "the same by however many"


def test_a_run_that_is_too_short_says_so() -> None:
    short = queue(0.5, duration="20 ms", **{"warm-up": "auto"})
    with pytest.raises(ScenarioError, match=r"a run of 0\.02 s has too few requests to see when it settles"):
        settled(short, points(short), Local(1))


def test_batches_cover_theory_and_every_request_once() -> None:
    scenario = queue(0.5, duration="41 s", mode="steady-state", batches=20, **{"warm-up": "1 s"})
    runs = simulate(scenario, points(scenario), 10, jobs=1)
    assert [run.index for run in runs] == list(range(20))
    found = mean([run.metrics["latency.mean"] for run in runs], "s")
    assert found.value is not None
    assert found.half_width is not None
    # 2 ms; the half-width is 2.09 standard errors.
    assert abs(found.value - 0.002) < 1.7 * found.half_width
    assert found.half_width < 0.0002
    inside = mean([run.metrics["in_system"] for run in runs], "")
    rate = mean([run.metrics["answered"] for run in runs], "").value
    assert inside.value is not None
    assert rate is not None
    assert math.isclose(inside.value, rate / 2.0 * found.value, rel_tol=0.02), "Little's law, over batches of 2 s"
    assert alike(runs) == []
    assert again(scenario, 0, 7, 5).digest() == runs[7].digest()


def test_short_batches_are_told_to_be_alike() -> None:
    runs = batches(queue(0.95, duration="4 s", mode="steady-state", batches=100), 0, 5)
    assert [text.partition(" (")[0] for text in alike(runs)] == ["point 0: neighbouring batches are alike"]
