"""Each native role and its Python twin tell the same story: message by message, to the nanosecond.

Only the order within one moment may differ: a native role acts in the midst of it, a coroutine when it is resumed.
"""

from typing import Any

import pytest

from workbench._engine import Meter
from workbench.engine.rhythm import NOTHING, Rhythm
from workbench.engine.virtual import VirtualHost, VirtualWorld
from workbench.engine.window import Window
from workbench.model import service as services
from workbench.model import workload as workloads
from workbench.model.cast import Cast, Part, cast
from workbench.scenario import Scenario, parse

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
    scenario = parse(text)
    native, twin = play(scenario, native=True), play(scenario, native=False)
    for one, other in zip(native[0], twin[0], strict=False):
        assert one == other
    assert len(native[0]) == len(twin[0]) > 1_000
    # Requests sent again are counted when that is noticed: the twin's last ones never are.
    for snapshot in (native[1], twin[1]):
        del snapshot["phases"]["unmeasured"]["repeated"]
    assert native[1] == twin[1]
    assert native[1]["phases"]["during"]["lost"] > 0 or "closed" in load
    assert native[1]["phases"]["during"]["repeated"] > 0


def play(scenario: Scenario, *, native: bool) -> tuple[list[str], dict[str, Any]]:
    """What happened on the wire and to the pipes, and what the meter shows."""
    world = VirtualWorld(seed=3, replication=1, story=1_000_000)
    for name, site in scenario.sites.items():
        world.site(name, delay=site.within.one_way)
    for link in scenario.every_link:
        jitter = ("exponential", link.jitter, 0.0)
        world.link(*link.between, delay=link.one_way, jitter=jitter, rate=link.rate, loss=link.loss)
    company = cast(scenario)
    hosts = [world.host(part.name, part.site) for part in company.parts]
    for event in scenario.fault_events():
        if event.link is None:
            for part in company.killed_by(event.instances):
                world.schedule_fault(event.at, event.action, part.name)
        else:
            world.schedule_fault(event.at, event.action, *event.link)
    snapshot = (play_natively if native else play_in_python)(world, company, hosts)
    told = [line for line in world.story() if line.split()[2] not in ("asked", "answered", "lost")]
    return sorted(told, key=lambda line: (int(line.split()[0]), line)), snapshot


def play_natively(world: VirtualWorld, company: Cast, hosts: list[VirtualHost]) -> dict[str, Any]:
    service, workload = company.scenario.services["foo"], company.scenario.workloads["users"]
    time, load = service.time, workload.load
    world.add_service(
        "foo",
        "rep",
        [(part.name, part.name) for part in company.of("service", "foo")],
        workers=service.workers,
        time=(time.kind, time.a, time.b),
        reply=service.reply,
        recv_queue=service.queue,
    )
    think = NOTHING if load.think is None else (load.think.kind, load.think.a, load.think.b)
    world.add_workload(
        "users",
        "req",
        [(part.name, dials(company, part)) for part in company.of("workload", "users")],
        load=Rhythm(
            kind=load.kind, rate=load.rate or 1.0, outstanding=load.outstanding, think=think, on=load.on, off=load.off
        ),
        size=workload.size,
        timeout=workload.timeout,
        resend=workload.resend,
        window=WINDOW,
    )
    del hosts
    world.run(until=company.scenario.run.duration)
    world.audit()
    return world.meter("users")


def play_in_python(world: VirtualWorld, company: Cast, hosts: list[VirtualHost]) -> dict[str, Any]:
    scenario = company.scenario
    names = list(scenario.sites)
    sites = [names.index(part.site) for part in company.parts]
    meter = Meter(names, WINDOW)

    def serve(part: Part) -> Any:
        return lambda host: services.serve(host, part, company.service(part), part.name)

    def ask(part: Part) -> Any:
        def begin(host: VirtualHost) -> Any:
            workload = company.workload(part)
            client = workloads.Client(
                host,
                part,
                workload,
                host.socket("req", resend=workload.resend),
                meter,
                home=names.index(part.site),
                sites=sites,
            )
            return workloads.ask(client, dials(company, part), until=scenario.run.duration)

        return begin

    for part, host in zip(company.parts, hosts, strict=True):
        host.play(serve(part) if part.role == "service" else ask(part))
    world.run(until=scenario.run.duration)
    world.audit()
    return meter.snapshot()


def dials(company: Cast, part: Part) -> list[tuple[str, int]]:
    return [(dial.target.name, dial.priority) for dial in company.dials(part)]


WINDOW = Window(start=1.0, end=8.0, fault=2.0, restore=5.5, guard=0.1, bin=0.1)
