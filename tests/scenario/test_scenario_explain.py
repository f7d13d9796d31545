"""The reference: explain, the JSON Schema, and that the committed one is current."""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from workbench.scenario import METRICS, Scenario, ScenarioError, explain, json_schema, load, points
from workbench.scenario.kinds import KINDS
from workbench.scenario.paths import fields, shape
from workbench.scenario.schema import Model

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "scenarios").glob("*.yaml"))


def models(model: type[Model]) -> set[type[Model]]:
    found = {model}
    for info in fields(model).values():
        inner = shape(info.annotation)
        inner = shape(inner.inner) if inner.kind in ("map", "list") else inner
        if inner.model is not None:
            found |= models(inner.model)
    return found


def test_every_key_is_described_and_can_be_explained() -> None:
    def walk(model: type[Model], prefix: str) -> None:
        for name, info in fields(model).items():
            assert info.description, f"{model.__name__}.{name}"
            assert " ".join(info.description.split()) in " ".join(explain(f"{prefix}{name}").split())
            inner = shape(info.annotation)
            inner = shape(inner.inner) if inner.kind in ("map", "list") else inner
            if inner.model is not None:
                walk(inner.model, f"{prefix}{name}.")

    walk(Scenario, "")
    for name, kind in KINDS.items():
        walk(kind, f"{name}.")
    assert all(model.__doc__ for model in models(Scenario))


def test_explain_says_form_default_and_unit() -> None:
    text = explain("workloads.timeout")
    assert "form:     a duration, a number and a unit: s, ms, us, µs, ns, min, h" in text
    assert "default:  5 s" in text
    assert "form:     one of round-robin, priority" in explain("routing")
    assert "'closed 4 think exponential 1 ms'" in explain("workloads.load")
    assert "required" in explain("run.duration")
    assert "a whole number from 1 to 10,000" in explain("services.workers")


def test_names_may_be_given_or_left_out() -> None:
    assert explain("services.foo.workers").splitlines()[1:] == explain("services.workers").splitlines()[1:]
    assert explain("links.0.rtt").splitlines()[1:] == explain("links.rtt").splitlines()[1:]


def test_explain_lists_keys_kinds_and_metrics() -> None:
    assert all(f"  {name}" in explain("") for name in fields(Scenario))
    assert all(name in explain("kind") for name in KINDS)
    assert all(name in explain("metrics") for name in METRICS)
    assert "libraries" in explain("throughput")


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("routng", "did you mean 'routing'?"),
        ("services.wrkers.x", ""),
        ("workloads.users.lod", "did you mean 'workloads.users.load'?"),
        ("run.seed.x", ""),
    ],
)
def test_a_path_that_leads_nowhere(path: str, hint: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        explain(path)
    assert raised.value.problems[0].hint == hint


def test_the_committed_schema_is_current() -> None:
    committed = json.loads((ROOT / "schema" / "scenario.v1.json").read_text(encoding="utf-8"))
    assert committed == json_schema(), "run: workbench schema --out schema/scenario.v1.json"


def test_the_schema_is_draft_07() -> None:
    text = json.dumps(json_schema())
    assert json_schema()["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert "$defs" not in text
    assert "prefixItems" not in text

    def refs(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                assert list(node) == ["$ref"], "draft-07 ignores what stands beside a $ref"
                assert node["$ref"].removeprefix("#/definitions/") in json_schema()["definitions"]
            for value in node.values():
                refs(value)
        elif isinstance(node, list):
            for value in node:
                refs(value)

    refs(json_schema())


def test_the_schema_describes_every_key() -> None:
    for title, definition in json_schema()["definitions"].items():
        for name, key in definition.get("properties", {}).items():
            assert key.get("description"), f"{title}.{name}"


def errors(data: Any) -> list[str]:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    return [error.message for error in jsonschema.Draft7Validator(schema).iter_errors(data)]


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_scenarios_load_and_fit_the_schema(file: Path) -> None:
    scenario = load(file)
    assert file.stem == scenario.name
    assert scenario.question
    assert errors(YAML(typ="safe").load(file)) == []
    assert errors(scenario.model_dump(mode="json", by_alias=True)) == []
    assert points(scenario)
    assert file.read_text().startswith("# yaml-language-server: $schema=../schema/scenario.v1.json\n")


def test_the_schema_refuses_what_the_loader_refuses(good: str) -> None:
    data = YAML(typ="safe").load(good)
    assert errors(data) == []
    for path, value in [
        (("run", "duration"), "5"),
        (("run", "duration"), 5),
        (("routing",), "priorty"),
        (("workloads", "users", "load"), "poison 5/s"),
        (("services", "foo", "workers"), 0),
        (("services", "foo", "at"), ["london"]),
        (("run", "warmup"), "1 s"),
        (("links",), {}),
        (("name",), "Not A Name"),
    ]:
        changed = YAML(typ="safe").load(good)
        inner = changed
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = value
        assert errors(changed), path


def test_the_schema_lets_a_file_that_extends_leave_things_out() -> None:
    assert errors({"extends": "base.yaml", "services": {"foo": {"workers": 8}}}) == []
    assert errors({"extends": "base.yaml", "services": {"foo": {"wrkers": 8}}}) != []
    assert errors({"services": {"foo": {"workers": 8}}}) != []


def test_the_schema_knows_the_kinds() -> None:
    assert errors({"version": 1, "kind": "throughput", "name": "a", "sizes": ["64 B", "1 KiB"]}) == []
    assert errors({"version": 1, "kind": "throughput", "name": "a", "sizes": "64 B"}) != []
