"""The native engine: private; use `workbench.engine`.

Times are seconds as floats unless a name says nanoseconds (`_ns`). Operations raise the exceptions of
`workbench.engine.errors`.
"""

from typing import TypeAlias, final

__version__: str

_Data: TypeAlias = bytes | bytearray | memoryview
_Outcome: TypeAlias = tuple[int, tuple[str, str] | None, bytes | None]
"""A ticket's number; the name of an exception and its text, if it failed; the message, if one was received."""

@final
class RealSocket:
    """A socket on the operating system's network; see `workbench.engine.socket.Socket`."""

    def __new__(cls, kind: str, **options: float) -> RealSocket:
        """Open a socket of kind req, rep, push or pull. Raises OptionError."""

    def listen(self, address: str, send_priority: int, recv_priority: int) -> str:
        """Listen; return the address with its port. Raises AddressError, OptionError, EndpointFailed or Closed."""

    def dial(self, address: str, send_priority: int, recv_priority: int) -> None:
        """Keep a connection up. Raises AddressError, OptionError or Closed."""

    def send(self, data: _Data, timeout: float | None = None, context: int = 0) -> None:
        """Send; wait if need be. Raises TimedOut, Closed, StateError or TooLarge."""

    def recv(self, timeout: float | None = None, context: int = 0) -> bytes:
        """Receive; wait if need be. Raises TimedOut, Closed, StateError or Cancelled."""

    def try_send(self, data: _Data, context: int = 0) -> bool:
        """Send at once; False if it would have to wait."""

    def try_recv(self, context: int = 0) -> bytes | None:
        """Receive at once; None if it would have to wait."""

    def submit_send(self, data: _Data, timeout: float | None = None, context: int = 0) -> int:
        """Send now or later; return the ticket that `poll_answers` will answer."""

    def submit_recv(self, timeout: float | None = None, context: int = 0) -> int:
        """Receive now or later; return the ticket that `poll_answers` will answer."""

    def cancel(self, ticket: int) -> _Outcome | None:
        """Take an operation back; return its outcome if it has one already."""

    def put_back(self, data: bytes, context: int) -> None:
        """Give a message back that was received but that nobody took."""

    def poll_answers(self) -> tuple[list[_Outcome], float | None]:
        """Look at the network without waiting; return all answers, and the seconds after which to call again."""

    def attach(self, attached: bool) -> None:
        """An event loop begins, or ceases, to poll `fileno`."""

    def fileno(self) -> int:
        """The descriptor that is readable when there is something to do."""

    def open_context(self) -> int:
        """Open another conversation. Raises StateError, LimitReached or Closed."""

    def close_context(self, context: int) -> None:
        """End a conversation."""

    @property
    def closed(self) -> bool:
        """Is it closed?"""

    def stats(self) -> list[tuple[str, int]]:
        """Its counters."""

    def peers(self) -> list[tuple[int, str]]:
        """The peers that are connected: (pipe, address)."""

    def events(self) -> list[tuple[str, int, str | None]]:
        """What happened to the pipes since last asked: ("up" or "down", pipe, reason)."""

    def close(self, flush: float) -> int:
        """Close; wait up to `flush` seconds until everything is written; return how many messages were not."""

    def abort(self) -> None:
        """Close as if the process had been killed."""

@final
class Relay:
    """A link laid under real sockets, for any library: it listens on this machine and lets bytes pass as the link would.

    `delay` and the parameters of `jitter` (a distribution's name and its two parameters) are in seconds, `rate` in bits
    per second, `loss` the probability that a segment is lost and sent again.
    """

    def __new__(
        cls,
        name: str,
        *,
        delay: float,
        jitter: tuple[str, float, float] = ("constant", 0.0, 0.0),
        rate: float | None = None,
        loss: float = 0.0,
        seed: int = 0,
    ) -> Relay:
        """Make a link without routes. Raises OptionError or OSError."""

    def route(self, target: str) -> str:
        """Open a way to `target` ("127.0.0.1:5555"); return where to dial instead."""

    def cut(self) -> None:
        """Silence in both directions."""

    def heal(self) -> None:
        """Speech again: what was held up arrives one delay later."""

    def break_all(self) -> None:
        """Break every connection; new ones can be made."""

    def stats(self) -> list[tuple[str, int]]:
        """What it has carried: connections, refused, bytes, held_back, latest_ns."""
