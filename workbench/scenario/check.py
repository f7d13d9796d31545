"""What no single key can tell: names that exist, sites that are connected, faults in order, sizes that can be run.

`check` looks at one scenario without a sweep (a point); `check_whole` at what concerns a scenario as a whole. Both
yield findings with the path of the guilty value; the loader knows where that path stands in the file.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path as FilePath

from workbench.scenario.distances import TABLES
from workbench.scenario.durations import durations, files_of
from workbench.scenario.expect import OBSERVED, metric_named, same_value
from workbench.scenario.paths import Path
from workbench.scenario.schema import BEHAVIOUR, Action, Scenario, Service, Workload
from workbench.scenario.units import DURATION, SIZE, nearest, shown, write

MOST_MESSAGES = 1e9
MOST_SITES = 1000
MOST_HOSTS = 100_000
MOST_CONNECTIONS = 2_000_000
MOST_QUEUED_BYTES = 16 << 30
MOST_POINTS = 1000
MOST_FAILURES = 100_000
MOST_LEVELS = 16

_FLOOD_RATE = 5e6
"""Messages per second and client that a flood without a bandwidth limit is counted as."""
_SHORTEST_CYCLE = 10e-6
"""Seconds that a request and its answer are counted as at least."""


@dataclass(frozen=True)
class Finding:
    """Something wrong, by the path of the guilty value. ``key``: it is the name itself, not what stands under it."""

    path: Path
    message: str
    hint: str = ""
    allowed: str = ""
    part: tuple[int, int] | None = None
    """The guilty part of the value, when that is a text."""
    key: bool = False


def check(scenario: Scenario, gone: Iterable[Path] = ()) -> Iterator[Finding]:
    """Everything wrong with one point. ``gone`` are paths that were taken out because they were wrong by themselves."""
    if len(scenario.sites) > MOST_SITES:
        count = len(scenario.sites)
        yield Finding(("sites",), f"the scenario has {count:,} sites; at most {MOST_SITES:,} are allowed", key=True)
        return
    known = _Known(scenario, frozenset(gone))
    yield from _services(scenario, known)
    yield from _links(scenario, known)
    yield from _workloads(scenario, known)
    yield from _faults(scenario, known)
    yield from _failures(scenario, known)
    yield from _run(scenario)
    yield from _network(scenario)
    yield from _behaviours(scenario)
    yield from _files(scenario)
    yield from _sizes(scenario)


def check_whole(scenario: Scenario, gone: Iterable[Path] = ()) -> Iterator[Finding]:
    """Everything wrong with the sweep's size, the comparison and the expectations."""
    lost = frozenset(gone)
    points = prod(len(values) for values in scenario.sweep.values())
    if points > MOST_POINTS:
        yield Finding(("sweep",), f"the sweep has {points:,} points; at most {MOST_POINTS:,} are allowed", key=True)
    for path, values in scenario.sweep.items():
        for at, value in enumerate(values if points <= MOST_POINTS else ()):
            if any(same_value(value, earlier) for earlier in values[:at]):
                yield Finding(("sweep", path, at), f"the value {shown(value)} is swept twice")
        if path == "placement" and scenario.run.world == "virtual":
            yield Finding(
                ("sweep", path),
                "the virtual world has no cores: a sweep over placement would give the same points twice",
                key=True,
            )
    yield from _compare(scenario)
    yield from _expectations(scenario, lost)


def check_amount(points: Sequence[Scenario]) -> Iterator[Finding]:
    """Refuses a run that would send more messages than anyone can wait for."""
    if not points:
        return
    run = points[0].run
    replications = 1 if run.mode == "steady-state" else run.replications.in_world(run.world)
    messages = sum(predicted_messages(point) for point in points) * replications
    if messages > MOST_MESSAGES:
        yield Finding(
            ("run", "duration"),
            f"this run would send about {_short(messages)} messages ({_times(len(points), 'point')}, "
            f"{_times(replications, 'replication')} "
            f"of {write(run.duration, DURATION)}); at most {_short(MOST_MESSAGES)} are allowed",
        )


