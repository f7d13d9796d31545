"""Explanations and the JSON Schema: what each key means, from the one place that says it, the models."""

from __future__ import annotations

import textwrap
from copy import deepcopy
from typing import Annotated, Any

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticUndefined, SchemaSerializer, core_schema

from workbench.scenario import expect
from workbench.scenario.distribution import GRAMMAR as TIMES
from workbench.scenario.kinds import KINDS
from workbench.scenario.load_shape import GRAMMAR as LOADS
from workbench.scenario.paths import fields, shape
from workbench.scenario.problem import Problem, ScenarioError
from workbench.scenario.schema import Model, Scenario
from workbench.scenario.units import KINDS as QUANTITIES
from workbench.scenario.units import nearest, shown

_WIDTH = 100


def explain(path: str = "") -> str:
    """What the key at a path means, its form, its default, and the keys inside it: text for a terminal.

    Names and positions in the path may be left out: ``workloads.load`` and ``workloads.users.load`` are the same. The
    empty path, and the name of a compact kind such as ``throughput``, list all keys. Raises ScenarioError for a path
    that leads nowhere.
    """
    if not path.strip("."):
        head = (
            "A scenario says which sites there are, what runs where, who asks what, what goes wrong, and what "
            "is measured."
        )
        return _page(
            "scenario",
            head,
            Scenario,
            [f"kind: one of {', '.join(KINDS)}, each a shorter way to write a family of scenarios"],
        )
    steps = path.strip(".").split(".")
    if steps[0] == "kind" and len(steps) == 1:
        rows = [f"{name}: {(kind.__doc__ or '').splitlines()[0]}" for name, kind in KINDS.items()]
        return (
            "kind\n"
            + _filled("A shorter way to write a family of scenarios; it expands to the normal form.")
            + "\n"
            + "\n".join(f"  {row}" for row in rows)
        )
    model: type[Model] = Scenario
    if steps[0] in KINDS:
        kind = KINDS[steps[0]]
        if len(steps) == 1:
            return _page(f"kind: {steps[0]}", (kind.__doc__ or "").splitlines()[0], kind, [])
        model, steps = kind, steps[1:]
    elif steps[0] in ("metrics", "observed") or expect.is_metric(".".join(steps)):
        return _metrics()
    name, info = _find(model, steps, path)
    return _entry(path, name, info)


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft-07) for editors: the normal form, each compact kind, and files that extend another."""
    definitions: dict[str, Any] = {}
    models: dict[str, type[Model]] = {"Scenario": Scenario, **{f"Kind-{name}": kind for name, kind in KINDS.items()}}
    for title, model in models.items():
        schema = model.model_json_schema(
            by_alias=True, ref_template="#/definitions/{model}", schema_generator=_DefaultsAsWritten
        )
        _describe(model, schema["properties"], schema["$defs"])
        schema = _draft07(schema)
        definitions.update(schema.pop("definitions", {}))
        if title.startswith("Kind-"):
            schema["properties"]["kind"]["const"] = title.removeprefix("Kind-")
        definitions[title] = schema
    # What extends another file may leave out what that file says: the same definitions with nothing required.
    for title in list(definitions):
        definitions[f"Part-{title}"] = _optional(definitions[title])
    choice: dict[str, Any] = _files("Scenario")
    for name in reversed(KINDS):
        choice = {
            "if": {"properties": {"kind": {"const": name}}, "required": ["kind"]},
            "then": _files(f"Kind-{name}"),
            "else": choice,
        }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Scenario, version 1",
        "description": "A question about a messaging topology, for the workbench.",
        "type": "object",
        **choice,
        "definitions": dict(sorted(definitions.items())),
    }


def _describe(model: type[Model], properties: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Adds the descriptions that pydantic leaves out, those of keys whose value is a model."""
    for name, info in fields(model).items():
        properties[name].setdefault("description", info.description)
        here = shape(info.annotation)
        inner = (shape(here.inner) if here.kind in ("map", "list") else here).model
        if inner is not None:
            full = definitions[inner.__name__]
            full = full if "properties" in full else next(row for row in full["anyOf"] if "properties" in row)
            _describe(inner, full["properties"], definitions)


