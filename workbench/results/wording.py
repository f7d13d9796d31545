"""How metrics and values are said: names in plain words, numbers with a unit and no more digits than they deserve."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.results.result import Estimate, ExpectationResult

MISSING = "—"
"""What stands where there is no value."""


@dataclass(frozen=True, slots=True)
class MetricName:
    """The parts of a metric's name: `workload:quantity.phase`, workload and phase empty where absent."""

    quantity: str
    workload: str = ""
    phase: str = ""

    @classmethod
    def parse(cls, name: str) -> MetricName:
        """Takes a name apart. Any text is a name; what is not a known phase belongs to the quantity."""
        workload, _, rest = name.rpartition(":")
        for phase in _PHASES:
            if rest.endswith(f".{phase}"):
                return cls(rest.removesuffix(f".{phase}"), workload, phase)
        return cls(rest, workload)


def metric_label(name: str) -> str:
    """A metric in plain words for tables and axes: "new-york: cross-site share, during the fault"."""
    parts = MetricName.parse(name)
    label = _quantity(parts.quantity)
    workload = f"{parts.workload}: " if parts.workload else ""
    phase = f", {_PHASES[parts.phase]}" if parts.phase else ""
    return f"{workload}{label}{phase}"


def metric_phrase(name: str) -> str:
    """A metric inside a sentence: "the cross-site share of new-york during the fault"."""
    parts = MetricName.parse(name)
    plural = parts.quantity in _PLURALS
    phrase = _quantity(parts.quantity) if plural else f"the {_quantity(parts.quantity)}"
    workload = f" of {parts.workload}" if parts.workload else ""
    phase = f" {_PHASES[parts.phase]}" if parts.phase else ""
    return f"{phrase}{workload}{phase}"


def metric_unit(name: str) -> str:
    """The unit a metric is kept in: "s", "1" (a fraction), "count", "1/s" or "ratio"."""
    quantity = MetricName.parse(name).quantity
    if quantity.startswith(("latency", "round_trip", "reply")) or quantity.endswith(("_time", "_s")):
        return "s"
    if quantity.startswith(("wire_bytes", "memory")):
        return "B"
    if quantity.startswith("subscription.") and not quantity.endswith("nodes"):
        return "B"
    if quantity.startswith("throughput") or quantity.endswith("_rate"):
        return "1/s"
    if quantity.startswith("cpu"):
        return "s"
    if quantity.endswith(("_share", "share", "utilisation", "completeness")):
        return "1"
    return "ratio" if quantity.endswith("ratio") else "count"


def higher_is_better(name: str) -> bool | None:
    """Whether more of a metric is good; None where it is neither."""
    quantity = MetricName.parse(name).quantity
    if quantity.startswith(("throughput", "answered", "complete")):
        return True
    if metric_unit(name) == "s" or quantity in {
        "lost",
        "lost_share",
        "dropped",
        "late",
        "repeated",
        "cross_site_share",
    }:
        return False
    return None


def metric_order(name: str) -> tuple[bool, str, int, str, int]:
    """A sort key that puts metrics in the order a reader wants: whole run first, phases in time, workloads after."""
    parts = MetricName.parse(name)
    known = list(_QUANTITIES)
    place = known.index(parts.quantity) if parts.quantity in _QUANTITIES else len(known)
    phase = list(_PHASES).index(parts.phase) + 1 if parts.phase else 0
    return bool(parts.workload), parts.workload, place, parts.quantity, phase


def setting_label(setting: Mapping[str, Any], other: Mapping[str, Any] | None = None) -> str:
    """A point in words, "priority" or "workers = 4"; with `other`, only what differs from that point."""
    keys = [key for key in setting if other is None or key not in other or other[key] != setting[key]]
    return ", ".join(value_label(key, setting[key]) for key in keys) or "all"


def value_label(key: str, value: Any) -> str:
    """One swept value in words: a name says enough, a number needs its key's last part."""
    named = isinstance(value, str) and value[:1].isalpha()
    return value if named else f"{key.rpartition('.')[2].replace('_', ' ')} = {value}"


