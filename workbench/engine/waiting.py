"""How asyncio waits for a socket.

A call is tried at once and usually done. What must wait becomes a ticket; the event loop polls the descriptor of the
socket itself and hands out the answers, so no thread stands between the network and the coroutine. The loop goes on
polling for a moment after the last answer: whoever waits again soon, as in request and reply, need not begin anew.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

from workbench._engine import RealSocket
from workbench.engine import errors
from workbench.engine.world import Data

Outcome = tuple[int, tuple[str, str] | None, bytes | None]


class Loop:
    """The tickets of one socket that coroutines wait for: those of one event loop at a time.

    Every ticket is in `_waiting` from its submission until it is answered or cancelled: no answer is without an owner.
    """

    def __init__(self, native: RealSocket) -> None:
        self._native = native
        self._loop: asyncio.AbstractEventLoop | None = None
        """The event loop that polls the socket: somebody waits in it, or did a moment ago."""
        self._claiming = threading.Lock()
        self._waiting: dict[int, tuple[asyncio.Future[Any], int]] = {}
        """By ticket: who waits, and in which context."""
        self._waits = 0
        """How often anybody has waited."""
        self._leaving: asyncio.TimerHandle | None = None

    async def send(self, data: Data, timeout: float | None = None, context: int = 0) -> None:
        """Send, waiting if need be. Raises StateError if it must wait, and somebody waits in another event loop."""
        if self._loop is not None and self._loop.is_closed():
            self._leave_closed_loop()
        if not self._native.try_send(data, context):
            await self._answer(lambda: self._native.submit_send(data, timeout, context), context)

    async def recv(self, timeout: float | None = None, context: int = 0) -> bytes:
        """Receive, waiting if need be. Raises StateError if it must wait, and somebody waits in another event loop."""
        if self._loop is not None and self._loop.is_closed():
            self._leave_closed_loop()
        # A short look is worth more than a turn of the loop, unless others wait for what it would come across.
        body = self._native.try_recv(context, not self._waiting)
        if body is None:
            body = await self._answer(lambda: self._native.submit_recv(timeout, context), context)
            assert body is not None
        return body

    async def recv_many(self, limit: int = 1_024, timeout: float | None = None) -> list[bytes]:
        """Receive what is there, waiting for the first if need be."""
        first = await self.recv(timeout)
        with contextlib.suppress(errors.MessagingError):
            return [first, *self._native.recv_many(limit - 1, 0.0)]
        return [first]

    async def _answer(self, submit: Callable[[], int], context: int) -> bytes | None:
        loop = asyncio.get_running_loop()
        # First: a ticket whose answer nobody will collect would swallow a message.
        self._attach(loop)
        try:
            # If it is answered meanwhile, the descriptor becomes readable.
            ticket = submit()
            future: asyncio.Future[bytes | None] = loop.create_future()
            self._waiting[ticket] = future, context
            try:
                return await future
            except BaseException:
                # Cancelled, or closed together with its loop; after a failure there is nothing left to take back.
                if self._waiting.get(ticket, (None, 0))[0] is future:
                    self._take_back(ticket, future, context)
                raise
            finally:
                self._waiting.pop(ticket, None)
        finally:
            if self._leaving is None and self._loop is loop and not self._waiting:
                self._leave_soon(loop)

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
        self._waits += 1
        if self._loop is loop:
            return
        with self._claiming:
            if self._loop is not None and self._waiting:
                raise errors.StateError(
                    "the socket is being waited for in another event loop, and one at a time can wait for it; "
                    "open a socket for each loop"
                )
            # A loop that only lingers finds out by itself.
            self._loop = loop
            self._leaving = None
        self._native.attach(True)
        loop.add_reader(self._native.fileno(), self._collect, loop)

    def _leave_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        if not loop.is_closed():
            self._leaving = loop.call_later(_LINGERING, self._leave, loop, self._waits)

    def _leave(self, loop: asyncio.AbstractEventLoop, waits: int) -> None:
        """Stop polling, unless somebody has waited since."""
        if self._loop is not loop:
            return
        self._leaving = None
        if self._waiting:
            return
        if self._waits != waits:
            self._leave_soon(loop)
        else:
            loop.remove_reader(self._native.fileno())
            self._detach()

    def _leave_closed_loop(self) -> None:
        """What came for tasks under which their loop was closed goes back."""
        with self._claiming:
            if self._loop is None or not self._loop.is_closed():
                return
            for ticket, (future, context) in self._waiting.items():
                self._take_back(ticket, future, context)
            self._waiting.clear()
            self._detach()

    def _detach(self) -> None:
        self._leaving = None
        self._native.attach(False)
        self._loop = None

    def _collect(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not loop:
            loop.remove_reader(self._native.fileno())
            return
        for ticket, failure, body in self._native.poll_answers():
            future, context = self._waiting[ticket]
            if future.done():
                # It was cancelled a moment ago, and its task does not know yet.
                if body is not None:
                    self._native.put_back(body, context)
            elif failure is None:
                future.set_result(body)
            else:
                name, text = failure
                future.set_exception(getattr(errors, name)(text))


_LINGERING = 0.05
"""Seconds for which a loop goes on polling a socket that nobody waits for."""
