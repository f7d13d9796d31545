"""Paths: 'services.foo.workers', the way to one value of a scenario, as in ``--set`` and ``sweep``."""

from __future__ import annotations

import types
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from workbench.scenario.schema import Model
from workbench.scenario.tree import DEEPEST, Node, graft
from workbench.scenario.units import QuantityError, nearest, shown

Path = tuple[str | int, ...]

LONGEST = 400
"""Characters of a path."""


@dataclass(frozen=True)
class Shape:
    """What the schema says stands at some place: a model, a mapping of names, a list, free data, or a single value."""

    kind: Literal["model", "map", "list", "free", "leaf"]
    model: type[Model] | None = None
    inner: Any = None
    """The annotation of what is inside a mapping or a list."""


def shape(annotation: Any) -> Shape:
    """What an annotation of the schema stands for."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        inner = [arg for arg in get_args(annotation) if arg is not type(None)]
        return shape(inner[0]) if len(inner) == 1 else Shape("leaf")
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return Shape("model", annotation)
    if origin is dict:
        return Shape("map", inner=get_args(annotation)[1])
    if origin is tuple:
        return Shape("list", inner=get_args(annotation)[0])
    return Shape("free") if annotation is Any else Shape("leaf")


def fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The keys of a model as YAML spells them."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def find(model: type[Model], tree: Node, text: str) -> Path:
    """The path that ``text`` names in a scenario of this model and content.

    A step must be a key of the schema, or a name or position that the scenario has. Raises QuantityError, its span the
    wrong step.
    """
    if len(text) > LONGEST or text.count(".") >= DEEPEST:
        raise QuantityError(f"the path {shown(text, 30)} is too long")
    here, node = Shape("model", model), tree
    path: list[str | int] = []
    at = 0
    for step in text.split("."):
        span = (at, at + max(1, len(step)))
        so_far = text[: max(0, at - 1)]
        inside = node.value if node is not None else None
        child: Node | None = None
        key: str | int = step
        match here.kind:
            case "model":
                assert here.model is not None
                known = fields(here.model)
                if step not in known:
                    where = f"'{so_far}' has no key {shown(step)}" if so_far else f"a scenario has no key {shown(step)}"
                    raise _no_such(where, step, list(known), span)
                here = shape(known[step].annotation)
            case "map":
                names = list(inside) if isinstance(inside, dict) else []
                if step not in names and shape(here.inner).kind != "free":
                    raise _no_such(f"there is no {shown(step)} in '{so_far}'", step, names, span)
                here = shape(here.inner)
            case "list":
                length = len(inside) if isinstance(inside, list) else 0
                if not (step.isascii() and step.isdigit() and len(step) < 7 and int(step) < length):
                    range_ = "none: the list is empty" if not length else "0" if length == 1 else f"0 to {length - 1}"
                    raise QuantityError(f"'{so_far}' has no position {shown(step)}", allowed=range_, span=span)
                key = int(step)
                here = shape(here.inner)
            case "free":
                if not step:
                    raise _no_such(f"a step is missing after '{so_far}'", step, [], span)
            case "leaf":
                raise QuantityError(f"'{so_far}' is a single value and has no {shown(step)}", span=span)
        if isinstance(inside, dict):
            child = inside.get(step)
        elif isinstance(inside, list) and isinstance(key, int):
            child = inside[key]
        node = child if child is not None else Node(None, tree.place)
        path.append(key)
        at += len(step) + 1
    return tuple(path)


def put(model: type[Model], tree: Node, path: Path, value: Node) -> Node:
    """The tree with ``value`` at ``path`` (as `find` gave it). What it shares with the old tree is not copied."""
    return _put(Shape("model", model), tree, path, value)


def _put(here: Shape, node: Node, path: Path, value: Node) -> Node:
    if not path:
        return replace(value, key=node.key)
    step, rest = path[0], path[1:]
    if isinstance(node.value, list) and isinstance(step, int):
        items = list(node.value)
        items[step] = _put(shape(here.inner), items[step], rest, value)
        return replace(node, value=items)
    inside: dict[str, Node] = dict(node.value) if isinstance(node.value, dict) else {}
    inner = Shape("free")
    if here.kind == "model":
        assert here.model is not None
        if not isinstance(node.value, dict):
            inside = {
                name: graft(short, node.place, node.place) for name, short in here.model.spelled_out(node.value).items()
            }
        for group in here.model.exclusive:
            if step in group:
                inside = {name: child for name, child in inside.items() if name == step or name not in group}
        inner = shape(fields(here.model)[str(step)].annotation)
    elif here.kind == "map":
        inner = shape(here.inner)
    old = inside.get(str(step), Node(None, value.place, value.place))
    inside[str(step)] = _put(inner, old, rest, value)
    return replace(node, value=inside)


def without(tree: Node, gone: set[Path], here: Path = ()) -> Node:
    """The tree without the nodes at these paths."""
    match tree.value:
        case dict():
            children = {
                name: without(child, gone, (*here, name))
                for name, child in tree.value.items()
                if (*here, name) not in gone
            }
            return replace(tree, value=children)
        case list():
            items = [
                without(child, gone, (*here, at)) for at, child in enumerate(tree.value) if (*here, at) not in gone
            ]
            return replace(tree, value=items)
    return tree


def of_schema(model: type[Model], path: Path) -> str:
    """The path without names and positions, as ``workbench explain`` takes it: 'services.workers'."""
    here = Shape("model", model)
    steps: list[str] = []
    for step in path:
        if here.kind == "model":
            assert here.model is not None
            info = fields(here.model).get(str(step))
            if info is None:
                break
            steps.append(str(step))
            here = shape(info.annotation)
        elif here.kind in ("map", "list"):
            here = shape(here.inner)
        else:
            break
    return ".".join(steps)


def model_at(model: type[Model], path: Path) -> type[Model] | None:
    """The model whose keys stand at this path, if a model stands there."""
    here = Shape("model", model)
    for step in path:
        if here.kind == "model":
            assert here.model is not None
            info = fields(here.model).get(str(step))
            if info is None:
                return None
            here = shape(info.annotation)
        elif here.kind in ("map", "list"):
            here = shape(here.inner)
        else:
            return None
    return here.model


def _no_such(message: str, step: str, known: list[str], span: tuple[int, int]) -> QuantityError:
    meant = nearest(step, known)
    return QuantityError(
        message, hint=f"did you mean '{meant}'?" if meant else "", allowed=", ".join(known[:40]), span=span
    )
