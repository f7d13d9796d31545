"""How a socket treats its program: what it tells, whom it asks, and what it leaves behind."""

import contextlib
import gc
import itertools
import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
import weakref

import pytest

from workbench.engine import (
    Bus,
    EndpointFailed,
    Event,
    OptionError,
    Pair,
    Peer,
    Pub,
    Pull,
    Push,
    Rep,
    Req,
    TimedOut,
    Tls,
)

PATIENCE = 10.0


def test_events_say_who_came_and_went_and_why_a_dial_fails():
    with Pull(listen="tcp://127.0.0.1:0") as pull:
        address = pull.addresses[0]
        push = Push(dial=address)
        push.wait_for_peers(1, PATIENCE)
        up = next(pull.events(PATIENCE))
        assert (up.what, up.endpoint, up.reason) == ("up", address, None)
        assert up.peer is not None and up.peer.address.startswith("tcp://127.0.0.1:")
        push.close()
        down = next(pull.events(PATIENCE))
        assert (down.what, down.peer.address, down.reason) == ("down", up.peer.address, "the connection was lost")
        assert list(pull.events()) == []
    with Push(dial=address) as push:
        failed = next(push.events(PATIENCE))
        assert failed.what == "dial failed"
        assert "refused" in failed.reason
        assert push.endpoints()[0].last_error == failed.reason


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:0", "ws://127.0.0.1:0/", "ipc://{}/door", "inproc://door"])
def test_a_peer_of_another_pattern_is_refused_and_both_sides_say_why(address, tmp_path):
    with Req(listen=address.format(tmp_path)) as req, Pub(dial=req.addresses[0]) as pub:
        refused = next(req.events(PATIENCE))
        assert (refused.what, refused.endpoint) == ("refused", req.addresses[0])
        assert refused.reason == "it is a pub socket, and a req socket talks to nothing but a rep socket"
        assert refused.peer is not None and refused.peer.address.startswith(address.split(":")[0])
        failed = next(pub.events(PATIENCE))
        assert failed.what == "dial failed"
        if address.startswith("ws"):
            assert failed.reason == "WebSocket: it refused with HTTP status 400, as a socket of another pattern does"
        else:
            assert failed.reason == "it is a req socket, and a pub socket talks to nothing but a sub socket"
        assert pub.endpoints()[0].last_error == failed.reason
        assert req.endpoints()[0].counters["failed"] >= 1
        with pytest.raises(TimedOut, match=r"req socket|HTTP status 400"):
            pub.wait_for_peers(1, 0)


def test_a_peer_that_says_something_else_or_nothing_is_refused_with_the_reason():
    with Pull(listen="tcp://127.0.0.1:0", max_message=100, handshake_timeout=0.1) as pull:
        host, port = pull.addresses[0].removeprefix("tcp://").split(":")
        greeting = b"\0SP\0\0\x50\0\0"
        for said, what, reason in [
            (b"GET / HTTP/1.1\r\n", "refused", "it does not speak the scalability protocols"),
            (b"\0SP\0\x10\0\0\0", "refused", "it is of protocol 4096, which is unknown, and a pull socket"),
            (b"\0SP", "refused", "it did not finish its greeting in time"),
            (greeting + (101).to_bytes(8), "down", "it announced a message of 101 bytes, more than max_message = 100"),
        ]:
            with socket.create_connection((host, int(port))) as peer:
                peer.sendall(said)
                event = next(event for event in pull.events(PATIENCE) if event.what != "up")
                assert event.what == what
                assert event.reason.startswith(reason)
                assert event.peer.address == "tcp://{}:{}".format(*peer.getsockname())
        assert pull.stats()["peer_faults"] == 4


def test_all_dialers_come_back_when_a_listener_does():
    """They come back at moments of their own, spread by chance."""
    with contextlib.ExitStack() as stack:
        first = Pull(listen="tcp://127.0.0.1:0")
        crowd = [
            stack.enter_context(Push(dial=first.addresses, reconnect_min=0.05, reconnect_max=0.2)) for _ in range(100)
        ]
        first.wait_for_peers(len(crowd), PATIENCE)
        first.close()
        again = stack.enter_context(Pull(listen=first.addresses[0]))
        again.wait_for_peers(len(crowd), PATIENCE)
        for number, push in enumerate(crowd):
            push.send(b"%d" % number, PATIENCE)
        assert sorted(int(again.recv(PATIENCE)) for _ in crowd) == list(range(len(crowd)))


