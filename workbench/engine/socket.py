"""Sockets for people: one class for each role.

    with Rep(listen="tcp://127.0.0.1:5555") as rep, Req(dial="tcp://127.0.0.1:5555") as req:
        req.send(b"ping")
        rep.send(rep.recv() + b" pong")
        assert req.recv() == b"ping pong"

Every socket may be used from several threads at once, and from asyncio (`asend`, `arecv`; by one event loop at a time).
Times are in seconds. Data may be anything with a buffer: bytes, bytearray, memoryview, array, numpy.

Addresses: ``tcp://host:port``, ``tls+tcp://host:port``, ``ws://host:port/path``, ``wss://host:port/path``,
``ipc://path``, ``inproc://name``. A listener's host may be ``*`` (every interface), its port 0 (any that is free).

Options, all keyword arguments of the constructors:

======================= ======== ============================================================================
send_queue              1,000    messages that may wait on one pipe to be transmitted
recv_queue              1,000    messages that may wait on one pipe to be received; then the peer is held back
queue_bytes             16 MiB   bytes that may wait on one pipe in either queue
max_message             16 MiB   the largest message, in bytes; a peer that announces more loses its connection
when_full               (note)   what becomes of a message for a peer whose queue is full: "block", "drop-new",
                                 "drop-old" or "disconnect"; for PUB, BUS, SURVEYOR, REP and RESPONDENT
max_contexts            65,536   conversations at once on one socket
max_pipes               65,536   peers at once
max_connections         16,384   connections of one listener at once; more are turned away
max_half_open           1,024    of these, how many may not have greeted yet; then the oldest is given up
max_subscriptions       65,536   different prefixes subscribed to at once on one socket
max_subscription_bytes  4 MiB    bytes in them
ttl                     8        devices that a message may cross, 1 to 255
resend                  60 s     a request without a reply is sent again, to the next peer, after this time
instant_resends         3        how often a request whose peer died is sent again at once; then it waits before
survey_deadline         1 s      how long a survey takes answers
max_answers             65,536   answers that one peer may give from one survey to the next; more are dropped
reconnect_min, _max     0.01, 1  bounds of the wait before a lost or refused connection is tried again, in seconds
handshake_timeout       5 s      the whole time that a new connection may take until both sides have greeted
spin                    50e-6 s  how long to look for an answer before going to sleep, where it pays; 0: not at all
gather                  50e-6 s  how long messages of a burst may wait to be written together; 0: not at all
buffer                  0        bytes that a connection buffers below the queues at each end and in each direction: the
                                 kernel holds about twice, the engine once as many; 0: what the kernel likes, some MiB
======================= ======== ============================================================================

Note: PUB, BUS, SURVEYOR and RESPONDENT drop the new message unless told otherwise, REP waits.
"""

import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Self

from workbench._engine import RealSocket
from workbench.engine.attendant import OnEvent
from workbench.engine.end import Address, End
from workbench.engine.errors import OptionError, StateError, TimedOut
from workbench.engine.tls import Tls
from workbench.engine.waiting import Loop
from workbench.engine.world import Data, Topic, topic_bytes


