"""Load: in what rhythm a client sends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from workbench.scenario.distribution import Distribution, parse_distribution
from workbench.scenario.units import RATE, QuantityError, describe, nearest, read, shown, write

LoadKind = Literal["poisson", "paced", "closed", "flood"]

GRAMMAR = ("poisson 200/s", "paced 200/s", "closed", "closed 4", "closed 4 think exponential 1 ms", "flood")
"""The forms of a load, each by an example."""

PATTERN = r"^\s*(poisson\s+\S.*|paced\s+\S.*|closed(\s+\d+)?(\s+think\s+\S.*)?|flood\s*)$"
"""A regular expression for editors; `parse_load` is the judge."""

MOST_OUTSTANDING = 100_000


@dataclass(frozen=True)
class Load:
    """In what rhythm each client sends.

    ``poisson`` and ``paced`` are open: requests come at ``rate`` per second and client, whether or not earlier ones
    were answered; poisson with independent exponential gaps, paced with equal ones. ``closed`` keeps ``outstanding``
    requests under way and thinks for ``think`` before each new one. ``flood`` sends as fast as the socket takes
    messages.
    """

    kind: LoadKind
    rate: float | None = None
    outstanding: int = 1
    think: Distribution | None = None

    @property
    def open(self) -> bool:
        """Whether the rhythm is independent of the answers."""
        return self.rate is not None

    def __str__(self) -> str:
        if self.rate is not None:
            return f"{self.kind} {write(self.rate, RATE)}"
        if self.kind == "flood":
            return "flood"
        count = f" {self.outstanding}" if self.outstanding != 1 else ""
        return f"closed{count}" + (f" think {self.think}" if self.think is not None else "")


def parse_load(text: object) -> Load:
    """The load that ``text`` says. Raises QuantityError."""
    if isinstance(text, Load):
        return text
    forms = ", ".join(f"'{form}'" for form in GRAMMAR)
    if not isinstance(text, str):
        raise QuantityError(f"expected a load, for example 'poisson 200/s', not {describe(text)}", allowed=forms)
    words = text.split()
    offset = len(text) - len(text.lstrip())
    word = words[0] if words else ""
    end = offset + len(word)
    match word:
        case "poisson" | "paced":
            if len(words) == 1:
                raise QuantityError(f"{word} needs a rate per client, for example '{word} 200/s'")
            try:
                rate, rest = read(text[end:], RATE, positive=True)
            except QuantityError as error:
                raise error.shifted(end) from None
            _nothing_after(text, len(text) - len(rest))
            return Load(word, rate=rate)
        case "closed":
            return _closed(text, end)
        case "flood":
            _nothing_after(text, end)
            return Load("flood")
    meant = {"open": "poisson", "constant": "paced", "uniform": "paced", "exponential": "poisson"}.get(word)
    meant = meant or nearest(word, ("poisson", "paced", "closed", "flood"))
    if word[:1].isdigit():
        raise QuantityError(
            f"{shown(text)} does not say the rhythm", hint=f"did you mean 'poisson {text.strip()}'?", allowed=forms
        )
    raise QuantityError(
        f"unknown load {shown(word)}",
        hint=f"did you mean '{meant}'?" if meant else "",
        allowed=forms,
        span=(offset, end) if word else None,
    )


def _closed(text: str, end: int) -> Load:
    """The rest of a closed load: how many outstanding, and the think time."""
    rest = text[end:].split(maxsplit=1)
    outstanding = 1
    if rest and rest[0] != "think":
        at = text.index(rest[0], end)
        span = (at, at + len(rest[0]))
        if not rest[0].isascii() or not rest[0].isdigit():
            raise QuantityError(
                f"'closed' is followed by a number of requests or by 'think', not by {shown(rest[0])}", span=span
            )
        outstanding = int(rest[0][:12])
        if not 1 <= outstanding <= MOST_OUTSTANDING:
            raise QuantityError(
                f"a closed load keeps from 1 to {MOST_OUTSTANDING:,} requests under way, not {rest[0][:30]}", span=span
            )
        end = span[1]
        rest = rest[1].split(maxsplit=1) if len(rest) > 1 else []
    if not rest:
        return Load("closed", outstanding=outstanding)
    at = text.index(rest[0], end)
    if rest[0] != "think":
        raise QuantityError(f"only 'think' and a time may follow, not {shown(rest[0])}", span=(at, at + len(rest[0])))
    start = at + len("think")
    if len(rest) == 1:
        raise QuantityError("'think' needs a time, for example 'closed 4 think exponential 1 ms'")
    try:
        return Load("closed", outstanding=outstanding, think=parse_distribution(text[start:]))
    except QuantityError as error:
        raise error.shifted(start) from None


def _nothing_after(text: str, end: int) -> None:
    if text[end:].strip():
        at = len(text) - len(text[end:].lstrip())
        raise QuantityError(
            f"{shown(text[at:].strip())} is not expected after a complete load", span=(at, len(text.rstrip()))
        )
