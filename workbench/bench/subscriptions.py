"""Subscriptions measured: the room that they take, to the byte, and the time to match, to add and to remove one.

Each block is a fresh process (``python -m workbench.bench.subscriptions``) that goes through all points in an order
drawn anew. It fills an index of the engine's, asks it for a sample of what it has, takes the sample out and puts it in
again, all in native code, so that nothing of Python is measured. Room is counted and always the same; times are not.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from workbench.bench.processes import Crew, Parent
from workbench.engine.topics import TopicIndex
from workbench.model.progress import Progress, silent
from workbench.results import Replication, Writer
from workbench.scenario import Scenario, SweepPoint
from workbench.scenario.schema import IndexName, KeysName, Subscriptions

PATIENCE = 300.0
"""Seconds that one point may take."""
SAMPLE = 10_000
"""How many keys are asked for, taken out and put in again, at most."""
LISTED = 5_000_000
"""A list is looked through for each of them: no more keys than it takes to look at so many entries."""
ROUNDS = 3
"""Samples at least; of their times it is the median, which an interruption does not move."""
LONG_ENOUGH = 0.005
"""Seconds that all of them last at least."""
SHARE_OF_MEMORY = 0.5
"""Of the memory that is free, what an index and its keys may take."""
ROOM: dict[IndexName, dict[KeysName, int]] = {
    "radix": {"random": 70, "hierarchical": 60, "pathological": 120},
    "trie": {"random": 700, "hierarchical": 400, "pathological": 3_300},
    "list": {"random": 50, "hierarchical": 65, "pathological": 100},
}
"""About how many bytes a subscription takes at most while an index grows, for a prediction."""


def measure(
    scenario: Scenario,
    points: Sequence[SweepPoint],
    blocks: int,
    *,
    writer: Writer | None = None,
    tell: Progress = silent,
) -> list[Replication]:
    """Measure every point once in each block. A point that memory is too small for says so in its notes.

    Raises ChildFailed when a process fails; nothing is left behind then, nor after Ctrl-C.
    """
    done = dict(writer.finished) if writer is not None else {}
    seed, total = scenario.run.seed, blocks * len(points)
    for block in range(blocks):
        if all((number, block) in done for number in range(len(points))):
            continue
        order = random.Random(f"{seed}/{block}").sample(range(len(points)), len(points))
        with Crew() as crew:
            child = crew.start("workbench.bench.subscriptions", {"seed": seed, "block": block}, name="subscriber")
            for number in order:
                wanted = asked(points[number].scenario)
                tell(len(done), total, f"{wanted.index} of {wanted.topics:,} {wanted.keys} topics")
                began = time.perf_counter()
                metrics: dict[str, float] = {}
                notes = []
                if (refused := too_large(wanted, free_memory())) is not None:
                    notes.append(refused)
                else:
                    child.say("measure", **wanted.model_dump(mode="json"))
                    metrics = crew.hear(child, "measured", PATIENCE)["metrics"]
                took = time.perf_counter() - began
                done[number, block] = Replication(number, block, seed, metrics, wall_s=took, notes=notes)
                if writer is not None:
                    writer.add(done[number, block])
            crew.dismiss()
    tell(total, total, "measuring")
    return [run for task, run in sorted(done.items()) if task[0] < len(points) and task[1] < blocks]


def asked(scenario: Scenario) -> Subscriptions:
    """The subscriptions that a point is about; there is one service that has any."""
    return next(service.subscriptions for service in scenario.services.values() if service.subscriptions is not None)


def too_large(wanted: Subscriptions, free: int) -> str | None:
    """Why there is no memory for an index of this size, with the estimate; None if there is enough."""
    need = wanted.topics * (ROOM[wanted.index][wanted.keys] + WIDTHS[wanted.keys])
    if need <= SHARE_OF_MEMORY * free:
        return None
    return (
        f"a {wanted.index} of {wanted.topics:,} {wanted.keys} topics was left out: it would take about "
        f"{need / 1e9:.1f} GB, and of {free / 1e9:.1f} GB that are free it may have {SHARE_OF_MEMORY:.0%}"
    )


def free_memory() -> int:
    """Bytes that could be had without swapping."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 1 << 62


