"""Ctrl-C and worse: no traceback, no child, no half-written result; and the run can be taken up again."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def states(workbench: Any) -> list[str]:
    listed = workbench("list", "--json")
    assert listed.code == 0, listed
    return [entry["state"] for entry in json.loads(listed.out)]


def told(data: Any) -> Any:
    return {key: value for key, value in data.items() if key not in ("run", "wall_s")}


def test_a_simulation_is_interrupted_and_taken_up_again(workbench: Any, small: Path) -> None:
    words = ("run", small, "--json", "--replications", 50, "--jobs", 2)
    call = workbench.start(*words)
    call.until(lambda: workbench.finished("small") >= 3)
    assert len(call.children()) >= 2
    ended = call.interrupt()
    assert (ended.code, ended.out, ended.err) == (130, "", "interrupted\n")
    (partial,) = workbench.runs("small")
    assert partial.name.endswith(".partial")
    assert sorted(path.name for path in partial.iterdir()) == ["begun.json", "journal.jsonl", "lock"]
    assert states(workbench) == ["incomplete"]
    assert 3 <= workbench.finished("small") < 100

    again = workbench(*words)
    assert again.code == 0
    assert workbench.runs("small") == [partial.with_suffix("")]
    assert json.loads((partial.with_suffix("") / "manifest.json").read_text())["resumed"] is True
    assert states(workbench) == ["complete"]
    whole = workbench(*words[:-1], 1, "--out", "another")
    assert told(again.json) == told(whole.json)


@pytest.mark.slow
def test_a_simulation_that_was_killed_is_taken_up_where_it_was(workbench: Any, small: Path) -> None:
    words = ("run", small, "--json", "--replications", 40, "--jobs", 2)
    call = workbench.start(*words)
    call.until(lambda: workbench.finished("small") >= 3)
    assert call.end(call.process.kill).code == -signal.SIGKILL
    done = workbench.finished("small")
    assert 3 <= done < 80
    again = workbench(*words)
    assert again.code == 0
    (run,) = workbench.runs("small")
    assert json.loads((run / "manifest.json").read_text())["resumed"] is True
    whole = workbench(*words[:-1], 1, "--out", "another")
    assert told(again.json) == told(whole.json)


def test_a_simulation_by_one_process_is_interrupted(workbench: Any, small: Path) -> None:
    call = workbench.start("run", small, "--json", "--replications", 60, "--jobs", 1)
    call.until(lambda: workbench.finished("small") >= 3)
    ended = call.interrupt()
    assert (ended.code, ended.out, ended.err) == (130, "", "interrupted\n")
    assert states(workbench) == ["incomplete"]


def test_a_long_replication_is_interrupted_at_once(workbench: Any, small: Path) -> None:
    """All of it happens in native code, which must look for signals now and then."""
    call = workbench.start("run", small, "--json", "--set", "run.duration=100000 s", "--jobs", 1)
    call.until(lambda: workbench.runs("small"))
    assert call.interrupt().code == 130
    assert workbench.finished("small") == 0


KEPT = "; the replications that were finished are kept, and the same command goes on with them"


def test_a_file_that_may_not_grow_is_told_and_the_run_goes_on_when_it_may(workbench: Any, small: Path) -> None:
    """What needs no rights, and is the same to us as a full disk: a write that the system refuses."""
    words = ("run", small, "--json", "--replications", 8, "--jobs", 1)
    full = workbench(*words, largest_file=30_000)
    assert (full.code, full.out) == (2, ""), full
    assert full.err.splitlines()[-1].endswith("File too large" + KEPT), full
    assert "Traceback" not in full.err
    finished = workbench.finished("small")
    assert 0 < finished < 16
    again = workbench(*words)
    assert again.code == 0, again
    (run,) = workbench.runs("small")
    assert json.loads((run / "manifest.json").read_text())["resumed"] is True


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root may make a small disk; a file that may not grow is tried above"
)
def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(workbench: Any, small: Path) -> None:
    disk = workbench.folder / "results"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True)
    if made.returncode:
        pytest.skip("no disk can be mounted here; a file that may not grow is tried above")
    try:
        words = ("run", small, "--json", "--replications", 8, "--jobs", 1)
        full = workbench(*words)
        assert (full.code, full.out) == (2, ""), full
        assert full.err.splitlines()[-1].endswith("No space left on device" + KEPT), full
        assert states(workbench) == ["incomplete"]
        subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
        assert workbench(*words).code == 0
        assert states(workbench) == ["complete"]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_an_interruption_while_a_module_is_imported_has_the_same_exit_code(workbench: Any) -> None:
    """Dataclasses are texts that Python runs, and it remembers an interruption of one although it was caught."""
    workbench.file(
        "own.py", "from workbench import cli\ncli._run = lambda: exec('raise KeyboardInterrupt')\ncli.main()\n"
    )
    done = subprocess.run([sys.executable, "-m", "own"], cwd=workbench.folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


OWN = """\
version: 1
name: own
sites: {here: }
services: {foo: {at: {here: 1}, behaviour: "own.py:serve"}}
workloads: {users: {at: here, to: foo, load: paced 2000/s}}
run: {duration: 2 s, replications: 300}
"""


def test_only_the_very_same_run_is_taken_up(workbench: Any) -> None:
    code = 'async def serve(host, peers):\n    host.socket("rep").listen(peers.listen)\n'
    file, scenario = workbench.file("own.py", code), workbench.file("own.yaml", OWN)
    words = ("run", scenario, "--json", "--jobs", 1)

    def begin_and_interrupt(expected: int, *more: object) -> None:
        call = workbench.start(*words, *more)
        call.until(lambda: len(workbench.runs("own")) == expected and workbench.finished("own") > before)
        assert call.interrupt().code == 130

    before = 0
    begin_and_interrupt(1)
    before = workbench.finished("own")
    begin_and_interrupt(1)
    before = workbench.finished("own")
    begin_and_interrupt(2, "--seed", 8)
    before = workbench.finished("own")
    file.write_text(code + "    # edited\n")
    begin_and_interrupt(3)
    assert states(workbench) == ["incomplete"] * 3


def test_a_killed_simulation_leaves_no_process(workbench: Any, small: Path) -> None:
    call = workbench.start("run", small, "--json", "--replications", 100, "--jobs", 2)
    call.until(lambda: workbench.finished("small") >= 1)
    assert call.end(call.process.kill).code == -signal.SIGKILL
    assert states(workbench) == ["incomplete"]


REAL = ("--world", "real", "--json", "--replications", 2, "--set", "sweep.routing=[priority]")


@pytest.fixture
def real(small: Path) -> Path:
    small.write_text(small.read_text().replace("cross_site_share = 0 % when routing = priority", "requests > 0"))
    return small


@pytest.mark.slow
def test_a_real_run_is_interrupted_and_taken_up_again(workbench: Any, real: Path) -> None:
    call = workbench.start("run", real, *REAL)
    call.until(lambda: workbench.finished("small") == 1)
    call.until(lambda: call.playing() == 2)
    ended = call.interrupt()
    assert (ended.code, ended.out, ended.err) == (130, "", "interrupted\n")
    assert states(workbench) == ["incomplete"]
    again = workbench("run", real, *REAL)
    assert again.code == 0, again
    assert again.json["points"][0]["metrics"]["requests"]["n"] == 2
    assert states(workbench) == ["complete"]
    (run,) = workbench.runs("small")
    assert json.loads((run / "manifest.json").read_text())["resumed"] is True


def test_a_quick_run_of_the_main_job_is_interrupted_while_it_plays(workbench: Any) -> None:
    scenario = Path(__file__).resolve().parents[2] / "scenarios" / "priority-routing.yaml"
    call = workbench.start("run", scenario, "--world", "real", "--quick")
    call.until(lambda: call.playing() == 2)
    ended = call.interrupt()
    assert ended.code == 130
    assert ended.out == ""
    assert ended.err.splitlines()[-1] == "interrupted"
    assert "Traceback" not in ended.err
    assert states(workbench) == ["incomplete"]


def test_a_killed_real_run_leaves_no_process(workbench: Any, real: Path) -> None:
    call = workbench.start("run", real, *REAL, "--set", "run.duration=60 s")
    call.until(lambda: call.playing() == 2)
    assert call.end(call.process.kill).code == -signal.SIGKILL
