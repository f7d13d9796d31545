"""The two versions that are compared, built alike: the same compiler, the same settings, the same place.

What is built goes into a cache, by the digest of its sources: unchanged code is built once. Both versions are built in
one folder, one after the other, so that no path in them differs; nothing of the user's environment is changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PARTS = ("engine", "workbench", "pyproject.toml", "README.md", "LICENSE")
"""What a version is built from."""
BUILD_S = 1_800.0
"""How long a build may take, in seconds."""


class SideError(ValueError):
    """There is no such version, or it cannot be built; the text says why and what to do."""


@dataclass(frozen=True)
class Side:
    """A version, built."""

    name: str
    """"base" or "head"."""
    label: str
    """What it is, for people: a commit, or the working tree."""
    digest: str
    """Of all its sources."""
    folder: Path
    """Holds its package; to be put on the path."""

    def environment(self) -> dict[str, str]:
        """The environment in which a program sees this version, and hashes do not depend on chance."""
        return {**os.environ, "PYTHONPATH": str(self.folder), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}


def repository(folder: Path) -> Path:
    """The top of the working tree that holds this folder. Raises SideError."""
    top = _git(folder, "rev-parse", "--show-toplevel").decode().strip()
    if not (Path(top) / "engine" / "python" / "Cargo.toml").is_file():
        raise SideError(f"{top} is not the workbench's repository: it has no engine/python/Cargo.toml")
    return Path(top)


def default_base(top: Path) -> str:
    """Where the working tree left the main branch; on it, the commit before, or with changes the commit itself."""
    head = _git(top, "rev-parse", "HEAD").decode().strip()
    for main in ("origin/main", "main"):
        try:
            base = _git(top, "merge-base", "HEAD", main).decode().strip()
        except SideError:
            continue
        if base != head:
            return base
    changed = _git(top, "status", "--porcelain", "--untracked-files=no").strip()
    return head if changed else "HEAD~1"


def of_commit(top: Path, reference: str, cache: Path, tell: Callable[[str], None]) -> Side:
    """The version that a commit holds. Raises SideError."""
    try:
        commit = _git(top, "rev-parse", "--verify", "--end-of-options", f"{reference}^{{commit}}").decode().strip()
    except SideError:
        raise SideError(f"there is no commit '{reference}' in {top}; a shallow clone has only its newest") from None
    listed = _git(top, "ls-tree", "-r", "-z", "--name-only", commit, "--", *PARTS).decode().split("\0")
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "sources.zip"
        _git(top, "archive", "--format=zip", f"--output={archive}", commit, "--", *_present(listed))
        with zipfile.ZipFile(archive) as opened:
            files = {name: opened.read(name) for name in opened.namelist() if not name.endswith("/")}
    return _built("base", f"{reference} ({commit[:9]})", files, cache, tell)


def of_tree(top: Path, cache: Path, tell: Callable[[str], None]) -> Side:
    """The version in the working tree, with all that is not committed. Raises SideError."""
    commit = _git(top, "rev-parse", "--short=9", "HEAD").decode().strip()
    command = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *PARTS)
    listed = _git(top, *command).decode().split("\0")
    files = {name: (top / name).read_bytes() for name in listed if name and (top / name).is_file()}
    changed = _git(top, "status", "--porcelain", "--", *PARTS).strip()
    return _built("head", f"{commit} with changes" if changed else commit, files, cache, tell)


def _present(listed: list[str]) -> list[str]:
    return [part for part in PARTS if any(name == part or name.startswith(f"{part}/") for name in listed)]


def _built(name: str, label: str, files: dict[str, bytes], cache: Path, tell: Callable[[str], None]) -> Side:
    digest = _digest(files)
    folder = cache / "versions" / digest
    if not folder.is_dir():
        tell(f"building {name}: {label}")
        with (cache / "lock").open("w") as lock:
            # Two gates at once share the place where they build.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                _build(files, cache, folder, label)
    return Side(name, label, digest, folder)


def _digest(files: dict[str, bytes]) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for name in sorted(files):
        digest.update(f"{name}\0{len(files[name])}\0".encode())
        digest.update(files[name])
    return digest.hexdigest()[:16]


def _build(files: dict[str, bytes], cache: Path, folder: Path, label: str) -> None:
    """Make a wheel, as for anybody, and unpack it."""
    sources = cache / "sources"
    _lay_out(files, sources)
    with tempfile.TemporaryDirectory(dir=cache) as made:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
        environment = {**os.environ, "CARGO_TARGET_DIR": str(cache / "target")}
        try:
            subprocess.run(
                [*command, "--wheel-dir", made, str(sources)],
                env=environment,
                capture_output=True,
                check=True,
                timeout=BUILD_S,
            )
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip().splitlines()
            raise SideError(f"{label} cannot be built:\n" + "\n".join(said[-12:])) from None
        except subprocess.TimeoutExpired:
            raise SideError(f"building {label} took more than {BUILD_S / 60:g} minutes") from None
        (wheel,) = Path(made).glob("*.whl")
        unpacked = Path(made) / "unpacked"
        with zipfile.ZipFile(wheel) as opened:
            opened.extractall(unpacked)
        folder.parent.mkdir(parents=True, exist_ok=True)
        unpacked.rename(folder)


def _lay_out(files: dict[str, bytes], folder: Path) -> None:
    """Make a folder hold these files; what is there already is not touched, so that it is not compiled again."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif str(path.relative_to(folder)) not in files:
            path.unlink()
    for name, content in files.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def prune(cache: Path, keep: int = 8) -> None:
    """Remove all but the versions that were used last."""
    versions = sorted((cache / "versions").glob("*"), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in versions[keep:]:
        shutil.rmtree(folder, ignore_errors=True)


def _git(folder: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *arguments], capture_output=True, timeout=120
        )
    except FileNotFoundError:
        raise SideError("git is not installed, and the gate compares commits") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().removeprefix("fatal: ")
        raise SideError(f"git {' '.join(arguments[:3])}: {said}")
    return done.stdout
