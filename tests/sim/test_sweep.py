"""All replications of all points: the same by however many, resumed or not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from workbench.results import Replication, begin
from workbench.scenario import Scenario, parse, points
from workbench.sim.sweep import simulate

TEXT = """\
version: 1
name: small
sites: {near: , far: }
links: [{between: [near, far], rtt: 10 ms, jitter: 1 ms}]
services: {foo: {at: {near: 1, far: 1}, time: exponential 1 ms}}
workloads: {users: {at: near, to: foo, load: poisson 100/s}}
run: {duration: 1 s}
sweep: {routing: [round-robin, priority]}
"""


@pytest.fixture
def scenario() -> Scenario:
    return parse(TEXT)


def digests(runs: list[Replication]) -> dict[tuple[int, int], str]:
    assert [(run.point, run.index) for run in runs] == sorted((run.point, run.index) for run in runs)
    return {(run.point, run.index): run.digest() for run in runs}


def test_the_number_of_processes_changes_nothing(scenario: Scenario) -> None:
    alone = digests(simulate(scenario, points(scenario), 3, jobs=1))
    assert list(alone) == [(point, index) for point in range(2) for index in range(3)]
    assert len(set(alone.values())) == 6
    assert digests(simulate(scenario, points(scenario), 3, jobs=3)) == alone


def test_more_replications_do_not_change_the_first_ones(scenario: Scenario) -> None:
    few = digests(simulate(scenario, points(scenario), 2, jobs=1))
    many = digests(simulate(scenario, points(scenario), 4, jobs=1))
    assert {task: many[task] for task in few} == few


def test_what_an_interrupted_run_has_finished_is_not_done_again(
    scenario: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = digests(simulate(scenario, points(scenario), 3, jobs=1))
    counted = Counted(stop_after=4)
    with begin("small", TEXT, world="virtual", seed=1, root=tmp_path) as writer, pytest.raises(KeyboardInterrupt):
        simulate(scenario, points(scenario), 3, jobs=1, writer=writer, tell=counted)
    with begin("small", TEXT, world="virtual", seed=1, root=tmp_path) as writer:
        assert len(writer.finished) == 4
        counted = Counted()
        assert digests(simulate(scenario, points(scenario), 3, jobs=2, writer=writer, tell=counted)) == whole
        assert counted.told == [(4, 6), (5, 6), (6, 6)]


class Counted:
    """What a run told of how far it is; interrupts it, if asked."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.told: list[tuple[int, int]] = []
        self.stop_after = stop_after

    def __call__(self, done: int, total: int, what: str) -> None:
        self.told.append((done, total))
        if done == self.stop_after:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("set_", "same"),
    [("workloads.users.load=poisson 101/s", False), ("question=Why?", True), ("run.replications=7", True)],
)
def test_only_what_matters_changes_a_replication(
    scenario: Scenario, set_: str, same: bool, digest: Callable[[Scenario], str]
) -> None:
    assert (digest(parse(TEXT, sets=[set_])) == digest(scenario)) is same


@pytest.fixture(name="digest")
def _digest() -> Callable[[Scenario], str]:
    return lambda scenario: simulate(scenario, points(scenario)[:1], 1, jobs=1)[0].digest()
