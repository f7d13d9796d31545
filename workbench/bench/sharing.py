"""Several threads that share one socket: the same small program for every library, each time in a process of its own.

    python -m workbench.bench.sharing zeromq push

says in one line of JSON what came of it. A library that is not made for this may do anything, so `share` starts the
program as a child, waits for it with patience, and records how it ended; a crash is an outcome like another.

What is shared is a PUSH into which each thread sends messages of its own, a PULL from which each thread receives, or a
REQ with which each thread asks questions of its own: through a context where the library has such, else as it is. The
other end belongs to one thread alone.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, Self, TypeAlias, get_args

from workbench.bench.peers import PEERS, End, Role

Shared: TypeAlias = Literal["push", "pull", "req"]
SHARED: tuple[Shared, ...] = get_args(Shared)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of threads that shared a socket."""

    library: str
    shared: Shared
    threads: int
    messages: int
    """How many messages or questions there were, over all threads."""
    lost: int = 0
    """Messages that never arrived; questions without an answer. Unknown, and 0, of a program that crashed."""
    doubled: int = 0
    """Messages that arrived more than once."""
    misplaced: int = 0
    """Messages of one thread that overtook each other, or that nobody had sent; answers to somebody else's question."""
    failures: tuple[str, ...] = ()
    """What the threads failed with, each once."""
    ended: str = "by itself"
    """How the process ended: by itself, crashed with a signal, or hung and killed."""

    @property
    def whole(self) -> bool:
        """Whether nothing was wrong."""
        return self == type(self)(
            library=self.library, shared=self.shared, threads=self.threads, messages=self.messages
        )

    def __str__(self) -> str:
        ills = [
            f"{count:,} {what}"
            for count, what in ((self.lost, "lost"), (self.doubled, "doubled"), (self.misplaced, "misplaced"))
            if count
        ]
        ills += [] if self.ended == "by itself" else [self.ended]
        ills += self.failures
        told = "; ".join(ills) or "everything arrived once and in order"
        title = PEERS[self.library].title
        return f"{self.threads} threads share one {self.shared.upper()} of {title}: {told}"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what the program says."""
        row = json.loads(text)
        return cls(**{**row, "failures": tuple(row["failures"])})


def share(library: str, shared: Shared, threads: int = 4, messages: int = 20_000, patience: float = 30.0) -> Outcome:
    """Run the program in a process of its own, for up to `patience` seconds, and say what came of it."""
    command = [sys.executable, "-m", __name__, library, shared]
    command += [f"--threads={threads}", f"--messages={messages}", f"--patience={patience}"]
    # It ends by itself before; this is for a library that hangs even then.
    given = subprocess.run(["timeout", "-s", "KILL", f"{patience + 5}", *command], capture_output=True, text=True)
    if given.returncode == 0:
        return Outcome.from_json(given.stdout)
    return Outcome(
        library=library,
        shared=shared,
        threads=threads,
        messages=messages,
        failures=tuple(given.stderr.splitlines()[-1:]),
        ended=_ending(given.returncode),
    )


def _ending(code: int) -> str:
    number = -code if code < 0 else code - 128
    if number == signal.SIGKILL:
        return "hung and was killed"
    try:
        return f"crashed with {signal.Signals(number).name}"
    except ValueError:
        return f"ended with exit code {code}"


class _Threads:
    """The threads that share a socket, and what they fail with."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self._threads: list[threading.Thread] = []

    def start(self, work: Callable[[], object]) -> None:
        def guarded() -> None:
            try:
                work()
            except Exception as error:
                self.failures.append(f"{type(error).__name__}: {error}")

        thread = threading.Thread(target=guarded, daemon=True)
        self._threads.append(thread)
        thread.start()

    def join(self, deadline: float) -> bool:
        """Wait for all; False if the time was over."""
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)


def _push(shared: End, other: End, threads: int, each: int, crew: _Threads) -> list[bytes]:
    received: list[bytes] = []
    crew.start(lambda: received.extend(other.recv() for _ in range(threads * each)))
    for who in range(threads):
        crew.start(lambda who=who: [shared.send(b"%d %d" % (who, number)) for number in range(each)])  # type: ignore[misc]
    return received


def _pull(shared: End, other: End, threads: int, each: int, crew: _Threads) -> list[bytes]:
    received: list[bytes] = []

    def take() -> None:
        while not (body := shared.recv()).startswith(b"end"):
            received.append(body)

    for _ in range(threads):
        crew.start(take)

    def hand_out() -> None:
        for number in range(threads * each):
            other.send(b"0 %d" % number)
        for _ in range(threads):
            other.send(b"end")

    crew.start(hand_out)
    return received


def _req(shared: End, other: End, threads: int, each: int, crew: _Threads) -> list[bytes]:
    received: list[bytes] = []

    def answer() -> None:
        while True:
            other.send(other.recv())

    def ask(who: int) -> None:
        send, recv = (shared.send, shared.recv) if shared.conversation is None else shared.conversation()
        for number in range(each):
            question = b"%d %d" % (who, number)
            send(question)
            answered = recv()
            received.append(answered if answered == question else b"other " + answered)

    threading.Thread(target=answer, daemon=True).start()
    for who in range(threads):
        crew.start(lambda who=who: ask(who))  # type: ignore[misc]
    return received


_Story: TypeAlias = Callable[[End, End, int, int, _Threads], list[bytes]]
_STORIES: dict[Shared, tuple[_Story, Role]] = {"push": (_push, "pull"), "pull": (_pull, "push"), "req": (_req, "rep")}


def _judge(sent: Sequence[bytes], received: Sequence[bytes], ordered: bool) -> dict[str, int]:
    found = Counter(received)
    expected = set(sent)
    misplaced = sum(count for body, count in found.items() if body not in expected)
    if ordered:
        newest: dict[bytes, int] = {}
        for body in received:
            who, _, number = body.partition(b" ")
            if body in expected:
                misplaced += int(number) < newest.get(who, -1)
                newest[who] = max(newest.get(who, -1), int(number))
    return {
        "lost": len(expected - found.keys()),
        "doubled": sum(found[body] - 1 for body in expected & found.keys()),
        "misplaced": misplaced,
    }


def main() -> None:
    """Play one story and say what came of it."""
    parser = argparse.ArgumentParser(description="Let threads share one socket.")
    parser.add_argument("library", choices=PEERS)
    parser.add_argument("shared", choices=SHARED)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--patience", type=float, default=30.0)
    given = parser.parse_args()
    story, partner = _STORIES[given.shared]
    each = given.messages // given.threads
    peer = PEERS[given.library]
    shared, other = peer.open(given.shared), peer.open(partner)
    shared.connect(other.bind("tcp://127.0.0.1:0"))
    crew = _Threads()
    received = story(shared, other, given.threads, each, crew)
    ended = crew.join(time.monotonic() + given.patience)
    streams = [(0, given.threads * each)] if given.shared == "pull" else [(who, each) for who in range(given.threads)]
    sent = [b"%d %d" % (who, number) for who, count in streams for number in range(count)]
    outcome = Outcome(
        library=given.library,
        shared=given.shared,
        threads=given.threads,
        messages=len(sent),
        # Several threads that receive may note what they got in another order.
        **_judge(sent, list(received), ordered=given.shared != "pull"),
        failures=tuple(sorted(set(crew.failures))),
        ended="by itself" if ended else "hung and was killed",
    )
    print(json.dumps(asdict(outcome)), flush=True)
    # Closing what others still use, or what is broken, could hang.
    os._exit(0)


if __name__ == "__main__":
    main()
