"""Messages exchanged with foreign programs: pynng (NNG) and nanocat (nanomsg)."""

import shutil
import subprocess
import time

import pytest

from workbench.engine import Pull, Push, Rep, Req

pynng = pytest.importorskip("pynng")
pytestmark = pytest.mark.interop
needs_nanocat = pytest.mark.skipif(
    shutil.which("nanocat") is None, reason="nanocat is not installed (Debian: apt-get install nanomsg-utils)"
)
PATIENCE = 10.0
# pynng cannot receive an empty message (it unpacks a null pointer), so that size is for nanocat.
SIZES = [1, 125, 126, 65_535, 65_536, (1 << 20) - 4]


@pytest.fixture(params=["we listen", "they listen"])
def ours_listens(request):
    return request.param == "we listen"


def connect(ours, theirs, ours_listens: bool):
    """Connect our socket and theirs, either side listening; return both."""
    if ours_listens:
        ours.listen("tcp://127.0.0.1:0")
        theirs.dial(ours.addresses[0], block=True)
    else:
        listener = theirs.listen("tcp://127.0.0.1:0")
        ours.dial(f"tcp://{listener.local_address}")


def test_req_with_nng_rep(ours_listens):
    with Req() as req, pynng.Rep0(recv_timeout=10_000) as rep:
        connect(req, rep, ours_listens)
        for size in SIZES:
            req.send(b"q" * size)
            assert rep.recv() == b"q" * size
            rep.send(b"a" * size)
            assert req.recv(PATIENCE) == b"a" * size


def test_rep_with_nng_req(ours_listens):
    with Rep() as rep, pynng.Req0(recv_timeout=10_000) as req:
        connect(rep, req, ours_listens)
        for size in SIZES:
            req.send(b"q" * size)
            assert rep.recv(PATIENCE) == b"q" * size
            rep.send(b"a" * size)
            assert req.recv() == b"a" * size


def test_push_to_nng_pull(ours_listens):
    bodies = [b"%d" % number for number in range(1, 500)]
    with Push() as push, pynng.Pull0(recv_timeout=10_000) as pull:
        connect(push, pull, ours_listens)
        for body in bodies:
            push.send(body, PATIENCE)
        assert [pull.recv() for _ in bodies] == bodies


def test_pull_from_nng_push(ours_listens):
    bodies = [b"%d" % number for number in range(1, 500)]
    with Pull() as pull, pynng.Push0(send_timeout=10_000) as push:
        connect(pull, push, ours_listens)
        for body in bodies:
            push.send(body)
        assert [pull.recv(PATIENCE) for _ in bodies] == bodies


def test_nng_with_another_pattern_is_refused():
    with Rep(listen="tcp://127.0.0.1:0") as rep, pynng.Push0() as push:
        push.dial(rep.addresses[0], block=False)
        deadline = time.monotonic() + PATIENCE
        while not rep.stats()["peer_faults"]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert rep.peers() == []


@needs_nanocat
@pytest.mark.parametrize("body", [b"x", b"y" * 125, b"z" * 126, b"w" * 65_535, b"v" * 65_536, b"u" * (1 << 20)])
def test_nanocat_asks_and_is_answered(body, tmp_path):
    with Rep(listen="tcp://127.0.0.1:0") as rep:
        question = tmp_path / "question"
        question.write_bytes(body)
        with nanocat("--req", "--connect", rep.addresses[0], "--file", question, "--raw") as cat:
            assert rep.recv(PATIENCE) == body
            rep.send(b"answer")
            assert cat.stdout.read(6) == b"answer"


@needs_nanocat
def test_nanocat_answers():
    with (
        Req(listen="tcp://127.0.0.1:0") as req,
        nanocat("--rep", "--connect", req.addresses[0], "--data", "42", "--raw"),
    ):
        req.send(b"what is it?")
        assert req.recv(PATIENCE) == b"42"


@needs_nanocat
def test_nanocat_hands_out_and_takes_in():
    with Pull(listen="tcp://127.0.0.1:0") as pull, nanocat("--push", "--connect", pull.addresses[0], "--data", "work"):
        assert pull.recv(PATIENCE) == b"work"
    with Push(listen="tcp://127.0.0.1:0") as push, nanocat("--pull", "--connect", push.addresses[0], "--raw") as cat:
        push.send(b"done", PATIENCE)
        assert cat.stdout.read(4) == b"done"


class nanocat:  # noqa: N801 - it is the program's name
    """A running nanocat, killed at the end."""

    def __init__(self, *arguments):
        self.arguments = [str(argument) for argument in arguments]

    def __enter__(self):
        self.process = subprocess.Popen(["nanocat", *self.arguments], stdout=subprocess.PIPE)
        return self.process

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
