"""ZeroMQ under the seam: a host whose sockets are pyzmq's, so that what is written against `Host` runs on libzmq.

    play(lambda host: main(ZeroMqHost(host)))

Time, luck and errands are those of the real host within. There are pub, sub, push, pull, req and rep, over tcp, ipc and
inproc; options and contexts of our own sockets there are not: each socket is one conversation.
"""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any

from workbench.engine.errors import AddressError, Closed, EndpointFailed, OptionError, StateError, TimedOut
from workbench.engine.real import RealHost, RealWorld, Stream
from workbench.engine.world import Data, Kind, Topic, topic_bytes

KINDS = ("pub", "sub", "push", "pull", "req", "rep")


class ZeroMqHost:
    """A host of the real world, with ZeroMQ's sockets. Raises ImportError if pyzmq is not installed."""

    def __init__(self, host: RealHost) -> None:
        import zmq.asyncio

        self._host = host
        self._context = zmq.asyncio.Context.instance()
        self._sockets: list[ZeroMqSocket] = []

    @property
    def name(self) -> str:
        """What it is called."""
        return self._host.name

    @property
    def site(self) -> str:
        """Where it stands."""
        return self._host.site

    @property
    def world(self) -> RealWorld:
        """The world it is in; hosts that it makes have sockets of our own."""
        return self._host.world

    def socket(self, kind: Kind, **options: float | str) -> Any:
        """Open a socket of ZeroMQ's; how long to wait before dialling again is its only option.

        Raises OptionError for a kind that ZeroMQ does not have.
        """
        if kind not in KINDS:
            raise OptionError(f"ZeroMQ has no {kind!r} here; allowed: {', '.join(KINDS)}")
        self._sockets = [one for one in self._sockets if not one.closed]
        socket = ZeroMqSocket(self._context, kind, float(options.get("reconnect_min", 0.01)))
        self._sockets.append(socket)
        return socket

    def stream(self, name: str) -> Stream:
        """Luck of its own; see RealHost."""
        return self._host.stream(name)

    def unique(self) -> bytes:
        """16 bytes that nobody else has."""
        return self._host.unique()

    def play(self, behaviour: Any) -> None:
        """Start `behaviour` on this host."""
        self.spawn(behaviour(self))

    def spawn(self, errand: Coroutine[Any, Any, None]) -> object:
        """Run a coroutine beside the others, until it ends or the host is killed."""
        return self._host.spawn(errand)

    def kill(self) -> None:
        """Stop everything at once."""
        self._host.kill()
        sockets, self._sockets = self._sockets, []
        for socket in sockets:
            socket.close(linger=0)

    def restore(self) -> None:
        """Start again what the host within was playing."""
        self._host.restore()


