"""How a long run tells how far it is."""

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[int, int, str], None]
"""Told so much is done, of so much, and what comes next."""


def silent(done: int, total: int, what: str) -> None:
    """Tell nobody."""
    del done, total, what
