"""Distributions of a time: what a scenario says about how long something takes."""

from __future__ import annotations

from dataclasses import dataclass
from math import gamma, log
from typing import Literal

from workbench.scenario.units import DURATION, QuantityError, describe, nearest, read, shown, write

DistributionKind = Literal[
    "constant", "exponential", "uniform", "normal", "lognormal", "pareto", "weibull", "empirical"
]

GRAMMAR = {
    "constant": "2 ms",
    "exponential": "exponential 2 ms",
    "uniform": "uniform 1 ms to 3 ms",
    "normal": "normal 2 ms sd 0.5 ms",
    "lognormal": "lognormal 2 ms cv 0.5",
    "pareto": "pareto 2 ms shape 2.5",
    "weibull": "weibull 2 ms shape 0.7",
    "empirical": "empirical times.txt",
}
"""Each kind by an example of its text."""

PATTERN = (
    r"^\s*(\d|\.\d|\+|exponential\s+[\d.]|uniform\s+[\d.].*\sto\s+[\d.]"
    r"|normal\s+[\d.].*\ssd\s+[\d.]|lognormal\s+[\d.].*\scv\s+[\d.]"
    r"|(pareto|weibull)\s+[\d.].*\sshape\s+[\d.]|empirical\s+\S).*$"
)
"""A regular expression for editors; `parse_distribution` is the judge."""


@dataclass(frozen=True)
class Distribution:
    """A distribution of a duration, in seconds.

    ``constant`` a; ``exponential`` of mean a; ``uniform`` from a to b; ``normal`` of mean a and standard deviation b
    (drawn again below zero, so a small share of the mass moves); ``lognormal`` of mean a and coefficient of variation
    b; ``pareto`` of mean a, whose tail falls with the power b; ``weibull`` of mean a and shape b; ``empirical``: the
    durations in a file beside the scenario, one a line, each as likely as the others.
    """

    kind: DistributionKind
    a: float = 0.0
    b: float = 0.0
    file: str = ""

    @property
    def mean(self) -> float:
        """The mean in seconds (of the normal: before it is cut off at zero; of the empirical it is not known: 0)."""
        return (self.a + self.b) / 2 if self.kind == "uniform" else self.a

    @property
    def largest(self) -> float:
        """A duration, in seconds, that a draw rarely passes (about one in a thousand)."""
        match self.kind:
            case "exponential":
                return 7 * self.a
            case "uniform":
                return self.b
            case "normal":
                return self.a + 4 * self.b
            case "lognormal":
                return self.a * (1 + 6 * self.b)
            case "pareto":
                return float(self.a * (self.b - 1) / self.b * 1000 ** (1 / self.b))
            case "weibull":
                return float(self.a / gamma(1 + 1 / self.b) * log(1000) ** (1 / self.b))
        return self.a

    def __str__(self) -> str:
        first = write(self.a, DURATION)
        match self.kind:
            case "exponential":
                return f"exponential {first}"
            case "uniform":
                return f"uniform {first} to {write(self.b, DURATION)}"
            case "normal":
                return f"normal {first} sd {write(self.b, DURATION)}"
            case "lognormal":
                return f"lognormal {first} cv {self.b!r}"
            case "pareto" | "weibull":
                return f"{self.kind} {first} shape {self.b!r}"
            case "empirical":
                return f"empirical {self.file}"
        return first


