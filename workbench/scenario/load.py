"""Loading: a YAML file -> a checked Scenario, or everything that is wrong with it.

text -> tree of nodes with places -> ``extends`` merged in -> ``--set`` applied -> a compact kind expanded -> models ->
cross-references, at every point of the sweep. Whatever a step finds is collected; a part that is wrong by itself is
taken out, so that the later steps can still look at the rest. Nothing but ScenarioError leaves this module for
anything a file may contain.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path as FilePath
from typing import Any, TypeVar

from pydantic import ValidationError

from workbench.scenario import kinds
from workbench.scenario.check import MOST_POINTS, Finding, check, check_amount, check_whole
from workbench.scenario.paths import Path, fields, find, model_at, of_schema, put, without
from workbench.scenario.problem import Problem, ScenarioError
from workbench.scenario.schema import BEHAVIOUR, Model, Scenario
from workbench.scenario.sweep import axis, combinations, template
from workbench.scenario.tree import MOST_BYTES, Node, Place, Source, graft, merge, read_file, read_tree
from workbench.scenario.units import QuantityError, describe, nearest, shown

LONGEST_CHAIN = 8
"""Files that may extend one another."""
MOST_PROBLEMS = 100
"""Problems that are told of one scenario."""

_STAND_INS: dict[Path, Any] = {
    ("version",): 1,
    ("name",): "unnamed",
    ("run",): {"duration": "240 h"},
    ("run", "duration"): "240 h",
    ("sites",): {},
    ("services",): {},
    ("workloads",): {},
    ("workloads", "*", "load"): "closed",
}
"""What stands in for things that are missing or wrong while the rest is looked at; * is any name."""

_M = TypeVar("_M", bound=Model)


def load(
    path: str | os.PathLike[str], *, sets: Sequence[str] = (), base: str | os.PathLike[str] | None = None
) -> Scenario:
    """The scenario in a file, with ``sets`` ("path=value") applied.

    Behaviours are relative to ``base``, by default the file's folder. Raises ScenarioError, which carries everything
    that is wrong.
    """
    scenario, problems = _load(path, sets, base)
    if problems or scenario is None:
        raise ScenarioError(problems)
    return scenario


def lint(path: str | os.PathLike[str], *, sets: Sequence[str] = ()) -> list[Problem]:
    """Everything that is wrong with a scenario file, in the order of the file; nothing when it can be run."""
    return _load(path, sets, None)[1]


def parse(
    text: str, *, name: str = "<text>", sets: Sequence[str] = (), base: str | os.PathLike[str] | None = None
) -> Scenario:
    """The scenario in a text.

    Without ``base`` it can extend nothing and its behaviours are not looked for. Raises ScenarioError.
    """
    loading = _Loading(FilePath(base) if base is not None else None)
    scenario = loading.text(text, name, sets)
    if loading.problems or scenario is None:
        raise ScenarioError(loading.sorted())
    return scenario


def _load(
    path: str | os.PathLike[str], sets: Sequence[str], base: str | os.PathLike[str] | None
) -> tuple[Scenario | None, list[Problem]]:
    file = FilePath(path)
    try:
        text, source = read_file(file, os.fspath(file))
    except ScenarioError as error:
        return None, error.problems
    loading = _Loading(file.parent, FilePath(base) if base is not None else file.parent)
    loading.chain = [_real(file)]
    scenario = loading.source(text, source, sets)
    return scenario, loading.sorted()


class _Loading:
    """One scenario on its way in, and what is wrong with it."""

    def __init__(self, directory: FilePath | None, behaviours: FilePath | None = None) -> None:
        self.directory = directory
        self.behaviours = behaviours if behaviours is not None else directory
        self.problems: list[Problem] = []
        self.chain: list[str] = []
        """The files that are being extended, to notice a cycle."""
        self.silent: set[Path] = set()
        """Values that were there but unreadable: nobody complains that they are missing."""
        self.base_unknown = False
        """A file to extend could not be read: what is missing may be in it."""

    def sorted(self) -> list[Problem]:
        """The problems, each once, in the order of the files."""
        files = list(dict.fromkeys(problem.file for problem in self.problems))
        once: dict[tuple[str, int, int, str], Problem] = {}
        for problem in self.problems:
            once.setdefault((problem.file, problem.line, problem.column, problem.message), problem)
        found = sorted(once.values(), key=lambda problem: (files.index(problem.file), problem.line, problem.column))
        if len(found) > MOST_PROBLEMS:
            rest = Problem(found[0].file, 0, 0, f"there are more than {MOST_PROBLEMS} problems; these are the first")
            found = [*found[:MOST_PROBLEMS], rest]
        return found

    def text(self, text: str, name: str, sets: Sequence[str]) -> Scenario | None:
        if len(text) > MOST_BYTES:
            self.problems.append(Problem(name, 0, 0, "the text is larger than 1 MiB; a scenario is a page of text"))
            return None
        return self.source(text, Source(name, directory=self.directory), sets)

    def source(self, text: str, source: Source, sets: Sequence[str]) -> Scenario | None:
        tree = self._tree(text, source)
        if tree is None:
            return None
        if not isinstance(tree.value, dict):
            self.problems.append(
                tree.place.problem(
                    f"a scenario is a mapping of keys such as 'name' and 'sites', not {describe(tree.plain())}"
                )
            )
            return None
        tree = self._extended(tree)
        self.silent.update(tree.broken_paths())
        tree = tree.whole()
        settings = self._settings(sets)
        model: type[Model] = Scenario
        if "kind" in tree.value:
            expanded = self._expanded(tree, settings)
            if expanded is None:
                return None
            tree, settings = expanded
        tree = self._set(model, tree, settings)
        return self._scenario(tree)

    def _tree(self, text: str, source: Source) -> Node | None:
        tree = read_tree(text, source, self.problems)
        return None if tree is None or tree.broken else tree

    def _extended(self, tree: Node) -> Node:
        """The tree laid upon the file it extends, and that upon the one it extends, and so on."""
        given = tree.value.get("extends")
        if given is None or given.broken or given.value is None:
            return tree
        tree = replace(tree, value={name: child for name, child in tree.value.items() if name != "extends"})
        if not isinstance(given.value, str):
            self.problems.append(
                given.place.problem(
                    f"expected the name of a scenario file, not {describe(given.plain())}", explain="extends"
                )
            )
            return tree
        directory = given.place.source.directory
        if directory is None:
            self.problems.append(given.place.problem("a text that is not in a file cannot extend one"))
            return tree
        file = FilePath(os.path.normpath(directory / given.value)) if "\0" not in given.value else directory
        real = _real(file)
        if real in self.chain:
            names = " -> ".join(FilePath(name).name for name in [*self.chain[self.chain.index(real) :], real])
            self.problems.append(given.place.problem(f"the scenario extends itself: {names}"))
            self.base_unknown = True
            return tree
        if len(self.chain) > LONGEST_CHAIN:
            self.problems.append(given.place.problem(f"more than {LONGEST_CHAIN} files extend one another"))
            return tree
        try:
            text, source = read_file(file, os.fspath(file))
        except ScenarioError as error:
            self.problems.append(
                given.place.problem(f"{shown(given.value)} cannot be extended: {error.problems[0].message}")
            )
            self.base_unknown = True
            return tree
        self.chain.append(real)
        base = self._tree(text, source)
        self.base_unknown = self.base_unknown or base is None
        if base is None or not isinstance(base.value, dict):
            if base is not None:
                self.problems.append(
                    base.place.problem(f"a scenario is a mapping of keys, not {describe(base.plain())}")
                )
            return tree
        return merge(self._rebased(self._extended(base)), tree)

    def _rebased(self, tree: Node) -> Node:
        """The tree of another file with its behaviours relative to our own folder."""
        if self.directory is None:
            return tree
        value = dict(tree.value)
        for section in ("services", "workloads"):
            if section not in value or not isinstance(value[section].value, dict):
                continue
            rows = dict(value[section].value)
            for name, row in rows.items():
                inner = row.value.get("behaviour") if isinstance(row.value, dict) else None
                folder = inner.place.source.directory if inner is not None else None
                if (
                    inner is None
                    or folder is None
                    or not isinstance(inner.value, str)
                    or not (found := BEHAVIOUR.fullmatch(inner.value))
                ):
                    continue
                moved = os.path.relpath(folder / found["file"], self.directory)
                behaviour = replace(
                    inner, value=f"{moved}:{found['function']}", place=replace(inner.place, verbatim=False)
                )
                rows[name] = replace(row, value={**row.value, "behaviour": behaviour})
            value[section] = replace(value[section], value=rows)
        return replace(tree, value=value)

    def _settings(self, sets: Sequence[str]) -> list[tuple[str, Node, Place]]:
        """What ``--set`` was given: path, value, and the place of the path."""
        found = []
        for text in sets:
            source = Source("--set", (text.replace("\n", " "),))
            path, equals, value = text.partition("=")
            path = path.strip()
            whole = Place(source, 1, 1, max(1, len(text)), verbatim=True)
            if not equals or not path or not value.strip() or "\n" in text:
                message = "a value is set like routing=priority: path, equals sign, value, on one line"
                self.problems.append(whole.problem(message))
                continue
            at = text.index(path)
            node = self._tree(" " * (len(text) - len(value)) + value, source)
            if node is None:
                continue
            found.append((path, node, Place(source, 1, at + 1, len(path), verbatim=True)))
        return found

    def _set(self, model: type[Model], tree: Node, settings: Iterable[tuple[str, Node, Place]]) -> Node:
        for text, value, place in settings:
            try:
                tree = put(model, tree, find(model, tree, text), replace(value, key=place))
            except QuantityError as error:
                self._refused(error, place)
        return tree

    def _refused(self, error: QuantityError, place: Place, explain: str = "") -> None:
        where = place.part(*error.span) if error.span else place
        self.problems.append(where.problem(error.message, hint=error.hint, allowed=error.allowed, explain=explain))

    def _expanded(
        self, tree: Node, settings: list[tuple[str, Node, Place]]
    ) -> tuple[Node, list[tuple[str, Node, Place]]] | None:
        """A compact kind in the normal form, and the settings that are about the normal form."""
        node = tree.value["kind"]
        kind = kinds.KINDS.get(node.value) if isinstance(node.value, str) else None
        if kind is None:
            what = (
                f"unknown kind {shown(node.value)}"
                if isinstance(node.value, str)
                else f"expected a kind, not {describe(node.plain())}"
            )
            meant = nearest(node.value, list(kinds.KINDS)) if isinstance(node.value, str) else ""
            hint = f"did you mean '{meant}'?" if meant else ""
            self.problems.append(node.place.problem(what, hint=hint, allowed=", ".join(kinds.KINDS), explain="kind"))
            return None
        known = fields(kind)
        own = [setting for setting in settings if setting[0].split(".")[0] in known]
        tree = self._set(kind, tree, own)
        before = len(self.problems)
        compact, _, _ = self._shaped(kind, tree)
        if compact is None or len(self.problems) > before:
            return None
        normal = graft(compact.expand(), node.place, node.key)
        kept = {name: tree.value[name] for name in normal.value if name in tree.value}
        normal = replace(normal, value={**normal.value, **kept})
        return normal, [setting for setting in settings if setting not in own]

    def _scenario(self, tree: Node) -> Scenario | None:
        """The models of a tree in the normal form, checked alone, with each other, at every point of a sweep."""
        scenario, tree, gone = self._shaped(Scenario, tree)
        if scenario is None:
            return None
        scenario = scenario.read_in(self.behaviours)
        self._found(check_whole(scenario, gone), tree)
        if not scenario.sweep:
            self._found(check(scenario, gone), tree)
            if not self.problems:
                self._found(check_amount([scenario]), tree)
            return scenario
        axes: dict[Path, list[Node]] = {}
        amount = 1
        for text, values in tree.value["sweep"].value.items():
            place = values.key or values.place
            try:
                path = axis(Scenario, tree, text)
            except QuantityError as error:
                self._refused(error, place)
                continue
            if path in axes:
                self.problems.append(place.problem(f"{shown(text)} is swept twice"))
                continue
            axes[path] = values.value
            amount *= len(values.value)
        if amount > MOST_POINTS:
            return scenario
        at_points = []
        base = template(tree)
        for combination in combinations(axes):
            at = base
            for path, value in combination:
                at = put(Scenario, at, path, value)
            point, at, lost = self._shaped(Scenario, at)
            if point is not None:
                point = point.read_in(self.behaviours)
                self._found(check(point, gone | lost), at)
                at_points.append(point)
        if not self.problems:
            self._found(check_amount(at_points), tree)
        return scenario

    def _shaped(self, model: type[_M], tree: Node) -> tuple[_M | None, Node, frozenset[Path]]:
        """The model of a tree.

        What does not fit is reported and taken out: the tree that is left, and the paths that went.
        """
        gone: set[Path] = set()
        first = True
        while True:
            try:
                return model.model_validate(tree.plain(), context=None if first else "partial"), tree, frozenset(gone)
            except ValidationError as error:
                errors = error.errors(include_url=False)
            if first:
                excused = {error["loc"] for error in errors} if self.base_unknown else self.silent
                self.problems.extend(_problems(model, tree, errors[: MOST_PROBLEMS + 1], excused))
            # Only the first look is reported: what a later one misses was taken out by us.
            first = False
            lacking = {error["loc"] for error in errors if error["type"] == "missing"}
            stood_in = {loc for loc in lacking if _general(loc) in _STAND_INS} if model is Scenario else set()
            # What is wrong may stand in the file in a short way only: then that goes.
            out = {tree.at(_guilty(error))[1] for error in errors if error["loc"] not in stood_in}
            if () in out:
                return None, tree, frozenset(gone)
            for path, names in [(path, _names(tree, path)) for path in out]:
                if names is not None:
                    # A list of names is as good as a mapping to nothing, once it is told.
                    tree = put(Scenario, tree, path, graft(dict.fromkeys(names), tree.at(path)[0].place))
                    out.remove(path)
            tree = without(tree, out)
            gone |= out | stood_in
            for path in stood_in:
                tree = put(Scenario, tree, path, graft(_STAND_INS[_general(path)], tree.place, tree.place))

    def _found(self, findings: Iterable[Finding], tree: Node) -> None:
        for finding in islice(findings, MOST_PROBLEMS + 1):
            node, path = tree.at(finding.path)
            place = node.key if finding.key and node.key is not None else node.place
            if path != finding.path:
                # The value is a default, or was written in a short way: the nearest thing that is there.
                place = node.key or node.place if not isinstance(node.value, str) else node.place
            elif finding.part is not None:
                place = place.part(*finding.part)
            explain = of_schema(Scenario, finding.path)
            self.problems.append(
                place.problem(finding.message, hint=finding.hint, allowed=finding.allowed, explain=explain)
            )


def _general(path: Path) -> Path:
    """A path with any name of a workload for the one it has."""
    return (path[0], "*", *path[2:]) if len(path) == 3 and path[0] == "workloads" else path


def _names(tree: Node, path: Path) -> list[str] | None:
    """The names in a list of sites, which should have been a mapping."""
    node, found = tree.at(path)
    if path != ("sites",) or found != path or not isinstance(node.value, list):
        return None
    names = [child.value for child in node.value]
    return names if names and all(isinstance(name, str) for name in names) else None


def _problems(model: type[Model], tree: Node, errors: Sequence[Any], excused: set[Path]) -> list[Problem]:
    """What pydantic found, as problems with a place and in our words."""
    # A key that is missing because it was misspelled needs one sentence, not two.
    meant = set()
    for error in errors:
        if error["type"] == "extra_forbidden":
            owner = model_at(model, error["loc"][:-1])
            if owner is not None:
                meant.add((*error["loc"][:-1], nearest(str(error["loc"][-1]), list(fields(owner)))))
    missing: dict[Path, list[str]] = {}
    problems = []
    for error in errors:
        loc: Path = error["loc"]
        explain = _explained(model, loc)
        if error["type"] == "missing":
            if loc not in meant and loc not in excused:
                missing.setdefault(loc[:-1], []).append(str(loc[-1]))
        elif error["type"] == "extra_forbidden":
            problems.append(_unknown_key(model, tree, loc))
        elif loc and loc[-1] == "[key]":
            node, _ = tree.at(loc[:-1])
            ctx = error.get("ctx", {})
            problems.append(
                (node.key or node.place).problem(
                    ctx.get("message", error["msg"]), hint=ctx.get("hint", ""), explain=explain
                )
            )
        else:
            problems.append(_wrong(tree, error, loc, explain))
    return problems + [_missing(model, tree, parent, names) for parent, names in missing.items()]


def _missing(model: type[Model], tree: Node, parent: Path, names: list[str]) -> Problem:
    """One sentence for all the keys that a part needs and does not have."""
    owner = model_at(model, parent)
    info = fields(owner).get(names[0]) if owner is not None else None
    example = info.examples[0] if info is not None and info.examples else None
    hint = f"for example {names[0]}: {_flow(example)}" if example is not None and len(names) == 1 else ""
    needs = " and ".join(filter(None, (", ".join(f"'{name}'" for name in names[:-1]), f"'{names[-1]}'")))
    node, _ = tree.at(parent)
    what = "the scenario"
    if parent:
        what = f"'{parent[-1]}'" if isinstance(parent[-1], str) else f"number {parent[-1] + 1} of '{parent[-2]}'"
    explain = _explained(model, (*parent, names[0]) if len(names) == 1 else parent)
    return (node.key or node.place).problem(f"{what} needs {needs}", hint=hint, explain=explain)


def _unknown_key(model: type[Model], tree: Node, loc: Path) -> Problem:
    node, _ = tree.at(loc)
    owner = model_at(model, loc[:-1])
    known = list(fields(owner)) if owner is not None else []
    given = tree.at(loc[:-1])[0].value
    name = str(loc[-1])
    # A key that is there already was not meant.
    meant = nearest(name, [key for key in known if key not in given] or known)
    where = f" in '{loc[-2]}'" if len(loc) > 1 and isinstance(loc[-2], str) else ""
    hint = f"did you mean '{meant}'?" if meant else ""
    place = node.key or node.place
    return place.problem(
        f"unknown key {shown(name)}{where}", hint=hint, allowed=", ".join(known), explain=_explained(model, loc[:-1])
    )


def _wrong(tree: Node, error: Any, loc: Path, explain: str) -> Problem:
    node, path = tree.at(loc)
    ctx = error.get("ctx", {})
    place = node.place
    if isinstance(node.value, dict | list) and node.key is not None:
        place = node.key
    if error["type"] == "scenario":
        if ctx["span"] and path == loc:
            place = place.part(*ctx["span"])
        return place.problem(ctx["message"], hint=ctx["hint"], allowed=ctx["allowed"], explain=explain)
    given, hint = describe(node.plain()) if path == loc else "nothing", ""
    name = f"'{loc[-1]}'" if loc and isinstance(loc[-1], str) else "this"
    match error["type"]:
        case "dict_type" | "model_type" | "model_attributes_type":
            message = f"expected a mapping for {name}, not {given}"
            names = _names(tree, loc)
            hint = f"did you mean {{{', '.join(f'{name}: ' for name in names)}}}?" if names is not None else ""
        case "tuple_type" | "list_type":
            message = f"expected a list for {name}, not {given}"
        case "too_short":
            message = f"{name} is empty; it needs at least one entry"
        case _:
            message = re.sub(r"\s+", " ", f"{error['msg']}")
    return place.problem(message, hint=hint, explain=explain)


def _guilty(error: Any) -> Path:
    """The path of what must be taken out so that the rest can be looked at."""
    loc: Path = error["loc"]
    if loc and loc[-1] == "[key]":
        return loc[:-1]
    return loc[:-1] if error["type"] == "missing" else loc


def _explained(model: type[Model], loc: Path) -> str:
    """What ``workbench explain`` is to be asked about a value."""
    path = of_schema(model, loc)
    if issubclass(model, kinds.Compact):
        return f"{model.kind_name}.{path}".rstrip(".")
    return path


def _flow(example: Any) -> str:
    """An example as one line of YAML."""
    if isinstance(example, dict):
        return "{" + ", ".join(f"{name}: {_flow(inner)}" for name, inner in example.items()) + "}"
    if isinstance(example, list):
        return "[" + ", ".join(_flow(inner) for inner in example) + "]"
    return str(example)


def _real(file: FilePath) -> str:
    """The one name of a file, however it was reached."""
    return os.path.realpath(file)
