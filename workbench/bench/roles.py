"""The four roles of a measuring process: receive and send a flood, reply, and ask in turn or on schedule.

Each warms up, measures for a fixed *time* (round trips for longer if there are too few), says what it measured, and
keeps going, so that the other end's window is not disturbed, until it is told to stop. Garbage collection is off, and
what exists by then is out of its sight.
"""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, repeat
from typing import Any, Self

from workbench.bench.peers.peer import End, Role
from workbench.bench.processes import Parent
from workbench.bench.ring import TAG, Ring, Tracker
from workbench.bench.schedule import follow, moments

ADDRESS = "tcp://127.0.0.1:0"
CHECKED = 16
"""Every so manieth batch is checked message by message; of the others the last message tells whether one is missing."""
LARGEST_BATCH = 256
LONGEST = 3
"""How many times as long as it should be a window of round trips may become."""
BATCH_NS = 500_000
"""A batch grows until it takes this long: looking at the clock costs nothing then, and a window still ends in time."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one measuring process does. Times are in seconds, sizes in bytes."""

    peer: str
    role: Role
    size: int
    reply: int
    warm_up: float
    window: float
    samples: int
    """Round trips that a window needs; it is made longer for them, up to `LONGEST` times. If a percentile were left out
    of just the slow blocks, the library would look fast."""
    lifetime: float
    """After this long the process is ended, whatever it is doing."""
    pace: tuple[str, float | None, float | None, int] | None = None
    """For an open load: paced or poisson, its rate a second or its share of what is possible, and the seed of its
    luck. None: each request waits for the answer to the one before."""
    cpus: list[int] | None = None
    """The processors it may use; None for all."""

    @classmethod
    def of(cls, job: dict[str, Any]) -> Self:
        """The plan in a job as JSON carries it."""
        return cls(**{name: job[name] for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class Usage:
    """What this process, with all its threads, has used up to now."""

    cpu_s: float
    voluntary: int
    involuntary: int

    @classmethod
    def now(cls) -> Usage:
        """As the kernel counts it."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        return cls(used.ru_utime + used.ru_stime, used.ru_nvcsw, used.ru_nivcsw)

    def since(self, earlier: Usage) -> dict[str, float]:
        """What was used in between."""
        return {
            "cpu_s": self.cpu_s - earlier.cpu_s,
            "voluntary": self.voluntary - earlier.voluntary,
            "involuntary": self.involuntary - earlier.involuntary,
        }


def receive(parent: Parent, end: End, plan: Plan) -> None:
    """PULL: counts what arrives within the window, then takes in all the rest to know what was lost."""
    tracker = Tracker(Ring(plan.size))
    _listen(parent, end)
    recv, check, trust = end.recv, tracker.check, tracker.trust
    _calm()
    check(recv())
    began = now = _clock()
    batch, batches, began_at, usage = 1, 0, 0, None
    limit = began + _ns(plan.warm_up)
    while True:
        if now >= limit:
            if usage is not None:
                break
            began_at, usage, limit = tracker.count, Usage.now(), now + _ns(plan.window)
            began = now
        batches += 1
        if batches % CHECKED:
            for _ in repeat(None, batch - 1):
                recv()
            trust(batch - 1)
            check(recv())
        else:
            for _ in repeat(None, batch):
                check(recv())
        before, now = now, _clock()
        if batch < LARGEST_BATCH and now - before < BATCH_NS:
            batch *= 2
    used = Usage.now().since(usage)
    parent.say("measured", seconds=(now - began) / 1e9, messages=tracker.count - began_at, **used)
    while not tracker.ended:
        check(recv())
    parent.say("finished", received=tracker.count, breaks=tracker.breaks)


def send(parent: Parent, end: End, plan: Plan) -> None:
    """PUSH: sends as fast as the library takes messages, until told to stop."""
    ring = Ring(plan.size)
    _connect(parent, end)
    push, messages = end.send, ring.messages
    _calm()
    window = _Window(plan)
    sent = 0
    while not parent.stopped:
        for message in messages:
            push(message)
        sent += len(messages)
        measured = window.pass_by(sent)
        if measured is not None:
            parent.say("measured", **measured)
    push(ring.end)
    end.flush()
    parent.say("finished", sent=sent)


def reply(parent: Parent, end: End, plan: Plan) -> None:
    """REP: answers each request with the head of it, at the size of a reply."""
    padding = bytes(max(0, plan.reply - TAG))
    echo = max(TAG, plan.reply) == max(TAG, plan.size)
    _listen(parent, end)
    recv, answer = end.recv, end.send
    _calm()
    answer(recv() if echo else recv()[:TAG] + padding)
    window = _Window(plan)
    answered = 1
    while True:
        for _ in repeat(None, 16):
            request = recv()
            answer(request if echo else request[:TAG] + padding)
        answered += 16
        measured = window.pass_by(answered)
        if measured is not None:
            parent.say("measured", **measured)


def ask(parent: Parent, end: End, plan: Plan) -> None:
    """REQ: one request at a time, each sent when the answer to the one before is there."""
    ring = cycle(Ring(plan.size).messages)
    _connect(parent, end)
    send, recv = end.send, end.recv
    wrong = asked = 0

    def once() -> int:
        nonlocal wrong, asked
        message = next(ring)
        started = _clock()
        send(message)
        answer = recv()
        took = _clock() - started
        asked += 1
        if answer[:TAG] != message[:TAG]:
            wrong += 1
        return took

    _calm()
    once()
    possible = _most(once, _ns(plan.warm_up))
    if plan.pace is not None:
        _ask_on_schedule(parent, plan, plan.pace, once, possible)
    else:
        _ask_in_turn(parent, plan, once)
    while not parent.stopped:
        once()
    parent.say("finished", sent=asked, wrong=wrong)


def _ask_in_turn(parent: Parent, plan: Plan, once: Callable[[], int]) -> None:
    took: list[int] = []
    usage, began = Usage.now(), _clock()
    limit, last = began + _ns(plan.window), began + _ns(LONGEST * plan.window)
    while (now := _clock()) < limit or (len(took) < plan.samples and now < last):
        took.append(once())
    seconds, used = (_clock() - began) / 1e9, Usage.now().since(usage)
    parent.say("measured", seconds=seconds, messages=len(took), round_trips_ns=took, **used)


def _ask_on_schedule(
    parent: Parent,
    plan: Plan,
    pace: tuple[str, float | None, float | None, int],
    once: Callable[[], int],
    possible: float,
) -> None:
    kind, rate, share, seed = pace
    rate = rate if rate is not None else possible * (share or 1.0)
    usage, window = Usage.now(), _ns(plan.window)
    meant, made, took, left = follow(moments(kind, rate, seed), window, LONGEST * window, once)
    used = Usage.now().since(usage)
    parent.say(
        "measured",
        seconds=took / 1e9,
        messages=len(meant),
        latencies_ns=meant,
        round_trips_ns=made,
        left=left,
        offered=(len(meant) + left) / plan.window,
        possible=possible,
        **used,
    )


def _most(once: Callable[[], int], length_ns: int) -> float:
    """Ask in turn for so long; how often a second that was possible, in the second half of it."""
    began = _clock()
    while _clock() < began + length_ns // 2:
        once()
    half, count = _clock(), 0
    while (now := _clock()) < began + length_ns or not count:
        once()
        count += 1
    return count / max(now - half, 1) * 1e9


ROLES: dict[Role, Callable[[Parent, End, Plan], None]] = {"pull": receive, "push": send, "rep": reply, "req": ask}


class _Window:
    """A warm-up and a window that begin now, for a loop that passes by now and then with its count."""

    def __init__(self, plan: Plan) -> None:
        self._length = _ns(plan.window)
        self._limit = _clock() + _ns(plan.warm_up)
        self._begun: tuple[int, int, Usage] | None = None
        self._over = False

    def pass_by(self, count: int) -> dict[str, float] | None:
        """What was measured, once, when the window has just ended."""
        if self._over or (now := _clock()) < self._limit:
            return None
        if self._begun is None:
            self._begun = now, count, Usage.now()
            self._limit = now + self._length
            return None
        self._over = True
        began, before, usage = self._begun
        return {"seconds": (now - began) / 1e9, "messages": count - before, **Usage.now().since(usage)}


def _listen(parent: Parent, end: End) -> None:
    parent.say("address", address=end.bind(ADDRESS))
    parent.hear("go")


def _connect(parent: Parent, end: End) -> None:
    end.connect(parent.hear("connect")["address"])
    parent.say("ready")
    parent.hear("go")


def _calm() -> None:
    """Nothing is collected from here on; one collection costs more than a thousand messages."""
    gc.collect()
    gc.freeze()
    gc.disable()


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


_clock = time.perf_counter_ns
