"""Each native role and its Python twin tell the same story: message by message, to the nanosecond.

Only the order within one moment may differ: a native role acts in the midst of it, a coroutine when it is resumed.
"""

from typing import Any

import pytest

from workbench.engine.virtual import VirtualWorld
from workbench.model.cast import cast
from workbench.model.players import Players
from workbench.scenario import Scenario, parse
from workbench.sim.replication import Stage

TWO_CITIES = """
version: 1
name: twins
question: Do they tell the same story?
sites: {new-york: , london: }
links: [{between: [new-york, london], rtt: 76 ms, jitter: 0.2 ms, rate: 10 Mbit/s, loss: 1 %}]
services:
  foo: {at: {new-york: 2, london: 1}, workers: WORKERS, time: TIME, queue: 3}
workloads:
  users: {at: [new-york, london], to: foo, clients: 2, load: LOAD, timeout: 300 ms, resend: 200 ms}
routing: priority
faults: [{at: 2 s, for: 2 s, kill: foo@new-york}, {at: 5 s, for: 500 ms, cut: [new-york, london]}]
run: {duration: 8 s, warm-up: 1 s}
"""

LOADS = [
    "poisson 150/s",
    "paced 150/s",
    "bursty 300/s on 100 ms off 100 ms",
    "closed 3",
    "closed 3 think exponential 5 ms",
]
SERVICES = {"1": "2 ms", "2": "exponential 4 ms", "3": "lognormal 6 ms cv 2"}


@pytest.mark.parametrize("workers", SERVICES)
@pytest.mark.parametrize("load", LOADS)
def test_requests_and_replies(load: str, workers: str) -> None:
    text = TWO_CITIES.replace("LOAD", load).replace("WORKERS", workers).replace("TIME", SERVICES[workers])
    native, twin = both(text)
    # Requests sent again are counted when that is noticed: the twin's last ones never are.
    for snapshot in (native, twin):
        del snapshot["phases"]["unmeasured"]["repeated"]
    assert native == twin
    assert native["phases"]["during"]["lost"] > 0 or "closed" in load
    assert native["phases"]["during"]["repeated"] > 0


@pytest.mark.parametrize("load", ["poisson 20/s", "closed 2 think 7 ms"])
def test_surveys(load: str) -> None:
    text = (
        TWO_CITIES.replace("queue: 3", "pattern: survey").replace("WORKERS", "4").replace("TIME", "exponential 40 ms")
    )
    native, twin = both(text.replace("LOAD", load).replace("timeout: 300 ms", "timeout: 300 ms, deadline: 90 ms"))
    assert native == twin
    before = native["phases"]["before"]
    assert before["late"] > 20
    assert sum(count for _, count in before["reply_times"]) > before["replies"] > 50


ONE_WAY = """
version: 1
name: twins
sites: {new-york: , london: }
links: [{between: [new-york, london], rtt: 20 ms, jitter: 0.2 ms, rate: 10 Mbit/s}]
services:
  SERVICES
workloads:
  users: {at: new-york, to: first, clients: 2, load: LOAD, size: 8 KiB, send-queue: 4, timeout: 60 s}
faults: [{at: 2 s, for: 1 s, cut: [new-york, london]}]
run: {duration: 5 s, warm-up: 1 s}
"""
SUBSCRIBERS = (
    "first: {at: {new-york: 1, london: 2}, pattern: subscribe, time: exponential 9 ms, queue: 4, when-full: RULE}"
)
TREE = "first: {at: {new-york: 1, london: 6}, pattern: subscribe, breadth: 2, hand-on: 200 us}"
PIPELINE = """\
first: {at: {new-york: 2}, pattern: collect, time: exponential 1 ms, workers: 2, to: second, send-queue: 2}
  second: {at: {london: 2}, pattern: collect, time: exponential 9 ms, straggler: 3, queue: 2}"""


@pytest.mark.parametrize(
    "services",
    [*(SUBSCRIBERS.replace("RULE", rule) for rule in ("block", "drop-new", "drop-old")), TREE, PIPELINE],
    ids=["block", "drop-new", "drop-old", "tree", "pipeline"],
)
@pytest.mark.parametrize("load", ["poisson 60/s", "paced 60/s"])
def test_messages_that_nobody_answers(load: str, services: str) -> None:
    native, twin = both(ONE_WAY.replace("SERVICES", services).replace("LOAD", load))
    for phase in native["phases"]:
        for what in ("sent", "answered", "latencies", "latency_sum_ns"):
            assert native["phases"][phase][what] == twin["phases"][phase][what], (phase, what)
    assert native["phases"]["before"]["answered"] > 50


def both(text: str) -> list[dict[str, Any]]:
    """What the meters show of the roles and of their twins, whose stories must be the same."""
    scenario = parse(text)
    stories, snapshots = [], []
    for kind in (Stage, TwinStage):
        world = VirtualWorld(seed=3, replication=1, story=1_000_000)
        stage = kind(scenario, world)
        world.run(until=scenario.run.duration)
        world.audit()
        told = [line for line in world.story() if line.split()[2] not in ("asked", "answered", "lost")]
        stories.append(sorted(told, key=lambda line: (int(line.split()[0]), line)))
        snapshots.append(stage.snapshot() if isinstance(stage, TwinStage) else world.meter("users"))
    for one, other in zip(*stories, strict=False):
        assert one == other
    assert len(stories[0]) == len(stories[1]) > 1_000
    return snapshots


class TwinStage(Stage):
    """The same stage, its declared parts played in Python."""

    def __init__(self, scenario: Scenario, world: VirtualWorld) -> None:
        super().__init__(scenario, world, players=Players(cast(scenario)))

    def snapshot(self) -> dict[str, Any]:
        """The books of the users; all that is sent is in one of the two parts."""
        assert self.players is not None
        parts = self.players.snapshots()["users"]
        return max(parts, key=lambda part: sum(phase["sent"] for phase in part["phases"].values()))
