"""Intervals and addresses: by constructor, or from the environment of a container."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from workbench.engine.errors import OptionError


@dataclass(frozen=True)
class Settings:
    """How a directory is kept and where it is reached. The environment's names are DISCOVERY_INTERVAL and so on.

    `surveys` is where services dial to be found, `queries` where clients ask, `changes` where they watch. Every
    `interval` seconds there is a survey, which takes answers for `deadline` seconds; after `forget_after` seconds
    without an answer an offer is forgotten. What starts is known within interval + deadline, what dies is forgotten
    within forget_after. Raises OptionError unless 0 < deadline <= interval < forget_after.
    """

    surveys: str = "tcp://127.0.0.1:5550"
    queries: str = "tcp://127.0.0.1:5551"
    changes: str = "tcp://127.0.0.1:5552"
    interval: float = 1.0
    deadline: float = 0.5
    forget_after: float = 3.0

    def __post_init__(self) -> None:
        spans = (self.deadline, self.interval, self.forget_after)
        if not (0 < self.deadline <= self.interval < self.forget_after and all(map(math.isfinite, spans))):
            raise OptionError(
                f"deadline = {self.deadline}, interval = {self.interval}, forget_after = {self.forget_after} do not "
                "fit; allowed: 0 < deadline <= interval < forget_after, in seconds"
            )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], **given: float | str | None) -> Self:
        """Read what the environment says; what is `given` and not None goes before it. Raises OptionError."""
        found: dict[str, float | str] = {}
        for field in fields(cls):
            variable = variable_of(field.name)
            value = given.get(field.name)
            if value is None and variable in environment:
                value = environment[variable]
                if field.type is float:
                    try:
                        value = float(value)
                    except ValueError:
                        raise OptionError(f"{variable} = {value!r} is no number of seconds") from None
            if value is not None:
                found[field.name] = value
        return cls(**found)  # type: ignore[arg-type]


def variable_of(field: str) -> str:
    """The environment variable of a field."""
    return f"DISCOVERY_{field.upper()}"
