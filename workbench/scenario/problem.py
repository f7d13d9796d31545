"""Problem: one thing that is wrong with a scenario, with its place; and the error that carries them all."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

_WIDEST = 110
"""Columns of a source line that are shown; a longer one is cut around the caret."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and where. Lines and columns count from 1; line 0 means the file as a whole."""

    file: str
    line: int
    column: int
    message: str
    snippet: str = ""
    """The line of the file, as it stands there."""
    length: int = 1
    """How many characters the caret underlines."""
    hint: str = ""
    """What was probably meant; printed beside the caret."""
    allowed: str = ""
    """What may stand there."""
    explain: str = ""
    """The argument for ``workbench explain`` that tells more."""

    def __str__(self) -> str:
        place = f"{_printable(self.file)}:{self.line}:{self.column}: " if self.line else f"{_printable(self.file)}: "
        lines = [place + _printable(self.message)]
        if self.line:
            text, column, length = _window(self.snippet, self.column - 1, self.length)
            lines.append(f"{self.line:>5} | {_printable(text)}".rstrip())
            marker = " " * _width(text[:column]) + "^" * max(1, _width(text[column : column + length]))
            lines.append(f"      | {marker} {_printable(self.hint)}".rstrip())
        elif self.hint:
            lines.append(f"      = {_printable(self.hint)}")
        notes = [f"allowed: {self.allowed}"] if self.allowed else []
        notes += [f"(workbench explain {self.explain})"] if self.explain else []
        if notes:
            lines.append("      = " + _printable("    ".join(notes)))
        return "\n".join(lines)


class ScenarioError(ValueError):
    """A scenario that cannot be run as it stands.

    ``problems`` holds everything that is wrong with it, in the order of the file.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: list[Problem] = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[ScenarioError], tuple[list[Problem]]]:
        return type(self), (self.problems,)


def _window(line: str, column: int, length: int) -> tuple[str, int, int]:
    """The part of a long line around the caret, and the caret's place in it."""
    line = line.rstrip()
    column = min(column, len(line))
    length = max(1, min(length, max(1, len(line) - column)))
    if len(line) <= _WIDEST:
        return line, column, length
    start = max(0, min(column - 30, len(line) - _WIDEST))
    text = line[start : start + _WIDEST]
    if start:
        text = "…" + text[1:]
    if start + _WIDEST < len(line):
        text = text[:-1] + "…"
    return text, column - start, min(length, _WIDEST - (column - start))


def _printable(text: str) -> str:
    """Text that cannot move the cursor, colour the terminal, or turn the reading direction."""
    return "".join(char if char.isprintable() else " " if char == "\t" else "·" for char in text)


def _width(text: str) -> int:
    """How many columns a text takes on a terminal."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
