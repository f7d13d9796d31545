"""The results folder: `results/<scenario>/<run>/`, written once, whole or not at all, and read back.

A run is written to `<run>.partial`, flushed, and renamed; `latest` then points at it. A run that was interrupted stays
behind as `.partial` with the journal of what it finished, so that the same run started again does only the rest.
A finished run's numbers are never changed; its report and figures are made from them and may be made again. One line
reads them: `pandas.read_parquet("results/priority-routing/latest/points.parquet")`.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from workbench.results import files, samples
from workbench.results.code import Code, code
from workbench.results.error import ResultError
from workbench.results.journal import Journal
from workbench.results.machine import machine, versions
from workbench.results.manifest import Manifest, read_json
from workbench.results.result import ExpectationResult, Link, Point, Replication, Result

RESULTS = Path("results")
"""Where runs are kept unless another folder is named."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One run in a listing: "complete", "incomplete" (a .partial left behind, perhaps still running) or "damaged"."""

    scenario: str
    run: str
    path: Path
    state: str
    manifest: Manifest | None = None
    problem: str = ""


def begin(
    scenario: str,
    scenario_yaml: str,
    *,
    world: str,
    seed: int,
    command: Sequence[str] = (),
    root: Path | str = RESULTS,
    resume: bool = True,
) -> Writer:
    """Begins a run, or with `resume` takes up the newest interrupted one of the same scenario text and code.

    `scenario_yaml` is the resolved scenario; every setting that changes the outcome must be in it. A run that another
    process is writing is never taken up. Raises ResultError when the scenario's name cannot be a folder's.
    """
    folder = Path(root) / checked_name(scenario, "scenario")
    folder.mkdir(parents=True, exist_ok=True)
    identity = _Identity(
        scenario=scenario,
        world=world,
        seed=seed,
        scenario_sha256=hashlib.sha256(scenario_yaml.encode()).hexdigest(),
        code=code(),
        versions=versions(),
    )
    if resume:
        for partial in sorted(folder.glob("*.partial"), reverse=True):
            lock = _lock(partial)
            if lock is None:
                continue
            if partial.is_dir() and _Identity.read(partial) == identity:
                return Writer(partial, identity, scenario_yaml, command, lock)
            lock.close()
    partial = _reserve(folder, identity)
    lock = _lock(partial)
    if lock is None:
        raise ResultError(f"{partial} was taken by another process the moment it was made; start again")
    files.write_whole(partial / "begun.json", _json(identity.to_json()))
    return Writer(partial, identity, scenario_yaml, command, lock)


class Writer:
    """A run being written. Add each replication as it finishes, then `finish`; leave it any other way to resume later.

    Use it as a context manager: leaving without `finish` keeps the partial folder and lets another process take it up.
    """

    def __init__(
        self, partial: Path, identity: _Identity, scenario_yaml: str, command: Sequence[str], lock: BinaryIO
    ) -> None:
        self.folder = partial
        """The partial folder."""
        self.run = partial.name.removesuffix(".partial")
        """The name the run will have."""
        self._identity = identity
        self._scenario_yaml = scenario_yaml
        self._command = tuple(command)
        self._lock = lock
        self._journal = Journal(partial / "journal.jsonl")
        self._resumed = bool(self._journal.replications)
        self._started, self._clock = _now(), time.perf_counter()

    @property
    def finished(self) -> Mapping[tuple[int, int], Replication]:
        """The verified replications so far by (point, index), those of an interrupted attempt included: skip them."""
        return self._journal.replications

    def add(self, replication: Replication) -> None:
        """Keeps a finished replication, on the disk before this returns."""
        self._journal.add(replication)

    def finish(self, result: Result, *, facts: Mapping[str, Any] | None = None) -> Run:
        """Writes the result with its replications, renames the folder, points `latest` at it, and opens it.

        The result's `run`, `scenario` and `world` are set to this run's. `facts` are kept in the manifest as they are.
        """
        result = dataclasses.replace(result, run=self.run, scenario=self._identity.scenario, world=self._identity.world)
        (self.folder / "figures").mkdir(exist_ok=True)
        samples.write(self.folder, result.points)
        (self.folder / "scenario.yaml").write_text(self._scenario_yaml, encoding="utf-8")
        (self.folder / "summary.json").write_bytes(_json(result.to_json()))
        numbers = (*samples.FILES, "scenario.yaml", "summary.json")
        manifest = self._manifest(result, {name: files.digest(self.folder / name) for name in numbers}, facts or {})
        (self.folder / "manifest.json").write_bytes(_json(manifest.to_json()))
        for name in (*numbers, "manifest.json", "."):
            files.sync(self.folder / name)
        final = self.folder.with_name(self.run)
        self.folder.rename(final)
        files.sync(final.parent)
        files.point_link(final.parent / "latest", self.run)
        self.close()
        for name in ("journal.jsonl", "begun.json", "lock"):
            (final / name).unlink(missing_ok=True)
        return Run(final)

    def discard(self) -> None:
        """Removes the partial folder and what was finished in it."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Lets go of the folder; another process may take it up."""
        self._journal.close()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _manifest(self, result: Result, digests: dict[str, str], facts: Mapping[str, Any]) -> Manifest:
        return Manifest(
            scenario=result.scenario,
            run=result.run,
            world=result.world,
            scenario_sha256=self._identity.scenario_sha256,
            seed=self._identity.seed,
            command=self._command,
            code=self._identity.code,
            versions=self._identity.versions,
            machine=machine().to_json(),
            started=self._started,
            stopped=_now(),
            wall_s=result.wall_s or time.perf_counter() - self._clock,
            events=result.events,
            points=len(result.points),
            replications=sum(len(point.replications) for point in result.points),
            resumed=self._resumed,
            links=tuple(link.to_json() for link in result.links),
            expectations=tuple(item.to_json() | {"value": item.value, "set": item.set} for item in result.expectations),
            files=digests,
            facts=dict(facts),
        )


