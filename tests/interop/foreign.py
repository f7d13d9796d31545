"""Foreign programs, each behind the same face: it says what it was given, and we hear what it received."""

import contextlib
import multiprocessing
import os
import re
import select
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

import pynng

PATIENCE = 10.0
"""How long anything may take, in seconds."""


Papers = Mapping[str, Path]
"""Where the certificates are: "ca" is the authority, "cert" is signed by it for localhost, "key" is that one's key."""


class Foreigner(Protocol):
    """A foreign socket."""

    def say(self, message: bytes) -> None:
        """Send a message. A program of the command line does so by itself, with the one that it was started with."""

    def hear(self) -> bytes:
        """The next message that it has received."""


class Nng:
    """A socket of pynng, in a process of its own: NNG 1.11 may abort when whoever dialled it over wss leaves."""

    def __init__(self, link: Connection) -> None:
        self._link = link

    def say(self, message: bytes) -> None:
        self._ask("say", message)

    def hear(self) -> bytes:
        return self._ask("hear", b"")

    def _ask(self, what: str, message: bytes) -> bytes:
        self._link.send((what, message))
        assert self._link.poll(3 * PATIENCE), f"pynng did not {what} anything in time"
        done, result = self._link.recv()
        assert done, f"pynng did not {what} anything: {result}"
        return result


@contextlib.contextmanager
def nng(kind: str, address: str, *, listens: bool, papers: Papers) -> Iterator[Nng]:
    """A socket of pynng that listens at, or dials, this address."""
    here, there = PROCESSES.Pipe()
    process = PROCESSES.Process(target=serve, args=(there, kind, address, listens, dict(papers)), daemon=True)
    process.start()
    there.close()
    try:
        yield Nng(here)
    finally:
        process.kill()
        process.join()
        process.close()
        here.close()


PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["pynng"])


def serve(link: Connection, kind: str, address: str, listens: bool, papers: Papers) -> None:
    """What the process of a pynng does: it opens the socket, and says and hears what it is asked to."""
    role = getattr(pynng, {"pair": "Pair0", "pair1": "Pair1"}.get(kind, f"{kind.capitalize()}0"))
    options = {"recv_timeout": int(PATIENCE * 1000), "send_timeout": int(PATIENCE * 1000)}
    if address.startswith(("tls", "wss")):
        texts = {name: file.read_text() for name, file in papers.items()}
        if listens:
            mine = {"own_cert_string": texts["cert"], "own_key_string": texts["key"]}
            options["tls_config"] = pynng.TLSConfig(pynng.TLSConfig.MODE_SERVER, **mine)
        else:
            trust = {"server_name": "localhost", "ca_string": texts["ca"]}
            options["tls_config"] = pynng.TLSConfig(pynng.TLSConfig.MODE_CLIENT, **trust)
    connected = threading.Event()
    socket = role(**options)
    socket.add_post_pipe_connect_cb(lambda _: connected.set())
    if kind == "sub":
        socket.subscribe(b"")
    if kind == "surveyor":
        socket.survey_time = int(PATIENCE * 1000)
    if listens:
        socket.listen(address)
    else:
        socket.dial(address, block=False)
    while True:
        what, message = link.recv()
        try:
            if what == "say":
                assert connected.wait(PATIENCE), "nobody connected to it"
                socket.send(message)
                link.send((True, b""))
            else:
                # `recv` cannot receive an empty message: it unpacks a null pointer.
                link.send((True, socket.recv_msg().bytes))
        except (AssertionError, pynng.NNGException) as error:
            link.send((False, repr(error)))


class Cat:
    """A running nanocat or nngcat, which prints what it receives as MessagePack."""

    def __init__(self, process: subprocess.Popen[bytes], words: bytes) -> None:
        self._process = process
        self._words = words
        self._deadline = time.monotonic() + PATIENCE

    def say(self, message: bytes) -> None:
        assert message == self._words, "it says only what it was started with"

    def hear(self) -> bytes:
        self._deadline = time.monotonic() + PATIENCE
        # bin 8, bin 16 and bin 32: a letter, then the length in one, two or four bytes.
        width = {b"\xc4": 1, b"\xc5": 2, b"\xc6": 4}[self._read(1)]
        return self._read(int.from_bytes(self._read(width), "big"))

    def heard(self, within: float) -> bool:
        """Does it receive something within so many seconds?"""
        return bool(select.select([self._process.stdout], [], [], within)[0])

    def _read(self, count: int) -> bytes:
        got = bytearray()
        out = self._process.stdout.fileno()
        while len(got) < count:
            ready, _, _ = select.select([out], [], [], max(0, self._deadline - time.monotonic()))
            assert ready, f"{self._process.args}: printed {len(got)} bytes of {count} in time"
            piece = os.read(out, count - len(got))
            assert piece, f"{self._process.args} ended: {self._process.stderr.read().decode(errors='replace')}"
            got += piece
        return bytes(got)


@contextlib.contextmanager
def cat(
    program: str, kind: str, address: str, words: bytes, *, listens: bool, papers: Papers, folder: Path
) -> Iterator[Cat]:
    """A nanocat or nngcat that listens at, or dials, this address, and says `words` whenever its role may speak."""
    nanomsg = program == "nanocat"
    role = {"pair": "--pair" if nanomsg else "--pair0"}.get(kind, f"--{kind}")
    command = [program, role, "--bind" if listens else "--connect", address]
    if kind not in ("push", "pub"):
        command.append("--msgpack")
    if kind not in ("pull", "sub"):
        command += says(words, folder)
    if kind == "push":
        # It stays after it has sent its message.
        command += ["--interval", "3600"]
    elif kind in ("pub", "bus", "surveyor"):
        # It does not wait for a peer, so it says it again. nngcat takes only whole seconds; and NNG 1.5 may lock itself
        # up if it surveys anew at the moment when the second is over that the survey before has.
        command += ["--interval", "2" if kind == "surveyor" else "0.1" if nanomsg else "1"]
    if not nanomsg:
        command += ["--recv-maxsz", "0"]
        if address.startswith(("tls", "wss")):
            command += ["--cert", papers["cert"], "--key", papers["key"]] if listens else ["--cacert", papers["ca"]]
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield Cat(process, words)
    finally:
        process.kill()
        process.communicate()


def says(words: bytes, folder: Path) -> list[str]:
    """The options that give the program its message; nanocat aborts at an empty file."""
    if not words:
        return ["--data", ""]
    file = folder / f"says-{len(words)}"
    file.write_bytes(words)
    return ["--file", str(file)]


def missing(program: str) -> str | None:
    """What to do about a program that is not there, or None."""
    package = {"nanocat": "nanomsg-utils", "nngcat": "nng-utils"}.get(program)
    if package is None or shutil.which(program):
        return None
    return f"{program} is not installed (Debian: apt-get install {package})"


def version(program: str) -> str:
    """The version of a program that is there."""
    if program == "pynng":
        return f"pynng {pynng.__version__} with NNG {pynng.ffi.string(pynng.lib.nng_version()).decode()}"
    if program == "nngcat":
        return f"NNG {subprocess.run([program, '--version'], capture_output=True, text=True).stdout.strip()}"
    # nanocat does not tell; the system that installed it may.
    with contextlib.suppress(FileNotFoundError):
        query = ["dpkg-query", "--show", "--showformat", "${Version}", "nanomsg-utils"]
        if found := subprocess.run(query, capture_output=True, text=True).stdout:
            return f"nanomsg {re.split(r'[-+]', found)[0]}"
    return "nanomsg, its version not known"
