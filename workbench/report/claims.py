"""The claims that the workbench was built to test, each with its experiment and with how to read its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workbench.report.notebook import Kept, kept
from workbench.results import compare, estimate
from workbench.results.control import claimable, control
from workbench.results.wording import estimate_text, interval_text


@dataclass(frozen=True)
class Claim:
    """A claim of the articles on nanomsg and on distributed messaging with ZeroMQ."""

    number: str
    text: str
    runs: tuple[str, ...]
    """The kept runs that test it."""
    command: str
    judge: Callable[[list[Kept]], tuple[str, str]]
    """The verdict, and the figures that it rests on."""
    figure: str | None = None

    def judged(self) -> tuple[str, str]:
        """The verdict (holds, holds within bounds, does not hold, not testable here) and its figures."""
        return self.judge([kept(name) for name in self.runs])


def _expected(metric: str, *points: dict[str, object]) -> Callable[[list[Kept]], tuple[str, str]]:
    """It holds if all that the scenarios expect holds; the figures are a metric at some points."""

    def judge(found: list[Kept]) -> tuple[str, str]:
        expectations = [expected for one in found for expected in one.result.expectations]
        failed = [expected.text for expected in expectations if not expected.holds]
        figures = "; ".join(
            f"{', '.join(map(str, where.values())) or 'all'}: {found[0].told(metric, **where)}" for where in points
        )
        return ("does not hold", "; ".join(failed)) if failed else ("holds", figures)

    return judge


def _because(verdict: str, reason: str) -> Callable[[list[Kept]], tuple[str, str]]:
    return lambda _: (verdict, reason)


def _batching(found: list[Kept]) -> tuple[str, str]:
    """ZeroMQ against plain sockets, a core for each end."""
    rates = {
        point.set["library"]: point.metrics["flood:throughput"].value or 0.0
        for point in found[0].result.points
        if point.set["placement"] == "two-cores" and "flood:throughput" in point.metrics
    }
    plain, gathered = rates["zeromq"] / rates["tcp"], rates["zeromq"] / rates["tcp-batched"]
    verdict = "holds within bounds" if plain > 1 > gathered else "holds" if plain > 1 else "does not hold"
    return verdict, (
        f"ZeroMQ moves {plain:.2f} times what a socket does that writes each message by itself, and "
        f"{gathered:.2f} times what one does that gathers them"
    )


def _borrowing(found: list[Kept]) -> tuple[str, str]:
    """Borrowed against copied, for each size: greatly, if at least twice as fast everywhere."""
    points = {(point.set["library"], point.set["workloads.flood.size"]): point for point in found[0].result.points}
    told, gains = [], []
    for size in dict.fromkeys(size for _, size in points):
        base, other = points["ours", size], points["ours-copied", size]
        pairs = compare.paired(base, other, "throughput")
        ratio = estimate.median([borrowed / copied for borrowed, copied in pairs], "ratio")
        against = control(base, "throughput")
        shown = claimable(ratio, against)
        gains.append((ratio.value or 0.0) if shown else 1.0)
        doubt = "" if shown else ", no difference shown"
        told.append(
            f"{size}: {estimate_text(ratio)} times {interval_text(ratio)} ({against or 'no A/A control'}{doubt})"
        )
    verdict = "holds" if min(gains) >= 2 else "holds within bounds" if max(gains) > 1 else "does not hold"
    return verdict, f"what is borrowed moves, beside what is copied first, at {'; '.join(told)}"


def _cores(found: list[Kept]) -> tuple[str, str]:
    """What two workers do beside one; more than half of a second worker's work counts as good use."""
    one, two = found[0].result.points
    pairs = compare.paired(one, two, "observed.done.count")
    ratio = estimate.median([both / alone for alone, both in pairs], "ratio")
    verdict = "holds within bounds" if (ratio.low or 0.0) > 1.5 else "does not hold"
    cores = found[0].run.manifest.machine["cores"]
    return verdict, (
        f"two workers do {estimate_text(ratio)} times {interval_text(ratio)} what one does, on {cores} processors, and "
        "who feeds them shares one; more workers were not tried"
    )


def _called(found: list[Kept]) -> tuple[str, str]:
    """What a call takes beside ZeroMQ's round trip, for each framework that was there and each placement."""
    metric, quicker, told = "ping:round_trip.p50", [], []
    points = {(point.set["library"], point.set["placement"]): point for point in found[0].result.points}
    for (library, placement), other in points.items():
        if library in FRAMEWORKS and metric in other.metrics:
            base = points["zeromq", placement]
            ratio = estimate.median([call / asked for asked, call in compare.paired(base, other, metric)], "ratio")
            shown = claimable(ratio, control(base, metric))
            quicker.append(shown and (ratio.value or 0.0) > 1)
            doubt = "" if shown else " (no difference shown)"
            told.append(f"{library}, {placement}: {estimate_text(ratio)} times {interval_text(ratio)}{doubt}")
    if not told:
        return "not testable here", "none of these frameworks was installed"
    verdict = "holds within bounds" if all(quicker) else "does not hold"
    return verdict, (
        f"a call takes, beside ZeroMQ's round trip, {'; '.join(told)}. Of today's versions, in Python, and of "
        "latency alone; Ice and CORBA were not tried, and the ranking of 2011 weighed more than speed"
    )


