"""The simulator against theory, and against a simulator that is wrong."""

import math

import pytest

from workbench.sim import theory
from workbench.sim.validate import LARGEST_Z, cells, validate


def test_the_formulas_give_the_numbers_of_the_tables():
    assert theory.erlang_c(4, 0.8) == pytest.approx(0.596432, abs=1e-6)
    assert theory.wait_mmc(8, 0.9) == pytest.approx(0.876916, abs=1e-6)
    assert theory.wait_mmc(1, 0.9) == pytest.approx(9.0)
    assert theory.wait_mg1(0.8, 0.0) == pytest.approx(2.0)
    assert theory.wait_mg1(0.5, math.sqrt(math.e - 1)) == pytest.approx(1.3591, abs=1e-4)
    assert theory.sojourn_quantile_mm1(0.9, 0.99) == pytest.approx(46.052, abs=1e-3)
    assert theory.loss_mm1k(0.8, 10) == pytest.approx(2.349e-2, abs=1e-5)
    assert theory.loss_mm1k(1.0, 1000) == pytest.approx(9.99e-4, abs=1e-6)
    assert theory.loss_mm1k(2.0, 100) == pytest.approx(0.5)
    assert [theory.sojourn_power_of(drawn, 0.9) for drawn in (1, 2, 3, 5)] == pytest.approx(
        [10.0, 2.6141, 2.0279, 1.6329], abs=1e-4
    )
    assert theory.slowest_of(100) == pytest.approx(5.1874, abs=1e-4)
    assert theory.all_within(100, 7.0) == pytest.approx(0.913, abs=1e-3)
    assert theory.all_within(100, theory.deadline_for(100, 0.99)) == pytest.approx(0.99)


def test_there_are_cells_for_every_model():
    found = cells()
    assert len(found) >= 60
    assert len({(cell.model, cell.setting, cell.quantity) for cell in found}) == len(found)
    assert {cell.model for cell in found} == {
        *("M/M/1", "M/M/c", "M/G/1", "M/M/1/K", "supermarket", "maximum of n", "survey", "run length")
    }


def test_a_right_simulator_is_as_far_off_as_chance_has_it():
    validation = validate(effort=0.02, only=["M/M/c", "M/M/1/K", "survey"])
    assert validation.holds, [(o.cell.setting, o.z) for o in validation.outcomes if not o.holds]
    assert len(validation.outcomes) >= 30


def test_service_times_that_are_two_percent_too_long_are_found():
    validation = validate(effort=0.2, only=["maximum of n", "M/M/1/K"], bias=0.02)
    assert not validation.holds
    assert max(outcome.z for outcome in validation.outcomes) > LARGEST_Z


def test_the_result_does_not_depend_on_the_number_of_processes():
    one, two = (validate(effort=0.01, only=["maximum of n"], jobs=jobs) for jobs in (1, 2))
    assert [outcome.z for outcome in one.outcomes] == [outcome.z for outcome in two.outcomes]