class Socket(End):
    """What every socket can do. Use the class of the role you need.

    Any number of threads and tasks may wait for it at once, but the tasks of one event loop only: `asend` and `arecv`
    raise StateError if they must wait while a task of another loop does. Once no task waits, another loop may.
    """

    def __init__(
        self,
        *,
        listen: Address = None,
        dial: Address = None,
        tls: Tls | None = None,
        on_event: OnEvent | None = None,
        **options: float | str,
    ) -> None:
        """Open a socket, and listen at and dial these addresses.

        `on_event` is called with each Event, in a thread of its own. Raises OptionError, AddressError or
        EndpointFailed.
        """
        for name in ("priority", "recv_priority"):
            if name in options:
                raise OptionError(
                    f"{name} belongs to an address and not to the socket: call .dial(address, {name}={options[name]}) "
                    f"or .listen(address, {name}={options[name]})"
                )
        native = RealSocket(self.kind, False, **options)
        self._loop = Loop(native)
        # Frames of Python less for each message, unless a subclass has its own method.
        direct: dict[str, object] = {name: getattr(native, name) for name in _NATIVE}
        direct |= {"asend": self._loop.send, "arecv": self._loop.recv, "arecv_many": self._loop.recv_many}
        direct |= {"asend_many": self._loop.send_many}
        vars(self).update({name: method for name, method in direct.items() if self._is_plain(name)})
        super().__init__(native, listen=listen, dial=dial, tls=tls, on_event=on_event)

    @classmethod
    def _is_plain(cls, method: str) -> bool:
        return getattr(cls, method) is getattr(Socket, method)

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
        """Send from asyncio; the same as `send`. A task that is cancelled has sent nothing."""
        await self._loop.send(data, timeout)

    async def arecv(self, timeout: float | None = None) -> bytes:
        """Receive from asyncio; the same as `recv`. A task that is cancelled loses no message."""
        return await self._loop.recv(timeout)

    def send_many(self, messages: Iterable[Data], timeout: float | None = None) -> int:
        """Send messages, in order; wait up to `timeout` seconds for all of them (None: for ever).

        Returns how many were sent: all, unless the time was over. Raises TimedOut if none was, and what `send` raises.
        """
        return self._native.send_many(messages, timeout)

    def recv_many(self, limit: int = 1_024, timeout: float | None = None) -> list[bytes]:
        """Receive the messages that are there, up to `limit`; wait for the first up to `timeout` seconds.

        `timeout` None means for ever. Raises what `recv` raises.
        """
        return self._native.recv_many(limit, timeout)

    def recv_into(self, buffer: bytearray | memoryview, timeout: float | None = None) -> int:
        """Receive a message into a buffer that can be written to; return its size in bytes.

        Raises TooLarge for a message that does not fit, which can still be received, and what `recv` raises.
        """
        return self._native.recv_into(buffer, timeout)

    async def asend_many(self, messages: Sequence[Data], timeout: float | None = None) -> None:
        """Send messages from asyncio, in order; wait up to `timeout` seconds for each. See `asend`.

        A task that is cancelled may have sent the first of them.
        """
        await self._loop.send_many(messages, timeout)

    async def arecv_many(self, limit: int = 1_024, timeout: float | None = None) -> list[bytes]:
        """Receive from asyncio; the same as `recv_many`."""
        return await self._loop.recv_many(limit, timeout)

    def context(self) -> "Context":
        """Open another conversation, with a request, a survey, a reply or subscriptions of its own.

        Raises StateError on the kinds of sockets that hold only one, LimitReached beyond `max_contexts`, or Closed.
        """
        return Context(self)


class Context:
    """One conversation on a socket: many can be under way at once, each with a request, survey or topics of its own.

    All conversations of a socket are waited for in one event loop at a time; see Socket.
    """

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._native = socket._native
        self._loop = socket._loop
        self._number = self._native.open_context()
        self._open = True

    def send(self, data: Data, timeout: float | None = None) -> None:
        """Send in this conversation; see Socket.send."""
        self._native.send(data, timeout, self._number)

    def recv(self, timeout: float | None = None) -> bytes:
        """Receive in this conversation; see Socket.recv."""
        return self._native.recv(timeout, self._number)

    async def asend(self, data: Data, timeout: float | None = None) -> None:
        """Send from asyncio."""
        await self._loop.send(data, timeout, self._number)

    async def arecv(self, timeout: float | None = None) -> bytes:
        """Receive from asyncio."""
        return await self._loop.recv(timeout, self._number)

    def close(self) -> None:
        """End the conversation; a request under way is forgotten and whoever waits gets Closed."""
        if self._open:
            self._open = False
            self._native.close_context(self._number)

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):
            # It may not have come to be opened.
            self.close()

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


class Pair(Socket):
    """Speaks with one peer, both ways; a second one is refused. Waits while there is none."""

    kind = "pair"


class Pair1(Socket):
    """The same with a count of hops, which nanomsg does not know: it and Pair do not understand each other."""

    kind = "pair1"


class Bus(Socket):
    """Sends each message to all peers that are connected, and receives from all. Nothing is handed on."""

    kind = "bus"


