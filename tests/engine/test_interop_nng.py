"""Our sockets and NNG's (through pynng): every pattern, every transport, whoever listens, every critical size."""

import contextlib
import itertools
import threading
import time

import pytest

from workbench.engine import Bus, Pair, Pair1, Pub, Pull, Push, Rep, Req, Respondent, Socket, Sub, Surveyor, Tls

pynng = pytest.importorskip("pynng")
pytestmark = pytest.mark.interop

PATIENCE = 10.0
SIZES = [0, 1, 125, 126, 65_535, 65_536, 1 << 20]
TRANSPORTS = ["tcp", "ipc", "ws", "tls+tcp", "wss"]
NUMBERS = itertools.count(1)

PATTERNS = {
    "push to pull": (Push, "Pull0"),
    "pull from push": (Pull, "Push0"),
    "req to rep": (Req, "Rep0"),
    "rep to req": (Rep, "Req0"),
    "pub to sub": (Pub, "Sub0"),
    "sub from pub": (Sub, "Pub0"),
    "surveyor to respondent": (Surveyor, "Respondent0"),
    "respondent to surveyor": (Respondent, "Surveyor0"),
    "pair": (Pair, "Pair0"),
    "pair1": (Pair1, "Pair1"),
    "bus": (Bus, "Bus0"),
}


@pytest.fixture
def join(tmp_path, certificates):
    """Opens two sockets that are connected: ours and NNG's."""
    open_sockets = contextlib.ExitStack()

    def join(pattern: str, transport: str, *, we_listen: bool) -> tuple[Socket, object]:
        role, name = PATTERNS[pattern]
        options = {"subscribe": b""} if role is Sub else {"survey_deadline": 3.0} if role is Surveyor else {}
        ours = open_sockets.enter_context(role(**options))
        theirs = open_sockets.enter_context(
            getattr(pynng, name)(recv_timeout=int(1e3 * PATIENCE), send_timeout=int(1e3 * PATIENCE), recv_max_size=0)
        )
        if name == "Sub0":
            theirs.subscribe(b"")
        if name == "Surveyor0":
            theirs.survey_time = 3_000
        there = threading.Event()
        theirs.add_post_pipe_connect_cb(lambda pipe: there.set())
        number = next(NUMBERS)
        address = {
            "ipc": f"ipc://{tmp_path}/{number}",
            "ws": f"ws://127.0.0.1:{free_port()}/sp",
            "wss": f"wss://localhost:{free_port()}/sp",
            "tls+tcp": f"tls+tcp://localhost:{free_port()}",
            "tcp": f"tcp://127.0.0.1:{free_port()}",
        }[transport]
        secure = transport in ("tls+tcp", "wss")
        files = {name: certificates[name].read_text() for name in ("ca", "cert", "key")}
        if we_listen:
            tls = Tls(certificate=certificates["cert"], key=certificates["key"]) if secure else None
            ours.listen(address.replace("localhost", "127.0.0.1"), tls=tls)
            if secure:
                theirs.tls_config = pynng.TLSConfig(
                    pynng.TLSConfig.MODE_CLIENT, server_name="localhost", ca_string=files["ca"]
                )
            theirs.dial(address, block=False)
        else:
            if secure:
                theirs.tls_config = pynng.TLSConfig(
                    pynng.TLSConfig.MODE_SERVER, own_key_string=files["key"], own_cert_string=files["cert"]
                )
            # NNG answers only to the name it listens at.
            theirs.listen(address)
            ours.dial(address, tls=Tls(authorities=certificates["ca"]) if secure else None)
        ours.wait_for_peers(1, PATIENCE)
        assert there.wait(PATIENCE)
        return ours, theirs

    yield join
    open_sockets.close()


@pytest.mark.parametrize("we_listen", [True, False], ids=["we listen", "NNG listens"])
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_messages_of_every_size_arrive_as_they_were(join, pattern, transport, we_listen):
    ours, theirs = join(pattern, transport, we_listen=we_listen)
    for size in SIZES:
        body = bytes((7 * place + size) % 251 for place in range(min(size, 4_096))).ljust(size, b"x")
        if not isinstance(ours, Pull | Rep | Sub | Respondent):
            ours.send(body, PATIENCE)
            assert theirs.recv_msg().bytes == body
            if isinstance(ours, Req | Surveyor):
                theirs.send(body[::-1])
                assert ours.recv(PATIENCE) == body[::-1]
        if not isinstance(ours, Push | Req | Pub | Surveyor):
            theirs.send(body)
            assert ours.recv(PATIENCE) == body
            if isinstance(ours, Rep | Respondent):
                ours.send(body[::-1], PATIENCE)
                assert theirs.recv_msg().bytes == body[::-1]


@pytest.mark.parametrize("transport", ["ws", "wss"])
def test_what_nng_takes_only_in_pieces_arrives_whole(join, transport):
    ours, theirs = join("pair", transport, we_listen=True)
    body = bytes(range(256)) * (3 << 12) + b"end"
    ours.send(body, PATIENCE)
    assert theirs.recv_msg().bytes == body
    theirs.send(body)
    assert ours.recv(PATIENCE) == body


def test_nng_with_another_pattern_is_refused():
    with Rep(listen="tcp://127.0.0.1:0") as rep, pynng.Push0() as push:
        push.dial(rep.addresses[0], block=False)
        deadline = time.monotonic() + PATIENCE
        while not rep.stats()["peer_faults"]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert rep.peers() == []


def free_port() -> int:
    """A port that nobody listens at."""
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
