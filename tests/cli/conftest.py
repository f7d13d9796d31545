"""The command line as a program: started as the user starts it, in a folder of its own."""

import contextlib
import json
import os
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = ROOT / "scenarios"
PATIENCE = 60.0

SMALL = """\
version: 1
name: small
question: Does a small scenario do?
sites: {near: , far: }
links: [{between: [near, far], rtt: 10 ms}]
services:
  foo: {at: {near: 1, far: 1}, workers: 2, time: exponential 1 ms}
workloads:
  users: {at: near, to: foo, load: poisson 200/s}
run: {duration: 1 s, warm-up: 0.1 s, replications: 2, seed: 5}
sweep: {routing: [round-robin, priority]}
expect: ["lost == 0", "cross_site_share = 0 % when routing = priority"]
"""


@dataclass(frozen=True)
class Ended:
    """A call of the command line that is over."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What is on standard output: one line, one JSON object, nothing else."""
        assert self.out.count("\n") == 1, self
        assert self.out.startswith("{"), self
        return json.loads(self.out)


@dataclass
class Call:
    """A call of the command line that is under way, in a session of its own like a terminal's."""

    process: subprocess.Popen[str]

    def children(self) -> list[psutil.Process]:
        """Its child processes."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def playing(self) -> int:
        """How many of them are sites of a real run that have connections."""
        count = 0
        for child in self.children():
            # Those of the last replication may end while they are looked at.
            with contextlib.suppress(psutil.Error):
                established = [one for one in child.net_connections(kind="tcp") if one.status == "ESTABLISHED"]
                count += "workbench.bench.actor" in child.cmdline() and bool(established)
        return count

    def until(self, done: Callable[[], object]) -> None:
        """Wait until something is the case."""
        deadline = time.monotonic() + PATIENCE
        while not done():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def interrupt(self) -> Ended:
        """Ctrl-C: the signal goes to every process of the terminal. No child may be left afterwards."""
        return self.end(lambda: os.killpg(self.process.pid, signal.SIGINT))

    def end(self, how: Callable[[], None]) -> Ended:
        """End it somehow, and see that its children end, too."""
        children = self.children()
        how()
        out, err = self.process.communicate(timeout=PATIENCE)
        _, left = psutil.wait_procs(children, timeout=PATIENCE / 2)
        # Whoever has ended and waits for being reaped by its new parent, whoever that is, has ended.
        assert [child for child in left if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
        return Ended(self.process.returncode, out, err)


class Workbench:
    """Calls the command line in a folder; results go to its folder `results`."""

    first: Ended
    """What was said when the folder was made, if it has a run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls: list[Call] = []

    def __call__(self, *words: object, largest_file: int | None = None) -> Ended:
        """Call it and wait. With `largest_file` no file may become larger than so many bytes."""

        def limit() -> None:
            if largest_file is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

        done = subprocess.run(
            self._command(words),
            cwd=self.folder,
            env=_ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            preexec_fn=limit,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def shell(self, words: list[str], redirection: str = "", **environment: str) -> Ended:
        """Call it from a shell, with a redirection of its output or with other variables."""
        done = subprocess.run(
            f"{shlex.join(self._command(tuple(words)))} {redirection}",
            shell=True,
            cwd=self.folder,
            env={**_ENVIRONMENT, **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def start(self, *words: object) -> Call:
        """Call it and do not wait."""
        process = subprocess.Popen(
            self._command(words),
            cwd=self.folder,
            env=_ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.calls.append(Call(process))
        return self.calls[-1]

    def file(self, name: str, text: str) -> Path:
        """Write a file beside the results."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def runs(self, scenario: str) -> list[Path]:
        """The folders of a scenario's runs, finished or not."""
        return [path for path in (self.folder / "results" / scenario).glob("*") if not path.is_symlink()]

    def finished(self, scenario: str) -> int:
        """How many replications the journals of unfinished runs hold."""
        # Before the first run there is no folder, and then nothing to count.
        journals = (self.folder / "results" / scenario).glob("*.partial/journal.jsonl")
        return sum(journal.read_bytes().count(b"\n") for journal in journals)

    def close(self) -> None:
        """Kill what a failed test has left."""
        for call in self.calls:
            call.process.kill()
            call.process.communicate()

    @staticmethod
    def _command(words: tuple[object, ...]) -> list[str]:
        return [sys.executable, "-m", "workbench", *map(str, words)]


@pytest.fixture
def workbench(tmp_path: Path) -> Iterator[Workbench]:
    called = Workbench(tmp_path)
    yield called
    called.close()


@pytest.fixture
def small(workbench: Workbench) -> Path:
    return workbench.file("small.yaml", SMALL)


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    """A folder with one finished run of the small scenario, for whoever only looks."""
    called = Workbench(tmp_path_factory.mktemp("kept"))
    called.file("small.yaml", SMALL)
    called.first = called("run", "small.yaml", "--jobs", 1, "--json")
    assert called.first.code == 0, called.first
    return called


# Not in a git working tree: somebody who edits the code meanwhile must not make two runs different.
_ENVIRONMENT = {**os.environ, "GIT_DIR": os.devnull, "COLUMNS": "120"}
