"""YAML text -> a tree of nodes that remember where they stand.

The text is read as YAML 1.2 events, never as objects: no tags, anchors, aliases, merge keys, directives or second
documents, no duplicate keys, nothing deeper or larger than the limits below. What is refused is recorded as a problem
and reading goes on where it can, so that one look finds as much as possible. The reader does not recurse: a
hostile file costs its own length and no more.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from workbench.scenario.problem import Problem, ScenarioError
from workbench.scenario.units import shown

MOST_BYTES = 1 << 20
MOST_NODES = 100_000
DEEPEST = 32

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_NULL = {"", "~", "null", "Null", "NULL"}
_TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


@dataclass(frozen=True)
class Source:
    """One text that scenario data came from: a file, or a ``--set`` on the command line."""

    name: str
    lines: tuple[str, ...] = ()
    directory: Path | None = None
    """Where relative paths in it start; None when it is not a file."""


@dataclass(frozen=True)
class Place:
    """A stretch of one line of a source. Line and column count from 1; line 0 is the source as a whole."""

    source: Source
    line: int = 0
    column: int = 0
    length: int = 1
    verbatim: bool = False
    """Whether the stretch is the value's text letter for letter: an offset into the one is an offset into the other."""

    def part(self, start: int, end: int) -> Place:
        """The place of a part of the value, where that can be told; else the whole."""
        if not self.verbatim or not 0 <= start < end <= self.length:
            return self
        return replace(self, column=self.column + start, length=end - start)

    def problem(self, message: str, *, hint: str = "", allowed: str = "", explain: str = "") -> Problem:
        """A problem at this place."""
        snippet = self.source.lines[self.line - 1] if 0 < self.line <= len(self.source.lines) else ""
        return Problem(self.source.name, self.line, self.column, message, snippet, self.length, hint, allowed, explain)


