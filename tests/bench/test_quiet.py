"""How quiet it was, from counters that are known."""

from __future__ import annotations

import pytest

from workbench.bench import quiet
from workbench.bench.quiet import Moment, Quietness

START = Moment(clock_s=100.0, stolen_s=5.0, processes_s=50.0, ours_s=10.0)


def test_shares_are_of_all_processors() -> None:
    # Ten seconds on two processors are twenty; processes took eight of them, six of those were ours.
    later = Moment(clock_s=110.0, stolen_s=5.1, processes_s=58.0, ours_s=16.0)
    found = Quietness.between(START, later, processors=2)
    assert found.others == pytest.approx(0.1)
    assert found.stolen == pytest.approx(0.005)
    assert found.disturbed
    assert str(found) == "disturbed: other processes took 10.0% of the processors, the hypervisor 0.5%"


def test_stolen_time_disturbs_too() -> None:
    later = Moment(clock_s=110.0, stolen_s=5.4, processes_s=56.0, ours_s=16.0)
    assert Quietness.between(START, later, processors=2).disturbed


def test_a_quiet_machine_is_not_called_disturbed() -> None:
    # The kernel counts in ticks, so that we may seem to have used more than all processes together.
    later = Moment(clock_s=110.0, stolen_s=5.0, processes_s=55.99, ours_s=16.0)
    found = Quietness.between(START, later, processors=2)
    assert found.others == 0.0
    assert not found.disturbed


def test_what_the_machine_does_not_tell_is_said_to_be_unknown() -> None:
    unknown = Moment(clock_s=110.0, stolen_s=None, processes_s=None, ours_s=16.0)
    found = Quietness.between(START, unknown)
    assert found.others is None
    assert not found.disturbed
    assert "not known" in str(found)


def test_this_machine_answers() -> None:
    now = Moment.now()
    assert now.ours_s > 0
    assert Quietness.between(now, Moment.now()).seconds >= 0
    assert "load average" in quiet.before()
