"""Threads that share one socket: ours loses nothing; what the others do is told, not judged."""

from __future__ import annotations

import pytest

from workbench.bench.peers import PEERS
from workbench.bench.sharing import SHARED, Outcome, Shared, share


@pytest.mark.parametrize("shared", SHARED)
def test_threads_may_share_our_sockets(shared: Shared) -> None:
    outcome = share("ours", shared, threads=4, messages=8_000)
    assert outcome.whole, outcome


@pytest.mark.slow
@pytest.mark.parametrize("library", ["zeromq", "nng"])
@pytest.mark.parametrize("shared", SHARED)
def test_what_others_do_is_recorded_whatever_it_is(
    library: str, shared: Shared, record_property: pytest.RecordProperty
) -> None:
    if reason := PEERS[library].missing():
        pytest.skip(reason)
    outcome = share(library, shared, threads=4, messages=2_000, patience=5)
    record_property("outcome", str(outcome))
    assert outcome.whole or "everything" not in str(outcome)


def test_a_crash_is_an_outcome() -> None:
    outcome = Outcome(
        library="zeromq",
        shared="push",
        threads=2,
        messages=10,
        lost=3,
        failures=("oops",),
        ended="crashed with SIGABRT",
    )
    assert not outcome.whole
    assert str(outcome) == "2 threads share one PUSH of ZeroMQ: 3 lost; crashed with SIGABRT; oops"
