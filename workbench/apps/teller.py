"""Tells a callback of each change, one after the other."""

from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Teller(Generic[Item]):
    """Calls `tell` with each thing that `poll` gives, until it gives None; without `tell` they are only taken.

    What whoever is told brings about is told after, not from within.
    """

    def __init__(self, poll: Callable[[], Item | None], tell: Callable[[Item], None] | None) -> None:
        self._poll = poll
        self._tell = tell
        self._telling = False

    def tell_all(self) -> None:
        """Tell what there is, unless it is being told already."""
        if self._telling:
            return
        self._telling = True
        try:
            while (item := self._poll()) is not None:
                if self._tell is not None:
                    self._tell(item)
        finally:
            self._telling = False
