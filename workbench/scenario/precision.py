"""Precision: how narrow an interval is to be, as ``latency.mean ± 2 %`` or ``lost ± 3``."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.scenario.expect import metric_named
from workbench.scenario.units import FRACTION, QuantityError, describe, parse, shown, write


@dataclass(frozen=True)
class Precision:
    """The half width of the 95 % interval of a metric: a share of its value, or so much."""

    metric: str
    share: float | None = None
    width: float | None = None
    text: str = ""

    def reached(self, value: float | None, half_width: float | None) -> bool:
        """Is an interval narrow enough? One that is not there never is, that of nothing always."""
        if value is None or half_width is None:
            return False
        return half_width <= self.allowed(value)

    def allowed(self, value: float) -> float:
        """The half width that is allowed at this value."""
        return self.width if self.width is not None else abs(value) * (self.share or 0.0)

    def __str__(self) -> str:
        return self.text


def parse_precision(text: object) -> Precision:
    """The precision that ``text`` says. Raises QuantityError."""
    if isinstance(text, Precision):
        return text
    if not isinstance(text, str):
        raise QuantityError(f"expected a precision, for example 'latency.mean ± 2 %', not {describe(text)}")
    name, sign, width = text.replace("+-", "±").partition("±")
    if not sign or not width.strip():
        raise QuantityError(f"{shown(text)} is no precision; it goes: metric ± width, like 'latency.mean ± 2 %'")
    metric = metric_named(name.strip())
    if width.strip().endswith("%"):
        share = parse(width.strip(), FRACTION, positive=True)
        # Of a share, per cent are points; of everything else they are of its value.
        if metric.kind is FRACTION:
            return Precision(str(metric), width=share, text=text)
        return Precision(str(metric), share=share, text=text)
    if metric.kind is None:
        try:
            return Precision(str(metric), width=float(width), text=text)
        except ValueError:
            raise QuantityError(
                f"{shown(width.strip())} is no number; a count is precise to a number, or to %"
            ) from None
    value = parse(width.strip(), metric.kind, positive=True)
    return Precision(str(metric), width=value, text=f"{metric} ± {write(value, metric.kind)}")
