"""What neighbours tell each other about themselves: MessagePack, whatever the documents are in.

It comes from elsewhere: nothing of it is used before it has been read by one of these functions, which all raise
Malformed for what is not what it must be.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgpack

from workbench.apps.zinc.message import Malformed, Term

IDENTITY = 16
"""The bytes of a UUID."""
DEPTH = 64
"""How deep a tree may be; a longer way to the root is a circle."""
MAX_ADDRESS = 512
"""The longest address, in characters."""
MAX_COUNT = 2**62
"""No count of anything is as high: to be refused early, where it can still be said why."""

MAX_TOLD = 64 << 10
"""The most that one tells of itself, or asks, in bytes."""
Told = Mapping[str, Any]


class Place(NamedTuple):
    """An endpoint: who it is and where its children find it. Whoever cannot be a host has no addresses."""

    id: bytes
    door: str = ""
    down: str = ""
    up: str = ""


def pack(value: Any) -> bytes:
    """The bytes of what we tell."""
    return bytes(msgpack.packb(value))


def unpack(data: bytes, most: int = MAX_TOLD) -> Told:
    """What somebody tells, in up to so many bytes: a mapping from names to anything."""
    if len(data) > most:
        # A byte may become an object of fifty.
        raise Malformed(f"{len(data)} bytes are too many; allowed: {most}")
    try:
        read = msgpack.unpackb(data)
    except Exception as error:
        raise Malformed(f"{len(data)} bytes are no MessagePack: {error}") from error
    if not isinstance(read, dict):
        raise Malformed("what neighbours tell each other is a mapping")
    return read


def count_in(told: Told, key: str, default: int | None = None) -> int:
    """How many, or the how-manieth; with a default it may be missing."""
    return count_of(told.get(key, default), key)


def bytes_in(told: Told, key: str) -> bytes:
    """Bytes that mean something to somebody else."""
    found = told.get(key)
    if not isinstance(found, bytes):
        raise Malformed(f"{key} is not bytes")
    return found


def list_in(told: Told, key: str, most: int | None = None) -> list[Any]:
    """A list of at most so many, empty if it is missing."""
    found = told.get(key, [])
    if not isinstance(found, list) or (most is not None and len(found) > most):
        raise Malformed(f"{key} is no list{'' if most is None else f' of up to {most}'}")
    return found


def seconds_in(told: Told, key: str) -> float:
    """A span of time; none if it is missing."""
    found = told.get(key, 0.0)
    if not isinstance(found, int | float):
        raise Malformed(f"{key} is no number of seconds")
    return float(found)


def place_in(told: Told, key: str) -> Place:
    """Where somebody is."""
    return _place_of(told.get(key), key)


def places_in(told: Told, key: str) -> tuple[Place, ...]:
    """Where several are; nobody if it is missing."""
    return tuple(_place_of(one, key) for one in list_in(told, key, 2 * DEPTH))


def term_in(told: Told, key: str = "term") -> Term:
    """Whose reign."""
    return term_of(told.get(key), key)


def term_of(value: Any, key: str) -> Term:
    """A term, told as its number and its root."""
    number, root = fields_of(value, key, 2)
    # So far below what a message has room for that nobody who is promoted comes there.
    return Term(count_of(number, key, 2**31), identity_of(root, key))


def fields_of(value: Any, key: str, count: int) -> list[Any]:
    """A list of exactly so many."""
    if not isinstance(value, list) or len(value) != count:
        raise Malformed(f"{key} has no {count} fields")
    return value


def identity_of(value: Any, key: str) -> bytes:
    """Who somebody is."""
    if not isinstance(value, bytes) or len(value) != IDENTITY:
        raise Malformed(f"{key} is not who somebody is, {IDENTITY} bytes")
    return value


def count_of(value: Any, key: str, most: int = MAX_COUNT) -> int:
    """A number from 0 up to `most`."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise Malformed(f"{key} is no number from 0 to {most}")
    return value


def _place_of(value: Any, key: str) -> Place:
    who, *addresses = fields_of(value, key, 4)
    if not all(isinstance(address, str) and len(address) <= MAX_ADDRESS for address in addresses):
        raise Malformed(f"{key} has an address that is no text of up to {MAX_ADDRESS} characters")
    return Place(identity_of(who, key), *addresses)
