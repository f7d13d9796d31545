"""Which code made a result: the commit of the working tree this package runs from."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Code:
    """A commit, whether files differ from it, and a fingerprint of how; no commit outside a git working tree."""

    commit: str | None
    dirty: bool = False
    changes: str | None = None
    """SHA-256 of the difference to the commit, so that two dirty trees can be told apart."""

    @property
    def label(self) -> str:
        """The part of a run's name that tells the code: "0123abc", "0123abc-dirty" or "nogit"."""
        if self.commit is None:
            return "nogit"
        return self.commit[:7] + ("-dirty" if self.dirty else "")

    def to_json(self) -> dict[str, Any]:
        """All fields by their names."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Code:
        """The inverse of `to_json`."""
        return cls(data["commit"], bool(data["dirty"]), data["changes"])


def code(folder: Path | None = None) -> Code:
    """The code this package, or the package in `folder`, was loaded from.

    A copy installed somewhere inside another repository does not belong to that repository's commit: only a folder
    whose `__init__.py` git tracks counts.
    """
    folder = folder or Path(__file__).resolve().parent.parent
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return Code(None)
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    status = _git(folder, "status", "--porcelain", *_CODE)
    if commit is None or status is None:
        return Code(None)
    if not status.strip():
        return Code(commit.strip().decode())
    changes = status + (_git(folder, "diff", "HEAD", *_CODE) or b"")
    return Code(commit.strip().decode(), dirty=True, changes=hashlib.sha256(changes).hexdigest())


_CODE = ("--", ":(top)", ":(top,exclude)results")
"""What a run leaves behind, kept or not, is no code."""


def _git(folder: Path, *arguments: str) -> bytes | None:
    """What git says, or None when there is no git, no repository, or it refuses."""
    try:
        # Without optional locks, so that recording a run never disturbs somebody's commit in progress.
        command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
        done = subprocess.run(command, capture_output=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
