"""A host and twenty clients, each a process; the host is killed with -9 while 500 edits a second are made."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from member import DEADLINE
from worlds import free_address

MEMBER = Path(__file__).parent / "member.py"


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("repetition", range(3))
def test_a_killed_host_is_followed_and_nothing_is_lost(repetition: int, tmp_path: Path) -> None:
    door = free_address()
    processes = {"host": start(tmp_path, "host", door)}
    try:
        for number in range(20):
            processes[f"client-{number}"] = start(tmp_path, f"client-{number}", "tcp://127.0.0.1:0", door)
        until(lambda: len(list(tmp_path.glob("*.connected"))) == 21)
        time.sleep(2)
        processes["host"].kill()
        killed = time.monotonic()
        time.sleep(6)
        (tmp_path / "stop").touch()
        until(lambda: settled(tmp_path))
        (tmp_path / "end").touch()
        until(lambda: len(list(tmp_path.glob("*.json"))) == 20)
        told = [json.loads(file.read_text()) for file in tmp_path.glob("*.json")]
    finally:
        for process in processes.values():
            process.kill()
            process.communicate()
    promoted = [one["promoted"] - killed for one in told if one["promoted"] is not None]
    print(f"promoted after {promoted[0]:.2f} s, {sum(one['made'] for one in told)} edits")
    assert [one["root"] for one in told].count(True) == 1
    assert len(promoted) == 1
    assert promoted[0] <= 2 * DEADLINE
    assert len({one["digest"] for one in told}) == 1
    assert [one["doubled"] for one in told] == [0] * 20
    assert [one["mine"] for one in told] == [one["made"] for one in told]


def start(folder: Path, *words: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, MEMBER, folder, *words])


def settled(folder: Path) -> bool:
    """Are all as far as each other, and does nobody's edit wait?"""
    positions = {file.read_text() for file in folder.glob("*.at")}
    return len(positions) == 1 and len(list(folder.glob("*.at"))) == 20 and positions.pop().endswith(" 0")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
