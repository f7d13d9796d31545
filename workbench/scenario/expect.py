"""Expectations: assertions in a scenario that decide the exit code.

``"cross_site_share = 50 % ± 1 % when routing = round-robin"``: a metric, a comparison, a value with the metric's unit,
perhaps a tolerance (in the same unit), and perhaps the points of the sweep it is about.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from workbench.scenario.tree import scalar
from workbench.scenario.units import (
    DURATION,
    FRACTION,
    RATE,
    SIZE,
    Kind,
    QuantityError,
    describe,
    nearest,
    parse,
    shown,
    write,
)

Op = Literal["<", "<=", "==", "!=", ">=", ">"]

METRICS: dict[str, tuple[Kind | None, str]] = {
    "requests": (None, "requests sent in the measured window"),
    "answered": (None, "requests that were answered"),
    "lost": (None, "requests that were not answered within the workload's timeout"),
    "dropped": (None, "requests that were lost because a queue was full; without a network only"),
    "in_flight": (None, "requests still waiting within their timeout when the run ended"),
    "repeated": (None, "requests that were sent again"),
    "cross_site_share": (FRACTION, "share of the answers that came from another site than the client's"),
    "breakdowns": (None, "how often something failed by chance"),
    "down_share": (FRACTION, "the share of the time that an instance which can fail by chance was down"),
    "gave_up": (None, "subscribers that killed themselves because what they received was too old"),
    "give_up_time": (DURATION, "from the start of the run until the first of them did"),
    "lost_share": (FRACTION, "share of the requests sent that were lost"),
    "completeness": (FRACTION, "of surveys: share of the answers asked for that came before the deadline"),
    "complete_share": (FRACTION, "of surveys: share of them that everybody answered before the deadline"),
    "late": (None, "of surveys: answers that came after the deadline, or not at all"),
    "reply.p50": (DURATION, "of surveys: median time of an answer"),
    "reply.p99": (DURATION, "of surveys: time that 99 % of the answers stay within"),
    "busiest_share": (
        FRACTION,
        "where services hand on: share of the run that the workers of the busiest instance were busy",
    ),
    "in_system": (None, "requests on their way, waiting or worked on, in the mean over the whole run"),
    "latency.mean": (DURATION, "mean time from the intended sending to the answer"),
    "latency.p50": (DURATION, "median latency"),
    "latency.p90": (DURATION, "latency that 90 % stay within"),
    "latency.p99": (DURATION, "latency that 99 % stay within"),
    "latency.max": (DURATION, "largest latency"),
    "failover_time": (
        DURATION,
        "from the fault to the first answer from another site to a request sent after the fault",
    ),
    "failback_time": (DURATION, "from the restore to the first answer at home to a request sent after the restore"),
    "throughput": (RATE, "messages per second at the receiver"),
    "round_trip.p50": (DURATION, "median round trip of a closed load"),
    "round_trip.p90": (DURATION, "round trip that 90 % stay within"),
    "round_trip.p99": (DURATION, "round trip that 99 % stay within"),
    "subscription.bytes": (SIZE, "memory for each subscription, without what the allocator adds"),
    "subscription.nodes": (None, "nodes of the index, all subscriptions together"),
    "subscription.zeromq": (
        SIZE,
        "the same keys for each subscription as libzmq lays them out, with the allocator",
    ),
    "subscription.nanomsg": (SIZE, "the same as nanomsg lays them out"),
    "subscription.match_time": (DURATION, "to find out whether a message is wanted"),
    "subscription.add_time": (DURATION, "to subscribe once more"),
    "subscription.remove_time": (DURATION, "to take a subscription back"),
    "latency.p999": (DURATION, "latency that 99.9 % stay within; measured alone and on schedule only"),
    "offered_rate": (RATE, "messages that were meant each second; measured alone and on schedule only"),
    "achieved_rate": (RATE, "messages that were made of these"),
    "possible_rate": (RATE, "messages each second that were possible in the warm-up"),
    "cpu_per_message": (DURATION, "processor time per message, both ends with all their threads"),
    "switches_per_message": (None, "context switches per message, both ends"),
    "system_calls_per_message": (
        None,
        "system calls per message, both ends with all their threads; counted after the window, while being traced",
    ),
    "wire_bytes_per_message": (SIZE, "bytes that TCP carried per message, both ways, without its own headers"),
    "segments_per_message": (None, "TCP segments per message, both ways"),
    "memory": (SIZE, "the most memory that both processes had, Python included"),
}
"""Every metric: the kind of its quantity (None: a count) and what it says."""

OBSERVED = "observed."
"""What metrics begin with that behaviours report by `world.observe`: observed.NAME.mean and so on."""
_OBSERVED = re.compile(r"observed\.[\w.-]+\.(?:mean|p50|p99|count)")

PHASES = ("before", "during", "after")
"""Suffixes of a metric: relative to the first fault's start and the last restore, by the time a request was sent.

