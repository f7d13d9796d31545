"""Whatever the scenario: what was sent was answered, is lost, or is in flight; and the engine's own audit agrees."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.scenario import Scenario, parse
from workbench.sim.replication import replicate

SITES = ("amber", "beryl", "coral")
DISTRIBUTIONS = (
    "0 s",
    "2 ms",
    "exponential 3 ms",
    "uniform 1 ms to 9 ms",
    "normal 5 ms sd 3 ms",
    "lognormal 4 ms cv 2",
)
LOADS = ("poisson 120/s", "paced 80/s", "closed", "closed 3", "closed 2 think exponential 5 ms")


@st.composite
def scenarios(draw: st.DrawFn) -> str:
    """A small scenario as YAML: JSON is YAML, too."""
    sites = SITES[: draw(st.integers(1, 3))]
    links = [
        {
            "between": [one, other],
            "rtt": draw(st.sampled_from(["0 s", "4 ms", "60 ms"])),
            "jitter": draw(st.sampled_from(["0 s", "1 ms"])),
            "loss": draw(st.sampled_from(["0 %", "5 %"])),
            **draw(st.sampled_from([{}, {"rate": "2 Mbit/s"}])),
        }
        for place, one in enumerate(sites)
        for other in sites[place + 1 :]
    ]
    services = {
        name: {
            "at": draw(st.dictionaries(st.sampled_from(sites), st.integers(1, 2), min_size=1)),
            "workers": draw(st.integers(1, 3)),
            "time": draw(st.sampled_from(DISTRIBUTIONS)),
            "queue": draw(st.sampled_from([1, 2, 1000])),
            "reply": draw(st.sampled_from(["12 B", "2 KiB"])),
        }
        for name in ("foo", "bar")[: draw(st.integers(1, 2))]
    }
    workloads = {
        f"load-{number}": {
            "at": draw(st.lists(st.sampled_from(sites), min_size=1, unique=True)),
            "to": draw(st.sampled_from(sorted(services))),
            "clients": draw(st.integers(1, 2)),
            "load": draw(st.sampled_from(LOADS)),
            "size": draw(st.sampled_from(["8 B", "1 KiB"])),
            "timeout": draw(st.sampled_from(["40 ms", "5 s"])),
            "resend": draw(st.sampled_from(["30 ms", "60 s"])),
            "routing": draw(st.sampled_from(["round-robin", "priority"])),
        }
        for number in range(draw(st.integers(1, 2)))
    }
    return repr(
        {
            "version": 1,
            "name": "random",
            "sites": {site: {} for site in sites},
            "links": links,
            "services": services,
            "workloads": workloads,
            "faults": draw(faults(sites, services)),
            "run": {"duration": "1500 ms", "warm-up": draw(st.sampled_from(["0 s", "200 ms"]))},
        }
    )


@st.composite
def faults(draw: st.DrawFn, sites: tuple[str, ...], services: dict[str, Any]) -> list[dict[str, Any]]:
    """Up to one kill, one cut and one break, where the scenario has what they hit."""
    found: list[dict[str, Any]] = []
    lasting = st.sampled_from([{}, {"for": "300 ms"}])
    if draw(st.booleans()):
        service = draw(st.sampled_from(sorted(services)))
        site = draw(st.sampled_from(sorted(services[service]["at"])))
        found.append({"at": "400 ms", "kill": f"{service}@{site}", **draw(lasting)})
    if len(sites) > 1 and draw(st.booleans()):
        found.append({"at": "600 ms", "cut": list(sites[:2]), **draw(lasting)})
    if len(sites) > 2 and draw(st.booleans()):
        found.append({"at": "800 ms", "break": list(sites[1:])})
    return found


@settings(max_examples=150, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=scenarios(), seed=st.integers(0, 2**53))
def test_nothing_is_made_up_and_nothing_forgotten(text: str, seed: int) -> None:
    scenario = parse(text)
    replication = replicate(scenario, 0, 0, seed)
    balance(scenario, replication.metrics, replication.counts)
    assert replication.digest() == replicate(scenario, 0, 0, seed).digest()


def balance(scenario: Scenario, metrics: dict[str, float], counts: dict[str, int]) -> None:
    for prefix in ["", *(f"{name}:" for name in scenario.workloads)]:
        sent, answered, lost, in_flight = (
            counts[f"{prefix}{what}"] for what in ("sent", "answered", "lost", "in_flight")
        )
        assert sent == answered + lost + in_flight
        assert min(answered, lost, in_flight) >= 0
        assert sent == metrics[f"{prefix}requests"]
        assert in_flight == metrics[f"{prefix}in_flight"]
        assert 0 <= metrics.get(f"{prefix}cross_site_share", 0) <= 1
    for what in ("sent", "answered", "lost", "in_flight"):
        assert counts[what] == sum(counts[f"{name}:{what}"] for name in scenario.workloads)


def test_a_service_that_never_answers_loses_every_request() -> None:
    scenario = parse(
        "{version: 1, name: silent, sites: {here: }, services: {foo: {at: {here: 1}, time: 100 s}},"
        "workloads: {users: {at: here, to: foo, load: paced 100/s, timeout: 100 ms}}, run: {duration: 2 s}}"
    )
    counts = replicate(scenario, 0, 0, 1).counts
    assert (counts["sent"], counts["answered"]) == (200, 0)
    assert 190 <= counts["lost"] <= 191
    assert counts["in_flight"] == 200 - counts["lost"]
