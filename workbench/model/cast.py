"""The cast of a scenario: which hosts there are, what each plays, and whom it dials with which priority.

Both worlds play the same cast. Names are stable: luck hangs on them.
"""

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Literal

from workbench.scenario import Scenario, Service, Workload

WORST_PRIORITY = 16


@dataclass(frozen=True)
class Part:
    """One host. `number` is its place in the cast, which answers carry as their origin."""

    number: int
    name: str
    site: str
    role: Literal["service", "workload"]
    owner: str
    """The service or workload it belongs to."""


@dataclass(frozen=True)
class Dial:
    """A host to dial, and the priority (1 first, 16 last) to send to it with."""

    target: Part
    priority: int


@dataclass(frozen=True)
class Cast:
    """Everybody who takes part, services first."""

    scenario: Scenario
    parts: tuple[Part, ...]

    def of(self, role: str, owner: str) -> tuple[Part, ...]:
        """The hosts of one service or workload, in order."""
        return self._by_owner.get((role, owner), ())

    @cached_property
    def _by_owner(self) -> dict[tuple[str, str], tuple[Part, ...]]:
        found: dict[tuple[str, str], list[Part]] = {}
        for part in self.parts:
            found.setdefault((part.role, part.owner), []).append(part)
        return {owner: tuple(parts) for owner, parts in found.items()}

    def service(self, part: Part) -> Service:
        """The declared service that a host plays."""
        return self.scenario.services[part.owner]

    def workload(self, part: Part) -> Workload:
        """The declared workload that a host plays."""
        return self.scenario.workloads[part.owner]

    def dials(self, part: Part) -> tuple[Dial, ...]:
        """Whom a client dials, nearest first.

        With `priority` routing the own site has priority 1, and each further site, by the delay of the link to it, the
        next one; with `round-robin` all have the same. Sites without a link are not dialled.
        """
        workload = self.workload(part)
        policy = workload.routing or self.scenario.routing
        instances = self.of("service", workload.to)
        if self.scenario.services[workload.to].breadth is not None:
            instances = instances[:1]
        return self._reach(part, instances, policy)

    def hands_on(self, part: Part) -> tuple[Dial, ...]:
        """Whom an instance of a service dials to hand on to: its children in a tree, or all of the next stage.

        In what order the connections to a stage come up is nobody's decision, and it is the order of their turns. So
        each instance has another one, the same in every run: instances that took turns in step would send to the same
        one at a time.
        """
        service = self.service(part)
        if service.breadth is not None:
            tree = self.of("service", part.owner)
            first = part.number - tree[0].number
            first = service.breadth * first + 1
            return tuple(Dial(child, 8) for child in tree[first : first + service.breadth])
        if service.to is None:
            return ()
        stage = sorted(self.of("service", service.to), key=lambda target: _mixed(part.name, target.name))
        return self._reach(part, tuple(stage), self.scenario.routing)

    def _reach(self, part: Part, instances: tuple[Part, ...], policy: str) -> tuple[Dial, ...]:
        near = self._by_distance(part.site, {target.site for target in instances})
        dials = []
        for rank, site in enumerate(near):
            priority = min(rank + 1, WORST_PRIORITY) if policy == "priority" else 8
            dials += [Dial(target, priority) for target in instances if target.site == site]
        return tuple(dials)

    def killed_by(self, instances: tuple[tuple[str, str], ...]) -> tuple[Part, ...]:
        """The hosts that a kill or restore of these (service, site) pairs hits."""
        return tuple(part for part in self.parts if part.role == "service" and (part.owner, part.site) in instances)

    def _by_distance(self, home: str, sites: set[str]) -> list[str]:
        if self.scenario.network == "none":
            return sorted(sites, key=lambda site: (site != home, site))
        reachable = [(site, self.scenario.link(home, site)) for site in sites]
        distances = {site: 0.0 if site == home else link.one_way for site, link in reachable if link is not None}
        return sorted(distances, key=lambda site: (site != home, distances[site], site))


def _mixed(*names: str) -> bytes:
    return blake2b("\0".join(names).encode()).digest()


def cast(scenario: Scenario) -> Cast:
    """Name and place every host of a scenario."""
    parts: list[Part] = []

    def add(name: str, site: str, role: Literal["service", "workload"], owner: str) -> None:
        parts.append(Part(len(parts), name, site, role, owner))

    for owner, service in scenario.services.items():
        for site, count in service.at.items():
            for index in range(count):
                add(f"service/{owner}/{site}/{index}", site, "service", owner)
    for owner, workload in scenario.workloads.items():
        for site in workload.at:
            for index in range(workload.clients):
                add(f"workload/{owner}/{site}/{index}", site, "workload", owner)
    return Cast(scenario, tuple(parts))
