"""Messages: what endpoints exchange. A header that every relay reads, and a body that only its reader decodes.

    kind 1 · origin 16 · number 8 · term 4 · root 16 · seq 8 · length of the channel's name 1 · channel · body

`origin` is the endpoint that a message comes from, `number` its how-manieth it is: together they name it for good. A
message that the host has put in order has its place in the history too: in the term of which root, and its `seq`.
"""

import struct
from enum import IntEnum
from typing import Final, NamedTuple, Self

MAX_CHANNEL = 255
_HEADER = struct.Struct(">B16sQI16sQB")
_SIZE = _HEADER.size
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


class Term(NamedTuple):
    """The reign of one root. The higher term prevails: the higher number, and of two with the same the higher root."""

    number: int
    root: bytes


NO_TERM: Final = Term(0, NOBODY)


class Malformed(ValueError):
    """Bytes are not what they must be; the text says why."""


class Message(NamedTuple):
    """One message; `channel` is the name of a document, or whatever the application chooses."""

    kind: Kind
    origin: bytes
    number: int
    channel: str
    body: bytes
    term: Term = NO_TERM
    seq: int = 0

    def encode(self) -> bytes:
        """Return its bytes. Raises Malformed if the channel's name has more than 255 bytes."""
        return encoded(*self)

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read it. Raises Malformed."""
        try:
            kind, origin, number, term, root, seq, length = _HEADER.unpack_from(raw)
            end = _SIZE + length
            if len(raw) < end:
                raise Malformed(f"a message of {len(raw)} bytes is shorter than its header says")
            reign = NO_TERM if term == 0 and root == NOBODY else Term(term, root)
            fields = (_KINDS[kind], origin, number, str(raw[_SIZE:end], "utf-8"), raw[end:], reign, seq)
            # Twice as quick as the constructor.
            return tuple.__new__(cls, fields)
        except (struct.error, ValueError, KeyError) as error:
            raise Malformed(f"no message: {error}") from error


def encoded(
    kind: int, origin: bytes, number: int, channel: str, body: bytes, term: Term = NO_TERM, seq: int = 0
) -> bytes:
    """The bytes of a message with these fields. Raises Malformed if the channel's name has more than 255 bytes."""
    name = channel.encode()
    if len(name) > MAX_CHANNEL:
        raise Malformed(f"the name of a channel has {len(name)} bytes; allowed: {MAX_CHANNEL}")
    return _HEADER.pack(kind, origin, number, term[0], term[1], seq, len(name)) + name + body


def kind_of(raw: bytes) -> int:
    """The kind of an encoded message, without looking at the rest; 0 if it is empty."""
    return raw[0] if raw else 0