def failure_text(expected: ExpectationResult) -> str:
    """What was found instead of what was expected, and where: "it is 3.4 with priority, workers = 4"."""
    where = f" with {setting_label(expected.set)}" if expected.set else ""
    if expected.value is None:
        return f"it was not measured{where}"
    metric = re.match(r"[\s]*([\w.:-]*)", expected.text)
    assert metric is not None
    return f"it is {quantity_text(expected.value, expected.unit or metric_unit(metric[1]))}{where}"


def quantity_text(value: float | None, unit: str, decimals: int | None = None) -> str:
    """A value with its unit at a readable scale: 0.0752 s is "75.2 ms", 0.5 is "50.0 %", 1.32e6 1/s "1,320,000/s"."""
    if value is None:
        return MISSING
    scale = _scale(value, unit)
    return scale.text(value, decimals)


def estimate_text(estimate: Estimate) -> str:
    """A value with as many digits as its interval supports, without the interval."""
    if estimate.value is None:
        return MISSING
    return _scale_of(estimate).text(estimate.value, _decimals(estimate))


def interval_text(estimate: Estimate) -> str:
    """The interval in the scale and digits of `estimate_text`, without the unit: "[74.9, 75.5]"; empty if none."""
    if estimate.low is None or estimate.high is None:
        return ""
    scale, decimals = _scale_of(estimate), _decimals(estimate)
    return f"[{scale.number(estimate.low, decimals)}, {scale.number(estimate.high, decimals)}]"


def full_text(estimate: Estimate) -> str:
    """Value and interval: "75.2 ms [74.9, 75.5]"."""
    return f"{estimate_text(estimate)} {interval_text(estimate)}".rstrip()


def difference_text(estimate: Estimate) -> str:
    """A difference with its sign: "−50.0 points" for fractions, "+3.1 ms" for times."""
    if estimate.value is None:
        return MISSING
    scale = _scale_of(estimate)
    number = scale.number(estimate.value, _decimals(estimate))
    sign = "" if number.startswith("−") or not number.strip("0.,") else "+"
    return f"{sign}{number}{' points' if estimate.unit == '1' else scale.suffix}"


def axis_unit(values: list[float], unit: str) -> tuple[float, str]:
    """For an axis: the factor to multiply values by, and the unit for its label ("ms", "%", "million/s", "")."""
    largest = max((abs(value) for value in values), default=0.0)
    if unit == "1/s" and largest >= 1e6:
        return 1e-6, "million/s"
    scale = _scale(largest, unit)
    return scale.factor, {"/s": "1/s"}.get(scale.suffix.strip(), scale.suffix.strip())


@dataclass(frozen=True, slots=True)
class _Scale:
    factor: float
    suffix: str
    floor: int = 0
    """The fewest decimals, so that 50 % reads 50.0 % and is known to be rounded."""

    def number(self, value: float, decimals: int | None) -> str:
        decimals = self.digits(value) if decimals is None else decimals
        text = f"{round(value * self.factor, decimals):,.{max(0, decimals)}f}"
        if not text.strip("-0.,"):
            text = text.lstrip("-")
        return text.replace("-", "−")

    def text(self, value: float, decimals: int | None) -> str:
        return f"{self.number(value, decimals)}{self.suffix}"

    def digits(self, value: float) -> int:
        """Decimals for three significant digits, below zero for large numbers; whole counts stay whole."""
        scaled = abs(value * self.factor)
        if scaled == 0.0 or (self.suffix == "" and self.floor == 0 and scaled == round(scaled)):
            return self.floor
        return self.at_least(min(6, 2 - _magnitude(scaled)))

    def at_least(self, decimals: int) -> int:
        """The decimals, but no fewer than the unit wants; below zero where it wants none."""
        return max(self.floor, decimals) if self.floor else decimals


def _scale_of(estimate: Estimate) -> _Scale:
    # By the value or by the spread, whichever is greater: -0.2 ± 3.1 ms, not -200 ± 3,100 µs.
    return _scale(max(abs(estimate.value or 0.0), estimate.half_width or 0.0), estimate.unit)