WIDTHS: dict[KeysName, int] = {"random": 20, "hierarchical": 37, "pathological": 64}
"""Bytes of a key."""
_WATCHED = (
    *(b"throughput", b"latency-50", b"latency-99", b"error-rate", b"memory-use"),
    *(b"disk-reads", b"disk-write", b"net-inputs", b"net-output", b"open-files"),
)


def draw(keys: KeysName, count: int, luck: np.random.Generator) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """So many different topics, in random order: shape (count, width), a byte each."""
    width = WIDTHS[keys]
    if keys == "random":
        letters = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz0123456789", np.uint8)
        return letters[luck.integers(len(letters), size=(count, width), dtype=np.uint8)]
    order = luck.permutation(count).astype(np.uint64)
    if keys == "hierarchical":
        # Eight regions; racks of forty hosts; ten metrics of each host.
        rows = np.tile(np.frombuffer(b"region-0/rack-0000/host-00/----------", np.uint8), (count, 1))
        host, rack = order // 10 % 40, order // 400
        rows[:, 27:] = np.frombuffer(b"".join(_WATCHED), np.uint8).reshape(10, 10)[order % 10]
        for columns, number in (([7], rack % 8), ([14, 15, 16, 17], rack // 8), ([24, 25], host)):
            for column in reversed(columns):
                rows[:, column] += (number % 10).astype(np.uint8)
                number = number // 10
        return rows
    # The number itself, scattered, tells them apart; each of its bits is a byte.
    scattered = order * np.uint64(0x9E3779B97F4A7C15)
    bits = (scattered[:, None] >> np.arange(width, dtype=np.uint64)[None, :]) & np.uint64(1)
    return (bits * 255).astype(np.uint8)


def reading(wanted: Subscriptions, luck: np.random.Generator) -> dict[str, float]:
    """Fill an index and measure it."""
    keys = draw(wanted.keys, wanted.topics, luck)
    width, count = keys.shape[1], min(wanted.topics, SAMPLE)
    if wanted.index == "list":
        count = max(1, min(count, LISTED // wanted.topics))
    index = TopicIndex(wanted.index)
    index.fill(keys.tobytes(), width)
    found = {
        "subscription.bytes": index.bytes() / len(index),
        "subscription.nodes": float(index.nodes()),
        **{f"subscription.{library}": room / len(index) for library, _, room in index.layouts()},
    }
    took: dict[str, list[float]] = {"match": [], "remove": [], "add": []}
    while len(took["match"]) < ROUNDS or sum(took["match"]) < LONG_ENOUGH:
        # Another sample each time, so that what is looked for is in no cache.
        some = keys[luck.choice(wanted.topics, size=count, replace=False, shuffle=True)].tobytes()
        seconds, hits = index.matches(some, width)
        if hits != count:
            raise RuntimeError(f"the {wanted.index} knows {hits} of {count} topics")
        took["match"].append(seconds)
        took["remove"].append(index.remove(some, width))
        took["add"].append(index.add(some, width))
    return found | {f"subscription.{what}_time": median(seconds) / count for what, seconds in took.items()}


def main() -> None:
    """Measure whatever standard input asks for."""
    parent = Parent()
    try:
        job = parent.read()
        luck = np.random.default_rng([job["seed"], job["block"]])
        parent.watch()
        while True:
            wanted = {key: value for key, value in parent.hear("measure").items() if key != "say"}
            parent.say("measured", metrics=reading(Subscriptions.model_validate(wanted), luck))
    except Exception as error:
        parent.say("error", reason=f"{type(error).__name__}: {error}")
    parent.stay()


if __name__ == "__main__":
    main()
