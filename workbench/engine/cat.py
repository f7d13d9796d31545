"""A socket at a shell: what goes in is sent, what comes is written out."""

import itertools
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from workbench.engine.errors import Closed, TimedOut
from workbench.engine.socket import Socket, Surveyor

Format = Callable[[bytes], bytes]


@dataclass(kw_only=True)
class Cat:
    """One use of a socket, as its role demands. Times are in seconds; None: no limit.

    `run` raises TimedOut if nothing came in time or a message could not be sent, TooLarge, and what `write` and the
    messages raise.
    """

    socket: Socket
    messages: Iterable[bytes] | None
    """What to send, or to answer with. None: only receive."""
    write: Callable[[bytes], object]
    """What to do with a message that has come."""
    count: int | None = None
    """After how many messages sent, or where none is, received, to end."""
    interval: float = 0.0
    """From one message sent to the next."""
    delay: float = 0.0
    """Before the first."""
    peers: int = 0
    """How many peers to wait for before the first."""
    send_timeout: float | None = None
    recv_timeout: float | None = None
    flush: float = 5.0
    """How long to wait at the end until what was sent is written."""
    unsent: int = field(default=0, init=False)
    """How many messages were not, then."""
    report: dict[str, object] = field(default_factory=dict, init=False)
    """All counters of the socket, once it is closed."""
    _closing: threading.Lock = field(default_factory=threading.Lock, init=False)

    def run(self) -> None:
        """Send and receive to the end, and close."""
        if self.messages is None:
            self._collect()
        else:
            match self.socket.kind:
                case "rep" | "respondent":
                    self._answer(self.messages)
                case "req":
                    self._ask(self.messages)
                case "surveyor":
                    self._survey(self.messages)
                case "pair" | "pair1" | "bus":
                    self._converse(self.messages)
                case _:
                    self._speak(self.messages)
        self.close(self.flush)

    def close(self, flush: float = 0.0) -> None:
        """Close, if that is not done yet; wait up to `flush` seconds until what was sent is written."""
        with self._closing:
            if not self.socket.closed:
                report = self.socket.report()
                self.unsent = self.socket.close(flush)
                self.report = report | {"socket": self.socket.stats()}

    def _collect(self) -> None:
        """Receive until `count` are there. Without a count, silence ends it well if anything came before."""
        for got in itertools.count():
            if got == self.count:
                return
            try:
                self.write(self._recv())
            except TimedOut:
                if got == 0 or self.count is not None:
                    raise
                return

    def _speak(self, messages: Iterable[bytes]) -> None:
        for message in self._paced(messages):
            self.socket.send(message, self.send_timeout)

    def _ask(self, requests: Iterable[bytes]) -> None:
        for request in self._paced(requests):
            self.socket.send(request, self.send_timeout)
            self.write(self._recv())

    def _survey(self, questions: Iterable[bytes]) -> None:
        """Ask everybody, again and again; that nobody answered any of the surveys is a failure."""
        answered = False
        for question in self._paced(questions):
            for answer in cast("Surveyor", self.socket).survey(question):
                self.write(answer)
                answered = True
        if not answered:
            raise TimedOut(f"nobody answered before the deadline{self._why()}")

    def _answer(self, answers: Iterable[bytes]) -> None:
        """Answer until there are no more answers, or `count`. Silence ends it well if anybody asked before."""
        # The answer is read after the question is shown: whoever types it wants to see what it is for.
        source = iter(answers)
        for got in itertools.count():
            if got == self.count:
                return
            try:
                question = self._recv()
            except TimedOut:
                if got == 0 or self.count is not None:
                    raise
                return
            self.write(question)
            answer = next(source, None)
            if answer is None:
                return
            self.socket.send(answer, self.send_timeout)

    def _converse(self, messages: Iterable[bytes]) -> None:
        """Send in a thread of its own, and receive here meanwhile.

        Once all is sent: with `recv_timeout`, receive until silence; without, end if there is a `count`, else go on.
        """
        failures: list[BaseException] = []
        spoken = threading.Event()

        def speak() -> None:
            try:
                self._speak(messages)
                spoken.set()
                if self.count is None or self.recv_timeout is not None:
                    return
                time.sleep(self.interval)
            except BaseException as failure:
                failures.append(failure)
            # It wakes whoever receives.
            self.close(0.0 if failures else self.flush)

        # What blocks on standard input cannot be interrupted, and is not waited for.
        thread = threading.Thread(target=speak, name="speaker", daemon=True)
        thread.start()
        heard = False
        while True:
            said = spoken.is_set()
            try:
                self.write(self._recv())
                heard = True
            except Closed:
                thread.join()
                break
            except TimedOut:
                if not said:
                    continue
                if not heard:
                    raise
                break
        if failures:
            raise failures[0]

    def _paced(self, messages: Iterable[bytes]) -> Iterator[bytes]:
        """The messages, each at its time: `interval` after the one before it, later if that took longer."""
        if self.delay:
            time.sleep(self.delay)
        if self.peers:
            self.socket.wait_for_peers(self.peers, self.send_timeout)
        due = time.monotonic()
        for message in messages:
            time.sleep(max(0.0, due - time.monotonic()))
            due = time.monotonic() + self.interval
            yield message

    def _recv(self) -> bytes:
        try:
            return self.socket.recv(self.recv_timeout)
        except TimedOut:
            raise TimedOut(f"nothing came within {self.recv_timeout:g} s{self._why()}") from None

    def _why(self) -> str:
        """Why there may be silence, in brackets."""
        if self.socket.closed or self.socket.peers():
            return ""
        reasons = [f"{one.address}: {one.last_error}" for one in self.socket.endpoints() if one.last_error]
        return f" ({'; '.join(['no peer is connected', *reasons])})"


def lines(stream: BinaryIO, limit: int) -> Iterator[bytes]:
    """The lines of a stream as they come, without their ends; one byte too many of a line longer than `limit`."""
    while line := stream.readline(limit + 1):
        yield line.removesuffix(b"\n")


def _ascii(message: bytes) -> bytes:
    return message.translate(_PRINTABLE) + b"\n"


def _quoted(message: bytes) -> bytes:
    return b'"%s"\n' % b"".join([_ESCAPED[byte] for byte in message])


def _hex(message: bytes) -> bytes:
    return b'"%s"\n' % b"".join([b"\\x%02x" % byte for byte in message])


def _msgpack(message: bytes) -> bytes:
    """MessagePack's `bin`: a byte that says how long the length is, the length, the message."""
    size = len(message)
    if size < 1 << 8:
        return struct.pack(">BB", 0xC4, size) + message
    if size < 1 << 16:
        return struct.pack(">BH", 0xC5, size) + message
    return struct.pack(">BI", 0xC6, size) + message


_PRINTABLE = bytes(byte if 0x20 <= byte < 0x7F else ord(".") for byte in range(256))
_ESCAPED = [bytes([byte]) if 0x20 <= byte < 0x7F else b"\\x%02x" % byte for byte in range(256)]
for _char, _escape in (("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"), ('"', '\\"'), ("\\", "\\\\")):
    _ESCAPED[ord(_char)] = _escape.encode()

FORMATS: dict[str, Format] = {"raw": bytes, "ascii": _ascii, "quoted": _quoted, "hex": _hex, "msgpack": _msgpack}