class _DefaultsAsWritten(GenerateJsonSchema):
    """Pydantic's generator, with defaults as YAML would have them ("5 s", not 5.0)."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> dict[str, Any]:
        written = super().default_schema(schema)
        default = written.pop("default", None)
        if default is not None and schema["schema"]["type"] != "definition-ref":
            value = SchemaSerializer(schema["schema"]).to_python(schema["default"], mode="json")
            if value not in ([], "") and not isinstance(value, dict):
                written["default"] = value
        return written


def _files(title: str) -> dict[str, Any]:
    """A definition for a file that stands alone, and for one that extends another."""
    return {
        "if": {"required": ["extends"]},
        "then": {"$ref": f"#/definitions/Part-{title}"},
        "else": {"$ref": f"#/definitions/{title}"},
    }


def _draft07(schema: Any) -> Any:
    """Pydantic's output (2020-12) as draft-07 has it."""
    match schema:
        case list():
            return [_draft07(item) for item in schema]
        case dict():
            result = {("definitions" if key == "$defs" else key): _draft07(value) for key, value in schema.items()}
            if "prefixItems" in result:
                result["items"] = result.pop("prefixItems")
                result["additionalItems"] = False
            if "$ref" in result and len(result) > 1:
                # Draft-07 ignores what stands beside a $ref.
                result["allOf"] = [{"$ref": result.pop("$ref")}]
            return result
    return schema


def _optional(schema: Any) -> Any:
    """A copy of a definition with nothing required, referring to others of its sort."""
    match schema:
        case list():
            return [_optional(item) for item in schema]
        case dict():
            return {
                key: value.replace("#/definitions/", "#/definitions/Part-") if key == "$ref" else _optional(value)
                for key, value in deepcopy(schema).items()
                if not (key == "required" and isinstance(value, list))
            }
    return schema


def _find(model: type[Model], steps: list[str], path: str) -> tuple[str, FieldInfo]:
    """The field at the end of a path; names of a mapping and positions of a list are skipped."""
    here: type[Model] | None = model
    free = False
    name, info = "", None
    for at, step in enumerate(steps):
        known = fields(here) if here is not None else {}
        if step in known:
            name, info = step, known[step]
            inner = shape(info.annotation)
            free = inner.kind in ("map", "list", "free")
            if inner.kind in ("map", "list"):
                inner = shape(inner.inner)
            here = inner.model
        else:
            meant = nearest(step, list(known))
            if free and not (meant and step is steps[-1]):
                free = False  # the name of a site, a service, a workload; a position in a list
                continue
            hint = f"did you mean '{'.'.join([*steps[:at], meant])}'?" if meant else ""
            where = f" in '{'.'.join(steps[:at])}'" if at else ""
            raise ScenarioError(
                [Problem(path, 0, 0, f"there is no key {shown(step)}{where}", hint=hint, allowed=", ".join(known))]
            )
    assert info is not None
    return name, info


def _page(title: str, head: str, model: type[Model], notes: list[str]) -> str:
    lines = [title, _filled(head), "", "keys:", *_rows(model)]
    if notes:
        lines += ["", *(f"  {note}" for note in notes)]
    return "\n".join(lines)


def _entry(path: str, name: str, info: FieldInfo) -> str:
    lines = [path, _filled(info.description or "")]
    lines += [f"  form:     {form}" for form in _forms(name, info)]
    if not info.is_required():
        default = _default(info)
        if default:
            lines.append(f"  default:  {default}")
    else:
        lines.append("  required")
    lines += [f"  example:  {name}: {_yaml(example)}" for example in info.examples or []]
    here = shape(info.annotation)
    inner = shape(here.inner) if here.kind in ("map", "list") else here
    if inner.model is not None:
        each = {"map": "each with the keys:", "list": "a list, each with the keys:"}.get(here.kind, "keys:")
        lines += ["", each, *_rows(inner.model)]
    return "\n".join(lines)


