"""The messages of a measurement: a few, made beforehand and sent in turns, each telling its place.

Making a new message costs Python more than a fast library needs to carry it. So a ring of ready messages is sent round
and round; the receiver knows from the place which one must come next.
"""

from __future__ import annotations

TAG = 8
"""Bytes at the head of each message: its place, big-endian."""


class Ring:
    """Ready messages of one size, at least `TAG` bytes; `sender` is the number of who sends them."""

    def __init__(self, size: int, sender: int = 0) -> None:
        self.size = max(TAG, size)
        # Few enough to stay in a core's cache, and not many when they are large.
        length = 256
        while length > 4 and length * self.size > 2**18:
            length //= 2
        padding = bytes(self.size - TAG)
        self.messages = [place.to_bytes(TAG, "big") + padding for place in range(length)]
        self.end = (_END - sender).to_bytes(TAG, "big") + padding
        """The message after the last; it may come several times."""


class Tracker:
    """Counts the messages of rings as they arrive and, where all come from one, notices when the sequence breaks.

    Of several senders the messages mingle, and one that serves several receivers leaves gaps: then `in_turn` is false
    and they are only counted.
    """

    def __init__(self, ring: Ring, senders: int = 1, *, in_turn: bool = True) -> None:
        self.count = 0
        """Messages that have arrived."""
        self.breaks = 0
        """How often another message came than the one whose turn it was."""
        self.ended = False
        """Whether the message after the last has come from all."""
        self._going_on = set(range(senders))
        self._in_turn = in_turn
        self._size = ring.size
        self._length = len(ring.messages)
        self._shift = 0

    def check(self, data: bytes) -> None:
        """Takes one message into account. Raises ValueError when it is not one of ours at all."""
        if len(data) != self._size:
            raise ValueError(f"a message of {len(data):,} bytes arrived where all have {self._size:,}")
        place = int.from_bytes(data[:TAG], "big")
        if place > _LAST:
            self._going_on.discard(_END - place)
            self.ended = not self._going_on
            return
        if place != (self.count + self._shift) % self._length and self._in_turn:
            self.breaks += 1
            self._shift = (place - self.count) % self._length
        self.count += 1

    def trust(self, count: int) -> None:
        """Takes `count` messages into account unseen; a gap among them shows in the next that is checked."""
        self.count += count


_END = 2**64 - 1
_LAST = 2**63
"""Above it are the messages after the last."""
