"""Where others draw a line: what the notes of the page say, tried, and what NNG takes only in pieces."""

import contextlib
import time
from pathlib import Path

import pytest
from foreign import PATIENCE, Papers, cat, missing, nng
from matrix import HEADED, MIB, PATTERNS

from workbench.engine import Pair, Rep, Tls
from workbench.engine.socket import CLASSES

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("role", [*HEADED[::2], "push", "pair"])
def test_nanomsg_hangs_up_at_one_byte_more_than_its_limit(role: str, tmp_path: Path) -> None:
    if reason := missing("nanocat"):
        pytest.skip(reason)
    largest = MIB - 4 * (role in HEADED)
    with CLASSES[role](listen=f"ipc://{tmp_path}/ours") as ours, contextlib.ExitStack() as stack:
        command = ("nanocat", PATTERNS[role], ours.addresses[0], b"answer")
        theirs = stack.enter_context(cat(*command, listens=False, papers={}, folder=tmp_path))
        ours.wait_for_peers(1, PATIENCE)
        ours.send(bytes(largest), PATIENCE)
        assert theirs.hear() == bytes(largest)
        ours.send(bytes(largest + 1), PATIENCE)
        assert "down" in (event.what for event in ours.events(PATIENCE))
        assert not theirs.heard(within=0)


@pytest.mark.parametrize("transport", ["ws", "wss"])
def test_what_nng_takes_only_in_pieces_arrives_whole(transport: str, certificates: Papers) -> None:
    tls = {"tls": Tls(certificate=certificates["cert"], key=certificates["key"])} if transport == "wss" else {}
    with Pair() as ours:
        address = ours.listen(f"{transport}://127.0.0.1:0/sp", **tls).replace("127.0.0.1", "localhost")
        with nng("pair", address, listens=False, papers=certificates) as theirs:
            body = bytes(range(256)) * (3 << 12) + b"end"
            ours.send(body, PATIENCE)
            assert theirs.hear() == body
            theirs.say(body)
            assert ours.recv(PATIENCE) == body


def test_nng_with_another_pattern_is_refused(certificates: Papers) -> None:
    with Rep(listen="tcp://127.0.0.1:0") as rep, nng("push", rep.addresses[0], listens=False, papers=certificates):
        deadline = time.monotonic() + PATIENCE
        while not rep.stats()["peer_faults"]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert rep.peers() == []
