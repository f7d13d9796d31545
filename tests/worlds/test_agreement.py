"""What the simulator says of each kind of scenario is what happens on real sockets."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from workbench.bench.calibrate import costs
from workbench.bench.stage import play
from workbench.model.conclude import Outcome, conclude
from workbench.scenario import load, points
from workbench.sim.sweep import simulate

SCENARIOS = Path(__file__).resolve().parents[2] / "scenarios"
SCENARIO = SCENARIOS / "priority-routing.yaml"
POINT = 0.01
SHORT = [
    "run.duration=2.6 s",
    "run.warm-up=0.3 s",
    "faults.0.at=1.5 s",
    "faults.0.for=800 ms",
]
"""Long enough to see the time before the fault, whose last half second does not count, and the time during it."""


def simulated(sets: list[str]) -> dict[str, dict[str, Any]]:
    """The metrics of each policy in the virtual world."""
    scenario = load(SCENARIO, sets=sets)
    swept = points(scenario)
    runs = simulate(scenario, swept, 3, jobs=1)
    told = conclude(scenario, swept, Outcome(runs), world="virtual", wall_s=1).to_json()
    return {point["set"]["routing"]: point["metrics"] for point in told["points"]}


def measured(folder: Path, sets: list[str]) -> dict[str, dict[str, Any]]:
    """The metrics of each policy on real sockets, by the command line."""
    words = ["run", str(SCENARIO), "--world", "real", "--quick", "--json"]
    words += [word for value in sets for word in ("--set", value)]
    command = [sys.executable, "-m", "workbench", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=110)
    assert done.returncode in (0, 1), done.stderr
    data = json.loads(done.stdout)
    assert data["world"] == "real"
    return {point["set"]["routing"]: point["metrics"] for point in data["points"]}


def agree(folder: Path, sets: list[str]) -> None:
    virtual, real = simulated(sets), measured(folder, sets)
    assert set(virtual) == set(real) == {"round-robin", "priority"}
    for policy in virtual:
        for metric in ("", ".before", ".during"):
            name = f"new-york:cross_site_share{metric}"
            one, other = virtual[policy][name]["value"], real[policy][name]["value"]
            assert other == pytest.approx(one, abs=2 * POINT), (policy, name)
    for shares in (virtual, real):
        assert shares["round-robin"]["new-york:cross_site_share"]["value"] == pytest.approx(0.5, abs=2 * POINT)
        assert shares["priority"]["new-york:cross_site_share"]["value"] == 0
        assert {shares[policy]["new-york:cross_site_share.during"]["value"] for policy in shares} == {1}
        for metrics in shares.values():
            assert metrics["lost"]["value"] == 0
            settled = metrics["answered"]["value"] + metrics["in_flight"]["value"]
            assert metrics["requests"]["value"] == pytest.approx(settled)


def test_a_short_run_agrees(tmp_path: Path) -> None:
    agree(tmp_path, SHORT)


@pytest.mark.slow
def test_the_main_scenario_agrees(tmp_path: Path) -> None:
    agree(tmp_path, [])


HALF_LOADED = {
    "priority-routing": ["sweep={routing: [priority]}", "compare={}", "run.duration=6 s", "faults=[]"],
    "survey-deadline": ["sweep={workloads.board.deadline: [300 ms]}", "compare={}", "run.duration=10 s"],
    "slow-subscriber": [
        "sweep={services.ticker.when-full: [drop-new]}",
        "compare={}",
        "run.duration=8 s",
        "workloads.prices.load=poisson 200/s",
    ],
    "pipeline": [
        "sweep={services.price.queue: [16]}",
        "compare={}",
        "run.duration=8 s",
        "workloads.orders.load=poisson 200/s",
    ],
}
"""The shipped scenarios, short, and with nobody busy for more than half of the time."""


@pytest.mark.slow
def test_quantiles_agree_at_half_load_after_calibration() -> None:
    """Aimed at are 10 % at the median and 25 % at the 99th percentile, on a quiet machine; this one may not be."""
    found = costs(3).words()
    distances = {}
    for name, sets in HALF_LOADED.items():
        scenario = load(SCENARIOS / f"{name}.yaml", sets=[*sets, "expect=[]", f"run.handling={found}"])
        runs = [play(scenario, points(scenario), 1), simulate(scenario, points(scenario), 1, jobs=1)]
        for quantile in ("p50", "p99"):
            real, virtual = (run.metrics[f"latency.{quantile}"] for [run] in runs)
            distances[name, quantile] = virtual / real - 1
    for (name, quantile), distance in distances.items():
        assert abs(distance) < (0.3 if quantile == "p50" else 0.6), (name, distances, found)
