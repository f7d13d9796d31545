"""What the parts write into messages, all numbers big-endian.

A request begins with its sequence number (64 bits: the asking host in the upper 24, its count in the lower 40), a reply
repeats that number and adds one more than the number of the host that answered (32 bits); zero, as in the echo of a
request, names nobody. What is pushed or published has the time at which it was meant to be sent behind its sequence
number, in nanoseconds (64 bits). Zero bytes fill the rest.
"""

import struct

REQUEST = struct.Struct(">Q")
REPLY = struct.Struct(">QI")
DATED = struct.Struct(">QQ")
_COUNT_BITS = 40


def sequence_of(host: int, count: int) -> int:
    """The sequence number of a host's request number `count`."""
    return host << _COUNT_BITS | count


def request(sequence: int, size: int) -> bytes:
    """A request of `size` bytes, eight at least."""
    return REQUEST.pack(sequence).ljust(size, b"\0")


def dated(sequence: int, at: float, size: int) -> bytes:
    """A message of `size` bytes, sixteen at least, that was meant to be sent `at` seconds of the world."""
    return DATED.pack(sequence, max(0, round(at * 1e9))).ljust(size, b"\0")


def date_of(message: bytes) -> float | None:
    """When a message was meant to be sent, in seconds of the world; None if it does not say."""
    return DATED.unpack_from(message)[1] / 1e9 if len(message) >= DATED.size else None


def home_of(message: bytes) -> int | None:
    """The number of the host that a message comes from; None if it is of another make."""
    return int(REQUEST.unpack_from(message)[0]) >> _COUNT_BITS if len(message) >= REQUEST.size else None


def reply(asked: bytes, host: int, size: int) -> bytes:
    """The reply to a request, of `size` bytes, twelve at least."""
    sequence = REQUEST.unpack_from(asked)[0] if len(asked) >= REQUEST.size else 0
    return REPLY.pack(sequence, host + 1).ljust(size, b"\0")


def replier(answer: bytes) -> int | None:
    """The number of the host that wrote a reply; None if it is of another make."""
    if len(answer) < REPLY.size or (named := REPLY.unpack_from(answer)[1]) == 0:
        return None
    return int(named) - 1
