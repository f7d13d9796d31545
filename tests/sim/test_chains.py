"""Services that hand on: pipelines hold back, trees spread, and both arrive at what can be computed."""

import pytest

from workbench.report import theory
from workbench.scenario import Scenario, parse
from workbench.sim.replication import replicate

TREE = """\
version: 1
name: tree
sites: {hall: {within: {delay: 250 us}}}
services:
  readers: {at: {hall: COUNT}, pattern: subscribe, breadth: BREADTH, hand-on: 20 us}
workloads:
  news: {at: hall, to: readers, load: paced 50/s, timeout: 2 s}
run: {duration: 1 s, warm-up: 200 ms}
"""
PIPELINE = """\
version: 1
name: pipeline
sites: {hall: }
services:
  first: {at: {hall: 1}, pattern: collect, time: 1 ms, to: second, send-queue: 1, queue: ROOM}
  second: {at: {hall: 2}, pattern: collect, time: TIME, queue: ROOM, straggler: 1}
workloads:
  orders: {at: hall, to: first, load: LOAD, size: 64 KiB, send-queue: 1, timeout: 10 s}
run: {duration: 4 s, warm-up: 1 s}
"""


@pytest.mark.parametrize(("count", "breadth"), [(1, 4), (7, 2), (30, 3), (100, 99), (100, 1)])
def test_a_tree_takes_what_its_steps_take(count: int, breadth: int) -> None:
    point = parse(TREE.replace("COUNT", str(count)).replace("BREADTH", str(breadth)))
    found, said = replicate(point, 0, 0, 1).metrics, theory.expected(point)
    assert said["latency.max"] > 0
    for metric in ("latency.mean", "latency.max"):
        assert found[metric] == pytest.approx(said[metric], rel=0.01), metric
    assert found["busiest_share"] == pytest.approx(said["busiest_share"], abs=2e-3)
    assert found["lost"] == 0
    assert found["requests"] % count == 0, "a message counts once for each who receives it"


def test_a_dead_host_of_a_tree_silences_what_hangs_on_it() -> None:
    text = TREE.replace("{hall: COUNT}", "{hall: 1, hub: 2, edge: 8}").replace("BREADTH", "2")
    text = text.replace("sites: {hall:", "sites: {hub: , edge: , hall:").replace("services:", LINKS + "services:")
    text = text.replace("timeout: 2 s", "timeout: 200 ms") + "faults: [{at: 500 ms, kill: readers@hub}]\n"
    found = replicate(parse(text), 0, 0, 1).metrics
    # The root and its wire live on; both hubs and all eight below them hear nothing.
    assert found["answered.during"] / found["requests.during"] == pytest.approx(1 / 11, abs=0.02)


LINKS = """\
links:
  - {between: [hall, hub], delay: 1 ms}
  - {between: [hall, edge], delay: 1 ms}
  - {between: [hub, edge], delay: 1 ms}
"""


@pytest.mark.parametrize(("time", "rate"), [("4 ms", 500), ("1 ms", 1000)])
def test_a_pipeline_is_as_fast_as_its_slowest_stage(time: str, rate: int) -> None:
    point = pipeline(time, "flood", room=1)
    found = replicate(point, 0, 0, 1).metrics
    assert found["answered"] / 3 == pytest.approx(rate, rel=0.02)
    assert found["busiest_share"] > 0.98


def test_with_time_to_spare_an_order_takes_what_the_work_before_takes() -> None:
    found = replicate(pipeline("4 ms", "paced 100/s", room=10), 0, 0, 1).metrics
    # An order has arrived when the last stage takes it up: the first one's work, and two wires of 50 µs.
    assert found["latency.p50"] == pytest.approx(1.1e-3, abs=0.01e-3)
    assert found["lost"] == 0


def test_little_room_keeps_orders_from_waiting_behind_a_straggler() -> None:
    worst = {}
    for room in (1, 64):
        text = PIPELINE.replace("straggler: 1", "straggler: 20").replace("{hall: 2}", "{hall: 4}")
        point = parse(fill(text, "exponential 1 ms", "poisson 900/s", room))
        worst[room] = replicate(point, 0, 0, 1).metrics["latency.p99"]
    assert worst[64] > 2 * worst[1]


def pipeline(time: str, load: str, room: int) -> Scenario:
    return parse(fill(PIPELINE, time, load, room))


def fill(text: str, time: str, load: str, room: int) -> str:
    return text.replace("TIME", time).replace("LOAD", load).replace("ROOM", str(room))