def _scale(value: float, unit: str) -> _Scale:
    if unit == "s":
        size = abs(value) or 1.0  # nought is nought seconds
        for limit, factor, suffix in _TIMES:
            if size < limit:
                return _Scale(factor, suffix)
        return _Scale(1.0, " s")
    return _SCALES.get(unit, _Scale(1.0, f" {unit}"))


def _decimals(estimate: Estimate) -> int:
    """Decimals that show the first digit of the interval's half width, within two to five digits of the value."""
    scale = _scale_of(estimate)
    value = abs(estimate.value or 0.0) * scale.factor
    if not estimate.half_width:
        return scale.digits(estimate.value or 0.0)
    wanted = -_magnitude(estimate.half_width * scale.factor)
    if value:
        coarsest = min(1 - _magnitude(value), wanted + 1)
        finest = max(4 - _magnitude(value), 0)
        wanted = max(coarsest, min(wanted, finest))
    return scale.at_least(wanted)


def _magnitude(number: float) -> int:
    """The exponent of the leading digit after rounding to three digits: 0.0999999 counts as 0.1."""
    return int(f"{number:.2e}".partition("e")[2]) if math.isfinite(number) else 0


def _quantity(name: str) -> str:
    return _QUANTITIES.get(name) or name.replace("_", " ").replace(".", " ")


_TIMES = ((1e-6, 1e9, " ns"), (1e-3, 1e6, " µs"), (1.0, 1e3, " ms"))
_SCALES = {
    "1": _Scale(100.0, " %", floor=1),
    "count": _Scale(1.0, ""),
    "1/s": _Scale(1.0, "/s"),
    "ratio": _Scale(1.0, "", floor=2),
}
_PHASES = {"before": "before the fault", "during": "during the fault", "after": "after the restore"}
_PLURALS = {"requests", "answered", "lost", "in_flight", "repeated"}
_QUANTITIES = {
    "requests": "requests",
    "answered": "answered requests",
    "lost": "lost requests",
    "in_flight": "requests in flight",
    "repeated": "repeated requests",
    "cross_site_share": "cross-site share",
    "latency.mean": "mean latency",
    "latency.p50": "latency p50",
    "latency.p90": "latency p90",
    "latency.p99": "latency p99",
    "latency.max": "longest latency",
    "failover_time": "time to fail over",
    "failback_time": "time to fail back",
    "throughput": "throughput",
    "round_trip.p50": "round trip p50",
    "round_trip.p90": "round trip p90",
    "round_trip.p99": "round trip p99",
    "latency.p999": "latency p99.9",
    "round_trip.p999": "round trip p99.9",
    "offered_rate": "messages meant",
    "achieved_rate": "messages made",
    "possible_rate": "messages possible",
    "cpu_per_message": "CPU time per message",
    "switches_per_message": "context switches per message",
    "system_calls_per_message": "system calls per message",
    "wire_bytes_per_message": "bytes on the wire per message",
    "segments_per_message": "TCP segments per message",
    "memory": "memory of both processes",
    "lost_share": "share lost",
    "completeness": "answers in time",
    "complete_share": "complete surveys",
    "late": "late answers",
    "reply.p50": "answer p50",
    "reply.p99": "answer p99",
    "breakdowns": "breakdowns",
    "down_share": "share of the time that instances were down",
    "gave_up": "subscribers that gave up",
    "give_up_time": "time to give up",
    "in_system": "requests in the system",
    "busiest_share": "busy time of the busiest host",
    "subscription.bytes": "memory for a subscription",
    "subscription.zeromq": "memory for a subscription, as libzmq has it",
    "subscription.nanomsg": "memory for a subscription, as nanomsg has it",
    "subscription.nodes": "nodes of the index",
    "subscription.match_time": "time to match a message",
    "subscription.add_time": "time to subscribe",
    "subscription.remove_time": "time to unsubscribe",
}
