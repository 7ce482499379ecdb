"""Properties: each one exists in Microsoft's model of the resource, with a value of the right kind."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.infra.graph_models import GRAPH_MODELS
from tests.infra.model_reader import REQUIRED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infra.project import Project
    from tests.infra.template import Value

#: What Bicep itself adds to every resource.
BICEP_PROPERTIES = frozenset({"name", "parent", "scope", "dependsOn"})

#: The kinds of literal that each kind of field refuses.
_REFUSED = {
    "string": {"number", "boolean", "object", "array"},
    "bool": {"string", "number", "object", "array"},
    "int": {"string", "boolean", "object", "array"},
}


@cache
def _models() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(__file__).with_name("models.json").read_text(encoding="utf-8"))
    return found


def resource_types_have_a_model(project: Project) -> Iterator[str]:
    """Every resource type is one whose properties the gate knows."""
    for template in project.templates.values():
        for resource in template.of("resource"):
            if resource.target not in _models()["resources"] | GRAPH_MODELS:
                yield f"{template.path}:{resource.line} no model of {resource.target}; see model_reader.py"


def properties_exist(project: Project) -> Iterator[str]:
    """Every property is one that the resource has."""
    for where, value, model in _described(project):
        if isinstance(model, dict) and not {"*", "="} & model.keys():
            for key in sorted(set(value.keys) - model.keys()):
                yield f"{where}.{key} does not exist"


def values_are_of_the_right_kind(project: Project) -> Iterator[str]:
    """A literal value is one that the property takes: of its kind, and on its list if it has one."""
    for where, value, model in _described(project):
        if isinstance(model, str) and value.kind in _REFUSED.get(model, ()):
            yield f"{where}: a {model} is wanted, not {value.text}"
        if not isinstance(model, dict):
            continue
        if "=" in model and value.literal not in {None, "null", *model["="]}:
            yield f"{where}: {value.literal} is none of {', '.join(model['='])}"
        if "=" not in model and value.kind in {"string", "number", "boolean", "array"}:
            yield f"{where}: an object is wanted, not {value.text}"


def required_properties_are_given(project: Project) -> Iterator[str]:
    """Every property that the model cannot do without is there."""
    for where, value, model in _described(project):
        if isinstance(model, dict) and value.kind == "object":
            for key in sorted(set(model.get(REQUIRED, ())) - set(value.keys)):
                yield f"{where}.{key} is missing"


def resources_have_a_name(project: Project) -> Iterator[str]:
    """Every resource has a name, and a child says whose child it is."""
    for template in project.templates.values():
        for resource in template.of("resource"):
            graph = resource.target.startswith("Microsoft.Graph/")
            if not graph and resource.at("name") is None:
                yield f"{template.path}:{resource.line} {resource.name} has no name"
            if not graph and resource.target.count("/") > 1 and resource.at("parent") is None:
                yield f"{template.path}:{resource.line} {resource.name} has no parent"


def _described(project: Project) -> Iterator[tuple[str, Value, Any]]:
    """Every value of every resource with its model: a name, a list of one, or fields."""
    for template in project.templates.values():
        for resource in template.of("resource"):
            model = GRAPH_MODELS.get(resource.target) or _resolved(
                f"-> {_models()['resources'].get(resource.target)}"
            )
            if model and resource.body and not resource.existing:
                fields = model | dict.fromkeys(BICEP_PROPERTIES - model.keys(), "any")
                for path, value, part in _pairs(resource.body, fields, resource.name):
                    yield f"{template.path}:{value.line} {path}", value, part


def _pairs(value: Value, model: Any, path: str) -> Iterator[tuple[str, Value, Any]]:
    model = _resolved(model)
    if value.kind == "ternary_expression":
        for option in value.parts[1:]:
            yield from _pairs(option, model, path)
        return
    yield path, value, model
    if isinstance(model, list):
        for item in _items(value):
            yield from _pairs(item, model[0], path)
    elif isinstance(model, dict) and "=" not in model:
        for key, part in value.properties.items():
            yield from _pairs(part, model.get(key, model.get("*", "any")), f"{path}.{key}")


def _resolved(model: Any) -> Any:
    if isinstance(model, str) and model.startswith("-> "):
        return _models()["models"].get(model.removeprefix("-> "))
    return model


def _items(value: Value) -> tuple[Value, ...]:
    """The items of an array, or what a loop yields for each."""
    if value.kind == "array":
        return tuple(item.parts[-1] if item.kind == "for_statement" else item for item in value.parts)
    return (value.parts[-1],) if value.kind == "for_statement" else ()


RULES = (
    resource_types_have_a_model,
    properties_exist,
    values_are_of_the_right_kind,
    required_properties_are_given,
    resources_have_a_name,
)
