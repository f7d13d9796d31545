"""A peer: a messaging library, as the measurement sees it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import ClassVar, Literal, TypeAlias

Role: TypeAlias = Literal["push", "pull", "req", "rep"]

ROLES: tuple[Role, ...] = ("push", "pull", "req", "rep")

QUEUE = 1000
"""Messages that a library may queue at either end: ZeroMQ's default, and what the others are set to."""


def _nothing() -> None:
    """Where a library holds nothing back, there is nothing to hand over."""


@dataclass(frozen=True, slots=True)
class End:
    """One end of a pattern, as blocking functions.

    They are the library's own functions wherever those fit, so that nothing of ours stands between a measurement and
    what is measured. `bind` takes "tcp://127.0.0.1:0" and returns the address to `connect` to. `recv` returns bytes
    that the caller owns. `flush` hands over what the end has held back on purpose to send it with more.
    """

    bind: Callable[[str], str]
    connect: Callable[[str], object]
    send: Callable[[bytes], object]
    recv: Callable[[], bytes]
    close: Callable[[], object]
    flush: Callable[[], object] = _nothing
    conversation: Callable[[], tuple[Callable[[bytes], object], Callable[[], bytes]]] | None = None
    """For a REQ, where the library has such: opens a context for one more thread; its functions to send and receive."""
    serve: Callable[[Callable[[bytes], bytes]], object] | None = None
    """For a REP whose library calls a function in a thread of its own: has it call this one, in place of `recv` and
    `send`."""


def host_and_port(address: str) -> tuple[str, int]:
    """The two parts of "tcp://host:port". Raises ValueError for anything else."""
    scheme, _, rest = address.partition("://")
    host, _, port = rest.rpartition(":")
    if scheme != "tcp" or not host or not port.isdigit():
        raise ValueError(f"expected an address such as tcp://127.0.0.1:5555, not {address!r}")
    return host, int(port)


@dataclass(frozen=True, slots=True)
class Semantics:
    """What a library does for each message: printed with every comparison, because it decides what is compared."""

    pattern: str
    copies: str
    queue: str
    threads: str
    batching: str

    def __str__(self) -> str:
        return (
            f"{self.pattern}; copies: {self.copies}; queues: {self.queue}; threads: {self.threads}; "
            f"batching: {self.batching}; TCP_NODELAY on"
        )


class Peer(ABC):
    """A messaging library. Making one imports nothing; `open` does."""

    name: ClassVar[str]
    """What scenarios call it."""
    title: ClassVar[str]
    """What people call it."""
    possessive: ClassVar[str]
    """As in "ZeroMQ's round trip"."""
    semantics: ClassVar[Semantics]
    roles: ClassVar[tuple[Role, ...]] = ROLES
    """The roles it can play."""
    several: ClassVar[bool] = True
    """Whether an end may have several connections."""
    smallest: ClassVar[int] = 0
    """The size of the smallest message it carries, in bytes."""
    module: ClassVar[str | None] = None
    """The Python module it needs, if it is not ours or Python's own."""
    package: ClassVar[str | None] = None
    """What to install to get the module."""

    def missing(self) -> str | None:
        """Why the library cannot be used here and what to install, in a sentence; None when it can."""
        if self.module is None:
            return None
        try:
            import_module(self.module)
        except Exception as error:  # a library that is installed but broken raises what it likes
            return (
                f"{self.title} is not there: the Python module {self.module} cannot be imported "
                f"({error}); install it with: pip install {self.package}"
            )
        return None

    @abstractmethod
    def version(self) -> str:
        """The versions of all that is measured. Only to be asked when nothing is missing."""

    @abstractmethod
    def open(self, role: Role) -> End:
        """A new end. Raises ValueError for a role that is not among `roles`."""

    def push(self) -> End:
        """An end that hands out messages."""
        return self.open("push")

    def pull(self) -> End:
        """An end that takes messages in."""
        return self.open("pull")

    def req(self) -> End:
        """An end that asks, one request at a time."""
        return self.open("req")

    def rep(self) -> End:
        """An end that answers each request."""
        return self.open("rep")