def predicted_messages(scenario: Scenario) -> float:
    """About how many requests one replication sends.

    A flood in the real world is bounded by its duration and counts as nothing.
    """
    total = 0.0
    for workload in scenario.workloads.values():
        service = scenario.services.get(workload.to)
        rate = sum(_rate(scenario, workload, service, site) for site in workload.at)
        total += rate * scenario.run.duration * max(1, len(scenario.stages(workload)))
    return total


class _Known:
    """The names of a scenario, those included whose content had to be taken out."""

    def __init__(self, scenario: Scenario, gone: frozenset[Path]) -> None:
        def names(section: str, present: Iterable[str]) -> dict[str, None]:
            lost = (str(path[1]) for path in gone if len(path) == 2 and path[0] == section)
            return dict.fromkeys([*present, *lost])

        self.sites = names("sites", scenario.sites)
        self.services = names("services", scenario.services)
        self.workloads = names("workloads", scenario.workloads)
        self.gone = gone
        self.links_whole = not any(path[0] in ("links", "sites") for path in gone)
        self.links = {frozenset(link.between) for link in scenario.every_link}
        self.parts_whole = not any(path[0] in ("services", "workloads") for path in gone)
        self.faults_whole = not any(path[0] == "faults" for path in gone)

    def site(
        self, name: str, path: Path, part: tuple[int, int] | None = None, *, key: bool = False
    ) -> Iterator[Finding]:
        """A finding if there is no such site."""
        if name not in self.sites and ("sites",) not in self.gone:
            yield _unknown("site", name, self.sites, path, part, key=key)

    def service(self, name: str) -> bool:
        """Is there such a service, or may there be?"""
        return name in self.services or ("services",) in self.gone


def _unknown(
    what: str, name: str, known: Collection[str], path: Path, part: tuple[int, int] | None = None, *, key: bool = False
) -> Finding:
    meant = nearest(name, list(known))
    hint = f"did you mean '{meant}'?" if meant else ""
    return Finding(
        path, f"unknown {what} {shown(name)}", hint, ", ".join(list(known)[:40]) or "none is declared", part, key
    )


def _services(scenario: Scenario, known: _Known) -> Iterator[Finding]:
    for name, service in scenario.services.items():
        path: Path = ("services", name)
        if not service.at:
            yield Finding((*path, "at"), f"the service '{name}' runs nowhere; give at least one site", key=True)
        for site in service.at:
            yield from known.site(site, (*path, "at", site), key=True)
        yield from _behaviour(scenario, service.behaviour, path)
        yield from _handing_on(scenario, known, name, service)


def _handing_on(scenario: Scenario, known: _Known, name: str, service: Service) -> Iterator[Finding]:
    """A stage of a pipeline and the next one, or a tree."""
    path: Path = ("services", name)
    if service.breadth is not None and service.pattern != "subscribe":
        yield Finding((*path, "breadth"), f"'breadth' goes with pattern subscribe, not {service.pattern}")
    if service.hand_on and service.breadth is None:
        yield Finding((*path, "hand-on"), "'hand-on' goes with 'breadth': who is no tree hands nothing on")
    if service.to is None:
        return
    if service.pattern != "collect":
        yield Finding((*path, "to"), f"'to' goes with pattern collect, not {service.pattern}")
    if not known.service(service.to):
        yield _unknown("service", service.to, known.services, (*path, "to"))
        return
    seen = [name]
    following: str | None = service.to
    while following is not None and following in scenario.services:
        if following in seen:
            yield Finding((*path, "to"), f"messages would go round for ever: {' -> '.join([*seen, following])}")
            return
        seen.append(following)
        following = scenario.services[following].to
    target = scenario.services.get(service.to)
    if target is None:
        return
    if target.pattern != "collect":
        yield Finding(
            (*path, "to"), f"'{service.to}' has pattern {target.pattern}; a pipeline goes on to pattern collect"
        )
    if known.links_whole and scenario.network == "sockets":
        beyond = [
            (site, other)
            for site in service.at
            for other in target.at
            if site != other and {site, other} <= scenario.sites.keys() and {site, other} not in known.links
        ]
        if beyond:
            site, other = beyond[0]
            yield Finding(
                (*path, "to"), f"'{name}' in '{site}' cannot reach '{service.to}' in '{other}': a link is missing"
            )


