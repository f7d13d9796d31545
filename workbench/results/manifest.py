"""The manifest of a run: what was run, by which code, where, and how to tell whether its files are untouched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from workbench.results.code import Code
from workbench.results.error import ResultError

T = TypeVar("T")

SCHEMA = 1
"""The version of the folder's layout. It rises when an older reader would misread a newer folder."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that is known about a run besides its numbers. Times are UTC in ISO 8601, durations in seconds."""

    scenario: str
    run: str
    world: str
    scenario_sha256: str
    seed: int
    command: tuple[str, ...]
    code: Code
    versions: dict[str, str]
    machine: dict[str, Any]
    started: str
    stopped: str
    wall_s: float
    events: int
    points: int
    replications: int
    resumed: bool = False
    """Whether an earlier, interrupted attempt did part of the work."""
    links: tuple[dict[str, str], ...] = ()
    expectations: tuple[dict[str, Any], ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    """The SHA-256 of each file that holds numbers."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What else the runner wanted remembered, for example what a measurement checked before it began."""

    def to_json(self) -> dict[str, Any]:
        """All fields by their names, and the schema version."""
        return {"schema": SCHEMA} | asdict(self)

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Reads a manifest file. Raises ResultError when it is missing, broken, or of another schema version."""
        data = read_json(path)
        version = data.get("schema")
        if version != SCHEMA:
            raise ResultError(
                f"{path.parent} was written with results schema {version!r}; this workbench reads schema {SCHEMA}"
            )
        try:
            return cls(
                scenario=_as(data, "scenario", str),
                run=_as(data, "run", str),
                world=_as(data, "world", str),
                scenario_sha256=_as(data, "scenario_sha256", str),
                seed=_as(data, "seed", int),
                command=tuple(str(word) for word in _as(data, "command", list)),
                code=Code.from_json(_as(data, "code", dict)),
                versions=_as(data, "versions", dict),
                machine=_as(data, "machine", dict),
                started=_as(data, "started", str),
                stopped=_as(data, "stopped", str),
                wall_s=float(data["wall_s"]),
                events=_as(data, "events", int),
                points=_as(data, "points", int),
                replications=_as(data, "replications", int),
                resumed=_as(data, "resumed", bool),
                links=tuple({"name": str(link["name"]), "state": str(link["state"])} for link in data["links"]),
                expectations=tuple(dict(item) for item in data["expectations"]),
                files=_as(data, "files", dict),
                facts=_as(data, "facts", dict),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ResultError(f"{path} is not a run's manifest: {_reason(error)}") from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of a results folder, or a ResultError that says what is wrong with it."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ResultError(f"{path.parent} is not a run's folder: it has no {path.name}") from None
    except OSError as error:
        raise ResultError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{path} is damaged: it is not JSON") from error
    if not isinstance(data, dict):
        raise ResultError(f"{path} is damaged: it does not hold a JSON object")
    return data


def _as(data: Mapping[str, Any], key: str, kind: type[T]) -> T:
    value = data[key]
    if not isinstance(value, kind):
        raise TypeError(f"{key!r} should be of type {kind.__name__}")
    return value


def _reason(error: Exception) -> str:
    return f"it lacks {error.args[0]!r}" if isinstance(error, KeyError) else str(error)