@pytest.mark.parametrize("kind", [Bus, Pair])
@pytest.mark.parametrize("address", ["tcp://127.0.0.1:0", "inproc://mirror"])
def test_a_socket_that_dials_itself_harms_nobody(kind, address):
    with kind(listen=address) as one:
        one.dial(one.addresses[0])
        with contextlib.suppress(TimedOut):
            one.wait_for_peers(2, 0.1)
        if kind is Pair:
            assert len(one.peers()) <= 1, "it has one peer at most, even itself"
        else:
            one.send(b"to myself")
            assert [one.recv(PATIENCE) for _ in one.peers()] == [b"to myself"] * 2, "once over each end"
        assert one.close(0.1) == 0 or kind is Pair


def test_events_can_be_told_in_a_thread_of_their_own():
    told: list[Event] = []
    there = threading.Event()

    def on_event(event: Event) -> None:
        told.append(event)
        there.set()
        raise RuntimeError("a callback that fails")

    shown: list[str] = []
    hook, threading.excepthook = threading.excepthook, lambda args: shown.append(str(args.exc_value))
    try:
        with Pull(listen="tcp://127.0.0.1:0", on_event=on_event) as pull, Push(dial=pull.addresses[0]) as push:
            assert there.wait(PATIENCE)
            there.clear()
            push.close()
            assert there.wait(PATIENCE), "it goes on after a failure"
    finally:
        threading.excepthook = hook
    assert [event.what for event in told[:2]] == ["up", "down"]
    assert shown[0] == "a callback that fails"


def test_a_program_decides_whom_to_admit(tmp_path):
    asked: list[Peer] = []

    def admit(peer: Peer) -> bool:
        asked.append(peer)
        return len(asked) > 1

    with Pull() as pull, Push(reconnect_min=0.01) as push:
        push.dial(pull.listen(f"ipc://{tmp_path}/door", admit=admit))
        pull.wait_for_peers(1, PATIENCE)
        push.send(b"m", PATIENCE)
        assert pull.recv(PATIENCE) == b"m"
        assert [peer.pid for peer in asked] == [os.getpid()] * 2
        assert asked[0].uid == os.getuid()
        assert [event.what for event in itertools.islice(pull.events(PATIENCE), 2)] == ["refused", "up"]
        assert pull.endpoints()[0].counters["refused"] == 1


def test_a_program_that_fails_to_decide_admits_nobody():
    hook, threading.excepthook = threading.excepthook, lambda args: None
    try:
        with Pull() as pull, Push() as push:
            push.dial(pull.listen("tcp://127.0.0.1:0", admit=lambda peer: 1 / 0))
            assert next(event for event in pull.events(PATIENCE) if event.what == "refused")
            assert pull.peers() == []
    finally:
        threading.excepthook = hook


def test_waiting_for_peers_says_what_dialling_failed_at():
    with (
        Push(dial="tcp://127.0.0.1:1") as push,
        pytest.raises(TimedOut, match=r"0 of 2 peers .*tcp://127.0.0.1:1.*efused"),
    ):
        push.wait_for_peers(2, 0.2)


def test_the_report_is_a_tree_of_numbers():
    with Rep(listen="tcp://127.0.0.1:0") as rep, Req(dial=rep.addresses[0]) as req:
        req.send(b"ping")
        rep.send(rep.recv(PATIENCE))
        req.recv(PATIENCE)
        report = json.loads(json.dumps(rep.report()))
        assert report["socket"]["received"] == 1
        assert report["endpoints"][0]["address"] == rep.addresses[0]
        assert report["endpoints"][0]["pipes"] == 1
        assert report["pipes"][0]["sent"] == 1
        assert report["pipes"][0]["sent_bytes"] == 4