def _behaviour(scenario: Scenario, behaviour: str | None, path: Path) -> Iterator[Finding]:
    if behaviour is None or scenario.directory is None:
        return
    found = BEHAVIOUR.fullmatch(behaviour)
    assert found is not None
    try:
        exists = (scenario.directory / found["file"]).is_file()
    except (OSError, ValueError):
        exists = False
    if not exists:
        yield Finding(
            (*path, "behaviour"),
            f"there is no file {shown(found['file'])} beside the scenario",
            part=found.span("file"),
        )
        return
    names, functions = _names(scenario.directory / found["file"])
    if "*" not in names and found["function"] not in names:
        meant = nearest(found["function"], functions)
        yield Finding(
            (*path, "behaviour"),
            f"there is no function {shown(found['function'])} in {shown(found['file'])}",
            f"did you mean '{meant}'?" if meant else "",
            ", ".join(functions[:40]) or "none is defined",
            found.span("function"),
        )


def _names(file: FilePath) -> tuple[set[str], list[str]]:
    """The names that a Python file makes somewhere, and the functions at its top; found without running it.

    "*" is among the names if there may be others: in what cannot be read as Python, which loading it tells better.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return {"*"}, []
    functions = [part.name for part in tree.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)]
    names = set(functions)
    for part in ast.walk(tree):
        if isinstance(part, ast.alias):
            names.add(part.asname or part.name)
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            names.add(part.id)
        elif isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) and part not in tree.body:
            names.add(part.name)
    return names, functions


def _links(scenario: Scenario, known: _Known) -> Iterator[Finding]:
    if scenario.distances is not None:
        table = TABLES[scenario.distances.table]
        for site in scenario.sites:
            if site not in table.regions:
                yield _unknown(f"region of {table.name}", site, table.regions, ("sites", site), key=True)
    seen: set[frozenset[str]] = set()
    for at, link in enumerate(scenario.links):
        path: Path = ("links", at, "between")
        for end, site in enumerate(link.between):
            yield from known.site(site, (*path, end))
        one, other = link.between
        if one == other or not {one, other} <= set(known.sites):
            known.links_whole = False  # what it was meant to join is not known
        if one == other:
            yield Finding(
                (*path, 1),
                f"a link joins two sites, not '{one}' with itself",
                "give the delays inside a site with 'within'",
            )
        elif frozenset(link.between) in seen:
            yield Finding(path, f"there is already a link between '{one}' and '{other}'")
        seen.add(frozenset(link.between))


def _workloads(scenario: Scenario, known: _Known) -> Iterator[Finding]:
    for name, workload in scenario.workloads.items():
        path: Path = ("workloads", name)
        seen: set[str] = set()
        for at, site in enumerate(workload.at):
            yield from known.site(site, (*path, "at", at))
            again = site in seen
            seen.add(site)
            if again:
                yield Finding(
                    (*path, "at", at), f"the site '{site}' is listed twice", "for more clients there, use 'clients'"
                )
        yield from _behaviour(scenario, workload.behaviour, path)
        if workload.alone and scenario.run.world == "virtual":
            yield Finding(
                (*path, "alone"), "'alone' needs the real world; in the virtual world nothing competes for processors"
            )
        if not known.service(workload.to):
            yield _unknown("service", workload.to, known.services, (*path, "to"))
            continue
        service = scenario.services.get(workload.to)
        if service is not None:
            yield from _conversation(scenario, known, name, workload, service)


def _conversation(
    scenario: Scenario, known: _Known, name: str, workload: Workload, service: Service
) -> Iterator[Finding]:
    """A workload and its service: do they fit, and can they reach each other?"""
    path: Path = ("workloads", name)
    if service.behaviour is None and workload.behaviour is None and (*path, "load") not in known.gone:
        if workload.load.kind == "flood" and service.pattern not in ("collect", "subscribe"):
            yield Finding(
                (*path, "load"),
                f"a flood goes to a service of pattern collect, and '{workload.to}' has pattern {service.pattern}",
                f"did you mean 'closed', or 'pattern: collect' for '{workload.to}'?",
            )
        if workload.load.kind == "closed" and service.pattern == "subscribe":
            yield Finding(
                (*path, "load"), f"nobody answers a publisher, so the load of '{name}' cannot be closed; give a rate"
            )
        if workload.load.share is not None and not workload.alone:
            yield Finding(
                (*path, "load"),
                "a share of what a library can do needs a workload that is alone; give a rate",
                f"did you mean 'alone: true', or 'load: {workload.load.kind} 200/s'?",
            )
        if workload.load.kind == "closed" and service.pattern == "collect":
            yield Finding(
                (*path, "load"),
                f"'{workload.to}' has pattern collect and answers nothing, so the load of '{name}' cannot be closed; "
                "give a rate, or 'flood'",
            )
    if known.links_whole and scenario.network == "sockets":
        for at, site in enumerate(workload.at):
            beyond = [
                other
                for other in service.at
                if site != other and {site, other} <= scenario.sites.keys() and {site, other} not in known.links
            ]
            if beyond:
                places = "', '".join(beyond[:3]) + ("' and more sites" if len(beyond) > 3 else "'")
                yield Finding(
                    (*path, "at", at),
                    f"clients of '{name}' in '{site}' cannot reach '{workload.to}' in '{places}: "
                    f"a link from '{site}' is missing",
                )
    policy = workload.routing or scenario.routing
    if policy == "priority" and len(service.at) > MOST_LEVELS:
        where: Path = (*path, "routing") if workload.routing else ("routing",)
        message = f"there are {MOST_LEVELS} priorities, and '{workload.to}' is in {len(service.at)} sites"
        yield Finding(where, f"routing by priority gives each site a priority: {message}")


def _faults(scenario: Scenario, known: _Known) -> Iterator[Finding]:
    targets_known = True
    for at, fault in enumerate(scenario.faults):
        found = [*_target(scenario, known, ("faults", at, fault.action), fault.action, fault.target)]
        targets_known = targets_known and not found
        yield from found
        path: Path = ("faults", at)
        run = scenario.run
        if fault.at >= run.duration:
            yield Finding((*path, "at"), f"the fault comes after the end of the run ({write(run.duration, DURATION)})")
        elif fault.at < run.measured_from:
            yield Finding(
                (*path, "at"),
                f"the fault comes during the warm-up ({write(run.measured_from, DURATION)}), which is not measured",
            )
        elif fault.for_ is not None and fault.at + fault.for_ > run.duration * (1 + 1e-12):
            end = write(round(fault.at + fault.for_, 9), DURATION)
            yield Finding(
                (*path, "for"),
                f"the fault would end at {end}, after the end of the run ({write(run.duration, DURATION)})",
                f"without 'for' it lasts to the end; at most {write(round(run.duration - fault.at, 9), DURATION)} fits",
            )
    if targets_known and known.faults_whole:
        yield from _order(scenario)


def _failures(scenario: Scenario, known: _Known) -> Iterator[Finding]:
    """What fails by chance: its target, and that it does not fail more often than anyone can simulate."""
    for at, failure in enumerate(scenario.failures):
        path: Path = ("failures", at)
        action: Action = "kill" if failure.kill is not None else "cut"
        target = failure.kill or failure.cut
        assert target is not None
        found = [*_target(scenario, known, (*path, action), action, target)]
        yield from found
        if scenario.run.world == "real":
            yield Finding(path, "failures by chance need the virtual world; in the real one declare faults with a time")
        if found or (failure.mttf.kind == "empirical" and failure.mttr.kind == "empirical"):
            continue
        things = 1
        if failure.apart and failure.kill is not None:
            instances, _ = scenario.hit_by(failure.kill)
            things = sum(scenario.services[service].at[site] for service, site in instances)
        each = max(failure.mttf.mean + failure.mttr.mean, 1e-12)
        if things * scenario.run.duration / each > MOST_FAILURES:
            yield Finding(
                (*path, "mttf"),
                f"it would fail about {_short(things * scenario.run.duration / each)} times in a run; at most "
                f"{_short(MOST_FAILURES)} are allowed",
            )


def _target(
    scenario: Scenario, known: _Known, path: Path, action: Action, target: str | tuple[str, str]
) -> Iterator[Finding]:
    if not isinstance(target, str):
        wrong = [finding for end, site in enumerate(target) for finding in known.site(site, (*path, end))]
        yield from wrong
        if not wrong and target[0] == target[1]:
            yield Finding((*path, 1), f"a link joins two sites, not '{target[0]}' with itself")
        elif not wrong and known.links_whole and scenario.link(*target) is None:
            yield Finding(path, f"there is no link between '{target[0]}' and '{target[1]}' to {action}")
        return
    service, separator, site = target.rpartition("@")
    offset = len(service) + len(separator)
    part = (offset, offset + len(site)) if site else None
    if not separator and site not in known.sites and site in scenario.services:
        places = [f"{site}@{where}" for where in scenario.services[site].at]
        yield Finding(
            path,
            f"{shown(site)} is a service; what is killed or restored is a site, or a service at a site",
            f"did you mean '{places[0]}'?" if places else "",
            allowed=", ".join([*places, *known.sites][:40]),
        )
        return
    wrong = [*known.site(site, path, part)]
    if separator and not known.service(service):
        wrong.append(_unknown("service", service, known.services, path, (0, len(service)) if service else None))
    yield from wrong
    if wrong:
        return
    if not separator and not any(site in inner.at for inner in scenario.services.values()):
        yield Finding(path, f"no service runs in '{site}'")
    elif separator and service in scenario.services and site not in scenario.services[service].at:
        yield Finding(
            path,
            f"'{service}' does not run in '{site}'",
            allowed=", ".join(f"{service}@{s}" for s in scenario.services[service].at),
        )


def _order(scenario: Scenario) -> Iterator[Finding]:
    """Each thing can only go wrong when it works, and be put right when it does not."""
    happenings: list[tuple[float, int, int, str, list[str]]] = []
    for at, fault in enumerate(scenario.faults):
        if isinstance(fault.target, str):
            service, separator, site = fault.target.rpartition("@")
            things = [
                f"{name}@{site}"
                for name, inner in scenario.services.items()
                if site in inner.at and (not separator or name == service)
            ]
        else:
            things = [" to ".join(fault.target) if fault.one_way else " and ".join(sorted(fault.target))]
        # At the same instant an end comes before a beginning.
        happenings.append((fault.at, int(fault.action not in ("restore", "heal")), at, fault.action, things))
        if fault.for_ is not None:
            happenings.append((fault.at + fault.for_, 0, at, "restore" if fault.action == "kill" else "heal", things))
    down: set[str] = set()
    for _, _, at, action, things in sorted(happenings, key=lambda row: row[:3]):
        declared = scenario.faults[at].action
        path: Path = ("faults", at, declared)
        for thing in things:
            if action in ("kill", "cut"):
                if thing in down:
                    state = "killed" if action == "kill" else "cut"
                    yield Finding(path, f"{_thing(thing, action)} is already {state} at this time")
                down.add(thing)
            elif action in ("restore", "heal"):
                if thing not in down and declared == action:
                    earlier = "kill" if action == "restore" else "cut"
                    yield Finding(
                        path, f"{_thing(thing, action)} works at this time: there is no earlier {earlier} to undo"
                    )
                down.discard(thing)
            elif thing in down:
                yield Finding(path, f"{_thing(thing, action)} is cut at this time; there is nothing to break")


def _thing(thing: str, action: str) -> str:
    if action in ("kill", "restore"):
        return f"'{thing}'"
    return f"the way from {thing}" if " to " in thing else f"the link between {thing}"


def _run(scenario: Scenario) -> Iterator[Finding]:
    run = scenario.run
    if run.measured_from >= run.duration:
        message = (
            f"the warm-up ({write(run.measured_from, DURATION)}) leaves nothing of the run "
            f"({write(run.duration, DURATION)}) to measure"
        )
        yield Finding(("run", "warm-up"), message)
    if run.world == "real":
        if run.warm_up == "auto":
            yield Finding(
                ("run", "warm-up"), "the warm-up is found out by simulating; in the real world give it as a time"
            )
        if run.mode == "steady-state":
            yield Finding(
                ("run", "mode"), "steady-state needs the virtual world; real runs are repeated", "", "terminating"
            )
    elif run.mode == "steady-state":
        if run.replications.until is not None:
            yield Finding(
                ("run", "replications", "until"),
                "a steady-state run is one long run; for a narrower interval make it longer",
            )
        if scenario.faults:
            yield Finding(
                ("run", "mode"),
                "a fault at a given time has no steady state; 'failures' by chance have one",
                "",
                "terminating",
            )
        if scenario.own_behaviours():
            yield Finding(("run", "mode"), "what behaviours observe is not cut into batches", "", "terminating")
    if scenario.library != "ours" and run.world == "virtual":
        yield Finding(
            ("library",),
            f"the library '{scenario.library}' needs the real world; the virtual world runs our own engine only",
            "give 'world: real' under run, or --world real",
        )


def _behaviours(scenario: Scenario) -> Iterator[Finding]:
    """What the applications can play."""
    if scenario.behaviours == "native":
        return
    if scenario.run.world == "real":
        yield Finding(("behaviours",), "the applications play what is declared in the virtual world only")
    if scenario.network == "none":
        yield Finding(("behaviours",), "the applications speak through sockets: they need a network")
    for name, service in scenario.services.items():
        path: Path = ("services", name)
        if service.behaviour is not None:
            continue
        if service.pattern == "collect" or (service.pattern == "subscribe" and service.breadth is None):
            yield Finding(
                (*path, "pattern"),
                f"no application plays pattern {service.pattern}"
                + (" without a breadth" if service.pattern == "subscribe" else ""),
            )
        if service.pattern == "reply" and sum(service.at.values()) > 1:
            yield Finding((*path, "at"), "work is shared out by one root: give one instance with workers", key=True)
        if service.pattern != "reply" and (service.time.kind, service.time.a) != ("constant", 0.0):
            yield Finding((*path, "time"), f"with pattern {service.pattern} the applications answer at once")
        for key, given in (("patience", service.patience), ("like", service.like)):
            if given is not None:
                yield Finding((*path, key), f"no application has a {key!r}")


def _network(scenario: Scenario) -> Iterator[Finding]:
    """What goes with sockets, and what without a network."""
    if scenario.network == "none":
        if scenario.run.world == "real":
            yield Finding(("network",), "without a network there is nothing that the real world could do")
        if scenario.links:
            yield Finding(("links",), "without a network there are no links; leave one of the two out", key=True)
        for name, workload in scenario.workloads.items():
            if workload.load.kind == "flood":
                yield Finding(("workloads", name, "load"), "a flood needs a socket that can be full; give a rate")
        for section in ("services", "workloads"):
            for name, part in getattr(scenario, section).items():
                if part.behaviour is not None:
                    yield Finding((section, name, "behaviour"), "a behaviour speaks through sockets: it needs them")
        for name, service in scenario.services.items():
            if service.pattern in ("collect", "subscribe"):
                yield Finding(("services", name, "pattern"), "without a network every service replies, or is surveyed")
            if service.straggler != 1.0:
                yield Finding(("services", name, "straggler"), "without a network every instance works at one pace")
            if service.when_full == "disconnect":
                yield Finding(("services", name, "when-full"), "without a network there is nothing to disconnect")
        if scenario.distances is not None:
            yield Finding(
                ("distances",), "without a network there are no distances; leave one of the two out", key=True
            )
        for at, fault in enumerate(scenario.faults):
            if fault.unnoticed:
                yield Finding(("faults", at, "unnoticed"), "without a network everybody knows at once")
            if fault.action not in ("kill", "restore"):
                yield Finding(("faults", at, fault.action), "without a network there are no links to fail")
        for at, failure in enumerate(scenario.failures):
            if failure.cut is not None:
                yield Finding(("failures", at, "cut"), "without a network there are no links to fail")
            if failure.unnoticed:
                yield Finding(("failures", at, "unnoticed"), "without a network everybody knows at once")
        return
    for name, workload in scenario.workloads.items():
        policy = workload.routing or scenario.routing
        chosen = scenario.services.get(workload.to)
        if policy in ("round-robin", "priority") or workload.behaviour is not None:
            continue
        where: Path = ("workloads", name, "routing") if workload.routing else ("routing",)
        if scenario.run.world == "real":
            message = f"routing by {policy} needs the virtual world; the sockets of the real one do these"
            yield Finding(where, message, "", "round-robin, priority")
        elif chosen is not None and chosen.pattern != "reply":
            yield Finding(where, f"routing by {policy} needs a service of pattern reply", "", "round-robin, priority")
    for at, fault in enumerate(scenario.faults):
        if fault.one_way and scenario.run.world == "real":
            yield Finding(("faults", at, "one-way"), "a relay cuts both directions; one alone needs the virtual world")
        if fault.unnoticed and scenario.run.world == "real":
            yield Finding(
                ("faults", at, "unnoticed"), "in the real world the system tells peers at once when a process dies"
            )
    for name, service in scenario.services.items():
        if service.subscriptions is not None and scenario.run.world == "virtual":
            yield Finding(
                ("services", name, "subscriptions"),
                "what subscriptions take is measured, and the virtual world has no memory and no processor",
                "give 'world: real' under run, or --world real",
            )
        for key in ("like", "patience", "subscriptions"):
            if getattr(service, key) is not None and service.pattern != "subscribe":
                yield Finding(("services", name, key), f"'{key}' goes with pattern subscribe, not {service.pattern}")
        if service.pattern in ("reply", "collect") and service.when_full != "block":
            yield Finding(
                ("services", name, "when-full"),
                f"the sockets of a service of pattern {service.pattern} hold their senders back when they are full",
                "with 'network: none' a full queue can drop",
                "block",
            )


def _files(scenario: Scenario) -> Iterator[Finding]:
    """The files that distributions and traces are read from."""
    if scenario.directory is None:
        return
    for path, what, file in files_of(scenario):
        try:
            durations(scenario.directory / file, ascending=what == "trace")
        except ValueError as error:
            yield Finding(path, str(error))


def _sizes(scenario: Scenario) -> Iterator[Finding]:
    hosts = sum(sum(service.at.values()) for service in scenario.services.values())
    hosts += sum(workload.clients * len(workload.at) for workload in scenario.workloads.values())
    if hosts > MOST_HOSTS:
        yield Finding(
            (_larger_section(scenario),),
            f"the scenario has {hosts:,} hosts; at most {MOST_HOSTS:,} are allowed",
            key=True,
        )
        return
    for name, workload in scenario.workloads.items():
        service = scenario.services.get(workload.to)
        if service is None:
            continue
        connections = workload.clients * len(workload.at) * sum(service.at.values())
        if connections > MOST_CONNECTIONS:
            message = (
                f"'{name}' would make {connections:,} connections to '{workload.to}'; at most "
                f"{MOST_CONNECTIONS:,} are allowed"
            )
            yield Finding(("workloads", name, "clients"), message)
        if service.queue * workload.size > MOST_QUEUED_BYTES:
            queued = f"{service.queue * workload.size / (1 << 30):,.0f} GiB"
            message = (
                f"a full queue of '{workload.to}' ({service.queue:,} messages of "
                f"{write(workload.size, SIZE)}) would take about {queued}"
            )
            yield Finding(("workloads", name, "size"), f"{message}; at most 16 GiB are allowed")


def _larger_section(scenario: Scenario) -> str:
    services = sum(sum(service.at.values()) for service in scenario.services.values())
    return "services" if services > MOST_HOSTS / 2 else "workloads"


def _compare(scenario: Scenario) -> Iterator[Finding]:
    compare = scenario.compare
    for at, metric in enumerate(compare.metrics if scenario.workloads else ()):
        yield from _workload_of(metric, list(scenario.workloads), ("compare", "metrics", at))
    if not scenario.sweep:
        if compare.path is not None or compare.baseline is not None:
            yield Finding(("compare",), "there is nothing to compare: the scenario has no sweep", key=True)
        return
    path = compare.path or next(iter(scenario.sweep))
    if path not in scenario.sweep:
        yield _unknown("sweep path", path, list(scenario.sweep), ("compare", "path"))
    elif compare.baseline is not None and not any(
        same_value(compare.baseline, value) for value in scenario.sweep[path]
    ):
        allowed = [str(value) for value in scenario.sweep[path]]
        yield _unknown(f"value of {path}", str(compare.baseline), allowed, ("compare", "baseline"))


def _expectations(scenario: Scenario, gone: frozenset[Path]) -> Iterator[Finding]:
    known = _Known(scenario, gone)
    for at, expectation in enumerate(scenario.expect):
        path: Path = ("expect", at)
        metric = metric_named(expectation.metric)
        if ("workloads",) not in gone:
            yield from _workload_of(expectation.metric, known.workloads, path)
        if metric.name.startswith(OBSERVED) and known.parts_whole and not scenario.own_behaviours():
            yield Finding(path, f"'{metric.name}' is what a behaviour observes, and the scenario has none")
        needs_fault = metric.phase is not None or metric.name in ("failover_time", "failback_time")
        if needs_fault and not scenario.faults and not any(lost[0] == "faults" for lost in gone):
            what = f"'.{metric.phase}'" if metric.phase else f"'{metric.name}'"
            yield Finding(path, f"{what} needs a fault, and the scenario has none")
        for axis, value in expectation.when.items():
            if axis == "world":
                if value not in ("virtual", "real"):
                    yield _unknown(
                        "world", str(value), ("virtual", "real"), path, _within(expectation.text, str(value))
                    )
            elif axis not in scenario.sweep:
                yield _unknown("sweep path", axis, [*scenario.sweep, "world"], path, _within(expectation.text, axis))
            elif not any(same_value(value, swept) for swept in scenario.sweep[axis]):
                allowed = [str(swept) for swept in scenario.sweep[axis]]
                yield _unknown(f"value of {axis}", str(value), allowed, path, _within(expectation.text, str(value)))


def _workload_of(name: str, workloads: Collection[str], path: Path) -> Iterator[Finding]:
    metric = metric_named(name)
    if metric.workload is not None and metric.workload not in workloads:
        yield _unknown("workload", metric.workload, workloads, path, (0, len(metric.workload)))


def _within(text: str, word: str) -> tuple[int, int] | None:
    at = text.rfind(word)
    return (at, at + len(word)) if at >= 0 else None


def _rate(scenario: Scenario, workload: Workload, service: Service | None, site: str) -> float:
    """About how many requests per second a workload's clients of one site send together."""
    load = workload.load
    if load.mean_rate is not None:
        return (
            load.mean_rate
            * workload.clients
            * (_asked(service) if service and service.pattern in ("survey", "subscribe") else 1)
        )
    if load.kind == "trace":
        return 0.0
    links = [
        link
        for other in (service.at if service else {})
        if other in scenario.sites and (link := scenario.link(site, other))
    ]
    busy = service.time.mean if service else 0.0
    if load.kind == "flood":
        if scenario.run.world == "real":
            return 0.0
        rates = [link.rate / (8 * max(1, workload.size)) for link in links if link.rate is not None]
        limit = min([_FLOOD_RATE * workload.clients, *([sum(rates)] if len(rates) == len(links) and rates else [])])
        return min(limit, sum(service.at.values()) * service.workers / busy) if service and busy > 0 else limit
    shortest = min((2 * link.one_way for link in links), default=0.0)
    cycle = shortest + busy + (load.think.mean if load.think else 0.0)
    return load.outstanding * workload.clients / max(cycle, _SHORTEST_CYCLE)


def _asked(service: Service) -> int:
    """How many a survey asks."""
    return sum(service.at.values())


def _short(number: float) -> str:
    """A large number by its size: 1.2e11."""
    return f"{number:.2g}".replace("e+0", "e").replace("e+", "e")


def _times(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