Half a second before the fault and one second after the restore belong to none of them: the fault may find the requests
of the one on their way, and in the other lost connections are being made again.
"""

LONGEST = 400
"""Characters of an expectation."""

_PHASED = (
    *("requests", "answered", "lost", "lost_share", "dropped", "repeated", "cross_site_share", "latency"),
    *("completeness", "complete_share", "late", "reply"),
)
"""What metrics with a phase begin with."""

_SHAPE = re.compile(
    r"\s*(?P<metric>[\w.:-]+)\s*(?P<op><=|>=|==|!=|=|<|>|≤|≥|≠)\s*(?P<value>.+?)(?:\s*(?:±|\+-|\+/-)\s*(?P<tolerance>.+?))?\s*",
    re.DOTALL,
)
_OPS: dict[str, Op] = {"=": "==", "≤": "<=", "≥": ">=", "≠": "!="}
_CLAUSE = re.compile(r"\s*(?P<path>[\w.-]+)\s*(?:==|=|is)\s*(?P<value>.+?)\s*", re.DOTALL)


@dataclass(frozen=True)
class Metric:
    """A metric's full name, taken apart: ``new-york:cross_site_share.during``."""

    name: str
    workload: str | None = None
    phase: str | None = None

    @property
    def kind(self) -> Kind | None:
        """The kind of its quantity; None for a count, and for what behaviours observe."""
        return METRICS[self.name][0] if self.name in METRICS else None

    def __str__(self) -> str:
        return (f"{self.workload}:" if self.workload else "") + self.name + (f".{self.phase}" if self.phase else "")


@dataclass(frozen=True)
class Expectation:
    """What a scenario expects of one metric: ``metric op value [± tolerance] [when path = value and …]``, in SI."""

    metric: str
    op: Op
    value: float
    tolerance: float | None = None
    when: dict[str, Any] = field(default_factory=dict)
    """Sweep path -> value: the points it is about. The path ``world`` stands for the world of the run."""
    text: str = field(default="", compare=False)
    """As the file has it."""

    def holds(self, value: float | None) -> bool:
        """Whether a measured value meets the expectation. A value that is missing or not a number never does."""
        if value is None or math.isnan(value):
            return False
        if self.tolerance is not None:
            # A hair more, because 0.51 - 0.5 is not 0.01 in binary.
            near = abs(value - self.value) <= self.tolerance * (1 + 1e-9)
            return near if self.op == "==" else not near
        match self.op:
            case "<":
                return value < self.value
            case "<=":
                return value <= self.value
            case ">":
                return value > self.value
            case ">=":
                return value >= self.value
            case "!=":
                return value != self.value
        return value == self.value

    def applies(self, point: Mapping[str, Any], world: str | None = None) -> bool:
        """Whether the expectation is about the point of the sweep with this set (in this world)."""
        for path, wanted in self.when.items():
            given = world if path == "world" and "world" not in point else point.get(path)
            if given is not None and not same_value(given, wanted):
                return False
            if given is None and path != "world":
                return False
        return True

    def __str__(self) -> str:
        return self.text or self._spelled()

    def _spelled(self) -> str:
        kind = metric_named(self.metric).kind
        text = f"{self.metric} {self.op} {_written(self.value, kind)}"
        if self.tolerance is not None:
            text += f" ± {_written(self.tolerance, kind)}"
        clauses = [f"{path} = {value}" for path, value in self.when.items()]
        return text + (" when " + " and ".join(clauses) if clauses else "")


def parse_expectation(text: str | Expectation) -> Expectation:
    """The expectation that ``text`` says. Raises QuantityError (a ValueError)."""
    if isinstance(text, Expectation):
        return text
    if not isinstance(text, str):
        raise QuantityError(f"expected an expectation, for example 'lost == 0', not {describe(text)}")
    if len(text) > LONGEST:
        raise QuantityError(f"the expectation {shown(text, 30)} is too long")
    claim, _, condition = _split_when(text)
    found = _SHAPE.fullmatch(claim)
    if found is None:
        raise QuantityError(
            f"{shown(text)} is not an expectation; it goes: metric, comparison, value, for example "
            "'latency.p99 <= 200 ms'",
            allowed="<, <=, ==, !=, >=, >, and '= value ± tolerance'",
        )
    if found["op"] == "=" and found["value"][0] in "<>!":
        meant = f"{found['value'][0]}="
        at = found.start("op")
        raise QuantityError(
            f"unknown comparison '={found['value'][0]}'",
            hint=f"did you mean '{meant}'?",
            allowed=", ".join(get_args(Op)),
            span=(at, found.start("value") + 1),
        )
    try:
        metric = metric_named(found["metric"])
    except QuantityError as error:
        raise error.shifted(found.start("metric")) from None
    op = _OPS.get(found["op"]) or _as_op(found["op"])
    value = _value(found["value"], metric, found.start("value"))
    tolerance = None
    if found["tolerance"] is not None:
        tolerance = _value(found["tolerance"], metric, found.start("tolerance"))
        if op not in ("==", "!="):
            raise QuantityError(
                f"a tolerance goes with '=' only, not with '{op}'", span=(found.start("op"), found.end("op"))
            )
    return Expectation(str(metric), op, value, tolerance, _conditions(text, condition), text)


