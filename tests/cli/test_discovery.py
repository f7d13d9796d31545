"""`workbench discovery`, from start to finish: a daemon, services, and clients, each a process."""

import json
import os
import socket
from typing import Any

import pytest


@pytest.fixture
def addresses() -> list[str]:
    """Addresses that are free."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    found = [f"tcp://127.0.0.1:{probe.getsockname()[1]}" for probe in probes]
    for probe in probes:
        probe.close()
    return found


def test_a_service_comes_and_goes(workbench: Any, addresses: list[str]) -> None:
    surveys, queries, changes = addresses
    spans = ["--interval", "0.4", "--deadline", "0.2", "--forget-after", "1"]
    daemon = workbench.start(
        "discovery", "daemon", "--surveys", surveys, "--queries", queries, "--changes", changes, *spans
    )
    watching = workbench.start("discovery", "watch", "--queries", queries, "--changes", changes, "--count", 2, "--json")
    service = workbench.start(
        "discovery", "register", "answer", "http://10.0.0.1/", "--site", "london", "--surveys", surveys
    )
    daemon.until(lambda: workbench("discovery", "list", "--queries", queries).out)
    assert workbench("discovery", "list", "answer", "--queries", queries).out == "answer http://10.0.0.1/ at london\n"
    assert workbench("discovery", "resolve", "answer", "--queries", queries).out == "http://10.0.0.1/\n"
    missing = workbench("discovery", "resolve", "clock", "--queries", queries)
    assert (missing.code, missing.out, missing.err) == (1, "", "no provider of 'clock' is known\n")
    service.interrupt()
    out, err = watching.process.communicate(timeout=60)
    assert [json.loads(line)["what"] for line in out.splitlines()] == ["came", "went"], err
    assert daemon.interrupt().code == 130
    silent = workbench("discovery", "list", "--queries", queries, "--timeout", "0.2")
    assert (silent.code, silent.out) == (1, "")
    assert "nobody answered in time" in silent.err


def test_what_does_not_fit_is_refused(workbench: Any) -> None:
    wrong = workbench("discovery", "daemon", "--interval", "0.1")
    assert (wrong.code, wrong.out) == (2, "")
    assert "allowed: 0 < deadline <= interval < forget_after" in wrong.err
    wrong = workbench("discovery", "register", "a b", "tcp://a:1")
    assert wrong.code == 2
    assert "service = 'a b' is no service" in wrong.err
    wrong = workbench("discovery", "list", "--queries", "nowhere")
    assert wrong.code == 2
    assert "nowhere" in wrong.err
    assert os.linesep not in wrong.err.rstrip()
