"""What the gate allows, and what it excuses until when: one file, `.ci/gate.yaml`."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

FILE = ".ci/gate.yaml"
"""Where the limits are, in the repository."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Amount = Annotated[float, Field(ge=0.0)]


class LimitsError(ValueError):
    """The file of limits is wrong; the text says where and how."""


class Limits(BaseModel):
    """How much more than the base is a regression."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    instructions: Share = 0.02
    """Share of more instructions for an operation."""
    events: Share = 0.02
    """Share of more events of the simulator."""
    bytes: Share = 0.02
    """Share of more bytes written."""
    system_calls: Amount = 0.5
    """More system calls for an operation."""
    allocations: Amount = 0.25
    """More allocations for an operation."""
    time: Share = 0.03
    """Share of more time that a pair must exceed to count; twice what the base differs from itself, if that is more."""
    pairs: Annotated[int, Field(ge=10, le=1_000)] = 30
    """Pairs of base and head for each probe that is timed."""
    unsure: Share = 0.05
    """How far the interval of the base against itself may reach from 1; beyond, the clock says nothing."""


class Waiver(BaseModel):
    """Excuses one finding for some time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    finding: str
    """As the gate prints it: "send: instructions"."""
    until: datetime.date
    """The last day on which it is excused."""
    because: Annotated[str, Field(min_length=10)]
    """Why."""


class GateFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limits: Limits = Limits()
    waivers: tuple[Waiver, ...] = ()

    def waiver(self, finding: str, today: datetime.date) -> Waiver | None:
        """What excuses a finding today."""
        return next((one for one in self.waivers if one.finding == finding and today <= one.until), None)

    def expired(self, today: datetime.date) -> list[Waiver]:
        """Waivers to be removed."""
        return [one for one in self.waivers if one.until < today]


def read(path: Path) -> GateFile:
    """The file; the defaults if there is none. Raises LimitsError."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if not path.is_file():
        return GateFile()
    try:
        data = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise LimitsError(f"{path}: {' '.join(str(error).split())}") from None
    try:
        return GateFile.model_validate(data or {})
    except ValidationError as error:
        problems = [
            f"{path}: {'.'.join(map(str, problem['loc'])) or 'the file'}: {problem['msg'].lower()}"
            for problem in error.errors()
        ]
        raise LimitsError("\n".join(problems)) from None
