"""Messages: what endpoints exchange. A header that every relay reads, and a body that only its reader decodes.

    kind 1 · origin 16 · length of the channel's name 1 · channel · number 8 · body

`origin` is the endpoint that a message comes from, `number` its how-manieth it is: together they name it for good. In a
message that the host has put in order its place in the history stands before the body:

    term 4 · root 16 · seq 8

Up to the channel all messages of one origin on one channel begin alike; of many such that is made and read once.
"""

import struct
from enum import IntEnum
from functools import lru_cache
from typing import Final, NamedTuple, Self

from workbench.engine.errors import TooLarge

MAX_CHANNEL = 255
"""The longest name of a channel, in bytes."""
MAX_MESSAGE = 16 << 20
"""The largest body of a message of one's own, in bytes, unless told otherwise."""
HEADS = 1024
"""So many beginnings of messages are known at a time."""
_HEAD = struct.Struct(">B16sB")
_NAME_AT = _HEAD.size
_NUMBER = struct.Struct(">Q")
_SHORTEST = _HEAD.size + _NUMBER.size
_BEGINNINGS = tuple(struct.Struct(f">{_HEAD.size + length}sQ").unpack_from for length in range(MAX_CHANNEL + 1))
"""Takes the head and the number from a message, by the length of its channel's name."""
_PLACE = struct.Struct(">I16sQ")
NOBODY: Final = bytes(16)


class Kind(IntEnum):
    """What a message is for."""

    EDIT = 1
    """A fragment of a document, on its way up to be put in order."""
    ORDERED = 2
    """The same on its way down, with its place in the history."""
    UPDATE = 3
    """A fragment of a convergent document, which needs no order."""
    SAY = 4
    """Whatever the application says to everyone else."""
    BEAT = 5
    """A host is alive; for its own children."""
    REPORT = 6
    """A child is alive; for its own host."""
    TASK = 7
    """Work to be done, or what became of it; from one endpoint to its neighbour."""


_KINDS = {int(kind): kind for kind in Kind}
_ORDERED = int(Kind.ORDERED)


class Term(NamedTuple):
    """The reign of one root. The higher term prevails: the higher number, and of two with the same the higher root."""

    number: int
    root: bytes


NO_TERM: Final = Term(0, NOBODY)


class Malformed(ValueError):
    """Bytes are not what they must be; the text says why."""


class Message(NamedTuple):
    """One message; `channel` is the name of a document, or whatever the application chooses.

    Only one that is ORDERED has a place in the history: a term and its number `seq` in it.
    """

    kind: Kind
    origin: bytes
    number: int
    channel: str
    body: bytes
    term: Term = NO_TERM
    seq: int = 0

    def encode(self) -> bytes:
        """Return its bytes. Raises ValueError for a name that a channel cannot have."""
        return encoded(*self)

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read it. Raises Malformed, whatever `raw` is."""
        try:
            length = raw[_NAME_AT - 1]
            head, number = _BEGINNINGS[length](raw)
            kind, origin, channel = _read_head(head)
            reign, seq, body = NO_TERM, 0, _SHORTEST + length
            if kind == _ORDERED:
                term, root, seq = _PLACE.unpack_from(raw, body)
                reign, body = Term(term, root), body + _PLACE.size
            # Twice as quick as the constructor.
            return tuple.__new__(cls, (kind, origin, number, channel, raw[body:], reign, seq))
        except (struct.error, IndexError, ValueError, KeyError, TypeError) as error:
            raise Malformed(f"no message: {error}") from error


@lru_cache(HEADS)
def _read_head(head: bytes) -> tuple[Kind, bytes, str]:
    kind, origin, _ = _HEAD.unpack_from(head)
    return _KINDS[kind], origin, str(head[_NAME_AT:], "utf-8")


def encoded(
    kind: int, origin: bytes, number: int, channel: str, body: bytes, term: Term = NO_TERM, seq: int = 0
) -> bytes:
    """The bytes of a message with these fields. Raises ValueError for a name that a channel cannot have."""
    if kind == _ORDERED:
        return b"".join((_head(kind, origin, channel), _NUMBER.pack(number), _PLACE.pack(*term, seq), body))
    return _head(kind, origin, channel) + _NUMBER.pack(number) + body


@lru_cache(HEADS)
def _head(kind: int, origin: bytes, channel: str) -> bytes:
    check_channel(channel)
    name = channel.encode()
    return _HEAD.pack(kind, origin, len(name)) + name


def check_channel(channel: str) -> None:
    """Raise ValueError if no channel can have this name: text of up to 255 bytes of UTF-8; TypeError for no text."""
    if not isinstance(channel, str):
        raise TypeError(f"the name of a channel is text, not {channel!r}")
    try:
        size = len(channel.encode())
    except UnicodeEncodeError as error:
        raise ValueError(f"the name of a channel is text, not {channel!r}: {error.reason}") from None
    if size > MAX_CHANNEL:
        raise ValueError(f"the name of a channel has {size} bytes; allowed: {MAX_CHANNEL}")


def check_body(body: bytes, most: int) -> None:
    """Raise TooLarge for a body of more than `most` bytes, TypeError if it is not bytes."""
    if not isinstance(body, bytes):
        raise TypeError(f"a body is bytes, not {type(body).__name__}")
    if len(body) > most:
        raise TooLarge(f"{len(body)} bytes are too many for a message; allowed: {most} (max_message)")


def kind_of(raw: bytes) -> int:
    """The kind of an encoded message, without looking at the rest; 0 if it is empty."""
    return raw[0] if raw else 0
