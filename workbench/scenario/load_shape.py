"""Load: in what rhythm a client sends."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from workbench.scenario.distribution import Distribution, parse_distribution
from workbench.scenario.units import DURATION, RATE, QuantityError, describe, nearest, read, shown, write

LoadKind = Literal["poisson", "paced", "bursty", "trace", "closed", "flood"]

GRAMMAR = (
    "poisson 200/s",
    "paced 200/s",
    "paced 50 %",
    "bursty 200/s on 100 ms off 1 s",
    "trace moments.txt",
    "closed",
    "closed 4",
    "closed 4 think exponential 1 ms",
    "flood",
)
"""The forms of a load, each by an example."""

PATTERN = (
    r"^\s*(poisson\s+\S.*|paced\s+\S.*|bursty\s+\S.*\son\s+\S.*\soff\s+\S.*|trace\s+\S.*"
    r"|closed(\s+\d+)?(\s+think\s+\S.*)?|flood\s*)$"
)
"""A regular expression for editors; `parse_load` is the judge."""

MOST_OUTSTANDING = 100_000


@dataclass(frozen=True)
class Load:
    """In what rhythm each client sends.

    ``poisson`` and ``paced`` are open: requests come at ``rate`` per second and client, whether or not earlier ones
    were answered; poisson with independent exponential gaps, paced with equal ones. Instead of a rate either may have a
    ``share`` of the most that the library measured can do, where its workload is alone. ``bursty`` is poisson while it
    is on, for ``on`` seconds in the mean, and silent for ``off`` seconds in the mean. ``trace`` sends at the moments in
    ``file``. ``closed`` keeps ``outstanding`` requests under way and thinks for ``think`` before each new one.
    ``flood`` sends as fast as the socket takes messages.
    """

    kind: LoadKind
    rate: float | None = None
    outstanding: int = 1
    think: Distribution | None = None
    on: float = 0.0
    off: float = 0.0
    file: str = ""
    share: float | None = None

    @property
    def open(self) -> bool:
        """Whether the rhythm is independent of the answers."""
        return self.rate is not None or self.share is not None or self.kind == "trace"

    @property
    def mean_rate(self) -> float | None:
        """Requests per second and client in the long run; None where the load does not say."""
        if self.rate is None or self.kind != "bursty":
            return self.rate
        return self.rate * self.on / (self.on + self.off)

    def __str__(self) -> str:
        if self.kind == "trace":
            return f"trace {self.file}"
        if self.share is not None:
            return f"{self.kind} {100 * self.share:.10g} %"
        if self.rate is not None:
            bursts = f" on {write(self.on, DURATION)} off {write(self.off, DURATION)}" if self.kind == "bursty" else ""
            return f"{self.kind} {write(self.rate, RATE)}{bursts}"
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
            if (found := _SHARE.match(text, end)) is not None:
                return Load(word, share=_share(found))
            rate, end = _rate(text, end, word)
            _nothing_after(text, end)
            return Load(word, rate=rate)
        case "bursty":
            rate, end = _rate(text, end, word)
            on, end = _span(text, end, "on")
            off, end = _span(text, end, "off")
            _nothing_after(text, end)
            return Load("bursty", rate=rate, on=on, off=off)
        case "trace":
            if len(words) == 1:
                raise QuantityError("'trace' needs a file beside the scenario, for example 'trace moments.txt'")
            return Load("trace", file=text[end:].strip())
        case "closed":
            return _closed(text, end)
        case "flood":
            _nothing_after(text, end)
            return Load("flood")
    meant = {"open": "poisson", "constant": "paced", "uniform": "paced", "exponential": "poisson"}.get(word)
    meant = meant or nearest(word, ("poisson", "paced", "bursty", "trace", "closed", "flood"))
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


_SHARE = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*%\s*$", re.ASCII)


def _share(found: re.Match[str]) -> float:
    """The share of what is possible, more than nothing and at most all of it."""
    percent = float(found[1])
    if not 0.0 < percent <= 100.0:
        raise QuantityError(
            f"a share of what the library can do is more than 0 % and at most 100 %, not {found[1]} %",
            span=found.span(1),
        )
    return percent / 100.0


def _rate(text: str, end: int, word: str) -> tuple[float, int]:
    """The rate after the first word, and where it ends."""
    if not text[end:].strip():
        raise QuantityError(f"{word} needs a rate per client, for example '{word} 200/s'")
    try:
        rate, rest = read(text[end:], RATE, positive=True)
    except QuantityError as error:
        raise error.shifted(end) from None
    return rate, len(text) - len(rest)


def _span(text: str, end: int, word: str) -> tuple[float, int]:
    """A duration after `word`, which must come next, and where it ends."""
    rest = text[end:].lstrip()
    if rest.split(maxsplit=1)[:1] != [word]:
        raise QuantityError(f"'{word}' and a time are missing in {shown(text)}: written like '{GRAMMAR[3]}'")
    start = len(text) - len(rest) + len(word)
    try:
        span, rest = read(text[start:], DURATION, positive=True)
    except QuantityError as error:
        raise error.shifted(start) from None
    return span, len(text) - len(rest)


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