class Pub(Socket):
    """Publishes: each message goes to all SUB peers that are connected, which pick what they have subscribed to."""

    kind = "pub"


class _Subscriptions:
    """Subscriptions, of a SUB socket or of a context on one."""

    _native: RealSocket
    _number = 0

    def subscribe(self, topic: Topic = b"") -> None:
        """Receive messages that begin with `topic` (text is taken as UTF-8; empty: all of them) from now on.

        Subscriptions are counted. Raises LimitReached beyond `max_subscriptions` or `max_subscription_bytes`, or
        Closed.
        """
        self._native.subscribe(topic_bytes(topic), self._number)

    def unsubscribe(self, topic: Topic = b"") -> None:
        """Take one subscription back. Raises StateError if there is none, or Closed."""
        self._native.unsubscribe(topic_bytes(topic), self._number)


class SubContext(Context, _Subscriptions):
    """A set of subscriptions with a queue of its own, of `recv_queue` messages; a full one drops its oldest."""


class Sub(Socket, _Subscriptions):
    """Receives what is published and begins with one of its subscriptions; without one, nothing."""

    kind = "sub"

    def __init__(
        self,
        *,
        subscribe: Topic | Iterable[Topic] = (),
        listen: Address = None,
        dial: Address = None,
        tls: Tls | None = None,
        on_event: OnEvent | None = None,
        **options: float | str,
    ) -> None:
        """Open a socket and subscribe to these topics; see Socket."""
        super().__init__(listen=None, dial=None, tls=None, on_event=on_event, **options)
        with self._whole_or_gone():
            topics = (subscribe,) if isinstance(subscribe, str | bytes | bytearray | memoryview) else subscribe
            for topic in topics:
                self.subscribe(topic)
            self._join(listen, dial, tls)

    def context(self) -> SubContext:
        """Open another set of subscriptions. Raises LimitReached beyond `max_contexts`, or Closed."""
        return SubContext(self)


class _Surveys:
    """Surveys, of a SURVEYOR socket or of a context on one."""

    _native: RealSocket
    _loop: Loop
    _number = 0

    def survey(self, question: Data, deadline: float | None = None) -> Iterator[bytes]:
        """Ask all peers and yield each answer as it comes, until the deadline.

        `deadline`, in seconds, is that of this survey and of later ones (None: as before, at first `survey_deadline`).
        """
        self._ask(question, deadline)
        # Who was busy with an answer when the deadline passed is told that no survey is under way.
        with contextlib.suppress(TimedOut, StateError):
            while True:
                yield self._native.recv(None, self._number)

    async def asurvey(self, question: Data, deadline: float | None = None) -> AsyncIterator[bytes]:
        """Ask from asyncio; the same as `survey`."""
        self._ask(question, deadline)
        try:
            while True:
                yield await self._loop.recv(None, self._number)
        except TimedOut:
            return
        except StateError:
            # Who was busy with an answer when the deadline passed is told that no survey is under way.
            if self._loop.is_elsewhere():
                raise

    def _ask(self, question: Data, deadline: float | None) -> None:
        if deadline is not None:
            self._native.set_survey_deadline(deadline, self._number)
        self._native.send(question, None, self._number)


class SurveyorContext(Context, _Surveys):
    """One survey at a time, beside those of the other contexts."""


class Surveyor(Socket, _Surveys):
    """Asks all RESPONDENT peers at once and receives the answers that come within the survey's deadline.

    After it `recv` raises TimedOut once, then StateError. A new survey takes the place of the old one.
    """

    kind = "surveyor"

    def context(self) -> SurveyorContext:
        """Open another conversation, with surveys of its own. Raises LimitReached beyond `max_contexts`, or Closed."""
        return SurveyorContext(self)


class Respondent(Socket):
    """Answers surveys: receive one, send its answer. Receiving again abandons the survey in hand."""

    kind = "respondent"


CLASSES: dict[str, type[Socket]] = {
    role.kind: role for role in (Pair, Pair1, Bus, Pub, Sub, Push, Pull, Req, Rep, Surveyor, Respondent)
}

_NATIVE = ("send", "recv", "send_many", "recv_many", "recv_into")
"""Methods of sockets that are the engine's own."""
