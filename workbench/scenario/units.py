"""Quantities: a number and its unit, from text and back.

A quantity in a scenario always carries its unit (``"5 ms"``, ``"64 B"``, ``"200/s"``, ``"1 Gbit/s"``, ``"0.1 %"``); a
model holds the plain SI number (seconds, bytes, per second, bits per second, a fraction). The grammar is closed: one
decimal number, optional spaces, one unit of the table. Numbers are converted exactly, so ``"0.1 ms"`` is exactly the
float ``1e-4`` and writing it out reads back equal.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from fractions import Fraction

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_LONGEST = 60


class QuantityError(ValueError):
    """Text that is no quantity.

    ``hint`` says what was probably meant; ``span`` is the guilty part of the text (start, end).
    """

    def __init__(self, message: str, *, hint: str = "", allowed: str = "", span: tuple[int, int] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.allowed = allowed
        self.span = span

    def shifted(self, by: int) -> QuantityError:
        """The same error for text that begins ``by`` characters further left."""
        if self.span is None:
            return self
        start, end = self.span
        return QuantityError(self.message, hint=self.hint, allowed=self.allowed, span=(start + by, end + by))


@dataclass(frozen=True)
class Kind:
    """One kind of quantity: its units (name -> factor, the base unit first), an example, the range it must lie in."""

    name: str
    units: dict[str, Fraction]
    example: str
    low: float
    high: float
    meant: dict[str, str] = field(default_factory=dict)
    """Spellings people use, and the unit they mean."""
    only_read: frozenset[str] = frozenset()
    """Units that are understood but never written."""

    @property
    def base(self) -> str:
        """The unit of the plain number, as written."""
        return next(iter(self.units))

    @property
    def pattern(self) -> str:
        """A regular expression (JSON Schema flavour) that every accepted text matches."""
        units = "|".join(re.escape(unit).replace("/", "\\/") for unit in sorted(self.units, key=len, reverse=True))
        return rf"^\s*[+]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*({units})\s*$"


def _table(rows: dict[str, str]) -> dict[str, Fraction]:
    return {unit: Fraction(factor) for unit, factor in rows.items()}


DURATION = Kind(
    "a duration",
    _table(
        {"s": "1", "ms": "1e-3", "us": "1e-6", "µs": "1e-6", "\u03bcs": "1e-6", "ns": "1e-9", "min": "60", "h": "3600"}
    ),
    "5 ms",
    0.0,
    864_000.0,
    {
        "sec": "s", "secs": "s", "second": "s", "seconds": "s", "msec": "ms", "millis": "ms", "usec": "us",
        "micros": "us", "nanos": "ns", "m": "min", "mins": "min", "minute": "min", "minutes": "min",
        "hour": "h", "hours": "h", "hr": "h",
    },
    frozenset({"us", "\u03bcs"}),
)  # fmt: skip
SIZE = Kind(
    "a size",
    _table({"B": "1", "kB": "1e3", "KiB": "1024", "MB": "1e6", "MiB": "1048576", "GB": "1e9", "GiB": "1073741824"}),
    "64 B",
    0.0,
    float(1 << 30),
    {
        "b": "B",
        "byte": "B",
        "bytes": "B",
        "KB": "kB",
        "kb": "kB",
        "K": "KiB",
        "k": "kB",
        "M": "MB",
        "G": "GB",
        "mb": "MB",
        "gb": "GB",
    },
)
RATE = Kind(
    "a rate",
    {"/s": Fraction(1), "/ms": Fraction(1000), "/min": Fraction(1, 60), "/h": Fraction(1, 3600)},
    "200/s",
    0.0,
    1e9,
    {
        "/sec": "/s", "/second": "/s", "per s": "/s", "per second": "/s", "rps": "/s", "qps": "/s",
        "Hz": "/s", "hz": "/s", "/m": "/min", "/minute": "/min", "/hour": "/h", "k/s": "/ms", "s": "/s",
        "ms": "/ms",
    },
    frozenset({"/ms", "/min", "/h"}),
)  # fmt: skip
BANDWIDTH = Kind(
    "a bandwidth",
    {
        "bit/s": Fraction(1),
        "kbit/s": Fraction(10**3),
        "Mbit/s": Fraction(10**6),
        "Gbit/s": Fraction(10**9),
        "Tbit/s": Fraction(10**12),
    },
    "1 Gbit/s",
    0.0,
    1e15,
    {
        "bps": "bit/s",
        "kbps": "kbit/s",
        "Mbps": "Mbit/s",
        "Gbps": "Gbit/s",
        "Mb/s": "Mbit/s",
        "Gb/s": "Gbit/s",
        "gbit/s": "Gbit/s",
    },
)
FRACTION = Kind("a share", {"%": Fraction(1, 100)}, "0.1 %", 0.0, 1.0, {"percent": "%", "pct": "%"})

KINDS = {"duration": DURATION, "size": SIZE, "rate": RATE, "bandwidth": BANDWIDTH, "fraction": FRACTION}


def parse(text: object, kind: Kind, *, positive: bool = False) -> float:
    """The SI number that ``text`` says. Raises QuantityError for anything but a quantity of this kind within its range.

    ``positive`` refuses zero as well.
    """
    if not isinstance(text, str):
        if isinstance(text, bool) or not isinstance(text, int | float):
            raise QuantityError(f"expected {kind.name}, for example '{kind.example}', not {describe(text)}")
        raise QuantityError(f"{shown(text)} needs a unit, for example '{_with_unit(str(text), kind)}'")
    value, end = _read(text, kind)
    if text[end:].strip():
        rest = len(text) - len(text[end:].lstrip())
        raise QuantityError(f"{shown(text)} goes on after the quantity", span=(rest, len(text.rstrip())))
    return _in_range(value, text, kind, positive)


def read(text: str, kind: Kind, *, positive: bool = False) -> tuple[float, str]:
    """The quantity ``text`` begins with, and the rest of the text. Raises QuantityError."""
    value, end = _read(text, kind)
    return _in_range(value, text[:end], kind, positive), text[end:]


def write(value: float, kind: Kind) -> str:
    """The shortest text for ``value`` (not negative, finite) that reads back as the very same float."""
    if value == 0.0:
        return _with_unit("0", kind, kind.base)
    exact = Fraction(repr(float(value)))
    candidates = []
    for unit, factor in kind.units.items():
        if unit in kind.only_read:
            continue
        numbers = [number for number in _spellings(exact / factor) if float(Fraction(number) * factor) == value]
        candidates += [(_ugliness(number), _with_unit(number, kind, unit)) for number in numbers]
    return min(candidates, key=lambda row: row[0])[1]


def nearest(word: str, known: list[str] | tuple[str, ...]) -> str:
    """The known word that ``word`` was probably meant to be, or ''."""
    folded = {name.lower(): name for name in known}
    if word.lower() in folded:
        return folded[word.lower()]
    found = difflib.get_close_matches(word.lower(), list(folded), n=1, cutoff=0.6)
    return folded[found[0]] if found else ""


def shown(value: object, limit: int = 60) -> str:
    """A value as a message quotes it: one line, short, without control characters."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value if isinstance(value, str) else f"{value}"
    text = "".join(char if char.isprintable() else "·" for char in text)
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return f"'{text}'"


