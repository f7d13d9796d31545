"""How asyncio waits for a socket.

A call is tried at once and usually done. What must wait becomes a ticket; the event loop polls the socket's descriptor
itself and hands out the answers, so no thread stands between the network and the coroutine.
"""

import asyncio
import contextlib
from typing import Any

from workbench._engine import RealSocket
from workbench.engine import errors
from workbench.engine.world import Data

Outcome = tuple[int, tuple[str, str] | None, bytes | None]


class Loop:
    """The tickets of one socket that coroutines of one event loop wait for."""

    def __init__(self, native: RealSocket) -> None:
        self._native = native
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[int, tuple[asyncio.Future[Any], int]] = {}
        """By ticket: who waits, and in which context."""
        self._timer: asyncio.TimerHandle | None = None

    async def send(self, data: Data, timeout: float | None, context: int = 0) -> None:
        """Send, waiting if need be."""
        if not self._native.try_send(data, context):
            await self._answer(self._native.submit_send(data, timeout, context), context)

    async def recv(self, timeout: float | None, context: int = 0) -> bytes:
        """Receive, waiting if need be."""
        body = self._native.try_recv(context)
        if body is None:
            body = await self._answer(self._native.submit_recv(timeout, context), context)
            assert body is not None
        return body

    async def recv_many(self, limit: int, timeout: float | None) -> list[bytes]:
        """Receive what is there, waiting for the first if need be."""
        first = await self.recv(timeout)
        with contextlib.suppress(errors.MessagingError):
            return [first, *self._native.recv_many(limit - 1, 0.0)]
        return [first]

    async def _answer(self, ticket: int, context: int) -> bytes | None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._attach(loop)
        future: asyncio.Future[bytes | None] = loop.create_future()
        self._waiting[ticket] = future, context
        # The answer may have come while the ticket was written, and the socket's next timeout may be new.
        self._collect()
        try:
            return await future
        except asyncio.CancelledError:
            self._take_back(ticket, future, context)
            raise
        finally:
            self._waiting.pop(ticket, None)
            if not self._waiting:
                self._detach()

    def _take_back(self, ticket: int, future: asyncio.Future[bytes | None], context: int) -> None:
        """Cancel a ticket; a message that had come for it goes back for the next one to receive."""
        body: bytes | None = None
        if future.done() and not future.cancelled():
            body = None if future.exception() else future.result()
        elif (outcome := self._native.cancel(ticket)) is not None:
            body = outcome[2]
        if body is not None:
            self._native.put_back(body, context)

    def _attach(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None and self._waiting and not self._loop.is_closed():
            raise errors.StateError("the socket is being waited for in another event loop")
        for ticket in self._waiting:
            # A loop that was closed under its tasks.
            self._native.cancel(ticket)
        self._waiting.clear()
        self._loop = loop
        self._native.attach(True)
        loop.add_reader(self._native.fileno(), self._collect)

    def _detach(self) -> None:
        loop, self._loop = self._loop, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if loop is not None and not loop.is_closed():
            loop.remove_reader(self._native.fileno())
        self._native.attach(False)

    def _collect(self) -> None:
        answers, due = self._native.poll_answers()
        for ticket, failure, body in answers:
            future, context = self._waiting.get(ticket, (None, 0))
            if future is None or future.done():
                # It was cancelled a moment ago.
                if body is not None:
                    self._native.put_back(body, context)
            elif failure is None:
                future.set_result(body)
            else:
                name, text = failure
                future.set_exception(getattr(errors, name)(text))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None and self._loop is not None and self._waiting:
            self._timer = self._loop.call_later(due, self._collect)
