"""How asyncio waits for a socket.

A call is tried at once and usually done. What must wait becomes a ticket; the event loop polls the descriptor of the
socket itself and hands out the answers, so no thread stands between the network and the coroutine. The loop goes on
polling for a moment after the last answer: whoever waits again soon, as in request and reply, need not begin anew.

A cancelled call has not happened. Who waits to send is only told when there may be room, and tries in its own step of
the loop: nothing can come between that and its return. What was received for a task that is cancelled before it could
look goes to the next of its conversation, and what that one has moves on likewise, so that the order is kept.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from workbench._engine import RealSocket
from workbench.engine import errors
from workbench.engine.world import Data


@dataclass(slots=True)
class _Wait:
    """A task that waits for a ticket."""

    future: asyncio.Future[None]
    context: int
    body: bytes | None = None
    """What has come for it."""
    failure: tuple[str, str] | None = None
    """Or why nothing will: the name of an error and its text."""


@dataclass(slots=True)
class _Line:
    """Tasks that wait to send in one context, one behind the other."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    length: int = 0


class Loop:
    """The tickets of one socket that coroutines wait for: those of one event loop at a time.

    Every ticket is in `_waiting` from its submission until its task goes on: no answer is without an owner.
    """

    def __init__(self, native: RealSocket) -> None:
        self._native = native
        self._loop: asyncio.AbstractEventLoop | None = None
        """The event loop that polls the socket: somebody waits in it, or did a moment ago."""
        self._claiming = threading.Lock()
        self._calls = 0
        """How many calls wait."""
        self._entries = 0
        """How many have waited, up to now."""
        self._waiting: dict[int, _Wait] = {}
        """By ticket, the oldest first."""
        self._lines: dict[int, _Line] = {}
        """By context."""
        self._leaving: asyncio.TimerHandle | None = None

    async def send(self, data: Data, timeout: float | None = None, context: int = 0) -> None:
        """Send, waiting if need be. Raises StateError if it must wait, and somebody waits in another event loop."""
        if self._loop is not None and self._loop.is_closed():
            self._leave_closed_loop()
        if context in self._lines or not self._native.try_send(data, context):
            await self._send_in_turn(data, timeout, context)

    async def recv(self, timeout: float | None = None, context: int = 0) -> bytes:
        """Receive, waiting if need be. Raises StateError if it must wait, and somebody waits in another event loop."""
        if self._loop is not None and self._loop.is_closed():
            self._leave_closed_loop()
        # A short look is worth more than a turn of the loop, unless others wait for what it would come across.
        body = self._native.try_recv(context, not self._waiting)
        if body is None:
            # First: a ticket whose answer nobody will collect would swallow a message.
            loop = self._enter()
            try:
                body = await self._answer(loop, self._native.submit_recv(timeout, context), context)
            finally:
                self._leave(loop)
            assert body is not None
        return body

    async def send_many(self, messages: Sequence[Data], timeout: float | None = None) -> None:
        """Send messages in order, waiting for each if need be."""
        sent = 0
        while sent < len(messages):
            if 0 not in self._lines:
                with contextlib.suppress(errors.TimedOut):
                    sent += self._native.send_many(messages[sent:] if sent else messages, 0.0)
            if sent < len(messages):
                await self.send(messages[sent], timeout)
                sent += 1

    async def recv_many(self, limit: int = 1_024, timeout: float | None = None) -> list[bytes]:
        """Receive what is there, waiting for the first if need be."""
        first = await self.recv(timeout)
        with contextlib.suppress(errors.MessagingError):
            return [first, *self._native.recv_many(limit - 1, 0.0)]
        return [first]

    def is_elsewhere(self) -> bool:
        """Do tasks of another event loop wait?"""
        return self._loop is not None and self._loop is not asyncio.get_running_loop() and self._calls > 0

    async def _send_in_turn(self, data: Data, timeout: float | None, context: int) -> None:
        if timeout is not None and not timeout >= 0:
            # It says what is wrong.
            return self._native.send(data, timeout, context)
        loop = self._enter()
        try:
            with self._line(context) as turn:
                async with asyncio.timeout(timeout), turn:
                    while (ticket := self._native.send_or_wait(data, None, context)) is not None:
                        await self._answer(loop, ticket, context)
        except TimeoutError:
            # One more try; it says what there is to say.
            self._native.send(data, 0.0, context)
        finally:
            self._leave(loop)

    @contextlib.contextmanager
    def _line(self, context: int) -> Iterator[asyncio.Lock]:
        line = self._lines.setdefault(context, _Line())
        line.length += 1
        try:
            yield line.turn
        finally:
            line.length -= 1
            if line.length == 0 and self._lines.get(context) is line:
                del self._lines[context]

    async def _answer(self, loop: asyncio.AbstractEventLoop, ticket: int, context: int) -> bytes | None:
        wait = self._waiting[ticket] = _Wait(loop.create_future(), context)
        try:
            # If the answer is there already, the descriptor is readable.
            await wait.future
        except BaseException:
            # Cancelled, or closed together with its loop.
            if self._waiting.get(ticket) is wait:
                self._collect(loop)
                self._take_back(ticket, wait)
            raise
        finally:
            self._waiting.pop(ticket, None)
        if wait.failure is not None:
            name, text = wait.failure
            raise getattr(errors, name)(text)
        return wait.body

    def _take_back(self, ticket: int, wait: _Wait) -> None:
        """Cancel a ticket; a message that had come for it goes to the next of its conversation."""
        outcome = self._native.cancel(ticket)
        body = wait.body if outcome is None else outcome[2]
        if body is None:
            return
        for other, later in self._waiting.items():
            if other > ticket and later.context == wait.context and later.body is not None:
                body, later.body = later.body, body
        self._native.put_back(body, wait.context)

    def _enter(self) -> asyncio.AbstractEventLoop:
        """A call begins to wait."""
        loop = asyncio.get_running_loop()
        with self._claiming:
            if self._loop is not None and self._loop is not loop and self._calls:
                raise errors.StateError(
                    "the socket is being waited for in another event loop, and one at a time can wait for it; "
                    "open a socket for each loop"
                )
            self._calls += 1
            self._entries += 1
            if self._loop is loop:
                return loop
            # A loop that only lingers finds out by itself.
            self._loop = loop
            self._leaving = None
        self._native.attach(True)
        loop.add_reader(self._native.fileno(), self._collect, loop)
        return loop

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        """A call waits no more."""
        if self._loop is loop:
            self._calls -= 1
            if self._calls == 0 and self._leaving is None:
                self._linger(loop)

    def _linger(self, loop: asyncio.AbstractEventLoop) -> None:
        if not loop.is_closed():
            self._leaving = loop.call_later(_LINGERING, self._go, loop, self._entries)

    def _go(self, loop: asyncio.AbstractEventLoop, entries: int) -> None:
        """Stop polling, unless a call has waited meanwhile."""
        if self._loop is not loop:
            return
        self._leaving = None
        if self._calls:
            return
        if self._entries != entries:
            self._linger(loop)
        else:
            loop.remove_reader(self._native.fileno())
            self._detach()

    def _leave_closed_loop(self) -> None:
        """What came for tasks under which their loop was closed goes back."""
        with self._claiming:
            if self._loop is None or not self._loop.is_closed():
                return
            self._collect(self._loop)
            # The newest first: what goes back comes before what is there.
            while self._waiting:
                self._take_back(*self._waiting.popitem())
            self._lines.clear()
            self._calls = 0
            self._detach()

    def _detach(self) -> None:
        self._leaving = None
        self._native.attach(False)
        self._loop = None

    def _collect(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look at the network, and let those go on who have an answer."""
        if self._loop is not loop:
            loop.remove_reader(self._native.fileno())
            return
        for ticket, failure, body in self._native.poll_answers():
            wait = self._waiting[ticket]
            wait.body, wait.failure = body, failure
            # One that was cancelled a moment ago gives it back when its task comes to know.
            if not wait.future.done() and not loop.is_closed():
                wait.future.set_result(None)


_LINGERING = 0.05
"""Seconds for which a loop goes on polling a socket that nobody waits for."""
