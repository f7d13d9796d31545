"""Calibration finds out what handling costs: in a virtual world that was told, it says just that."""

import pytest

from workbench.bench.calibrate import ALONE, BULKY, FAN, solved
from workbench.results import Replication
from workbench.scenario import parse, points
from workbench.sim.sweep import simulate


@pytest.mark.parametrize(("wake", "step", "kib"), [(40, 25, 0.5), (60, 10, 0.0), (15, 30, 0.1)])
def test_calibration_finds_what_a_virtual_world_was_told(wake: float, step: float, kib: float) -> None:
    costs = f"run: {{handling: {{wake: {wake} us, step: {step} us, kib: {kib} us}},"
    found = solved(*(played(text.replace("run: {", costs)) for text in (ALONE, BULKY, FAN)))
    assert found.wake.value == pytest.approx(wake * 1e-6, rel=0.1, abs=2e-6)
    assert found.step.value == pytest.approx(step * 1e-6, rel=0.1)
    assert found.kib.value == pytest.approx(kib * 1e-6, rel=0.1, abs=0.01e-6)
    assert parse(ALONE.replace("run: {", f"run: {{handling: {found.words()},")).run.handling.wake > 0


def played(text: str) -> list[Replication]:
    """Two short runs in the virtual world."""
    scenario = parse(text.replace("world: real", "world: virtual"))
    return simulate(scenario, points(scenario), 2, jobs=1)
