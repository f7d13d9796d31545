"""Documents: structured data that changes by fragments, as fine- or coarse-grained as the application likes.

A document is anything that applies fragments, the same fragments in the same order with the same result everywhere.
`Record` is one for trees of named values, and the one you get if you bring none.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Protocol, Self

Path = Sequence[str]
MAX_DEPTH = 32
"""How deep a value of a Record may lie, from its root: what is set at a path of three names may be 29 levels deep."""


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
    """A tree of named values, of MAX_DEPTH levels at most.

    A fragment is a list of [path, value] to set and [path] to remove, in order.
    """

    def __init__(self) -> None:
        self.value: dict[str, Any] = {}

    def apply(self, fragment: Any) -> None:
        """Change by one fragment; pieces that make no sense change nothing."""
        for piece in fragment if isinstance(fragment, list) else ():
            match piece:
                case [[*path], value] if _is_path(path) and _fits(value, MAX_DEPTH - len(path)):
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


def to_set(path: Path, value: Any) -> Any:
    """The fragment of a Record that sets the value at `path`. Raises ValueError for no path, or what lies too deep."""
    _check(path)
    if not _fits(value, MAX_DEPTH - len(path)):
        raise ValueError(f"the value at {'/'.join(path)} is too deep; allowed: {MAX_DEPTH} levels, the path's included")
    return [[list(path), value]]


def to_remove(path: Path) -> Any:
    """The fragment of a Record that removes the value at `path`. Raises ValueError for no path."""
    _check(path)
    return [[list(path)]]


def _check(path: Path) -> None:
    if not _is_path(list(path)):
        raise ValueError(f"a path in a Record is one name or more, each text, not {path!r}")


def _fits(value: Any, levels: int) -> bool:
    """Has it no more than so many levels?"""
    if isinstance(value, dict):
        return levels > 0 and all(_fits(one, levels - 1) for one in value.values())
    if isinstance(value, list | tuple):
        return levels > 0 and all(_fits(one, levels - 1) for one in value)
    return levels >= 0


def _is_path(path: list[Any]) -> bool:
    return bool(path) and all(isinstance(name, str) for name in path)