def test_a_refused_certificate_says_why(certificates, tmp_path):
    tls = Tls(authorities=certificates["ca"], certificate=certificates["cert"], key=certificates["key"])
    with Pull(listen="tls+tcp://127.0.0.1:0", tls=tls) as pull:
        for wrong, reason in [
            (Tls(), "signed by no authority"),
            (Tls(authorities=certificates["ca"], server_name="elsewhere"), "another name"),
            (Tls(authorities=certificates["ca"]), "asks for a certificate, and we have none"),
        ]:
            with Push() as push:
                try:
                    push.dial(pull.addresses[0], tls=wrong)
                except OptionError as error:
                    assert "the system trusts no authority" in str(error)
                    continue
                failed = next(event for event in push.events(PATIENCE) if event.what == "dial failed")
                assert reason in failed.reason
        with pytest.raises(OptionError, match="no certificate"):
            Push().dial(pull.addresses[0], tls=Tls(authorities=b"nonsense"))
        with pytest.raises(FileNotFoundError):
            Push().dial(pull.addresses[0], tls=Tls(authorities=tmp_path / "nothing.pem"))
    with pytest.raises(OptionError, match="a listener needs a certificate"):
        Pull(listen="tls+tcp://127.0.0.1:0")


def test_a_file_that_is_in_the_way_is_left_alone(tmp_path):
    (tmp_path / "precious").write_text("keep me")
    with pytest.raises(EndpointFailed, match="not a socket"):
        Pull(listen=f"ipc://{tmp_path}/precious")
    assert (tmp_path / "precious").read_text() == "keep me"


def test_a_socket_that_nobody_keeps_is_closed_and_so_is_a_context():
    pull = Pull(listen="tcp://127.0.0.1:0", on_event=lambda event: None)
    push = Push(dial=pull.addresses[0])
    push.wait_for_peers(1, PATIENCE)
    gone = weakref.ref(pull)
    del pull
    gc.collect()
    assert gone() is None
    assert next(event for event in push.events(PATIENCE) if event.what == "down")
    with Rep(listen="inproc://gc", max_contexts=2) as rep:
        for _ in range(10):
            rep.context()
            gc.collect()


def test_an_interpreter_ends_in_the_middle_of_everything():
    script = """
        import asyncio, threading
        from workbench.engine import Pub, Pull, Push, Rep, Req, Sub, Surveyor

        pull = Pull(listen="tcp://127.0.0.1:0", on_event=print)
        push = Push(dial=[pull.addresses[0], "tcp://127.0.0.1:1"], on_event=lambda event: None)
        push.send(b"unread")
        sub = Sub(listen="inproc://x", subscribe=b"")
        threading.Thread(target=sub.recv, daemon=True).start()
        req = Req(dial=pull.addresses[0])
        req.send(b"never answered")
        surveyor = Surveyor(listen="tcp://127.0.0.1:0")
        surveyor.send(b"?")
        globals_that_go_in_any_order = [Rep(listen="tcp://127.0.0.1:0").context() for _ in range(3)]
        print("end", flush=True)
    """
    for _ in range(10):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "end" in done.stdout
        assert done.stderr == ""


def test_an_authority_that_is_used_as_a_certificate_is_called_so(certificates):
    folder = certificates["ca"].parent
    tls = Tls(certificate=certificates["ca"], key=folder / "ca.key")
    with Pull(listen="tls+tcp://127.0.0.1:0", tls=tls) as pull, Push() as push:
        push.dial(pull.addresses[0], tls=Tls(authorities=certificates["ca"], server_name="localhost"))
        assert "CA:FALSE" in next(push.events(PATIENCE)).reason


def test_buffers_below_the_queues_can_be_bounded():
    # The kernel alone takes some MiB of what nobody receives.
    assert taken_in(0) > 1 << 20
    assert 16 << 10 < taken_in(16 << 10) < 160 << 10


def taken_in(buffer: int) -> int:
    """How many bytes a connection takes whose queues have room for one message."""
    with Pull(listen="tcp://127.0.0.1:0", recv_queue=1, buffer=buffer) as pull:
        push = Push(dial=pull.addresses[0], send_queue=1, buffer=buffer)
        push.wait_for_peers(1, 10)
        count = 0
        with contextlib.suppress(TimedOut):
            while True:
                push.send(bytes(1024), timeout=0.1)
                count += 1
        push.abort()
    return count * 1024
