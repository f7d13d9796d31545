"""A reading: what the two ends of one measurement said, as metrics, counts and a histogram."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.results import Histogram

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
BEYOND = 30
"""Samples that must lie beyond a percentile in a single reading. Its interval comes from the spread between readings,
which needs no more than that each has a percentile of its own and not one of its few largest samples."""
DIGITS = 3
"""Significant digits that the kept histogram tells apart, as HDR histograms commonly do."""


class SpoiltError(Exception):
    """The two ends ended well and yet what they measured means nothing; the text says why."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One measurement by one pair of fresh processes. Metrics go by their plain names."""

    metrics: dict[str, float]
    counts: dict[str, int]
    histograms: dict[str, Histogram] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    events: int = 0
    """Messages that took part, in and around the window."""


def flood(
    receiver: Mapping[str, Any], sender: Mapping[str, Any], arrived: Mapping[str, Any], sent: Mapping[str, Any]
) -> Reading:
    """From what the two ends measured, and from what they counted in the end.

    Throughput is the receiver's: messages that arrived within its window, over the window. Processor time is that of
    both processes with all their threads, each over its own window and messages.
    """
    lost = sent["sent"] - arrived["received"]
    notes = []
    if lost or arrived["breaks"]:
        notes.append(f"of {sent['sent']:,} messages {lost:,} were lost and {arrived['breaks']:,} came out of turn")
    counts = {"sent": sent["sent"], "received": arrived["received"], "lost": lost, "out_of_turn": arrived["breaks"]}
    return Reading(
        metrics={"throughput": _rate(receiver)} | _costs(receiver, sender) | _on_the_wire(arrived, arrived["received"]),
        counts=counts | _switches(receiver, sender),
        notes=tuple(notes),
        events=arrived["received"],
    )


def closed(replier: Mapping[str, Any], asker: Mapping[str, Any], asked: Mapping[str, Any]) -> Reading:
    """From what the two ends measured: each request is sent when the answer to the one before is there.

    Such a load waits for a slow answer instead of piling up behind it, so its percentiles are those of round trips, not
    of the latency that a schedule would see. A percentile is there only where the sample supports it.
    """
    if asked["wrong"]:
        raise SpoiltError(f"{asked['wrong']:,} of {asked['sent']:,} answers belonged to another request")
    took = np.sort(np.asarray(asker["round_trips_ns"], dtype=np.int64))
    if not took.size:
        raise SpoiltError("no request was answered within the window")
    metrics = {}
    notes = []
    for name, q in QUANTILES.items():
        if supported(took.size, q):
            metrics[f"round_trip.{name}"] = quantile(took, q)
        else:
            notes.append(f"round trip {name} is not told: {took.size:,} samples are too few")
    metrics |= _costs(replier, asker) | _on_the_wire(asked, asked["sent"])
    return Reading(
        metrics=metrics,
        counts={"requests": asker["messages"], "answered": int(took.size)} | _switches(replier, asker),
        histograms={"round_trip": coarse(took)},
        notes=tuple(notes),
        events=asked["sent"],
    )


def on_schedule(replier: Mapping[str, Any], asker: Mapping[str, Any], asked: Mapping[str, Any]) -> Reading:
    """From what the two ends measured: each request was meant for a moment, and its latency counts from that.

    The round trips of the same requests, from when they were really sent, are those that a client would report that
    waits for each answer. An end that cannot keep up has no latency: it would grow for as long as one measures.
    """
    if asked["wrong"]:
        raise SpoiltError(f"{asked['wrong']:,} of {asked['sent']:,} answers belonged to another request")
    if not asker["messages"]:
        raise SpoiltError("no request was meant for a moment within the window")
    took = {"latency": asker["latencies_ns"], "round_trip": asker["round_trips_ns"]}
    metrics, histograms, notes = _kept_up(asker, _rate(asker), took)
    return Reading(
        metrics=metrics | _costs(replier, asker),
        counts={"requests": asker["messages"] + asker["left"], "answered": asker["messages"]}
        | _switches(replier, asker),
        histograms=histograms,
        notes=notes,
        events=asked["sent"],
    )


def one_way(receiver: Mapping[str, Any], sender: Mapping[str, Any]) -> Reading:
    """From what the two ends measured: each message was meant for a moment, and its latency counts from that.

    It ends when the receiver has the message; both ends read the clock of the one machine that they are on.
    """
    if not receiver["messages"]:
        raise SpoiltError("no message was meant for a moment within the window")
    lost = sender["messages"] - receiver["messages"]
    metrics, histograms, notes = _kept_up(sender, _rate(receiver), {"latency": receiver["latencies_ns"]})
    if lost:
        notes = (f"of {sender['messages']:,} messages {lost:,} were lost", *notes)
    return Reading(
        metrics=metrics | _costs(receiver, sender),
        counts={"sent": sender["messages"], "received": receiver["messages"], "lost": lost}
        | _switches(receiver, sender),
        histograms=histograms,
        notes=notes,
        events=receiver["messages"],
    )


