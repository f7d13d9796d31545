"""Sockets for people: one class for each role.

    with Rep(listen="tcp://127.0.0.1:5555") as rep, Req(dial="tcp://127.0.0.1:5555") as req:
        req.send(b"ping")
        rep.send(rep.recv() + b" pong")
        assert req.recv() == b"ping pong"

Every socket may be used from several threads at once, and from asyncio (`asend`, `arecv`): there one event loop at a
time can wait for it. Times are in seconds. Data may be anything with a buffer: bytes, bytearray, memoryview, array,
numpy.

Options, all keyword arguments of the constructors:

=================== ======== ================================================================================
send_queue          1,000    messages that may wait on one pipe to be transmitted
recv_queue          1,000    messages that may wait on one pipe to be received; then the peer is held back
queue_bytes         16 MiB   bytes that may wait on one pipe in either queue
max_message         16 MiB   the largest message, in bytes; a peer that announces more loses its connection
max_contexts        65,536   conversations at once on one REQ or REP socket
max_pipes           65,536   peers at once
ttl                 8        devices that a message may cross, 1 to 255
resend              60 s     a request without a reply is sent again, to the next peer, after this time
reconnect_min, _max 0.01, 1  bounds of the wait before a lost or refused connection is tried again, in seconds
handshake_timeout   5 s      the whole time that a new connection may take until both sides have greeted
spin                50e-6 s  how long to look for an answer before going to sleep, where it pays; 0 turns it off
gather              50e-6 s  how long messages of a burst may wait to be written together; 0 turns it off
=================== ======== ================================================================================
"""

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import ClassVar, Self

from workbench._engine import RealSocket
from workbench.engine.waiting import Loop
from workbench.engine.world import Data, Kind

Address = str | Iterable[str] | None


class Socket:
    """What every socket can do. Use the class of the role you need: Req, Rep, Push, Pull.

    Any number of threads and tasks may wait for it at once, but the tasks of one event loop only: `asend` and `arecv`
    raise StateError if they must wait while a task of another loop does. Once no task waits, another loop may.
    """

    kind: ClassVar[Kind]

    def __init__(self, *, listen: Address = None, dial: Address = None, **options: float) -> None:
        self._native = RealSocket(self.kind, **options)
        self._loop = Loop(self._native)
        self.addresses: list[str] = []
        try:
            for address in _each(listen):
                self.listen(address)
            for address in _each(dial):
                self.dial(address)
        except BaseException:
            self._native.abort()
            raise

    def listen(self, address: str, *, priority: int = 8, recv_priority: int = 8) -> str:
        """Accept peers at `address`, for example ``tcp://127.0.0.1:0`` or ``inproc://log``.

        Returns the address that peers can dial, its port filled in. `priority` (1 first, 16 last) decides which peers
        are sent to first, `recv_priority` which are received from first. Raises AddressError, OptionError,
        EndpointFailed (an OSError) or Closed.
        """
        bound = self._native.listen(address, priority, recv_priority)
        self.addresses.append(bound)
        return bound

    def dial(self, address: str, *, priority: int = 8, recv_priority: int = 8) -> None:
        """Keep a connection to `address` up. Returns at once; a peer that is not there yet is tried again and again.

        Messages go to the best priority (1 first, 16 last) that has a peer able to take one, in turns within it; they
        fail over and back without delay. Raises AddressError, OptionError or Closed.
        """
        self._native.dial(address, priority, recv_priority)

    def send(self, data: Data, timeout: float | None = None) -> None:
        """Send a message; wait up to `timeout` seconds for a peer that can take it (None: for ever).

        A REQ socket never waits: a request without a peer is kept until there is one.

        Raises TimedOut, Closed, StateError or TooLarge; then nothing was sent.
        """
        self._native.send(data, timeout)

    def recv(self, timeout: float | None = None) -> bytes:
        """Receive a message; wait up to `timeout` seconds (None: for ever).

        Raises TimedOut, Closed, StateError or Cancelled; then nothing was lost.
        """
        return self._native.recv(timeout)

    async def asend(self, data: Data, timeout: float | None = None) -> None:
        """Send from asyncio; the same as `send`."""
        await self._loop.send(data, timeout)

    async def arecv(self, timeout: float | None = None) -> bytes:
        """Receive from asyncio; the same as `recv`. A task that is cancelled loses no message."""
        return await self._loop.recv(timeout)

    def context(self) -> "Context":
        """Open another conversation, with a request of its own (REQ) or in hand (REP).

        Raises StateError on the other kinds of sockets, LimitReached beyond `max_contexts`, or Closed.
        """
        return Context(self)

    def stats(self) -> dict[str, int]:
        """Return the counters of the socket: messages, bytes, drops by reason, limits that were reached."""
        return dict(self._native.stats())

    def peers(self) -> list[tuple[int, str]]:
        """Return the peers that are connected, each as (pipe, address)."""
        return self._native.peers()

    def events(self) -> list[tuple[str, int, str | None]]:
        """Return what happened to the pipes since last asked: ("up" or "down", pipe, reason)."""
        return self._native.events()

    @property
    def closed(self) -> bool:
        """Is the socket closed?"""
        return self._native.closed

    def close(self, flush: float = 1.0) -> int:
        """Close the socket; wait up to `flush` seconds until what was sent is written.

        Returns how many messages were not. Whoever waits on the socket gets Closed. Closing twice does nothing.
        """
        return self._native.close(flush)

    def abort(self) -> None:
        """Close the socket as if its process had been killed: nothing is flushed, peers see a broken connection."""
        self._native.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(flush=1.0 if kind is None else 0.0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self.close, 1.0 if kind is None else 0.0)

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{len(self.peers())} peers"
        return f"<{type(self).__name__} {' '.join([*self.addresses, state])}>"


class Context:
    """One conversation on a REQ or REP socket: many can be under way at once, each with its own request and reply.

    All conversations of a socket are waited for in one event loop at a time; see Socket.
    """

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._native = socket._native
        self._number = self._native.open_context()

    def send(self, data: Data, timeout: float | None = None) -> None:
        """Send in this conversation; see Socket.send."""
        self._native.send(data, timeout, self._number)

    def recv(self, timeout: float | None = None) -> bytes:
        """Receive in this conversation; see Socket.recv."""
        return self._native.recv(timeout, self._number)

    async def asend(self, data: Data, timeout: float | None = None) -> None:
        """Send from asyncio."""
        await self._socket._loop.send(data, timeout, self._number)

    async def arecv(self, timeout: float | None = None) -> bytes:
        """Receive from asyncio."""
        return await self._socket._loop.recv(timeout, self._number)

    def close(self) -> None:
        """End the conversation; a request under way is forgotten and whoever waits gets Closed."""
        self._native.close_context(self._number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Req(Socket):
    """Asks: send a request, receive its reply. A new request takes the place of one that is not answered yet.

    A request whose peer dies is sent again at once to another; one without a reply is sent again after `resend`.
    """

    kind = "req"


class Rep(Socket):
    """Replies: receive a request, send its reply. Receiving again abandons the request in hand."""

    kind = "rep"


class Push(Socket):
    """Hands out work: each message goes to one PULL, in turns; waits while no peer can take it."""

    kind = "push"


class Pull(Socket):
    """Takes in work, fairly from all PUSH peers."""

    kind = "pull"


CLASSES: dict[str, type[Socket]] = {role.kind: role for role in (Req, Rep, Push, Pull)}


def _each(addresses: Address) -> Iterable[str]:
    if addresses is None:
        return ()
    return (addresses,) if isinstance(addresses, str) else addresses
