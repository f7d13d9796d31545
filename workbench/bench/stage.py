"""The stage: a scenario played for real, one process for each site, the links between them shaped by relays.

Everything is on this machine's loopback. A client at one site reaches a service at another through a relay that delays,
slows and cuts what passes as the declared link would; within a site it dials directly unless the site's own link is
declared. Processes are fresh for each replication and end with it, however it ends.
"""

import random
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from workbench.bench.processes import ChildFailed, Crew, allow_files
from workbench.engine.relay import Relay
from workbench.model.cast import Cast, cast
from workbench.model.links import is_shaped
from workbench.model.measure import Reading, measure, observed, window_of
from workbench.model.players import settled
from workbench.model.progress import Progress, silent
from workbench.results import Replication, Writer
from workbench.scenario import LinkShape, Scenario, SweepPoint

PATIENCE = 30.0
"""Seconds that the processes of a run may take to be ready."""
HEAD_START = 1.0
"""Seconds between all being ready and the beginning of the run; connections are made in it."""


def play(
    scenario: Scenario,
    points: Sequence[SweepPoint],
    count: int,
    *,
    writer: Writer | None = None,
    tell: Progress = silent,
) -> list[Replication]:
    """Play each point `count` times, the points in an order drawn anew for each round.

    Raises ChildFailed when a process fails; nothing is left behind then, nor after Ctrl-C.
    """
    allow_files()
    done = dict(writer.finished) if writer is not None else {}
    order = random.Random(scenario.run.seed)
    total = count * len(points)
    for index in range(count):
        # What drifts on this machine must not fall on the same point each time.
        for number in order.sample(range(len(points)), len(points)):
            if (number, index) in done:
                continue
            setting = ", ".join(f"{value}" for value in points[number].set.values())
            tell(len(done), total, f"playing {setting}".strip())
            replication = play_once(points[number].scenario, number, index, scenario.run.seed)
            done[number, index] = replication
            if writer is not None:
                writer.add(replication)
    tell(total, total, "playing")
    return [run for task, run in sorted(done.items()) if task[0] < len(points) and task[1] < count]


def play_once(scenario: Scenario, point: int, index: int, seed: int) -> Replication:
    """Play one replication of one point."""
    started = time.perf_counter()
    everybody = cast(scenario)
    with ExitStack() as stack:
        crew = stack.enter_context(Crew())
        links = Links(scenario, seed)
        stack.callback(links.close)
        addresses = _places(everybody)
        job = {
            "scenario": scenario.model_dump(mode="json", by_alias=True),
            "directory": str(scenario.directory or Path.cwd()),
            "addresses": {name: f"tcp://{place}" for name, place in addresses.items()},
            "seed": seed,
            "replication": index,
            "patience": PATIENCE,
            "dials": links.dials(everybody, addresses),
        }
        children = {
            site: crew.start("workbench.bench.actor", {**job, "site": site}, name=f"site {site}")
            for site in scenario.sites
        }
        for child in children.values():
            crew.hear(child, "ready", PATIENCE)
        epoch = time.monotonic() + HEAD_START
        for child in children.values():
            child.say("go", epoch=epoch)
        _interrupt_links(scenario, links, epoch, crew)
        left = epoch + scenario.run.duration - time.monotonic()
        replies = [crew.hear(child, "done", max(0.0, left) + PATIENCE) for child in children.values()]
        notes = links.notes()
        crew.dismiss()
    readings = _readings(scenario, replies)
    measured = measure(window_of(scenario), readings)
    seen, units = observed(tuple(row) for reply in replies for row in reply["observations"])
    late = max(reply["late"] for reply in replies)
    if late > 0.1:
        notes.append(f"the run ended {late:.2f} s late: the processes had too little of the processor")
    return Replication(
        point=point,
        index=index,
        seed=seed,
        metrics=measured.metrics | _gave_up(scenario, replies) | seen,
        histograms=measured.histograms,
        timeline=measured.timeline,
        counts=measured.counts,
        wall_s=time.perf_counter() - started,
        notes=notes,
        units=units,
    )


