"""nanomsg itself: libnanomsg, called through ctypes, where the system has the library.

Also the example of an adapter for a library without a Python binding; docs/peers.md walks through it.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import platform
import socket

from workbench.bench.peers.peer import End, Peer, Role, Semantics

NAMES = ("libnanomsg.so.5", "libnanomsg.so.6", "libnanomsg.so")
ATTEMPTS = 20
"""How many free ports are tried: nanomsg does not tell which one it was given, so one is chosen for it."""


class Nanomsg(Peer):
    """libnanomsg through ctypes."""

    name = "nanomsg"
    title = "nanomsg"
    possessive = "nanomsg's"
    semantics = Semantics(
        pattern="PUSH/PULL and REQ/REP of the scalability protocols",
        copies="one copy in, one out of the library's buffer into Python's bytes",
        queue="one message to be sent on a connection; received ones up to 128 KiB (its default; it counts bytes)",
        threads="nanomsg's one thread does the I/O beside the calling thread",
        batching="none: one write for each message",
    )

    def missing(self) -> str | None:
        """Why it cannot be used here; None when it can."""
        if _library() is not None:
            return None
        return "nanomsg is not there: no libnanomsg.so is installed; on Debian: apt-get install libnanomsg5"

    def version(self) -> str:
        """The library's file; it tells no other version."""
        return f"{_loaded()._name}, ctypes of Python {platform.python_version()}"

    def open(self, role: Role) -> End:
        """A socket of the role, with TCP_NODELAY on."""
        return _Socket(_KINDS[role]).end()


class _Socket:
    """One nanomsg socket, with errors as OSError."""

    def __init__(self, kind: int) -> None:
        self._library = _loaded()
        self._number = self._checked(self._library.nn_socket(1, kind))
        self._set(-3, 1, 1)  # NN_TCP, NN_TCP_NODELAY
        self._set(0, 16, -1)  # NN_SOL_SOCKET, NN_RCVMAXSIZE: no limit

    def end(self) -> End:
        """As the measurement sees it."""
        return End(self.bind, self.connect, self.send, self.recv, self.close)

    def bind(self, address: str) -> str:
        """Port 0 is replaced by a free one, and by another if somebody was quicker."""
        if not address.endswith(":0"):
            self._checked(self._library.nn_bind(self._number, address.encode()))
            return address
        for attempt in range(1, ATTEMPTS + 1):
            chosen = f"{address[:-1]}{_free_port()}"
            try:
                self._checked(self._library.nn_bind(self._number, chosen.encode()))
            except OSError as error:
                if error.errno != errno.EADDRINUSE or attempt == ATTEMPTS:
                    raise
            else:
                return chosen
        raise AssertionError("the last attempt raises")

    def connect(self, address: str) -> None:
        """Connects in the background."""
        self._checked(self._library.nn_connect(self._number, address.encode()))

    def send(self, data: bytes) -> None:
        """Waits for room."""
        while self._library.nn_send(self._number, data, len(data), 0) < 0:
            self._go_on()

    def recv(self) -> bytes:
        """Waits for a message, and copies it."""
        message = ctypes.c_void_p()
        while (size := self._library.nn_recv(self._number, ctypes.byref(message), _WHOLE, 0)) < 0:
            self._go_on()
        try:
            return ctypes.string_at(message, size)
        finally:
            self._library.nn_freemsg(message)

    def close(self) -> None:
        """Closes; nanomsg has no lingering, what is still in its hands may be lost."""
        self._library.nn_close(self._number)

    def _set(self, level: int, option: int, value: int) -> None:
        number = ctypes.c_int(value)
        self._checked(
            self._library.nn_setsockopt(self._number, level, option, ctypes.byref(number), ctypes.sizeof(number))
        )

    def _go_on(self) -> None:
        """After a signal the call is made again."""
        if self._library.nn_errno() != errno.EINTR:
            self._checked(-1)

    def _checked(self, result: int) -> int:
        if result < 0:
            code = self._library.nn_errno()
            raise OSError(code, f"nanomsg: {self._library.nn_strerror(code).decode()}")
        return result


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@functools.cache
def _library() -> ctypes.CDLL | None:
    for name in NAMES:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.nn_strerror.restype = ctypes.c_char_p
        library.nn_send.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
        library.nn_recv.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        library.nn_freemsg.argtypes = [ctypes.c_void_p]
        return library
    return None


def _loaded() -> ctypes.CDLL:
    library = _library()
    if library is None:
        raise OSError("libnanomsg is not installed")
    return library


_KINDS: dict[Role, int] = {"push": 80, "pull": 81, "req": 48, "rep": 49}
"""A protocol's number times 16, plus the number of its role."""
_WHOLE = ctypes.c_size_t(-1).value
"""NN_MSG: the library allocates the message."""