def metric_named(text: str) -> Metric:
    """A metric's full name, taken apart. Raises QuantityError for one that does not exist."""
    if len(text) > LONGEST:
        raise QuantityError(f"unknown metric {shown(text, 30)}")
    workload, colon, rest = text.rpartition(":")
    offset = len(workload) + len(colon)
    name, phase = rest, None
    stem, dot, last = rest.rpartition(".")
    if dot and last in PHASES:
        name, phase = stem, last
    if _OBSERVED.fullmatch(rest) and not workload:
        return Metric(rest)
    if name.startswith(OBSERVED):
        raise QuantityError(
            f"unknown metric {shown(rest)}",
            hint="it goes observed.NAME.mean, with the name that a behaviour gives to 'observe', and no workload",
            allowed=".mean, .p50, .p99, .count",
            span=(offset, offset + len(rest)),
        )
    if name not in METRICS:
        meant = nearest(name, list(METRICS))
        if not meant and "." in name:
            meant = nearest(name.replace(".", "_"), list(METRICS))
        meant = meant or next((known for known in METRICS if known.startswith(f"{name}.")), "")
        raise QuantityError(
            f"unknown metric {shown(name)}",
            hint=f"did you mean '{meant}'?" if meant else "",
            allowed="what 'workbench explain metrics' lists",
            span=(offset, offset + len(name)),
        )
    if phase is not None and not name.startswith(_PHASED):
        raise QuantityError(f"the metric '{name}' has no '.{phase}'", span=(offset + len(name), offset + len(rest)))
    return Metric(name, workload or None, phase)


def is_metric(text: str) -> bool:
    """Is it a metric's name, or the beginning of one?"""
    name = text.rpartition(":")[2]
    return any(f"{known}.".startswith(f"{name}.") or name.startswith(f"{known}.") for known in METRICS)


def same_value(one: Any, other: Any) -> bool:
    """Whether two values of a scenario say the same: 4 and "4", or "1 s" and "1000 ms"."""
    if one == other or str(one) == str(other):
        return True
    for kind in (DURATION, RATE, FRACTION):
        try:
            return parse(one, kind) == parse(other, kind)
        except QuantityError:
            continue
    return " ".join(str(one).split()) == " ".join(str(other).split())


def _as_op(text: str) -> Op:
    for op in ("<", "<=", "==", "!=", ">=", ">"):
        if op == text:
            return op
    raise AssertionError(text)


def _split_when(text: str) -> tuple[str, str, tuple[str, int]]:
    """The claim, the word when, and the condition with the place it begins at."""
    found = re.search(r"\swhen(\s|$)", text)
    if found is None:
        return text, "", ("", len(text))
    return text[: found.start()], "when", (text[found.end() :], found.end())


def _conditions(text: str, condition: tuple[str, int]) -> dict[str, Any]:
    rest, offset = condition
    if not rest.strip():
        if re.search(r"\swhen\s*$", text):
            raise QuantityError("a condition is missing after 'when', for example 'when routing = priority'")
        return {}
    when: dict[str, Any] = {}
    at = offset
    for clause in re.split(r"(\sand\s)", rest):
        if clause.strip() == "and" and clause != rest:
            at += len(clause)
            continue
        found = _CLAUSE.fullmatch(clause)
        if found is None:
            span = (at + len(clause) - len(clause.lstrip()), at + len(clause.rstrip()))
            raise QuantityError(f"{shown(clause.strip())} is not a condition; it goes 'path = value'", span=span)
        if found["path"] in when:
            raise QuantityError(
                f"the condition names {shown(found['path'])} twice",
                span=(at + found.start("path"), at + found.end("path")),
            )
        try:
            when[found["path"]] = scalar(found["value"])
        except ValueError as error:
            raise QuantityError(str(error), span=(at + found.start("value"), at + found.end("value"))) from None
        at += len(clause)
    return when


def _value(text: str, metric: Metric, offset: int) -> float:
    """A value in the metric's unit; counts and shares may be bare numbers."""
    try:
        bare: float | None = (
            float(text) if re.fullmatch(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", text) else None
        )
    except ValueError:
        bare = None
    kind = metric.kind
    if bare is None and metric.name.startswith(OBSERVED) and not metric.name.endswith(".count"):
        for unit in (DURATION, RATE, FRACTION):
            with contextlib.suppress(QuantityError):
                return parse(text, unit)
        raise QuantityError(
            f"{shown(text)} is neither a number nor a duration, a rate or a share", span=(offset, offset + len(text))
        )
    if kind is None:
        if bare is None or not math.isfinite(bare):
            raise QuantityError(
                f"'{metric.name}' is a count: compare it with a number, not with {shown(text)}",
                span=(offset, offset + len(text)),
            )
        return bare
    if kind is FRACTION and bare is not None and 0 <= bare <= 1:
        return bare
    try:
        return parse(text, kind)
    except QuantityError as error:
        raise (
            error.shifted(offset) if error.span else QuantityError(error.message, span=(offset, offset + len(text)))
        ) from None


def _written(value: float, kind: Kind | None) -> str:
    return repr(value).removesuffix(".0") if kind is None else write(value, kind)