class Links:
    """The relays of one run, one for each link that is shaped."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._relays: dict[frozenset[str], Relay] = {}
        shapes: list[tuple[frozenset[str], LinkShape]] = [
            (frozenset(link.between), link) for link in scenario.every_link
        ]
        shapes += [(frozenset({name}), site.within) for name, site in scenario.sites.items()]
        for sites, shape in shapes:
            if is_shaped(shape):
                self._relays[sites] = _relay("-".join(sorted(sites)), shape, seed, scenario.run.room)

    def dials(self, everybody: Cast, addresses: dict[str, str]) -> dict[str, list[tuple[str, int]]]:
        """Whom everybody dials: (address, priority) pairs, through a relay where the link has one."""
        return {
            part.name: [
                (f"tcp://{self._way(part.site, dial.target.site, addresses[dial.target.name])}", dial.priority)
                for dial in (everybody.dials(part) if part.role == "workload" else everybody.hands_on(part))
            ]
            for part in everybody.parts
        }

    def between(self, sites: tuple[str, str]) -> Relay | None:
        """The relay of a link, if it is shaped."""
        return self._relays.get(frozenset(sites))

    def notes(self) -> list[str]:
        """What a reader of the result should know of the relays."""
        notes = []
        for sites, relay in self._relays.items():
            late = relay.stats()["latest_ns"] / 1e9
            if late > 0.005:
                notes.append(f"the relay of {' – '.join(sorted(sites))} was up to {late * 1e3:.1f} ms late")
        return notes

    def close(self) -> None:
        """End every relay."""
        self._relays.clear()

    def _way(self, one: str, other: str, place: str) -> str:
        relay = self._relays.get(frozenset({one, other}))
        return place if relay is None else relay.route(place)


def _relay(name: str, shape: LinkShape, seed: int, room: int) -> Relay:
    jitter = ("exponential", shape.jitter, 0.0) if shape.jitter else ("constant", 0.0, 0.0)
    delay = max(shape.one_way, 1e-9)
    return Relay(name, delay=delay, jitter=jitter, rate=shape.rate, loss=shape.loss, seed=seed, room=room)


def _interrupt_links(scenario: Scenario, links: Links, epoch: float, crew: Crew) -> None:
    """Cut, heal and break links when it is time, while listening to the processes."""
    for event in scenario.fault_events():
        relay = None if event.link is None else links.between(event.link)
        if relay is None:
            continue
        while (left := epoch + event.at - time.monotonic()) > 0:
            crew.listen(left)
            if any(child.ended for child in crew.children):
                return
        {"cut": relay.cut, "heal": relay.heal, "break": relay.break_all}[event.action]()


def _places(everybody: Cast) -> dict[str, str]:
    """A free port for each service, which it keeps when it is killed and restored.

    Below the range from which the kernel takes ports for outgoing connections, so that none is taken meanwhile.
    """
    ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    candidates = iter(random.sample(range(10_000, ephemeral), min(4_000, ephemeral - 10_000)))
    places: dict[str, str] = {}
    for part in everybody.parts:
        if part.role == "service":
            places[part.name] = f"127.0.0.1:{next(port for port in candidates if _is_free(port))}"
    return places


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _readings(scenario: Scenario, replies: Sequence[dict[str, Any]]) -> list[Reading]:
    """One reading for each workload, from all sites at which it has clients."""
    found = []
    for name in scenario.workloads:
        parts = [reply["readings"][name] for reply in replies if name in reply["readings"]]
        if parts:
            found.append(settled(scenario, name, parts))
    return found


def _gave_up(scenario: Scenario, replies: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Of services with a patience: how many instances have given up, and when the first did."""
    moments = [at for reply in replies for at in reply["gave_up"]]
    if all(service.patience is None for service in scenario.services.values()):
        return {}
    return {"gave_up": float(len(moments))} | ({"give_up_time": min(moments)} if moments else {})


__all__ = ["ChildFailed", "play", "play_once"]
