"""Properties: each one exists in Microsoft's model of the resource, with a value of the right kind."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.infra.graph_models import GRAPH_MODELS

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
    """Every property is one that the resource has, and its literal value one that it takes."""
    for template in project.templates.values():
        for resource in template.of("resource"):
            model = GRAPH_MODELS.get(resource.target) or _models()["models"].get(
                _models()["resources"].get(resource.target)
            )
            if model and resource.body:
                for line, problem in _problems(resource.body, model, BICEP_PROPERTIES):
                    yield f"{template.path}:{line} {resource.name}{problem}"


def _problems(value: Value, model: Any, also: frozenset[str] = frozenset()) -> Iterator[tuple[int, str]]:
    """What is wrong with a value; a model is a name, a list of one, or fields."""
    if isinstance(model, str) and model.startswith("-> "):
        model = _models()["models"][model.removeprefix("-> ")]
    options = value.parts[1:] if value.kind == "ternary_expression" else (value,)
    for option in options:
        yield from _plain_problems(option, model, also)


def _plain_problems(value: Value, model: Any, also: frozenset[str]) -> Iterator[tuple[int, str]]:
    if isinstance(model, str):
        if value.kind in _REFUSED.get(model, ()):
            yield value.line, f": a {model} is wanted, not {value.text}"
    elif isinstance(model, list):
        for item in _items(value):
            yield from _problems(item, model[0])
    elif "=" not in model:
        yield from _object_problems(value, model, also)
    elif value.literal not in {None, "null", *model["="]}:
        yield value.line, f": {value.literal} is none of {', '.join(model['='])}"


def _object_problems(value: Value, model: dict[str, Any], also: frozenset[str]) -> Iterator[tuple[int, str]]:
    if value.kind in {"string", "number", "boolean", "array"}:
        yield value.line, f": an object is wanted, not {value.text}"
    for key, part in value.properties.items():
        field = model.get(key, model.get("*"))
        if field is None and key not in also:
            yield part.line, f".{key} does not exist"
        elif field is not None:
            for line, problem in _problems(part, field):
                yield line, f".{key}{problem}"


def _items(value: Value) -> tuple[Value, ...]:
    """The items of an array, or what a loop yields for each."""
    if value.kind == "array":
        return tuple(item.parts[-1] if item.kind == "for_statement" else item for item in value.parts)
    return (value.parts[-1],) if value.kind == "for_statement" else ()


RULES = (resource_types_have_a_model, properties_exist)
