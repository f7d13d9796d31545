"""What fails by chance: as often as declared, alike for every point, and with the effect of a fault."""

from typing import Any

from workbench.engine.virtual import VirtualWorld
from workbench.model.cast import cast
from workbench.model.failures import happenings
from workbench.scenario import Scenario, parse, points
from workbench.sim.replication import replicate

TEXT = """\
version: 1
name: failing
sites: {near: , far: }
links: [{between: [near, far], rtt: 10 ms}]
services: {foo: {at: {near: 3, far: 2}, workers: 4, time: exponential 1 ms}}
workloads: {users: {at: near, to: foo, load: poisson 100/s, timeout: 1 s}}
failures: FAILURES
run: {duration: 200 s, seed: 3}
"""


def failing(failures: str) -> Scenario:
    return parse(TEXT.replace("FAILURES", failures))


def happened(scenario: Scenario, replication: int = 0) -> list[Any]:
    return happenings(scenario, cast(scenario), VirtualWorld(seed=3, replication=replication).luck)


def test_a_site_fails_as_one_and_hosts_apart_each_by_itself() -> None:
    together = happened(failing("[{kill: near, mttf: exponential 3 s, mttr: exponential 1 s}]"))
    assert all(len(event.hosts) == 3 for event in together)
    assert [event.action for event in together[:4]] == ["kill", "restore", "kill", "restore"]
    apart = happened(failing("[{kill: foo@near, apart: true, mttf: exponential 3 s, mttr: exponential 1 s}]"))
    assert all(len(event.hosts) == 1 for event in apart)
    assert len({event.hosts for event in apart}) == 3
    assert [event.at for event in apart] == sorted(event.at for event in apart)
    # 200 s in cycles of 4 s: 50 failures each, with a standard deviation of about 4.
    for host in {event.hosts for event in apart}:
        assert 33 < sum(event.hosts == host and event.action == "kill" for event in apart) < 67


def test_each_replication_has_failures_of_its_own_and_each_thing_its_own_luck() -> None:
    one = failing("[{kill: near, mttf: exponential 3 s, mttr: 1 s}]")
    both = failing("[{kill: far, mttf: 9 s, mttr: 1 s}, {kill: near, mttf: exponential 3 s, mttr: 1 s}]")
    assert happened(one, 0) != happened(one, 1)
    assert [event for event in happened(both) if len(event.hosts) == 3] == happened(one)


def test_the_share_of_time_down_is_what_it_was_declared_to_be() -> None:
    found = replicate(failing("[{kill: foo@near, apart: true, mttf: exponential 3 s, mttr: exponential 1 s}]"), 0, 0, 3)
    # MTTR / (MTTF + MTTR), over 150 cycles.
    assert 0.2 < found.metrics["down_share"] < 0.3
    assert found.metrics["breakdowns"] > 100
    assert found.metrics["cross_site_share"] > 0


def test_a_link_fails_in_one_direction() -> None:
    text = TEXT.replace("near: 3, far: 2", "far: 2").replace("200 s", "20 s")
    calm = parse(text.replace("failures: FAILURES\n", ""))
    lossy = [
        parse(text.replace("FAILURES", f"[{{cut: {link}, one-way: true, mttf: 1 s, mttr: 500 ms}}]"))
        for link in ("[near, far]", "[far, near]")
    ]
    usual = replicate(calm, 0, 0, 3).metrics["latency.p99"]
    for scenario in lossy:
        assert replicate(scenario, 0, 0, 3).metrics["latency.p99"] > usual + 0.3


def test_points_of_a_sweep_see_the_same_failures() -> None:
    scenario = failing("[{kill: near, mttf: exponential 3 s, mttr: 1 s}]\nsweep: {routing: [round-robin, priority]}")
    assert len({tuple(happened(point.scenario)) for point in points(scenario)}) == 1


def test_a_scheduled_cut_can_be_of_one_direction() -> None:
    text = TEXT.replace("failures: FAILURES", "faults: [{at: 5 s, for: 2 s, cut: [far, near], one-way: true}]")
    scenario = parse(text.replace("near: 3, far: 2", "far: 2").replace("200 s", "10 s"))
    found = replicate(scenario, 0, 0, 3).metrics
    assert found["lost.during"] > 50
    assert found["lost.before"] == 0
