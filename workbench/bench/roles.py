"""The roles of a measuring process: receive and send a flood or on schedule, reply, and ask in turn or on schedule.

Each warms up, measures for a fixed *time* (round trips for longer if there are too few), says what it measured, and
keeps going, so that the other end's window is not disturbed, until it is told to stop. Meanwhile it may be traced, for
some messages between two marks, to count their system calls. Garbage collection is off, and
what exists by then is out of its sight.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, repeat, takewhile
from pathlib import Path
from typing import Any, Self

from workbench.bench.peers.peer import End, Role
from workbench.bench.processes import Parent
from workbench.bench.ring import TAG, Ring, Tracker
from workbench.bench.schedule import follow, moments
from workbench.bench.wire import carried

CHECKED = 16
"""Every so manieth batch is checked message by message; of the others the last message tells whether one is missing."""
LARGEST_BATCH = 256
TRACED, ASKED = 4096, 256
"""Messages of a flood, and requests, whose system calls are counted; of large messages fewer."""
TRACED_BYTES = 2**26
TRACED_NS = 100_000_000
"""After this long it is enough, however few they were."""
WARMED = 0
"""What the message after the last of a warm-up says in place of a moment."""
LONGEST = 3
"""How many times as long as it should be a window of round trips may become."""
BATCH_NS = 500_000
"""A batch grows until it takes this long: looking at the clock costs nothing then, and a window still ends in time."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one measuring process does. Times are in seconds, sizes in bytes."""

    peer: str
    role: Role
    listen: str
    """The address at which a receiver or replier listens."""
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
    sender: int = 0
    """Which sender this is, from 0."""
    senders: int = 1
    """How many there are."""
    in_turn: bool = True
    """Whether there is one sender and one receiver."""
    spin: bool = True
    """Whether nobody else needs its processor while it waits for a moment."""

    @classmethod
    def of(cls, job: dict[str, Any]) -> Self:
        """The plan in a job as JSON carries it."""
        return cls(**{name: job[name] for name in cls.__slots__ if name in job})


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
        """What was used in between, and the most memory that was ever resident, Python's own included, in bytes."""
        return {
            "cpu_s": self.cpu_s - earlier.cpu_s,
            "voluntary": self.voluntary - earlier.voluntary,
            "involuntary": self.involuntary - earlier.involuntary,
            "memory": _most_memory(),
        }


