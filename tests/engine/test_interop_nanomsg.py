"""Our sockets and nanomsg's (through nanocat): every pattern over tcp, ipc and ws, whoever listens, critical sizes.

nanomsg accepts up to 1 MiB, header words included, if nothing else is said; nanocat cannot be told otherwise. It has no
TLS, and PAIR only in version 0.
"""

import contextlib
import shutil
import socket
import subprocess

import pytest

from workbench.engine import Bus, Pair, Pub, Pull, Push, Rep, Req, Respondent, Sub, Surveyor

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        shutil.which("nanocat") is None, reason="nanocat is not installed (Debian: apt-get install nanomsg-utils)"
    ),
]
PATIENCE = 10.0
SIZES = [1, 125, 126, 65_535, 65_536, (1 << 20) - 4]
SENDERS = {"push": Pull, "pub": Sub, "pair": Pair, "bus": Bus}
RECEIVERS = {"pull": Push, "sub": Pub, "pair": Pair, "bus": Bus}
ASKERS = {"req": Rep, "surveyor": Respondent}
ANSWERERS = {"rep": Req, "respondent": Surveyor}


@pytest.fixture(params=["we listen", "they listen"])
def we_listen(request):
    return request.param == "we listen"


@pytest.fixture(params=["tcp", "ipc", "ws"])
def address(request, tmp_path):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    return {"tcp": f"tcp://127.0.0.1:{port}", "ipc": f"ipc://{tmp_path}/s", "ws": f"ws://127.0.0.1:{port}"}[
        request.param
    ]


@contextlib.contextmanager
def joined(role, we_listen, address, *arguments, **options):
    """Our socket, connected to a nanocat with these arguments."""
    with role(**options) as ours, contextlib.ExitStack() as stack:
        if we_listen:
            ours.listen(address)
        flag = "--connect" if we_listen else "--bind"
        command = ["nanocat", *(str(argument) for argument in arguments), flag, address]
        process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
        stack.callback(process.kill)
        if not we_listen:
            ours.dial(address)
        ours.wait_for_peers(1, PATIENCE)
        yield ours, process


@pytest.mark.parametrize("name", SENDERS)
def test_what_nanocat_sends_arrives(name, we_listen, address, tmp_path):
    options = {"subscribe": b""} if name == "pub" else {}
    for size in SIZES if name == "push" else [126]:
        body = pattern(size)
        (tmp_path / "body").write_bytes(body)
        # It sends at intervals: whoever comes first need not wait for the other.
        sending = (f"--{name}", "--file", tmp_path / "body", "--interval", 1)
        with joined(SENDERS[name], we_listen, address, *sending, **options) as (ours, _):
            assert ours.recv(PATIENCE) == body


@pytest.mark.parametrize("name", RECEIVERS)
def test_what_nanocat_receives_is_what_was_sent(name, we_listen, address):
    sizes = SIZES if name == "pull" else [126]
    with joined(RECEIVERS[name], we_listen, address, f"--{name}", "--raw") as (ours, cat):
        for size in sizes:
            body = pattern(size)
            ours.send(body, PATIENCE)
            assert cat.stdout.read(size) == body


@pytest.mark.parametrize("name", ASKERS)
def test_nanocat_asks_and_is_answered(name, we_listen, address, tmp_path):
    for size in SIZES if name == "req" else [126]:
        body = pattern(size)
        (tmp_path / "body").write_bytes(body)
        asking = (f"--{name}", "--file", tmp_path / "body", "--raw", "--interval", 1)
        with joined(ASKERS[name], we_listen, address, *asking) as (ours, cat):
            assert ours.recv(PATIENCE) == body
            ours.send(b"answer", PATIENCE)
            assert cat.stdout.read(6) == b"answer"


@pytest.mark.parametrize("name", ANSWERERS)
def test_nanocat_answers(name, we_listen, address):
    options = {"survey_deadline": PATIENCE} if name == "respondent" else {}
    with joined(ANSWERERS[name], we_listen, address, f"--{name}", "--data", "42", "--raw", **options) as (ours, cat):
        for size in SIZES if name == "rep" else [126]:
            body = pattern(size)
            ours.send(body)
            # It prints before it answers, and waits until what it prints is read.
            assert cat.stdout.read(size) == body
            assert ours.recv(PATIENCE) == b"42"


def pattern(size: int) -> bytes:
    return bytes((7 * place + size) % 251 for place in range(min(size, 4_096))).ljust(size, b"x")
