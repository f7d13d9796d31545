"""Who handles which message when: many at once, but the messages of one origin in their order.

A machine: told messages and when one has been handled, asked for the next that may be handled.
"""

from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Handlers(Generic[Item]):
    """Messages to be handled, by origin. At most `limit` wait; `dropped` counts those that came beyond."""

    def __init__(self, limit: int = 100_000) -> None:
        self._limit = limit
        self._waiting: dict[bytes, deque[Item]] = {}
        self._ready: deque[bytes] = deque()
        self._count = 0
        self.dropped = 0

    def handle_message(self, origin: bytes, item: Item) -> None:
        """A message has come."""
        if self._count >= self._limit:
            self.dropped += 1
            return
        self._count += 1
        if origin in self._waiting:
            self._waiting[origin].append(item)
        else:
            self._waiting[origin] = deque([item])
            self._ready.append(origin)

    def poll_message(self) -> tuple[bytes, Item] | None:
        """The next message that may be handled; until that is done, none of the same origin may."""
        if not self._ready:
            return None
        origin = self._ready.popleft()
        self._count -= 1
        return origin, self._waiting[origin].popleft()

    def handle_done(self, origin: bytes) -> None:
        """The message of this origin has been handled."""
        if self._waiting[origin]:
            self._ready.append(origin)
        else:
            del self._waiting[origin]
