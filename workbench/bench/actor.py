"""One site of a scenario played for real: ``python -m workbench.bench.actor``, started by the stage and by nobody else.

It opens the site's services, learns where the others are, and plays the site's cast until the run is over.
"""

import asyncio
import select
import selectors
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from workbench.bench.processes import Parent
from workbench.engine.real import Meter, RealHost, RealWorld
from workbench.engine.world import Host
from workbench.model import custom, service, workload
from workbench.model.cast import Cast, Part, cast
from workbench.model.luck import values_in
from workbench.model.measure import window_of
from workbench.scenario import Scenario

GRACE = 20.0
"""Seconds that a site may live beyond its run."""


def main() -> None:
    """Play the site that standard input names."""
    parent = Parent()
    try:
        job = parent.read()
        scenario = Scenario.model_validate(job["scenario"]).read_in(
            Path(job["directory"]) if job["directory"] else None
        )
        parent.live_at_most(scenario.run.duration + job["patience"] + GRACE)
        parent.watch()
        with asyncio.Runner(loop_factory=exact_loop) as runner:
            runner.run(Site(parent, scenario, job).play())
    except KeyboardInterrupt:
        # Not the terminal's, which is ignored here: a behaviour has raised it.
        parent.say("interrupted")
    except (Exception, SystemExit) as error:
        parent.say("error", reason=str(custom.blame(error) or f"{type(error).__name__}: {error}"))
    parent.stay()


def exact_loop() -> asyncio.AbstractEventLoop:
    """An event loop that sleeps to the microsecond: asyncio's usual one rounds every wait up to a millisecond."""
    return asyncio.SelectorEventLoop(_ExactSelector())


class _ExactSelector(selectors.EpollSelector):
    """Epoll, which watches any number of descriptors, waited for with select(), which knows microseconds."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout > 0:
            # Made first of all, epoll's own descriptor is below the 1,024 that select() can watch.
            select.select([self.fileno()], [], [], timeout)
            timeout = 0
        return super().select(timeout)


class Site:
    """What one process plays: every host of one site."""

    def __init__(self, parent: Parent, scenario: Scenario, job: dict[str, Any]) -> None:
        self.parent = parent
        self.scenario = scenario
        self.cast: Cast = cast(scenario)
        self.parts = [part for part in self.cast.parts if part.site == job["site"]]
        self.addresses: dict[str, str] = job["addresses"]
        self.sites = list(scenario.sites)
        self.world = RealWorld(seed=job["seed"], replication=job["replication"])
        self.meters: dict[str, Meter] = {}

    async def play(self) -> None:
        """Play to the end of the run, and say what was measured."""
        duration = self.scenario.run.duration
        async with self.world as world:
            for part in self.parts:
                if part.role == "service":
                    self.host(part).play(self.service(part))
            self.parent.say("ready")
            go = await asyncio.to_thread(self.parent.hear, "go")
            world.epoch = go["epoch"]
            for part in self.parts:
                if part.role == "workload":
                    self.host(part).play(self.workload(part, go["dials"][part.name]))
            faults = asyncio.create_task(self.faults())
            await world.run(until=duration)
            faults.cancel()
            snapshots = {name: meter.snapshot() for name, meter in self.meters.items()}
        self.parent.say(
            "done", readings=snapshots, observations=world.observations, late=max(0.0, world.now - duration)
        )

    def host(self, part: Part) -> RealHost:
        """The host that plays a part."""
        return self.world.host(part.name, part.site)

    def service(self, part: Part) -> Callable[[Host], Coroutine[Any, Any, None]]:
        """What a service's host plays."""
        declared = self.cast.service(part)
        address = self.addresses[part.name]
        if declared.behaviour is not None:
            return self.behaviour(declared.behaviour, custom.Peers(listen=address), declared.options)
        play = service.serve if declared.pattern == "reply" else service.collect
        times = values_in(self.scenario, declared.time.file)
        return partial(play, part=part, service=declared, address=address, times=times)

    def workload(self, part: Part, dials: list[tuple[str, int]]) -> Callable[[Host], Coroutine[Any, Any, None]]:
        """What a client's host plays."""
        declared = self.cast.workload(part)
        if declared.behaviour is not None:
            peers = custom.Peers(dials=tuple((address, priority) for address, priority in dials))
            return self.behaviour(declared.behaviour, peers, declared.options)
        if part.owner not in self.meters:
            self.meters[part.owner] = Meter(self.sites, window_of(self.scenario))
        meter = self.meters[part.owner]
        load = declared.load
        trace = values_in(self.scenario, load.file, ascending=True)
        thoughts = values_in(self.scenario, load.think.file) if load.think is not None else ()

        async def play(host: Host) -> None:
            client = workload.Client(
                host,
                part,
                declared,
                host.socket("req", resend=declared.resend),
                meter,
                self.sites.index(part.site),
                [self.sites.index(other.site) for other in self.cast.parts],
                trace=trace,
                thoughts=thoughts,
            )
            await workload.ask(client, dials, until=self.scenario.run.duration)

        return play

    def behaviour(
        self, reference: str, peers: custom.Peers, options: dict[str, Any]
    ) -> Callable[[Host], Coroutine[Any, Any, None]]:
        """What a host plays whose part is a Python function of the user's."""
        function = custom.load_behaviour(self.scenario, reference)
        return lambda host: custom.start(function, host, peers, options)

    async def faults(self) -> None:
        """Kill and restore this site's services when it is time."""
        for event in self.scenario.fault_events():
            await self.world.sleep(max(0.0, event.at - self.world.now))
            for part in self.cast.killed_by(event.instances):
                if part in self.parts and event.action == "kill":
                    self.host(part).kill()
                elif part in self.parts and event.action == "restore":
                    self.host(part).restore()


if __name__ == "__main__":
    main()
