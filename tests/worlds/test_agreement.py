"""What the simulator says of the main scenario is what happens on real sockets."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from workbench.model.conclude import Outcome, conclude
from workbench.scenario import load, points
from workbench.sim.sweep import simulate

SCENARIO = Path(__file__).resolve().parents[2] / "scenarios" / "priority-routing.yaml"
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