class Run:
    """A finished run on the disk. The manifest is read at once, the numbers when asked for, after checking them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = Manifest.read(path / "manifest.json")

    @property
    def name(self) -> str:
        """The run's name."""
        return self.manifest.run

    @cached_property
    def scenario_yaml(self) -> str:
        """The resolved scenario this run was made from."""
        return self._checked("scenario.yaml").read_text(encoding="utf-8")

    @cached_property
    def summary(self) -> Result:
        """The result without its replications, which is quick to read; its links and expectations complete."""
        data = read_json(self._checked("summary.json"))
        try:
            result = Result.from_json(data)
            return dataclasses.replace(
                result,
                links=[Link(link["name"], link["state"]) for link in self.manifest.links],
                expectations=[ExpectationResult.from_json(item) for item in self.manifest.expectations],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ResultError(f"{self.path / 'summary.json'} is damaged: {error}") from error

    @cached_property
    def result(self) -> Result:
        """The whole result, as it was when it was written."""
        for name in samples.FILES:
            self._checked(name)
        try:
            replications = samples.read(self.path)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ResultError(f"{self.path} is damaged: its samples cannot be read ({error})") from error
        points = [
            Point(point.set, point.metrics, replications.get(place, ()))
            for place, point in enumerate(self.summary.points)
        ]
        return dataclasses.replace(self.summary, points=points)

    def attach(self, name: str, data: bytes) -> Path:
        """Adds or replaces a file made from the numbers, such as "report.html" or "figures/latency.png", at once.

        Raises ValueError for a name that leaves the folder or that would replace what the run itself wrote.
        """
        path = self.path / name
        own = {*self.manifest.files, "manifest.json"}
        if name in own or path.parent not in (self.path, self.path / "figures") or not _NAME.fullmatch(path.name):
            raise ValueError(f"{name!r} cannot be attached to a run")
        path.parent.mkdir(exist_ok=True)
        files.write_whole(path, data)
        return path

    def _checked(self, name: str) -> Path:
        path = self.path / name
        expected = self.manifest.files.get(name)
        if expected is None or not path.is_file():
            raise ResultError(f"{self.path} is damaged: {name} is missing")
        if files.digest(path) != expected:
            raise ResultError(f"{self.path} is damaged: {name} is not what the run wrote")
        return path


def open_run(name: Path | str, *, root: Path | str = RESULTS) -> Run:
    """Opens a finished run by its folder, by "scenario/run" or "scenario/latest", by run, or by scenario (its latest).

    Raises ResultError when there is none, when it is incomplete, or when the folder is not a run's.
    """
    folder = _find(str(name), Path(root))
    if folder.name.endswith(".partial"):
        raise ResultError(f"{folder} is incomplete: the run was interrupted; run it again to finish it")
    return Run(folder)


def list_runs(root: Path | str = RESULTS, scenario: str | None = None) -> list[Entry]:
    """All runs under the root, or of one scenario, by scenario and age, the newest last; broken ones say why.

    Files and folders that are not named like a run are not listed.
    """
    top = Path(root)
    if scenario is not None:
        folders = [top / checked_name(scenario, "scenario")]
    else:
        folders = sorted(path for path in top.iterdir() if path.is_dir()) if top.is_dir() else []
    runs = [path for folder in folders if folder.is_dir() for path in folder.iterdir() if _is_run(path)]
    return [_entry(path) for path in sorted(runs, key=lambda path: (path.parent.name, path.name))]


def counterpart(run: Run) -> Run | None:
    """The newest finished run of the same scenario in the other world that shares a setting with it, if any."""
    settings = [point.set for point in run.summary.points]
    for path in sorted((path for path in run.path.parent.iterdir() if _is_run(path)), reverse=True):
        entry = _entry(path)
        if entry.manifest is None or entry.manifest.world == run.manifest.world:
            continue
        try:
            other = Run(path)
            if any(point.set in settings for point in other.summary.points):
                return other
        except ResultError:
            continue
    return None


def checked_name(name: str, what: str) -> str:
    """The name, if it is safe as a folder's: letters, digits, `-`, `_`, `.`, not led by a dot. Else ResultError."""
    if not _NAME.fullmatch(name) or name == "latest" or name.endswith(".partial"):
        raise ResultError(
            f"{name!r} cannot name a {what}: use at most 100 letters, digits, '-', '_' and '.', "
            "and begin with a letter or digit"
        )
    return name


@dataclass(frozen=True, slots=True)
class _Identity:
    """What must agree for one run to carry on another."""

    scenario: str
    world: str
    seed: int
    scenario_sha256: str
    code: Code
    versions: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def read(cls, partial: Path) -> _Identity | None:
        try:
            data = read_json(partial / "begun.json")
            return cls(**(data | {"code": Code.from_json(data["code"])}))
        except (ResultError, KeyError, TypeError):
            return None


def _reserve(folder: Path, identity: _Identity) -> Path:
    """Makes the partial folder of a name that no run has."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    stem = f"{stamp}-{identity.code.label}-{identity.scenario_sha256[:8]}"
    for again in range(1, 1000):
        final = folder / (stem if again == 1 else f"{stem}-{again}")
        partial = final.with_name(f"{final.name}.partial")
        if final.exists():
            continue
        try:
            partial.mkdir()
        except FileExistsError:
            continue
        if not final.exists():
            return partial
        partial.rmdir()  # its owner renamed it between our two looks
    raise ResultError(f"{folder} has a thousand runs of this second")


def _lock(partial: Path) -> BinaryIO | None:
    """The folder's lock, held until closed or until this process ends; None when another process holds it."""
    try:
        file = (partial / "lock").open("ab")
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _find(name: str, root: Path) -> Path:
    if not name:
        raise ResultError("name a run, for example priority-routing or priority-routing/latest")
    # A path is the user's own business; a name is looked up below the root and cannot leave it.
    for path in (Path(name), root / name):
        if (path / "manifest.json").is_file() or _is_run(path):
            return path.resolve()
    parts = name.split("/")
    if all(_NAME.fullmatch(part) for part in parts):
        if (root / name / "latest").is_dir():
            return (root / name / "latest").resolve()
        found = [path for path in root.glob(f"*/{name}") if _is_run(path)] if len(parts) == 1 else []
        if len(found) > 1:
            raise ResultError(f"several scenarios have a run {name!r}; name one as {found[0].parent.name}/{name}")
        if found:
            return found[0].resolve()
    if Path(name).is_dir() and name.startswith((".", "/")):
        raise ResultError(f"{name} is not a run's folder: it has no manifest.json")
    known = [entry for entry in list_runs(root) if entry.state == "complete"]
    hint = f"the latest is {known[-1].scenario}/{known[-1].run}" if known else f"there are none in {root}"
    raise ResultError(f"there is no run {name!r}; {hint}")


def _is_run(path: Path) -> bool:
    return _RUN.fullmatch(path.name) is not None and path.is_dir() and not path.is_symlink()


def _entry(path: Path) -> Entry:
    name = path.name.removesuffix(".partial")
    if path.name.endswith(".partial"):
        return Entry(path.parent.name, name, path, "incomplete")
    try:
        manifest = Manifest.read(path / "manifest.json")
    except ResultError as error:
        return Entry(path.parent.name, name, path, "damaged", problem=str(error))
    return Entry(path.parent.name, name, path, "complete", manifest)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(data: Any) -> bytes:
    return (json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_RUN = re.compile(r"\d{8}T\d{6}Z-(nogit|[0-9a-f]{7})(-dirty)?-[0-9a-f]{8}(-\d+)?(\.partial)?")
