"""What went over TCP: to the byte, whatever library it was."""

from __future__ import annotations

import socket

import pytest

from workbench.bench.peers import PEERS
from workbench.bench.wire import carried


@pytest.mark.parametrize(("library", "head", "greeting"), [("ours", 8, 16), ("tcp", 4, 0)])
def test_a_message_costs_its_length_and_its_head(library: str, head: int, greeting: int) -> None:
    before = carried()["wire_bytes"]
    pull, push = PEERS[library].pull(), PEERS[library].push()
    try:
        push.connect(pull.bind("tcp://127.0.0.1:0"))
        for _ in range(100):
            push.send(bytes(64))
            pull.recv()
        found = carried()
    finally:
        push.close()
        pull.close()
    # What one end has sent the other has received; what was acknowledged may lag behind by a message or two.
    expected = 2 * (100 * (64 + head) + greeting)
    assert expected - 2 * 72 <= found["wire_bytes"] - before <= expected + 4
    assert found["segments"] >= 100


def test_sockets_that_are_no_connections_carry_nothing() -> None:
    before = carried()
    pair = socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM), pair[0], pair[1]:
        pair[0].send(b"not over TCP")
        assert carried() == before
