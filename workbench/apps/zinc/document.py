"""Documents: structured data that changes by fragments, as fine- or coarse-grained as the application likes.

A document is anything that applies fragments, the same fragments in the same order with the same result everywhere.
`Record` is one for trees of named values, and the one you get if you bring none.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Protocol, Self

Path = Sequence[str]


class Document(Protocol):
    """What a kind of document must do. Fragments and states are values that the cluster's codec can carry.

    Neither method may raise for a fragment from elsewhere: one that makes no sense changes nothing.
    """

    def apply(self, fragment: Any) -> None:
        """Change by one fragment."""

    def state(self) -> Any:
        """Return all of it, for whoever joins late."""

    def restore(self, state: Any) -> None:
        """Become what `state` says."""

    def copy(self) -> Self:
        """Return another that is alike and changes by itself."""


class Record:
    """A tree of named values. A fragment is a list of [path, value] to set and [path] to remove, in order."""

    def __init__(self) -> None:
        self.value: dict[str, Any] = {}

    def apply(self, fragment: Any) -> None:
        """Change by one fragment; pieces that make no sense change nothing."""
        for piece in fragment if isinstance(fragment, list) else ():
            match piece:
                case [[*path], value] if _is_path(path):
                    self._set(path, value)
                case [[*path]] if _is_path(path):
                    self._remove(path)

    def state(self) -> Any:
        """Return all of it."""
        return self.value

    def restore(self, state: Any) -> None:
        """Become what `state` says."""
        self.value = state if isinstance(state, dict) else {}

    def copy(self) -> "Record":
        """Return another that is alike."""
        twin = Record()
        twin.value = deepcopy(self.value)
        return twin

    def get(self, path: Path, default: Any = None) -> Any:
        """Return the value at `path`."""
        here: Any = self.value
        for name in path:
            if not isinstance(here, dict) or name not in here:
                return default
            here = here[name]
        return here

    def _set(self, path: list[str], value: Any) -> None:
        here = self.value
        for name in path[:-1]:
            if not isinstance(here.get(name), dict):
                here[name] = {}
            here = here[name]
        here[path[-1]] = value

    def _remove(self, path: list[str]) -> None:
        parent = self.get(path[:-1])
        if isinstance(parent, dict):
            parent.pop(path[-1], None)


def _is_path(path: list[Any]) -> bool:
    return bool(path) and all(isinstance(name, str) for name in path)