class ZeroMqSocket:
    """One of pyzmq's sockets as the seam has them."""

    def __init__(self, context: Any, kind: str, reconnect: float) -> None:
        import zmq

        self._zmq = zmq
        self._socket = context.socket(getattr(zmq, kind.upper()))
        self._socket.setsockopt(zmq.RECONNECT_IVL, max(1, round(reconnect * 1e3)))
        self._turn = asyncio.Lock()
        """Of the conversations of a REP socket, which can have one at a time only."""

    @property
    def closed(self) -> bool:
        """Has it been closed?"""
        return bool(self._socket.closed)

    def listen(self, address: str) -> str:
        """Accept peers at `address`; return what they can dial. Raises AddressError, EndpointFailed or Closed."""
        with self._told(address):
            self._socket.bind(address.replace(":0", ":*") if address.endswith(":0") else address)
            return str(self._socket.getsockopt(self._zmq.LAST_ENDPOINT).rstrip(b"\0").decode())

    def dial(self, address: str, *, priority: int = 8) -> None:
        """Keep a connection up; ZeroMQ knows no priorities. Raises AddressError or Closed."""
        del priority
        with self._told(address):
            self._socket.connect(address)

    def subscribe(self, topic: Topic = b"") -> None:
        """Receive messages that begin with `topic`. Raises Closed."""
        with self._told():
            self._socket.setsockopt(self._zmq.SUBSCRIBE, bytes(topic_bytes(topic)))

    def unsubscribe(self, topic: Topic = b"") -> None:
        """Take one subscription back. Raises Closed."""
        with self._told():
            self._socket.setsockopt(self._zmq.UNSUBSCRIBE, bytes(topic_bytes(topic)))

    def context(self) -> "_Turn":
        """Open another conversation: one at a time has the socket. Raises StateError but for REP."""
        if self._socket.type != self._zmq.REP:
            raise StateError("a socket of ZeroMQ's holds one conversation")
        return _Turn(self, self._turn)

    async def asend(self, data: Data, timeout: float | None = None) -> None:
        """Send; wait up to `timeout` seconds. Raises TimedOut, Closed or StateError."""
        with self._told():
            async with asyncio.timeout(timeout):
                await self._socket.send(data)

    async def arecv(self, timeout: float | None = None) -> bytes:
        """Receive; wait up to `timeout` seconds. Raises TimedOut, Closed or StateError."""
        with self._told():
            async with asyncio.timeout(timeout):
                return bytes(await self._socket.recv())
        raise AssertionError("it has received, or raised")

    async def asend_many(self, messages: Sequence[Data], timeout: float | None = None) -> None:
        """Send messages, in order; wait up to `timeout` seconds for each. Raises what `asend` raises."""
        for data in messages:
            await self.asend(data, timeout)

    async def arecv_many(self, limit: int = 1_024, timeout: float | None = None) -> list[bytes]:
        """Receive what is there, `limit` messages at most; wait for the first. Raises what `arecv` raises."""
        found = [await self.arecv(timeout)]
        with contextlib.suppress(self._zmq.ZMQError):
            plain = self._zmq.Socket.recv
            while len(found) < limit:
                found.append(bytes(plain(self._shadow(), self._zmq.DONTWAIT)))
        return found

    def stats(self) -> dict[str, int]:
        """ZeroMQ counts nothing."""
        return {}

    def close(self, linger: float = 1.0) -> None:
        """Close; what has been taken to send may still go out, for up to `linger` seconds."""
        self._socket.close(linger=round(linger * 1e3))

    def _shadow(self) -> Any:
        return self._zmq.Socket.shadow(self._socket.underlying)

    @contextlib.contextmanager
    def _told(self, address: str = "") -> Iterator[None]:
        """Say what goes wrong in the words of the seam."""
        try:
            yield
        except TimeoutError:
            raise TimedOut("ZeroMQ's socket was not ready in time") from None
        except asyncio.CancelledError:
            if self._socket.closed and not _is_cancelled():
                raise Closed("the socket is closed") from None
            raise
        except self._zmq.ZMQError as error:
            if error.errno in (self._zmq.ENOTSOCK, self._zmq.ETERM) or self._socket.closed:
                raise Closed("the socket is closed") from None
            if error.errno == self._zmq.EFSM:
                raise StateError(str(error)) from None
            failure = EndpointFailed if error.errno == self._zmq.EADDRINUSE else AddressError if address else StateError
            raise failure(f"{address}: {error}" if address else str(error)) from None


class _Turn:
    """A conversation on a REP socket: from receiving to sending it has the socket for itself."""

    def __init__(self, socket: ZeroMqSocket, turn: asyncio.Lock) -> None:
        self._socket = socket
        self._turn = turn

    async def arecv(self, timeout: float | None = None) -> bytes:
        await self._turn.acquire()
        try:
            return await self._socket.arecv(timeout)
        except BaseException:
            self._turn.release()
            raise

    async def asend(self, data: Data, timeout: float | None = None) -> None:
        try:
            await self._socket.asend(data, timeout)
        finally:
            self._turn.release()

    def close(self) -> None:
        """A turn ends with what is sent."""


def _is_cancelled() -> bool:
    """Is the task itself to end, and not only what it waits for?"""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