def _rows(model: type[Model]) -> list[str]:
    known = fields(model)
    width = max(len(name) for name in known) + 2
    rows = []
    for name, info in known.items():
        need = "required. " if info.is_required() else ""
        text = textwrap.wrap(need + (info.description or ""), _WIDTH - width - 2)
        rows.append(f"  {name:<{width}}{text[0] if text else ''}".rstrip())
        rows += [" " * (width + 2) + line for line in text[1:]]
    return rows


def _forms(name: str, info: FieldInfo) -> list[str]:
    """How a value of this key is written."""
    annotation = repr(info.annotation)
    if name == "load":
        return [", ".join(f"'{form}'" for form in LOADS)]
    if "Distribution" in annotation:
        return [", ".join(f"'{form}'" for form in TIMES.values())]
    if "Expectation" in annotation:
        return [
            "a list of texts: metric comparison value, perhaps '± tolerance', perhaps 'when path = value and …'",
            "see: explain metrics",
        ]
    schema = _adapter(info).json_schema(mode="validation")
    if schema.get("type") == "array" and "items" in schema and not schema.get("maxItems"):
        return [f"a list; each is {form}" for form in _form(schema["items"])]
    others = [row for row in schema.get("anyOf", []) if row.get("type") != "null"]
    return [form for row in others or [schema] for form in _form(row)]


def _form(schema: dict[str, Any]) -> list[str]:
    for kind in QUANTITIES.values():
        if schema.get("pattern") == kind.pattern:
            units = ", ".join(unit for unit in kind.units if unit != "\u03bcs")
            return [f"{kind.name}, a number and a unit: {units}"]
    if "enum" in schema:
        return [f"one of {', '.join(map(str, schema['enum']))}"]
    if schema.get("type") == "integer" and "minimum" in schema:
        return [f"a whole number from {schema['minimum']:,} to {schema['maximum']:,}"]
    if schema.get("type") == "boolean":
        return ["true or false"]
    return []


def _adapter(info: FieldInfo) -> TypeAdapter[Any]:
    annotation: Any = info.annotation
    return TypeAdapter(Annotated[(annotation, *info.metadata)] if info.metadata else annotation)


def _default(info: FieldInfo) -> str:
    """The default as YAML would have it; '' when nothing is the default."""
    value = info.get_default(call_default_factory=True, validated_data={})
    if value is None or value is PydanticUndefined or value in ((), {}, "") or isinstance(value, Model):
        return ""
    return _yaml(_adapter(info).dump_python(value, mode="json"))


def _metrics() -> str:
    lines = ["metrics", _filled("What expectations and comparisons can name."), ""]
    width = max(map(len, expect.METRICS)) + 2
    for name, (kind, text) in expect.METRICS.items():
        unit = "a count" if kind is None else kind.name
        lines.append(f"  {name:<{width}}{text} ({unit})")
    lines += [
        "",
        _filled(
            "observed.NAME.mean, .p50, .p99 and .count: what behaviours report by world.observe(NAME, value, unit), "
            "compared in its unit; a value with a unit is taken in seconds, per second, or as a fraction."
        ),
        _filled("A workload's name and a colon before it: that workload only, as in 'new-york:cross_site_share'."),
    ]
    lines += [
        _filled("'.before', '.during' or '.after' behind it: relative to the first fault's start and the last restore.")
    ]
    lines += [
        _filled(
            "The half second before the fault and the second after the restore belong to none of the three; "
            "cross_site_share without a phase is that of '.before'."
        )
    ]
    return "\n".join(lines)


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_yaml(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_yaml(inner) for inner in value) + "]"
    return str(value)


def _filled(text: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent="  ", subsequent_indent="  ")