def _most_memory() -> int:
    """What getrusage says of it is that of the parent, if that was more."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


class Marked:
    """Some messages between two marks, once the parent has said "trace"; looked at as messages pass by."""

    def __init__(self, parent: Parent, wanted: int, size: int) -> None:
        self._parent = parent
        self._wanted = max(1, min(wanted, TRACED_BYTES // size))
        self._began: int | None = None
        self._began_ns = 0
        self._over = False
        # Who traces us sees the signals that we ignore, too.
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)

    def pass_by(self, count: int) -> None:
        """Marks the beginning or the end if it is time; tells how many messages were in between."""
        if not self._parent.traced or self._over:
            return
        if self._began is None:
            os.kill(os.getpid(), signal.SIGUSR1)
            self._began, self._began_ns = count, _clock()
        elif count - self._began >= self._wanted or _clock() - self._began_ns > TRACED_NS:
            os.kill(os.getpid(), signal.SIGUSR1)
            self._over = True
            self._parent.say("traced", messages=count - self._began)


def receive(parent: Parent, end: End, plan: Plan) -> None:
    """PULL: counts what arrives within the window, then takes in all the rest to know what was lost."""
    if plan.pace is not None:
        _receive_on_schedule(parent, end, plan)
        return
    tracker = Tracker(Ring(plan.size), plan.senders, in_turn=plan.in_turn)
    marked = Marked(parent, TRACED, plan.size)
    _listen(parent, end, plan)
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
        marked.pass_by(tracker.count)
    parent.say("finished", received=tracker.count, breaks=tracker.breaks, **carried())


def _receive_on_schedule(parent: Parent, end: End, plan: Plan) -> None:
    """Each message says when it was meant to be sent, on the clock that all processes of a machine share."""
    _listen(parent, end, plan)
    recv = end.recv
    last = Ring(plan.size).end[:TAG]
    _calm()
    while int.from_bytes(recv()[:TAG], "big") != WARMED:
        pass
    parent.say("warmed")
    usage, took = Usage.now(), []
    first = now = None
    while (tag := recv()[:TAG]) != last:
        now = _clock()
        meant = int.from_bytes(tag, "big")
        took.append(now - meant)
        if first is None:
            first = meant
    used = Usage.now().since(usage)
    seconds = 0.0 if first is None or now is None else (now - first) / 1e9
    parent.say("measured", seconds=max(plan.window, seconds), messages=len(took), latencies_ns=took, **used)


def send(parent: Parent, end: End, plan: Plan) -> None:
    """PUSH: sends as fast as the library takes messages, until told to stop."""
    if plan.pace is not None:
        _send_on_schedule(parent, end, plan, plan.pace)
        return
    ring, marked = Ring(plan.size, plan.sender), Marked(parent, TRACED, plan.size)
    _connect(parent, end)
    push = end.send
    few = [ring.messages[at : at + 16] for at in range(0, len(ring.messages), 16)]
    _calm()
    window = _Window(plan)
    sent = 0
    while not parent.stopped:
        for messages in few:
            for message in messages:
                push(message)
            sent += len(messages)
            if parent.traced:
                marked.pass_by(sent)
        measured = window.pass_by(sent)
        if measured is not None:
            parent.say("measured", **measured)
    parent.say("finished", sent=sent)
    while True:
        # Of several receivers each must get it.
        push(ring.end)
        end.flush()
        time.sleep(0.001)


def _send_on_schedule(parent: Parent, end: End, plan: Plan, pace: tuple[str, float | None, float | None, int]) -> None:
    """As fast as possible to warm up, then at the moments of a schedule, whatever became of earlier messages."""
    push, padding = end.send, bytes(max(0, plan.size - TAG))
    _connect(parent, end)
    _calm()

    def say(what: int) -> None:
        push(what.to_bytes(TAG, "big") + padding)

    # Too late for every moment: as fast as one can who looks at the clock before each.
    for _ in range(2):
        end_of_half = _clock() + _ns(plan.warm_up) // 2
        late = takewhile(lambda _, limit=end_of_half: _clock() < limit, repeat(0))  # type: ignore[misc]
        meant, _, took, _ = follow(late, 1, _ns(LONGEST * plan.warm_up), say)
    possible = len(meant) / max(took, 1) * 1e9
    say(WARMED)
    end.flush()
    # Until all of that has arrived.
    parent.hear("go")
    kind, rate, share, seed = pace
    rate = rate if rate is not None else possible * (share or 1.0)
    usage, window = Usage.now(), _ns(plan.window)
    meant, _, took, left = follow(moments(kind, rate, seed), window, LONGEST * window, say, spin=plan.spin)
    used = Usage.now().since(usage)
    push(Ring(plan.size).end)
    end.flush()
    offered = (len(meant) + left) / plan.window
    parent.say(
        "measured", seconds=took / 1e9, messages=len(meant), left=left, offered=offered, possible=possible, **used
    )


def reply(parent: Parent, end: End, plan: Plan) -> None:
    """REP: answers each request with the head of it, at the size of a reply."""
    padding = bytes(max(0, plan.reply - TAG))
    echo = max(TAG, plan.reply) == max(TAG, plan.size)
    if end.serve is not None:
        # Before it can be asked.
        end.serve(_replier(parent, plan, padding, echo=echo))
        _calm()
        _listen(parent, end, plan)
        while True:
            time.sleep(plan.lifetime)
    _listen(parent, end, plan)
    recv, answer = end.recv, end.send
    _calm()
    answer(recv() if echo else recv()[:TAG] + padding)
    window, marked = _Window(plan), Marked(parent, ASKED, plan.size)
    answered = 1
    while True:
        for _ in repeat(None, 16):
            request = recv()
            answer(request if echo else request[:TAG] + padding)
        answered += 16
        measured = window.pass_by(answered)
        if measured is not None:
            parent.say("measured", **measured)
        marked.pass_by(answered)


def _replier(parent: Parent, plan: Plan, padding: bytes, *, echo: bool) -> Callable[[bytes], bytes]:
    """The same as a function, for a library that calls one."""
    window: _Window | None = None
    marked = Marked(parent, ASKED, plan.size)
    answered = 0

    def handle(request: bytes) -> bytes:
        nonlocal window, answered
        window = window or _Window(plan)
        answered += 1
        if answered % 16 == 0:
            measured = window.pass_by(answered)
            if measured is not None:
                parent.say("measured", **measured)
            marked.pass_by(answered)
        return request if echo else request[:TAG] + padding

    return handle


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
    marked = Marked(parent, ASKED, plan.size)
    while not parent.stopped:
        once()
        marked.pass_by(asked)
    parent.say("finished", sent=asked, wrong=wrong, **carried())


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
    meant, made, took, left = follow(moments(kind, rate, seed), window, LONGEST * window, lambda _: once())
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


def _most(once: Callable[[], object], length_ns: int) -> float:
    """Do it again and again for so long; how often a second that was possible, in the second half of it."""
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


def _listen(parent: Parent, end: End, plan: Plan) -> None:
    parent.say("address", address=end.bind(plan.listen))
    parent.hear("go")


def _connect(parent: Parent, end: End) -> None:
    for address in parent.hear("connect")["addresses"]:
        end.connect(address)
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