def describe(value: object) -> str:
    """What a value is, in the words of YAML."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"the truth value {shown(value)}"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {shown(value)}"
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
    return f"a {type(value).__name__}"


def _read(text: str, kind: Kind) -> tuple[float, int]:
    """The first quantity in ``text`` and where it ends; the number is not yet held against the range."""
    start = len(text) - len(text.lstrip())
    found = _NUMBER.match(text, start)
    if found is None:
        raise QuantityError(f"{shown(text)} is not {kind.name}; it begins with a number, for example '{kind.example}'")
    number = found.group()
    if len(number) > _LONGEST:
        raise QuantityError(f"{shown(text)} has too many digits")
    gap = len(text[found.end() :]) - len(text[found.end() :].lstrip())
    unit_start = found.end() + gap
    unit = re.match(r"per\s+\w+|/\s*\w+|[^\W\d]+(?:/\w+)?|%|[^\s,\d±+]*", text[unit_start:])
    word = unit.group() if unit else ""
    if not word:
        raise QuantityError(
            f"{shown(text.strip())} needs a unit, for example '{_with_unit(number, kind)}'", span=(start, found.end())
        )
    spelled = word.replace(" ", "")
    if spelled not in kind.units:
        meant = kind.meant.get(word) or kind.meant.get(spelled) or nearest(spelled, list(kind.units))
        raise QuantityError(
            f"unknown unit {shown(word)} for {kind.name}",
            hint=f"did you mean '{meant}'?" if meant else "",
            allowed=", ".join(name for name in kind.units if name != "\u03bcs"),
            span=(unit_start, unit_start + len(word)),
        )
    try:
        value = float(Fraction(number) * kind.units[spelled])
    except OverflowError:
        value = float("inf") if not number.startswith("-") else float("-inf")
    return value, unit_start + len(word)


def _in_range(value: float, text: str, kind: Kind, positive: bool) -> float:
    if value < kind.low:
        raise QuantityError(f"{kind.name} cannot be negative: {shown(text.strip())}")
    if positive and value == 0.0:
        raise QuantityError(f"{kind.name} must be more than zero here: {shown(text.strip())}")
    if value > kind.high:
        raise QuantityError(f"{shown(text.strip())} is too much: {kind.name} is at most {write(kind.high, kind)}")
    return value


def _spellings(number: Fraction) -> list[str]:
    """Ways to write a number: as a float, which may be off in the last digit, and with as many digits as it takes."""
    if number.denominator == 1 and number < 10**15:
        return [str(number.numerator)]
    with localcontext(prec=40):
        exact = Decimal(number.numerator) / Decimal(number.denominator)
    return [repr(float(number)).removesuffix(".0"), f"{exact.normalize()}".replace("E", "e")]


def _ugliness(number: str) -> tuple[int, int]:
    """Orders the spellings of one value: few digits and no exponent first; of equals, the one from 1 to 1000."""
    size = float(number)
    return len(number) + (20 if "e" in number else 0) + (3 if size < 1 else 0), 0 if 1 <= size < 1000 else 1


def _with_unit(number: str, kind: Kind, unit: str | None = None) -> str:
    """A number and a unit as people write them: '5 ms', '200/s'; the example's unit where none is given."""
    if unit is None:
        unit = re.sub(r"^[\d.\s]+", "", kind.example)
    return f"{number}{unit}" if unit.startswith("/") else f"{number} {unit}"