@dataclass(frozen=True)
class Node:
    """A value and its place; a mapping's children know the place of their key too."""

    value: Any
    """A scalar, or dict[str, Node], or list[Node]."""
    place: Place
    key: Place | None = None
    broken: bool = False
    """Already reported: whoever meets it says nothing more about it."""

    def plain(self) -> Any:
        """The data without the places. Broken parts are left out."""
        match self.value:
            case dict():
                return {name: child.plain() for name, child in self.value.items() if not child.broken}
            case list():
                return [child.plain() for child in self.value if not child.broken]
        return self.value

    def whole(self) -> Node:
        """This tree without its broken parts."""
        match self.value:
            case dict():
                return replace(
                    self, value={name: child.whole() for name, child in self.value.items() if not child.broken}
                )
            case list():
                return replace(self, value=[child.whole() for child in self.value if not child.broken])
        return self

    def broken_paths(self, here: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
        """The ways to all broken parts."""
        if self.broken:
            yield here
        elif isinstance(self.value, dict):
            for name, child in self.value.items():
                yield from child.broken_paths((*here, name))

    def child(self, step: str | int) -> Node | None:
        """What a mapping has under a name, or a list at a position."""
        match self.value:
            case dict():
                return self.value.get(step)
            case list() if isinstance(step, int) and 0 <= step < len(self.value):
                found: Node = self.value[step]
                return found
        return None

    def at(self, path: tuple[str | int, ...]) -> tuple[Node, tuple[str | int, ...]]:
        """The deepest node on the way of ``path``, and the way to it."""
        node, done = self, 0
        for step in path:
            child = node.child(step)
            if child is None:
                break
            node = child
            done += 1
        return node, path[:done]


def graft(data: Any, place: Place, key: Place | None = None) -> Node:
    """Plain data as a tree all of whose nodes stand at one place."""
    match data:
        case dict():
            return Node({str(name): graft(inner, place, place) for name, inner in data.items()}, place, key)
        case list() | tuple():
            return Node([graft(inner, place) for inner in data], place, key)
    return Node(data, place, key)


def merge(base: Node, over: Node) -> Node:
    """``over`` laid upon ``base``: mappings are merged key by key, anything else replaces."""
    if not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    merged = dict(base.value)
    for name, child in over.value.items():
        merged[name] = merge(merged[name], child) if name in merged else child
    return replace(over, value=merged)


def read_file(path: Path, shown_as: str) -> tuple[str, Source]:
    """The text of a scenario file. Raises ScenarioError when it cannot be read as UTF-8 text of a sane size."""
    name = shown_as

    def refuse(message: str) -> ScenarioError:
        return ScenarioError([Problem(name, 0, 0, message)])

    try:
        # Only a regular file is opened: a pipe or a device might never end.
        what = "" if path.is_file() else "folder" if path.is_dir() else "other" if path.exists() else "nothing"
        data = _head(path) if not what else b""
    except OSError as error:
        raise refuse(f"the file cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise refuse("this is not a file name") from None
    if what:
        sentences = {"folder": "this is a folder, not a file", "nothing": "there is no such file"}
        raise refuse(sentences.get(what, "this is not an ordinary file"))
    if len(data) > MOST_BYTES:
        raise refuse("the file is larger than 1 MiB; a scenario is a page of text")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or (b"\0" in data[:4] and data[:4].strip(b"\0")):
        raise refuse("the file is UTF-16 or UTF-32 text; save it as UTF-8")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        lines = data.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
        raise ScenarioError([Problem(name, line, column, "the file is not UTF-8 text here", lines[line - 1])]) from None
    return text, Source(name, directory=path.parent)


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(MOST_BYTES + 1)


def read_tree(text: str, source: Source, problems: list[Problem]) -> Node | None:
    """The tree of one YAML document.

    ``source`` may bring the lines to quote, else they are those of the text. What is wrong is added to ``problems``;
    None when there is no telling what was meant.
    """
    text = text.replace("\r\n", "\n")
    source = source if source.lines else replace(source, lines=tuple(text.split("\n")))
    before = len(problems)
    if len(text) > MOST_BYTES:
        problems.append(Problem(source.name, 0, 0, "the text is larger than 1 MiB; a scenario is a page of text"))
    else:
        problems.extend(_strange_characters(source))
    if len(problems) > before:
        return None
    return _Builder(source, problems).build(text)


def scalar(text: str) -> Any:
    """What a plain (unquoted) scalar means in the core schema of YAML 1.2.

    Raises ValueError, with a sentence, for no usable number.
    """
    if text in _NULL:
        return None
    if text in _TRUTH:
        return _TRUTH[text]
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{shown(text)} is not a number to calculate with")
    if _INT.fullmatch(text):
        if len(text) > 40:
            raise ValueError(f"the number {shown(text, 20)} has too many digits")
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(f"the number {shown(text, 20)} is too large")
        return value
    return text


def _strange_characters(source: Source) -> Iterator[Problem]:
    """Characters that have no business in a scenario: most are invisible and all are a way to deceive the reader."""
    for number, line in enumerate(source.lines, 1):
        if line.isascii() and line.isprintable():
            continue
        for column, char in enumerate(line, 1):
            if char.isprintable() or char == "\t":
                continue
            code = ord(char)
            if code == 0xFEFF:
                what = "a byte order mark; save the file as UTF-8 without one"
            elif 0xD800 <= code <= 0xDFFF:
                what = "half of a surrogate pair, which is no character"
            elif unicodedata.category(char) == "Zs":
                what = f"an unusual space (U+{code:04X}); write an ordinary one"
            else:
                what = f"an invisible or control character (U+{code:04X})"
            yield Place(source, number, column).problem(f"the text contains {what}")
            return


@dataclass
class _Open:
    """A collection that is being read."""

    node: Node
    name: str | None = None
    key: Place | None = None
    """The key that waits for its value (a mapping only)."""
    skip: bool = False
    """The waiting value belongs to a key that was refused."""
    expects_key: bool = True


class _Builder:
    """Builds the tree from the parser's events, with an explicit stack."""

    def __init__(self, source: Source, problems: list[Problem]) -> None:
        self.source = source
        self.problems = problems
        self.stack: list[_Open] = []
        self.root: Node | None = None
        self.nodes = 0

    def build(self, text: str) -> Node | None:
        before = len(self.problems)
        documents = 0
        try:
            for event in YAML(typ="safe", pure=True).parse(text):
                if isinstance(event, DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        self._say(event, "a second document begins here; a scenario is one document")
                        break
                    if event.version or event.tags:
                        self._say(event, "directives (lines that begin with '%') are not used in scenarios")
                        break
                elif isinstance(event, NodeEvent):
                    self.nodes += 1
                    if self.nodes > MOST_NODES:
                        self._say(event, f"the file has more than {MOST_NODES:,} values")
                        return None
                    if len(self.stack) >= DEEPEST and isinstance(event, MappingStartEvent | SequenceStartEvent):
                        self._say(event, f"the file is nested more than {DEEPEST} levels deep")
                        return None
                    self._node(event)
                elif isinstance(event, CollectionEndEvent):
                    self.stack.pop()
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = self._clamped(mark.line, mark.column) if mark else Place(self.source)
            self.problems.append(place.problem(f"this is not YAML: {_sentence(error)}"))
            return None
        except Exception as error:
            # On hostile text the parser fails in other ways too, and no traceback may reach the user.
            self.problems.append(Place(self.source).problem(f"this is not YAML: {type(error).__name__} in the parser"))
            return None
        if self.root is None and len(self.problems) == before:
            self.problems.append(Place(self.source).problem("the file is empty"))
        return self.root

    def _node(self, event: NodeEvent) -> None:
        broken = False
        if isinstance(event, AliasEvent):
            self._say(event, "aliases (*name) are off in scenarios; write the value out, or share it with 'extends'")
            broken = True
        elif event.anchor is not None:
            self._say(event, "anchors (&name) are off in scenarios; write the value out, or share it with 'extends'")
        tag = getattr(event, "tag", None)
        if tag is not None:
            # A non-specific '!' and any real tag alike: nothing in a scenario needs one.
            self._say(event, f"tags ({shown(str(tag), 40)}) are refused in scenarios; write the plain value")
            broken = True
        parent = self.stack[-1] if self.stack else None
        if parent is not None and isinstance(parent.node.value, dict) and parent.expects_key:
            self._key(event, parent, broken)
            return
        place = self._place(event)
        if isinstance(event, MappingStartEvent):
            node = Node({}, place, broken=broken)
        elif isinstance(event, SequenceStartEvent):
            node = Node([], place, broken=broken)
        else:
            node = self._scalar(event, place, broken)
        node = self._attach(parent, node)
        if not isinstance(event, ScalarEvent | AliasEvent):
            self.stack.append(_Open(node))

    def _key(self, event: NodeEvent, parent: _Open, broken: bool) -> None:
        """The event is a key of the mapping ``parent``."""
        parent.expects_key, parent.skip, parent.name = False, False, None
        parent.key = place = self._place(event)
        name: Any = None
        if isinstance(event, ScalarEvent):
            name = event.value
            if name == "<<" and event.implicit[0]:
                self._say(event, "merge keys (<<) are off in scenarios; share values with 'extends'")
                broken = True
            elif event.implicit[0] and (
                name in _NULL or name in _TRUTH or _INT.fullmatch(name) or _FLOAT.fullmatch(name)
            ):
                self._say(event, f"a key is a word, not {shown(name or 'nothing')}")
                broken = True
            elif name in parent.node.value:
                first = parent.node.value[name].key
                self.problems.append(
                    place.problem(f"the key {shown(name)} is given twice; the first is on line {first.line}")
                )
                broken = True
        elif not broken:
            self._say(event, "a key is a word, not a list or a mapping")
            broken = True
        if broken:
            parent.skip = True
        else:
            parent.name = name
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            # The inside of a refused key is read and forgotten.
            self.stack.append(_Open(Node({} if isinstance(event, MappingStartEvent) else [], place), skip=True))

    def _attach(self, parent: _Open | None, node: Node) -> Node:
        """Hangs a finished scalar or a just begun collection where it belongs."""
        if parent is None:
            self.root = node
        elif isinstance(parent.node.value, dict):
            node = replace(node, key=parent.key)
            if not parent.skip and parent.name is not None:
                parent.node.value[parent.name] = node
            parent.expects_key = True
        else:
            parent.node.value.append(node)
        return node

    def _scalar(self, event: NodeEvent, place: Place, broken: bool) -> Node:
        if not isinstance(event, ScalarEvent):
            return Node(None, place, broken=True)
        value: Any = event.value
        if event.implicit[0] and event.style is None:
            try:
                value = scalar(event.value)
            except ValueError as error:
                self.problems.append(place.problem(str(error)))
                return Node(None, place, broken=True)
        return Node(value, place, broken=broken)

    def _place(self, event: NodeEvent) -> Place:
        start, end = event.start_mark, event.end_mark
        if isinstance(event, ScalarEvent):
            line = self.source.lines[start.line] if start.line < len(self.source.lines) else ""
            quotes = 1 if event.style in ("'", '"') else 0
            if start.line == end.line:
                inner = line[start.column + quotes : end.column - quotes]
                if inner == event.value and inner:
                    return Place(self.source, start.line + 1, start.column + 1 + quotes, len(inner), verbatim=True)
                return self._clamped(start.line, start.column, max(1, end.column - start.column))
        return self._clamped(start.line, start.column)

    def _clamped(self, line: int, column: int, length: int = 1) -> Place:
        """A place inside the text: the parser's marks may point behind the end."""
        line = max(0, min(line, len(self.source.lines) - 1))
        if line == len(self.source.lines) - 1 and not self.source.lines[line] and line > 0:
            line, column = line - 1, len(self.source.lines[line - 1])
        return Place(self.source, line + 1, min(column, len(self.source.lines[line])) + 1, length)

    def _say(self, event: Any, message: str) -> None:
        mark = event.start_mark
        self.problems.append(self._clamped(mark.line, mark.column).problem(message))


def _sentence(error: MarkedYAMLError) -> str:
    """The parser's complaint, on one line."""
    if "'\\t'" in (error.problem or ""):
        return "a tab stands where spaces must indent"
    parts = [part for part in (error.context, error.problem) if part]
    return " ".join(", ".join(parts).split()) or "it cannot be read"
