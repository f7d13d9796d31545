"""Messages exchanged with foreign programs: every role, transport, size and direction."""

import contextlib
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from foreign import PATIENCE, Cat, Foreigner, Papers, cat, missing, nng
from matrix import POSSIBLE, SIZES, Cell

from workbench.engine import Socket, TimedOut, Tls
from workbench.engine.socket import CLASSES

pytestmark = pytest.mark.interop
QUICK = {
    "nanocat-req-tcp-we-listen",
    "nanocat-sub-ws-we-listen",
    "pynng-rep-wss-they-listen",
    "pynng-bus-ipc-we-listen",
}
"""The cells that are tried by `make test`, too."""

CELLS = [pytest.param(one, id=str(one), marks=() if str(one) in QUICK else pytest.mark.slow) for one in POSSIBLE]


@pytest.mark.parametrize("cell", CELLS)
def test_messages_arrive_the_same(cell: Cell, certificates: Papers, tmp_path: Path) -> None:
    if reason := missing(cell.program.name):
        pytest.skip(reason)
    sizes = {min(size, cell.largest): size for size in SIZES}
    # A program of the command line says one message, so there is one for each size; they start together.
    groups = [sizes] if cell.program.name == "pynng" else [{to_them: from_them} for to_them, from_them in sizes.items()]
    with contextlib.ExitStack() as stack:
        pairs = [
            (
                *stack.enter_context(connected(cell, message("theirs", max(group.values())), certificates, tmp_path)),
                group,
            )
            for group in groups
        ]
        for ours, theirs, group in pairs:
            ours.wait_for_peers(1, PATIENCE)
            for to_them, from_them in group.items():
                exchange(cell.ours, ours, theirs, message("ours", to_them), message("theirs", from_them))


def exchange(role: str, ours: Socket, theirs: Foreigner, to_them: bytes, from_them: bytes) -> None:
    """Say what the pattern lets each side say, and check that the other side hears the same."""
    if role in ("rep", "sub", "pull", "respondent", "bus", "pair", "pair1"):
        theirs.say(from_them)
        assert ours.recv(PATIENCE) == from_them
    if role not in ("sub", "pull"):
        ours.send(to_them, PATIENCE)
        if role == "respondent" and isinstance(theirs, Cat):
            # It surveys again and again, and takes no answer to a survey that it has given up.
            while not theirs.heard(within=0.1):
                with contextlib.suppress(TimedOut):
                    assert ours.recv(0) == from_them
                    ours.send(to_them, PATIENCE)
        assert theirs.hear() == to_them
    if role in ("req", "surveyor"):
        theirs.say(from_them)
        assert ours.recv(PATIENCE) == from_them


@contextlib.contextmanager
def connected(cell: Cell, words: bytes, papers: Papers, folder: Path) -> Iterator[tuple[Socket, Foreigner]]:
    """A socket of ours and one of theirs that are about to be connected."""
    options = {"subscribe": b""} if cell.ours == "sub" else {}
    if cell.ours == "surveyor":
        options["survey_deadline"] = PATIENCE
    secure = cell.transport in ("tls+tcp", "wss")
    tls = None
    if secure:
        mine = {"certificate": papers["cert"], "key": papers["key"]}
        tls = Tls(**mine) if cell.we_listen else Tls(authorities=papers["ca"])
    with contextlib.ExitStack() as stack:
        port = 0 if cell.we_listen or cell.transport == "ipc" else stack.enter_context(reserved_port())
        address = address_of(cell, port, folder / f"{len(words)}.sock")
        ours = stack.enter_context(CLASSES[cell.ours](**options))
        if cell.we_listen:
            address = ours.listen(address, tls=tls)
            if secure:
                # nngcat compares the names in a certificate, no addresses.
                address = address.replace("127.0.0.1", "localhost")
        if cell.program.name == "pynng":
            opened = nng(cell.theirs, address, listens=not cell.we_listen, papers=papers)
        else:
            name = cell.program.name
            opened = cat(name, cell.theirs, address, words, listens=not cell.we_listen, papers=papers, folder=folder)
        theirs = stack.enter_context(opened)
        if not cell.we_listen:
            ours.dial(address, tls=tls)
        yield ours, theirs


def address_of(cell: Cell, port: int, file: Path) -> str:
    """Where to listen."""
    if cell.transport == "ipc":
        return f"ipc://{file}"
    # nanomsg dials addresses with a path, but cannot listen at one.
    has_path = cell.transport in ("ws", "wss") and (cell.we_listen or cell.program.name != "nanocat")
    return f"{cell.transport}://127.0.0.1:{port}" + "/sp" * has_path


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """A port that nobody is given by chance, but that can be listened at."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def message(side: str, size: int) -> bytes:
    """A message of this size, the same whenever it is asked for, without a pattern that repeats."""
    return random.Random(f"{side} {size}").randbytes(size)
