"""An open load: requests that are meant for moments of a schedule, whether or not earlier ones are answered.

A client that waits for a slow answer before it asks again asks less while the other end is slow, and so hardly notices:
its latencies omit those that others would have seen (coordinated omission; Tene's wrk2). Here the latency of a request
counts from the moment it was meant to be sent. A connection carries one request at a time, so a late answer makes the
next request late, and that counts.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from itertools import accumulate, count

SLEEP_NS = 2_000_000
"""Gaps longer than this are slept through, but for the last millisecond: waking up takes its time."""


def moments(kind: str, rate: float, seed: int) -> Iterator[int]:
    """When each request is meant to be sent, in nanoseconds from the beginning, for ever: "paced" or "poisson"."""
    gap = 1e9 / rate
    if kind == "paced":
        return (round(place * gap) for place in count())
    luck = random.Random(seed)
    return (round(at) for at in accumulate(luck.expovariate(1.0) * gap for _ in count()))


def follow(
    schedule: Iterator[int], window_ns: int, longest_ns: int, once: Callable[[int], object], *, spin: bool = True
) -> tuple[list[int], list[int], int, int]:
    """Calls `once` at each moment of the schedule that lies within the window, with that moment on the clock.

    It looks at the clock until the moment has come, which wants a processor of its own; without `spin` it sleeps.

    Returns how long each call took, from the moment it was meant for and from when it was really made, how long all
    took together, and how many moments were left when it gave up, `longest_ns` after the beginning; all in nanoseconds.
    """
    clock = time.perf_counter_ns
    meant: list[int] = []
    made: list[int] = []
    began = done = clock()
    for moment in schedule:
        if moment >= window_ns:
            break
        if done - began > longest_ns:
            left = 1 + sum(1 for _ in _until(schedule, window_ns))
            return meant, made, done - began, left
        due = began + moment
        if due - done > SLEEP_NS:
            time.sleep((due - done - SLEEP_NS // 2) / 1e9)
        while (sent := clock()) < due:
            if not spin:
                time.sleep((due - sent) / 1e9)
        once(due)
        done = clock()
        meant.append(done - due)
        made.append(done - sent)
    return meant, made, max(done - began, window_ns), 0


def _until(schedule: Iterator[int], window_ns: int) -> Iterator[int]:
    for moment in schedule:
        if moment >= window_ns:
            return
        yield moment
