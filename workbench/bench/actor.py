"""One site of a scenario played for real: ``python -m workbench.bench.actor``, started by the stage and by nobody else.

It opens the site's services, learns where the others are, and plays the site's cast until the run is over.
"""

import asyncio
import select
import selectors
from pathlib import Path
from typing import Any

from workbench.bench.processes import Parent
from workbench.engine.real import RealHost, RealWorld
from workbench.model import custom
from workbench.model.cast import Cast, Part, cast
from workbench.model.players import Players
from workbench.scenario import Scenario

GRACE = 20.0
"""Seconds that a site may live beyond its run."""
PIECES = 4
"""A socket with a quarter of the room as its `buffer` leaves it, in all, about that room: see docs/simulation.md."""
TIMER_SLACK = Path("/proc/self/timerslack_ns")


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
        # The kernel lets every sleep last up to 50 µs longer, to save power, unless it is told not to.
        TIMER_SLACK.write_text("1")
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
        self.dials: dict[str, list[tuple[str, int]]] = job["dials"]
        options = {"buffer": scenario.run.room // PIECES}
        self.world = RealWorld(seed=job["seed"], replication=job["replication"], options=options)
        self.players = Players(self.cast)

    async def play(self) -> None:
        """Play to the end of the run, and say what was measured."""
        duration = self.scenario.run.duration
        async with self.world as world:
            for part in self.parts:
                if part.role == "service":
                    self.host(part).play(self.players.service(part, self.addresses[part.name], self._dials(part)))
            self.parent.say("ready")
            go = await asyncio.to_thread(self.parent.hear, "go")
            world.epoch = go["epoch"]
            for part in self.parts:
                if part.role == "workload":
                    self.host(part).play(self.players.workload(part, self._dials(part)))
            faults = asyncio.create_task(self.faults())
            await world.run(until=duration)
            faults.cancel()
            snapshots = self.players.snapshots()
        self.parent.say(
            "done",
            readings=snapshots,
            observations=world.observations,
            gave_up=self.players.gave_up,
            late=max(0.0, world.now - duration),
        )

    def host(self, part: Part) -> RealHost:
        """The host that plays a part."""
        return self.world.host(part.name, part.site)

    def _dials(self, part: Part) -> list[tuple[str, int]]:
        """Whom a part dials, as (address, priority) pairs."""
        return [(address, priority) for address, priority in self.dials[part.name]]

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