def merged(ends: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Several ends of one role as if they were one: their rates, and whatever else they count, add up."""
    if len(ends) == 1:
        return ends[0]
    found: dict[str, Any] = {}
    for end in ends:
        for key, value in end.items():
            found[key] = found[key] + value if key in found else value
    if "seconds" in found:
        rate = sum(map(_rate, ends))
        found["seconds"] = found["messages"] / rate if rate else found["seconds"] / len(ends)
    return found


def _kept_up(
    asker: Mapping[str, Any], achieved: float, series: Mapping[str, Sequence[int]]
) -> tuple[dict[str, float], dict[str, Histogram], tuple[str, ...]]:
    """Metrics, histograms and notes of an open load; no latency where it was more than was possible."""
    offered = float(asker["offered"])
    metrics = {"offered_rate": offered, "achieved_rate": achieved, "possible_rate": float(asker["possible"])}
    if asker["left"] or achieved < KEPT_UP * offered:
        note = (
            f"overloaded: {offered:,.0f} messages a second were meant and {achieved:,.0f} were made, so their latency "
            "would grow without end"
        )
        return metrics, {}, (note,)
    notes, histograms = [], {}
    for name, samples in series.items():
        took = np.sort(np.asarray(samples, dtype=np.int64))
        for label, q in {**QUANTILES, "p999": 0.999}.items():
            if supported(took.size, q):
                metrics[f"{name}.{label}"] = quantile(took, q)
            elif label in QUANTILES:
                notes.append(f"{name.replace('_', ' ')} {label} is not told: {took.size:,} samples are too few")
        metrics[f"{name}.max"] = float(took[-1]) / 1e9
        histograms[name] = coarse(took)
    return metrics, histograms, tuple(notes)


KEPT_UP = 0.99
"""Share of the requests a second that were meant which must be made; with less an end is overloaded."""


def enough() -> int:
    """How many samples support every percentile."""
    return math.ceil(round(BEYOND / (1.0 - max(QUANTILES.values())), 6))


def supported(samples: int, q: float) -> bool:
    """Whether so many samples have enough beyond their q-quantile for it to mean something."""
    return samples * (1.0 - q) >= BEYOND - 1e-9


def quantile(ascending_ns: NDArray[np.int64], q: float) -> float:
    """The smallest sample that at least a fraction `q` do not exceed, in seconds."""
    rank = max(1, math.ceil(round(q * ascending_ns.size, 6)))
    return float(ascending_ns[rank - 1]) / 1e9


def coarse(nanoseconds: NDArray[np.int64]) -> Histogram:
    """A histogram with values of `DIGITS` significant digits, so that a million samples are a thousand values."""
    digits = np.floor(np.log10(np.maximum(nanoseconds, 1))).astype(np.int64) + 1
    step = 10 ** np.maximum(0, digits - DIGITS)
    return Histogram.of((nanoseconds + step // 2) // step * step)


def _rate(end: Mapping[str, Any]) -> float:
    return float(end["messages"]) / float(end["seconds"])


def _costs(*ends: Mapping[str, Any]) -> dict[str, float]:
    """What both ends used for a message within their windows, each over its own messages; and the memory they have."""
    if not all(end["messages"] for end in ends):
        raise SpoiltError("not a single message passed within the window")
    return {
        "cpu_per_message": sum(end["cpu_s"] / end["messages"] for end in ends),
        "switches_per_message": sum((end["voluntary"] + end["involuntary"]) / end["messages"] for end in ends),
        "memory": float(sum(end["memory"] for end in ends)),
    }


def _on_the_wire(end: Mapping[str, Any], messages: int) -> dict[str, float]:
    """What TCP carried for a message from the first to the last, both ways, warm-up and greeting included."""
    return {
        "wire_bytes_per_message": end["wire_bytes"] / messages,
        "segments_per_message": end["segments"] / messages,
    }


def _switches(*ends: Mapping[str, Any]) -> dict[str, int]:
    """Context switches of both processes within their windows: they waited, or they were put off."""
    return {
        "switches_voluntary": sum(int(end["voluntary"]) for end in ends),
        "switches_involuntary": sum(int(end["involuntary"]) for end in ends),
    }