def parse_distribution(text: object) -> Distribution:
    """The distribution that ``text`` says. Raises QuantityError."""
    if isinstance(text, Distribution):
        return text
    if not isinstance(text, str):
        if isinstance(text, int | float) and not isinstance(text, bool):
            raise QuantityError(f"{shown(text)} needs a unit, for example '{text} ms'")
        raise QuantityError(f"expected a distribution of a time, for example 'exponential 2 ms', not {describe(text)}")
    stripped = text.lstrip()
    offset = len(text) - len(stripped)
    word = stripped.split(maxsplit=1)[0] if stripped else ""
    if not word or not word[0].isalpha():
        value, rest = _quantity(text, 0)
        _nothing_after(text, rest)
        return Distribution("constant", value)
    start = offset + len(word)
    match word:
        case "exponential":
            mean, rest = _quantity(text, start, positive=True)
            _nothing_after(text, rest)
            return Distribution("exponential", mean)
        case "uniform":
            low, rest = _quantity(text, start)
            high, rest = _quantity(text, _keyword(text, rest, "to", "uniform"))
            _nothing_after(text, rest)
            if high < low:
                raise QuantityError(f"a uniform time goes from the smaller to the larger: {shown(text)}")
            return Distribution("uniform", low, high)
        case "normal":
            mean, rest = _quantity(text, start, positive=True)
            sd, rest = _quantity(text, _keyword(text, rest, "sd", "normal"))
            _nothing_after(text, rest)
            if sd > mean:
                raise QuantityError(
                    f"a normal time with more deviation than mean would mostly be cut off at zero: {shown(text)}"
                )
            return Distribution("normal", mean, sd)
        case "lognormal":
            mean, rest = _quantity(text, start, positive=True)
            return Distribution("lognormal", mean, _variation(text, _keyword(text, rest, "cv", "lognormal")))
        case "pareto" | "weibull":
            mean, rest = _quantity(text, start, positive=True)
            return Distribution(word, mean, _shape(text, _keyword(text, rest, "shape", word), word))
        case "empirical":
            file = text[start:].strip()
            if not file:
                raise QuantityError("'empirical' needs a file beside the scenario, for example 'empirical times.txt'")
            return Distribution("empirical", file=file)
    known = [kind for kind in GRAMMAR if kind != "constant"]
    meant = {"exp": "exponential", "gaussian": "normal", "const": "", "constant": ""}.get(word, nearest(word, known))
    hint = (
        f"did you mean '{meant}'?"
        if meant
        else ("a constant is written as the duration alone" if word.startswith("const") else "")
    )
    raise QuantityError(
        f"unknown distribution {shown(word)}",
        hint=hint,
        allowed=", ".join(f"'{example}'" for example in GRAMMAR.values()),
        span=(offset, start),
    )


def _quantity(text: str, start: int, *, positive: bool = False) -> tuple[float, int]:
    """A duration at ``start``; its value and where it ends."""
    if not text[start:].strip():
        example = next((row for kind, row in GRAMMAR.items() if text.strip().startswith(kind)), "2 ms")
        raise QuantityError(f"a duration is missing after {shown(text.strip())}, for example '{example}'")
    try:
        value, rest = read(text[start:], DURATION, positive=positive)
    except QuantityError as error:
        raise error.shifted(start) from None
    return value, len(text) - len(rest)


def _keyword(text: str, start: int, word: str, kind: DistributionKind) -> int:
    """Where the text goes on after ``word``, which must come next."""
    rest = text[start:].lstrip()
    at = len(text) - len(rest)
    if rest.split(maxsplit=1)[:1] != [word]:
        given = rest.split(maxsplit=1)[0] if rest else ""
        raise QuantityError(
            f"'{word}' is missing in {shown(text)}: written like '{GRAMMAR[kind]}'",
            span=(at, at + len(given)) if given else None,
        )
    return at + len(word)


def _variation(text: str, start: int) -> float:
    """A coefficient of variation, the last word of the text."""
    word = text[start:].strip()
    try:
        value = float(word)
    except ValueError:
        value = float("nan")
    if not 0 < value <= 100:
        at = start + len(text[start:]) - len(text[start:].lstrip())
        raise QuantityError(
            f"a coefficient of variation is a number above 0, at most 100, without a unit, not {shown(word)}",
            span=(at, at + len(word)) if word else None,
        )
    return value


def _shape(text: str, start: int, kind: Literal["pareto", "weibull"]) -> float:
    """The shape of a heavy-tailed distribution, the last word of the text."""
    word = text[start:].strip()
    try:
        value = float(word)
    except ValueError:
        value = float("nan")
    low, why = (1.0, "above 1, or there is no mean") if kind == "pareto" else (0.1, "0.1 or more")
    if not low <= value <= 100 or (kind == "pareto" and value == low):
        at = start + len(text[start:]) - len(text[start:].lstrip())
        raise QuantityError(
            f"the shape of a {kind} time is a number ({why}; at most 100) without a unit, not {shown(word)}",
            span=(at, at + len(word)) if word else None,
        )
    return value


def _nothing_after(text: str, end: int) -> None:
    if text[end:].strip():
        at = len(text) - len(text[end:].lstrip())
        raise QuantityError(
            f"{shown(text[at:].strip())} is not expected after a complete time", span=(at, len(text.rstrip()))
        )