def _even(found: list[Kept]) -> tuple[str, str]:
    """Jain's index of the workers' shares, for each rate of tasks, where all workers stay."""
    shares = {
        point.set["workloads.tasks.options.rate"]: point.metrics["observed.evenness.mean"].value or 0.0
        for point in found[0].result.points
        if point.set["services.tree.options.up"] == "0 s"
    }
    low, high = min(shares.values()), max(shares.values())
    verdict = "holds" if low > 90 else "holds within bounds" if high > 90 else "does not hold"
    figures = "; ".join(
        f"{rate} tasks a second: {found[0].told('observed.evenness.mean', up='0 s', rate=rate)}" for rate in shares
    )
    return verdict, f"Jain's index of the shares at {figures}"


FRAMEWORKS = ("thrift", "grpc")
"""Libraries for remote calls."""

CLAIMS = (
    Claim(
        "C1",
        "A trie serves below 10,000 subscriptions and becomes unreasonable beyond; a radix tree uses far less space.",
        ("subscriptions/measured",),
        "workbench run scenarios/subscriptions.yaml --quick",
        _expected(
            "subscription.zeromq",
            {"index": "trie", "keys": "random", "topics": 10000},
            {"index": "radix", "keys": "random", "topics": 10000},
        ),
        "curves",
    ),
    Claim(
        "C2",
        "Turns send half of New York's requests to London; priorities keep them home, and fail over.",
        ("priority-routing/simulated", "priority-routing/measured"),
        "workbench run scenarios/priority-routing.yaml",
        _expected("new-york:cross_site_share", {"routing": "round-robin"}, {"routing": "priority"}),
        "answers-over-time",
    ),
    Claim(
        "C3",
        "A survey's deadline must fit the topology.",
        ("survey-deadline/simulated",),
        "workbench run scenarios/survey-deadline.yaml --quick",
        _expected("completeness", {"deadline": "100 ms"}, {"deadline": "200 ms"}, {"deadline": "300 ms"}),
        "curves",
    ),
    Claim(
        "C3",
        "Discovery by survey finds what starts and forgets what dies.",
        ("discovery/simulated",),
        "workbench run scenarios/discovery.yaml --quick",
        _expected(
            "observed.false_share.mean",
            {"interval": "500 ms", "deadline": "100 ms"},
            {"interval": "10 s", "deadline": "500 ms"},
        ),
        "curves",
    ),
    Claim(
        "C4",
        "ZeroMQ's batching outperforms plain TCP sockets.",
        ("throughput-latency/measured",),
        "workbench run scenarios/throughput-latency.yaml --quick",
        _batching,
        "libraries",
    ),
    Claim(
        "C5",
        "Zero copy greatly improves performance.",
        ("zero-copy/measured",),
        "workbench run scenarios/zero-copy.yaml",
        _borrowing,
        "curves",
    ),
    Claim(
        "C6",
        "Failing fast beats letting stale data flow downstream.",
        ("suicidal-snail/simulated", "slow-subscriber/simulated"),
        "workbench run scenarios/suicidal-snail.yaml",
        _expected("give_up_time", {"like": "zeromq"}, {"like": "nng"}),
    ),
    Claim(
        "C7",
        "Messages arrive whole and in order.",
        ("pipeline/simulated", "priority-routing/measured"),
        "make test, and make soak for as many random worlds as one likes",
        _expected("lost", {}),
    ),
    Claim(
        "C8",
        "A tree of clients scales, at the price of latency from edge to edge.",
        ("broadcast-tree/simulated",),
        "workbench run scenarios/broadcast-tree.yaml --quick",
        _expected("latency.p50", {"breadth": 2}, {"breadth": 8}, {"breadth": 1000}),
        "curves",
    ),
    Claim(
        "C9",
        "A failed host can be replaced by promotion.",
        ("host-failure/simulated",),
        "workbench run scenarios/host-failure.yaml --quick",
        _expected(
            "observed.time_to_heal.mean",
            {"heartbeat": "100 ms", "victim": "root"},
            {"heartbeat": "500 ms", "victim": "root"},
        ),
        "curves",
    ),
    Claim(
        "C10",
        "Autonomous workers balance work evenly.",
        ("balancing/simulated",),
        "workbench run scenarios/balancing.yaml --quick",
        _even,
        "curves",
    ),
    Claim(
        "C11",
        "PUSH/PULL makes good use of the cores of one machine.",
        ("cores/measured",),
        "workbench run scenarios/cores.yaml",
        _cores,
    ),
    Claim(
        "C12",
        "Sockets that threads share work with nanomsg, and break with ZeroMQ.",
        (),
        "python -m workbench.bench.sharing zeromq push",
        _because(
            "holds within bounds",
            "a test shares ours among threads and loses nothing; what ZeroMQ does differs from time to time: try it",
        ),
    ),
    Claim(
        "C13",
        "ZeroMQ ranked above CORBA, Ice and Thrift (CERN, 2011).",
        ("remote-calls/measured",),
        "workbench run scenarios/remote-calls.yaml --quick",
        _called,
        "libraries",
    ),
)
"""In the order of the articles' claims. One that rests on a test names it."""
