"""Ends: what is common to sockets and to the sides of a device. An end has endpoints, peers and counters."""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from workbench._engine import RealSocket
from workbench.engine.attendant import Admit, Attendant, OnEvent
from workbench.engine.errors import TimedOut
from workbench.engine.facts import Endpoint, Event, Peer
from workbench.engine.tls import Tls
from workbench.engine.world import Kind, WhenFull

Address = str | Iterable[str] | None


class End:
    """One end of a pattern, without its messages."""

    kind: Kind

    def __init__(
        self,
        native: RealSocket,
        *,
        listen: Address = None,
        dial: Address = None,
        tls: Tls | None = None,
        on_event: OnEvent | None = None,
    ) -> None:
        """Listen at and dial these addresses; see Socket."""
        self._native = native
        self._attendant = Attendant(self._native)
        self.addresses: list[str] = []
        with self._whole_or_gone():
            if on_event is not None:
                self._attendant.on_event = on_event
                self._attendant.start()
            self._join(listen, dial, tls)

    def listen(
        self,
        address: str,
        *,
        priority: int = 8,
        recv_priority: int = 8,
        when_full: WhenFull | None = None,
        tls: Tls | None = None,
        admit: Admit | None = None,
    ) -> str:
        """Accept peers at `address`, for example ``tcp://127.0.0.1:0`` or ``ipc:///run/log.sock``.

        Returns the address that peers can dial, its port filled in. `priority` (1 first, 16 last) decides which peers
        are sent to first, `recv_priority` which are received from first, `when_full` what becomes of a message for one
        of them whose queue is full (None: the socket's option). `admit` is asked about each Peer, in a thread of its
        own, and nothing is exchanged with one until it has said True; it has as long as `handshake_timeout`.

        Raises AddressError, OptionError, EndpointFailed (an OSError) or Closed.
        """
        pieces = None if tls is None else tls.pieces()
        bound = self._native.listen(address, priority, recv_priority, when_full, pieces, admit is not None)
        self._attend(bound, admit)
        self.addresses.append(bound)
        return bound

    def dial(
        self,
        address: str,
        *,
        priority: int = 8,
        recv_priority: int = 8,
        when_full: WhenFull | None = None,
        tls: Tls | None = None,
        admit: Admit | None = None,
    ) -> None:
        """Keep a connection to `address` up. Returns at once; a peer that is not there yet is tried again and again.

        Messages go to the best priority (1 first, 16 last) that has a peer able to take one, in turns within it; they
        fail over and back without delay. The other arguments are those of `listen`. Why attempts fail, `events` and
        `endpoints` tell. Raises AddressError, OptionError or Closed.
        """
        pieces = None if tls is None else tls.pieces()
        self._attend(address, admit)
        self._native.dial(address, priority, recv_priority, when_full, pieces, admit is not None)

    def stats(self) -> dict[str, int]:
        """Return the counters of the socket: messages, bytes, drops by reason, limits that were reached."""
        return dict(self._native.stats())

    def report(self) -> dict[str, object]:
        """Return all counters as a tree: "socket", "endpoints" and "pipes" (by peer), as numbers, strings and lists."""
        pipes = []
        for peer in self.peers():
            counters = None if peer.pipe is None else self._native.pipe_stats(peer.pipe)
            if counters is not None:
                pipes.append({"address": peer.address, "endpoint": peer.endpoint} | dict(counters))
        endpoints = [
            {"address": one.address, "dials": one.dials, "pipes": one.pipes, "last_error": one.last_error}
            | one.counters
            for one in self.endpoints()
        ]
        return {"socket": self.stats(), "endpoints": endpoints, "pipes": pipes}

    def peers(self) -> list[Peer]:
        """Return the peers that are connected."""
        return [Peer.from_row(row) for row in self._native.peers()]

    def endpoints(self) -> list[Endpoint]:
        """Return the listeners and dialers, each with its counters and why its last attempt failed."""
        return [Endpoint.from_row(row) for row in self._native.endpoints()]

    def events(self, timeout: float | None = 0.0) -> Iterator[Event]:
        """Yield what happened to endpoints and peers; wait up to `timeout` seconds for each (None: for ever).

        It ends when there was nothing for so long, or when the socket is closed. The newest 1,024 are kept. If
        `on_event` was given, events go there instead.
        """
        while (event := self._attendant.next_event(timeout)) is not None:
            yield event

    def wait_for_peers(self, count: int = 1, timeout: float | None = None) -> None:
        """Wait up to `timeout` seconds until `count` peers are connected (None: for ever).

        Raises TimedOut, which says what the dialers' last attempts failed at, or Closed.
        """
        if self._native.wait_for_peers(count, timeout):
            return
        there = len(self.peers())
        reasons = "; ".join(f"{one.address}: {one.last_error}" for one in self.endpoints() if one.last_error)
        text = f"{there} of {count} peers came in time" + (f" ({reasons})" if reasons else "")
        if self.closed:
            # Whatever is asked of a closed socket says so.
            self._native.endpoints()
        raise TimedOut(f"wait_for_peers on a {self.kind} socket: {text}")

    async def await_for_peers(self, count: int = 1, timeout: float | None = None) -> None:
        """Wait from asyncio; the same as `wait_for_peers`."""
        await asyncio.get_running_loop().run_in_executor(None, self.wait_for_peers, count, timeout)

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

    @contextlib.contextmanager
    def _whole_or_gone(self) -> Iterator[None]:
        """While it is made: what fails leaves nothing behind."""
        try:
            yield
        except BaseException:
            self._native.abort()
            raise

    def _join(self, listen: Address, dial: Address, tls: Tls | None) -> None:
        for address in _each(listen):
            self.listen(address, tls=tls)
        for address in _each(dial):
            self.dial(address, tls=tls)

    def _attend(self, endpoint: str, admit: Admit | None) -> None:
        if admit is not None:
            self._attendant.admit[endpoint] = admit
            self._attendant.start()

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


def _each(addresses: Address) -> Iterable[str]:
    """Yield each of some addresses."""
    if addresses is None:
        return ()
    return (addresses,) if isinstance(addresses, str) else addresses
