"""Who handles which message when: many at once, but the messages of one origin in their order.

A machine: told messages and when one has been handled, asked for the next that may be handled.
"""

from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Handlers(Generic[Item]):
    """Messages to be handled, by origin. At most `limit` wait; `dropped` counts those that came beyond."""

    def __init__(self, limit: int = 100_000) -> None:
        self._limit = limit
        self._waiting: dict[bytes, list[Item]] = {}
        """Of origins with something to be handled, or of which something is being handled."""
        self._ready: deque[bytes] = deque()
        self._count = 0
        self.dropped = 0

    def handle_messages(self, origin: bytes, items: Sequence[Item]) -> None:
        """Messages of one origin have come, in this order."""
        room = self._limit - self._count
        if len(items) > room:
            self.dropped += len(items) - room
            items = items[:room]
        if not items:
            return
        self._count += len(items)
        if origin in self._waiting:
            self._waiting[origin].extend(items)
        else:
            self._waiting[origin] = list(items)
            self._ready.append(origin)

    @property
    def ready(self) -> int:
        """Of how many origins there are messages that may be handled now."""
        return len(self._ready)

    def poll_messages(self) -> tuple[bytes, list[Item]] | None:
        """The next messages that may be handled, one after the other; until they are, none of the same origin may."""
        if not self._ready:
            return None
        origin = self._ready.popleft()
        items, self._waiting[origin] = self._waiting[origin], []
        self._count -= len(items)
        return origin, items

    def handle_done(self, origin: bytes) -> None:
        """The messages of this origin have been handled."""
        if self._waiting[origin]:
            self._ready.append(origin)
        else:
            del self._waiting[origin]
