"""The seam: what a behaviour sees of the world it runs in.

A behaviour is a coroutine, ``async def foo(host: Host) -> None``. It reaches time, luck and messaging through its host
and cannot know whether the world is real (threads, the operating system's clock) or virtual (SimPy, a virtual clock).

A behaviour that raises anything fails, and ends the run: SystemExit is no exception. KeyboardInterrupt alone is not its
failure but an interruption, as Ctrl-C is. Both hold in either world.
"""

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, Literal, Protocol, TypeAlias, overload

from workbench.engine.errors import OptionError

Kind: TypeAlias = Literal["pair", "pair1", "bus", "pub", "sub", "push", "pull", "req", "rep", "surveyor", "respondent"]
WhenFull: TypeAlias = Literal["block", "drop-new", "drop-old", "disconnect"]
Behaviour: TypeAlias = Callable[["Host"], Coroutine[Any, Any, None]]
Data: TypeAlias = bytes | bytearray | memoryview
Topic: TypeAlias = str | Data


def topic_bytes(topic: Topic) -> Data:
    """Return the bytes of a topic; text is taken as UTF-8."""
    return topic.encode() if isinstance(topic, str) else topic


class Conversation(Protocol):
    """One conversation: a request and its reply, a survey, a set of topics. A socket is one, and some open more."""

    def asend(self, data: Data, timeout: float | None = None) -> Awaitable[None]:
        """Send; wait up to `timeout` seconds (None: for ever). Raises TimedOut, Closed, StateError or TooLarge."""

    def arecv(self, timeout: float | None = None) -> Awaitable[bytes]:
        """Receive; wait up to `timeout` seconds (None: for ever). Raises TimedOut, Closed, StateError or Cancelled."""

    def close(self) -> object:
        """End the conversation; whoever waits in it gets Closed."""


class Socket(Conversation, Protocol):
    """One end of a pattern."""

    def listen(self, address: str) -> str:
        """Accept peers at `address`; return the address they can dial."""

    def dial(self, address: str, *, priority: int = 8) -> object:
        """Keep a connection to `address` up; `priority` 1 is sent to first, 16 last."""

    def context(self) -> Conversation:
        """Open another conversation (REQ, REP, SUB, SURVEYOR and RESPONDENT only)."""

    def asend_many(self, messages: Sequence[Data], timeout: float | None = None) -> Awaitable[None]:
        """Send messages, in order; wait up to `timeout` seconds for each. Raises what `asend` raises."""

    def arecv_many(self, limit: int = 1_024, timeout: float | None = None) -> Awaitable[list[bytes]]:
        """Receive what is there, one message at least and `limit` at most; wait for the first up to `timeout` seconds.

        Raises what `arecv` raises.
        """

    def stats(self) -> dict[str, int]:
        """Return the socket's counters."""


class Subscriber(Socket, Protocol):
    """A socket that receives what it has subscribed to."""

    def subscribe(self, topic: Topic = b"") -> None:
        """Receive messages that begin with `topic` from now on."""

    def unsubscribe(self, topic: Topic = b"") -> None:
        """Take one subscription back."""


class Surveys(Conversation, Protocol):
    """One survey at a time."""

    def asurvey(self, question: Data, deadline: float | None = None) -> AsyncIterator[bytes]:
        """Ask all peers and yield each answer as it comes, until the deadline in seconds."""


class Surveyor(Socket, Surveys, Protocol):
    """A socket that asks all of its peers at once."""

    def context(self) -> Surveys:
        """Open another conversation, whose surveys run beside the others."""


class Signal(Protocol):
    """Wakes coroutines that wait for something other than a socket."""

    def notify(self) -> None:
        """Wake everyone who waits; if nobody does, the next who waits need not."""

    def wait(self, timeout: float | None = None) -> Awaitable[bool]:
        """Wait up to `timeout` seconds (None: for ever) to be woken; False if the time was over."""


class Stream(Protocol):
    """Seeded luck under a name: the same draws for the same seed, in either world."""

    def uniform(self) -> float:
        """Draw from [0, 1)."""

    def exponential(self, mean: float) -> float:
        """Draw from the exponential distribution with this mean."""

    def choose(self, count: int) -> int:
        """Draw one of 0 to count - 1."""

    def sample(self, kind: str, a: float, b: float) -> float:
        """Draw from a named distribution with its two parameters."""


class Host(Protocol):
    """A machine with a name, at a site, that plays behaviours and can be killed."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def site(self) -> str:
        """Where it stands."""

    @property
    def world(self) -> "World":
        """The world it is in."""

    @overload
    def socket(self, kind: Literal["sub"], **options: float | str) -> Subscriber: ...

    @overload
    def socket(self, kind: Literal["surveyor"], **options: float | str) -> Surveyor: ...

    @overload
    def socket(self, kind: Kind, **options: float | str) -> Socket: ...

    def socket(self, kind: Kind, **options: float | str) -> Socket:
        """Open a socket. Options and their ranges are those of `workbench.engine.Socket`."""

    def stream(self, name: str) -> Stream:
        """Luck of its own, from the world's seed and this name."""

    def unique(self) -> bytes:
        """16 bytes that nobody else has: from the system's luck in the real world, from the seed in the virtual one."""

    def play(self, behaviour: Behaviour) -> None:
        """Start `behaviour` now, and again after each restore."""

    def spawn(self, errand: Coroutine[Any, Any, None]) -> object:
        """Run a coroutine beside the others of this host, until it ends or the host is killed."""

    def kill(self) -> None:
        """Stop everything at once, as when a process is killed: peers see broken connections."""

    def restore(self) -> None:
        """Start again what the host was playing."""


class World(Protocol):
    """Time, and the hosts in it."""

    @property
    def now(self) -> float:
        """Seconds since the world began."""

    def sleep(self, seconds: float) -> Awaitable[object]:
        """Wait so many seconds. Raises OptionError at once unless they are zero or more."""

    def signal(self) -> Signal:
        """Make a signal, for coroutines of one host to wake each other."""

    def host(self, name: str, site: str = "") -> Host:
        """Return the host of this name; make it first if there is none."""

    def observe(self, name: str, value: float, unit: str = "1") -> None:
        """Record one observation, a finite number; the run reports its mean and percentiles as ``observed.NAME.mean``.

        `unit` is what tables write behind it: "s" is scaled to what is readable, "1" is a bare number. A name keeps the
        unit it is first observed with; expectations can name what has letters, digits, '_', '-' and '.' only. Raises
        OptionError for what is no name or no such number.
        """


def duration(seconds: float) -> float:
    """The time to sleep, checked. Raises OptionError."""
    if not seconds >= 0:
        raise OptionError(f"sleep({seconds}): the time to sleep is out of range; allowed: 0 or more seconds")
    return seconds


def observation(name: str, value: float, unit: str) -> tuple[str, float, str]:
    """An observation, checked. Raises OptionError."""
    if not isinstance(name, str) or not name or not isinstance(unit, str):
        raise OptionError(f"observe({name!r}, …, {unit!r}): the name and the unit of an observation are texts")
    try:
        number = math.nan if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise OptionError(f"observe({name!r}, {value!r}): an observation is a finite number")
    return name, number, unit
