"""The cast: who takes part, under which names, and whom a client dials with which priority."""

from typing import Any

import pytest

from workbench.model.cast import WORST_PRIORITY, Cast, cast
from workbench.scenario import parse

TEXT = """\
version: 1
name: four
sites: {amber: , beryl: , coral: , delft: }
links:
  - {between: [amber, beryl], rtt: 80 ms}
  - {between: [coral, amber], delay: 10 ms}
  - {between: [beryl, coral], rtt: 30 ms}
  - {between: [coral, delft], rtt: 1 ms}
services:
  foo: {at: {beryl: 2, amber: 1, coral: 1}}
  bar: {at: {coral: 1, delft: 1}}
workloads:
  users: {at: [amber, beryl], to: foo, clients: 2, load: closed}
  strangers: {at: delft, to: bar, load: closed, routing: round-robin}
routing: priority
run: {duration: 1 s}
"""


@pytest.fixture
def company() -> Cast:
    return cast(parse(TEXT))


def dialled(company: Cast, name: str) -> list[tuple[str, int]]:
    (part,) = (part for part in company.parts if part.name == name)
    return [(dial.target.name, dial.priority) for dial in company.dials(part)]


def test_everybody_has_a_place_and_a_name_that_stays(company: Cast) -> None:
    assert [part.name for part in company.parts] == [
        "service/foo/beryl/0",
        "service/foo/beryl/1",
        "service/foo/amber/0",
        "service/foo/coral/0",
        "service/bar/coral/0",
        "service/bar/delft/0",
        "workload/users/amber/0",
        "workload/users/amber/1",
        "workload/users/beryl/0",
        "workload/users/beryl/1",
        "workload/strangers/delft/0",
    ]
    assert [part.number for part in company.parts] == list(range(11))
    assert {part.site for part in company.of("workload", "users")} == {"amber", "beryl"}
    assert company.of("service", "users") == ()
    assert company.service(company.parts[5]).at == {"coral": 1, "delft": 1}
    assert company.workload(company.parts[6]).clients == 2


def test_a_workload_more_does_not_rename_the_others(company: Cast) -> None:
    """Names decide over luck: the others must draw the same as before."""
    more = cast(parse(TEXT, sets=["workloads.users.clients=3", "services.foo.at.amber=2"]))
    assert {part.name for part in company.parts} < {part.name for part in more.parts}


def test_with_priority_the_own_site_comes_first_and_then_the_nearest(company: Cast) -> None:
    assert dialled(company, "workload/users/amber/0") == [
        ("service/foo/amber/0", 1),
        ("service/foo/coral/0", 2),
        ("service/foo/beryl/0", 3),
        ("service/foo/beryl/1", 3),
    ]
    assert dialled(company, "workload/users/beryl/1") == [
        ("service/foo/beryl/0", 1),
        ("service/foo/beryl/1", 1),
        ("service/foo/coral/0", 2),
        ("service/foo/amber/0", 3),
    ]


def test_a_workload_may_have_a_routing_of_its_own(company: Cast) -> None:
    assert dialled(company, "workload/strangers/delft/0") == [("service/bar/delft/0", 8), ("service/bar/coral/0", 8)]


def test_in_turns_all_have_the_same_priority() -> None:
    company = cast(parse(TEXT, sets=["routing=round-robin"]))
    priorities = [priority for _, priority in dialled(company, "workload/users/amber/0")]
    assert priorities == [8] * 4


def test_without_an_instance_at_home_the_nearest_site_is_first() -> None:
    company = cast(parse(TEXT.replace("amber: 1, ", "")))
    assert dialled(company, "workload/users/amber/0")[0] == ("service/foo/coral/0", 1)


def test_sites_at_the_same_distance_are_ranked_by_name_down_to_the_worst_priority() -> None:
    names = [f"site-{letter}" for letter in "abcdefghijklmnop"]
    data: dict[str, Any] = {
        "version": 1,
        "name": "many",
        "sites": {name: {} for name in reversed(names)},
        "links": [{"between": ["site-a", name], "rtt": "10 ms"} for name in names[1:]],
        "services": {"foo": {"at": dict.fromkeys(names, 1)}},
        "workloads": {"users": {"at": "site-a", "to": "foo", "load": "closed"}},
        "routing": "priority",
        "run": {"duration": "1 s"},
    }
    dials = dialled(cast(parse(repr(data))), "workload/users/site-a/0")
    assert [name.split("/")[2] for name, _ in dials] == names
    assert [priority for _, priority in dials] == list(range(1, WORST_PRIORITY + 1))


def test_a_kill_hits_services_only_and_those_that_are_named(company: Cast) -> None:
    assert [part.name for part in company.killed_by((("foo", "coral"), ("bar", "coral")))] == [
        "service/foo/coral/0",
        "service/bar/coral/0",
    ]
    assert [part.number for part in company.killed_by((("foo", "beryl"),))] == [0, 1]
    assert company.killed_by(()) == ()
