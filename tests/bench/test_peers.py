"""What every peer promises, as functions over each that is installed."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock

import pytest
from typer.testing import CliRunner

from workbench.bench import roles
from workbench.bench.peers import PEERS, End, Peer
from workbench.bench.peers.tcp import CHUNK
from workbench.scenario import load

FLOODS = [name for name, peer in PEERS.items() if "push" in peer.roles]
CALLS = [name for name, peer in PEERS.items() if "req" in peer.roles]
SIZES = [0, 1, 8, 64, 1000, CHUNK - 4, CHUNK, CHUNK + 1, 2**20]


@pytest.fixture(params=PEERS)
def peer(request: pytest.FixtureRequest) -> Peer:
    return installed(request.param)


@pytest.fixture(params=FLOODS)
def flooding(request: pytest.FixtureRequest) -> Peer:
    """A peer with a PUSH and a PULL."""
    return installed(request.param)


@pytest.fixture(params=CALLS)
def called(request: pytest.FixtureRequest) -> Peer:
    """A peer with a REQ and a REP."""
    return installed(request.param)


def installed(name: str) -> Peer:
    reason = PEERS[name].missing()
    if reason:
        pytest.skip(reason)
    return PEERS[name]


@contextmanager
def joined(first: End, second: End) -> Iterator[tuple[End, End]]:
    """Two ends with a connection between them."""
    try:
        second.connect(first.bind("tcp://127.0.0.1:0"))
        yield first, second
    finally:
        second.close()
        first.close()


def sizes(peer: Peer) -> list[int]:
    return [size for size in SIZES if size >= peer.smallest]


def pattern(size: int) -> bytes:
    return bytes(range(256)) * (size // 256) + bytes(range(size % 256))


def beside(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_a_message_of_any_size_arrives_as_it_was_sent(flooding: Peer) -> None:
    with joined(flooding.pull(), flooding.push()) as (pull, push):
        for size in sizes(flooding):
            sending = beside(lambda size=size: (push.send(pattern(size)), push.flush()))  # type: ignore[misc]
            assert pull.recv() == pattern(size), f"{size} bytes"
            sending.join(5)


def test_messages_arrive_in_the_order_they_were_sent_and_none_is_missing(flooding: Peer) -> None:
    count = 20_000

    def send_all() -> None:
        for number in range(count):
            push.send(number.to_bytes(8, "big"))
        push.flush()

    with joined(flooding.pull(), flooding.push()) as (pull, push):
        sending = beside(send_all)
        assert [int.from_bytes(pull.recv(), "big") for _ in range(count)] == list(range(count))
        sending.join(5)


def test_what_arrives_is_bytes(flooding: Peer) -> None:
    with joined(flooding.pull(), flooding.push()) as (pull, push):
        push.send(b"x" * 64)
        push.flush()
        assert type(pull.recv()) is bytes


def test_a_request_comes_back_as_its_reply(called: Peer) -> None:
    def answer_all() -> None:
        for _ in sizes(called):
            rep.send(rep.recv()[::-1] or b"")

    with joined(called.rep(), called.req()) as (rep, req):
        answering = beside(answer_all)
        for size in sizes(called):
            req.send(pattern(size))
            assert req.recv() == pattern(size)[::-1], f"{size} bytes"
        answering.join(5)


def test_each_end_can_be_opened_alone_and_closed_unused(peer: Peer) -> None:
    for role in peer.roles:
        peer.open(role).close()


def test_a_bound_address_has_its_port_filled_in(peer: Peer) -> None:
    end = peer.open("pull" if "pull" in peer.roles else "rep")
    try:
        host, _, port = end.bind("tcp://127.0.0.1:0").removeprefix("tcp://").rpartition(":")
        assert host == "127.0.0.1"
        assert 0 < int(port) < 65536
    finally:
        end.close()


def test_a_batch_waits_for_its_flush_or_until_it_is_full() -> None:
    with joined(PEERS["tcp-batched"].pull(), PEERS["tcp-batched"].push()) as (pull, push):
        arrived: list[bytes] = []
        taking = beside(lambda: arrived.append(pull.recv()))
        push.send(b"small")
        taking.join(0.2)
        assert not arrived
        push.send(bytes(CHUNK))
        taking.join(5)
        assert arrived == [b"small"]


@pytest.mark.parametrize("name", ["thrift", "grpc"])
def test_calls_have_no_flood(name: str) -> None:
    with pytest.raises(ValueError, match="carries calls only"):
        PEERS[name].push()


def test_a_library_that_calls_is_given_what_to_call() -> None:
    with joined(installed("grpc").rep(), PEERS["grpc"].req()) as (rep, req):
        assert rep.serve is not None
        rep.serve(lambda request: request * 2)
        req.send(b"ab")
        assert req.recv() == b"abab"


def test_batches_have_no_round_trip() -> None:
    with pytest.raises(ValueError, match="carries a flood only"):
        PEERS["tcp-batched"].req()


@pytest.mark.parametrize("cut", [1, 3, 4, 7])
def test_plain_tcp_puts_a_message_together_wherever_the_stream_was_cut(cut: int) -> None:
    pull = PEERS["tcp"].pull()
    host, _, port = pull.bind("tcp://127.0.0.1:0").removeprefix("tcp://").rpartition(":")
    stream = b"\0\0\0\5hello\0\0\0\0\0\0\0\5world"
    with socket.create_connection((host, int(port))) as raw:
        arrived: list[bytes] = []
        taking = beside(lambda: arrived.extend(pull.recv() for _ in range(3)))
        for at in range(0, len(stream), cut):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.sendall(stream[at : at + cut])
        taking.join(5)
    pull.close()
    assert arrived == [b"hello", b"", b"world"]


def test_plain_tcp_says_that_the_other_end_has_closed() -> None:
    with joined(PEERS["tcp"].pull(), PEERS["tcp"].push()) as (pull, push):
        push.send(b"last")
        push.close()
        assert pull.recv() == b"last"
        with pytest.raises(ConnectionError, match="has closed"):
            pull.recv()


@pytest.mark.parametrize("name", sorted({*FLOODS} & {*CALLS}))
def test_queues_are_as_long_as_is_said(name: str) -> None:
    """While nobody receives, only so many messages fit as the queues and the kernel's buffers hold."""
    peer = installed(name)
    if name == "tcp":
        pytest.skip("its only queues are the kernel's, and their length is the kernel's business")
    sent, count = 0, 3_000

    def send_all() -> None:
        nonlocal sent
        while sent < count:
            push.send(bytes(2**14))
            sent += 1

    with joined(peer.pull(), peer.push()) as (pull, push):
        sending = beside(send_all)
        before = -1
        while sent != before:
            before = sent
            sending.join(0.5)
        fitted = sent
        for _ in range(count):
            pull.recv()
        sending.join(5)
    # What the kernel's buffers take of such messages on loopback is below 800.
    # nanomsg has no queue of messages: one that is being sent, and 128 KiB of received ones.
    least, most = (0, 1 + 8) if name == "nanomsg" else (1000, 2 * 1000)
    assert least <= fitted < most + 800, f"{fitted} messages were queued"


