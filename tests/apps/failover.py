"""A host and twenty clients, each a process; the host is killed with -9 while they make 500 edits a second.

    python tests/apps/failover.py [TIMES [FILE]]

Plays it so many times (200), tells what became of each, and ends with 1 if anything that is promised was not kept. The
times are kept in the file, if one is named.
"""

import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import member
from worlds import free_address

CLIENTS = 20
BEFORE, AFTER = 1.5, 4.0
"""Seconds of editing before the host is killed, and after it."""


def fail_over(folder: Path) -> float:
    """Play it once; return after how many seconds the successor was root. Raises AssertionError."""
    # Members are forked from a process that has everything imported: twenty-one interpreters take long to start.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["member"])
    door = free_address()
    names = ["host", *(f"client-{number}" for number in range(CLIENTS))]
    started = {}
    try:
        for name in names:
            words = (door,) if name == "host" else ("tcp://127.0.0.1:0", door)
            started[name] = processes.Process(target=member.live, args=(str(folder), name, *words), daemon=True)
            started[name].start()
        _until("all have joined", lambda: len(list(folder.glob("*.connected"))) == len(names))
        time.sleep(BEFORE)
        started["host"].kill()
        killed = time.monotonic()
        time.sleep(AFTER)
        (folder / "stop").touch()
        _until("all are as far as each other", lambda: _settled(folder))
        (folder / "end").touch()
        _until("all have told", lambda: len(list(folder.glob("*.json"))) == CLIENTS)
        told = [json.loads(file.read_text()) for file in folder.glob("*.json")]
    finally:
        for process in started.values():
            process.kill()
            process.join()
    promoted = [one["promoted"] - killed for one in told if one["promoted"] is not None]
    assert [one["root"] for one in told].count(True) == 1, "not one root"
    assert len(promoted) == 1, f"promoted: {promoted}"
    assert len({one["digest"] for one in told}) == 1, "the copies differ"
    assert [one["doubled"] for one in told] == [0] * CLIENTS, "an edit was applied twice"
    assert [one["mine"] for one in told] == [one["made"] for one in told], "an edit is lost"
    return float(promoted[0])


def _settled(folder: Path) -> bool:
    """Are all as far as each other, and does nobody's edit wait?"""
    positions = {file.read_text() for file in folder.glob("*.at")}
    return len(positions) == 1 and len(list(folder.glob("*.at"))) == CLIENTS and positions.pop().endswith(" 0")


def _until(what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.05)


def main(times: int, keep: str | None = None) -> int:
    """Play it so many times; return how often something was not as promised."""
    took, late, wrong = [], 0, 0
    for number in range(1, times + 1):
        with tempfile.TemporaryDirectory() as folder:
            try:
                took.append(fail_over(Path(folder)))
            except AssertionError as error:
                wrong += 1
                print(f"{number}: {error}", flush=True)
                continue
        late += took[-1] > 2 * member.DEADLINE
        print(f"{number}: promoted after {took[-1]:.2f} s, all copies equal", flush=True)
    print(f"{times - wrong} of {times} with all copies equal, {len(took) - late} promoted in {2 * member.DEADLINE:g} s")
    if took:
        print(f"median {statistics.median(took):.2f} s, longest {max(took):.2f} s")
    if keep is not None:
        kept = {"clients": CLIENTS, "heartbeat": member.HEARTBEAT, "deadline": member.DEADLINE, "played": times}
        Path(keep).write_text(
            json.dumps(kept | {"wrong": wrong, "promoted_after": [round(one, 2) for one in took]}) + "\n"
        )
    return wrong + late


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200, *sys.argv[2:3]) > 0)