@pytest.mark.parametrize(("name", "module", "package"), [("zeromq", "zmq", "pyzmq"), ("nng", "pynng", "pynng")])
def test_a_library_that_is_not_there_is_named_with_what_to_install(
    name: str, module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    reason = PEERS[name].missing()
    assert reason is not None
    assert PEERS[name].title in reason
    assert f"pip install {package}" in reason


def test_every_library_goes_by_its_own_name_and_tells_its_version(peer: Peer) -> None:
    assert PEERS[peer.name] is peer
    assert any(letter.isdigit() for letter in peer.version())
    assert str(peer.semantics).count(":") >= 4


def test_the_command_lists_each_library_and_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.cli import app

    monkeypatch.setitem(sys.modules, "pynng", None)
    shown = CliRunner().invoke(app, ["peers"])
    assert shown.exit_code == 0, shown.output
    assert all(name in shown.output for name in PEERS)
    assert "not installed: NNG is not there" in shown.output
    as_json = CliRunner().invoke(app, ["peers", "--json"])
    import json

    listed = {each["name"]: each for each in json.loads(as_json.output)}
    assert listed["nng"]["version"] is None
    assert listed["tcp-batched"]["patterns"] == ["PIPELINE"]


def test_it_knows_what_to_call_before_it_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def bind(address: str) -> str:
        told.append(f"bind {address}")
        raise InterruptedError

    def serve(handle: Callable[[bytes], bytes]) -> None:
        told.append(f"serve {handle(b'12345678').decode()}")

    end = End(bind=bind, connect=bind, send=print, recv=bytes, close=print, serve=serve)
    plan = roles.Plan("grpc", "rep", "here", size=8, reply=8, warm_up=1.0, window=1.0, samples=1, lifetime=1.0)
    monkeypatch.setattr(roles, "_calm", lambda: None)
    with pytest.raises(InterruptedError):
        roles.reply(Mock(traced=False), end, plan)
    assert told == ["serve 12345678", "bind here"]


def test_the_shipped_comparisons_leave_no_library_out() -> None:
    scenarios = Path(__file__).resolve().parents[2] / "scenarios"
    compared = {
        str(name)
        for scenario in ("throughput-latency", "remote-calls")
        for name in load(scenarios / f"{scenario}.yaml").sweep["library"]
    }
    # That one is for comparing us with ourselves.
    assert compared == PEERS.keys() - {"ours-copied"}
