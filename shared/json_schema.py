"""Adapt pydantic's JSON Schemas to other validators and generators. Pure.

pydantic writes a nullable member as `anyOf: [x, {"type": "null"}]`, of which code generators for .NET make an
empty class. They understand `"type": [x, "null"]`. pydantic also writes a title for each member, which
generators take for the name of a type.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import core_schema

_NULL = {"type": "null"}
#: Keywords that may be next to a reference, because they do not change what is valid.
_ANNOTATIONS = frozenset({"$ref", "description", "default", "title"})
#: Keywords whose value maps names to schemas.
_MAPS = frozenset({"properties", "patternProperties", "definitions", "$defs"})


class PlainJsonSchema(GenerateJsonSchema):
    """Writes a constant as an enumeration; NJsonSchema ignores `const`.

    An enumeration can also contain `null`, which a constant cannot.
    """

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        """Describe one value as an enumeration of one."""
        found = super().literal_schema(schema)
        return found | {"enum": [found.pop("const")]} if "const" in found else found


def allow_null(shape: dict[str, Any], parts: dict[str, Any]) -> None:
    """Let an optional member be `null`, which means that it is left out.

    Args:
        shape: an input of the app; changed in place.
        parts: the shapes that it refers to, by name.
    """
    required = shape.get("required", [])
    for name, member in shape.get("properties", {}).items():
        if name not in required:
            shape["properties"][name] = or_null(member, parts)
    # What the shape does not name, such as a header, is optional too.
    for pattern, member in shape.get("patternProperties", {}).items():
        shape["patternProperties"][pattern] = or_null(member, parts)


def or_null(member: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    """Write a nullable member as `"type": [x, "null"]`.

    A reference is replaced by the shape to which it refers.
    """
    own = {key: value for key, value in member.items() if key not in {"anyOf", "$ref"}}
    inner = _not_null(member)
    while "$ref" in inner:
        own = {key: value for key, value in inner.items() if key != "$ref"} | own
        inner = parts[part_name(inner)]
    found = {**inner, **own}
    if "patternProperties" in found:
        found = copy.deepcopy(found)
        allow_null(found, parts)
    return with_null(found)


def with_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a typed schema that accepts `null` too."""
    found = schema | {"type": [schema["type"], "null"]}
    return found | ({"enum": [*found["enum"], None]} if "enum" in found else {})


def write_out_refined(shape: dict[str, Any], parts: dict[str, Any], *, scalars: bool = False) -> None:
    """Replace references that have keywords beside them by the shape itself.

    Many tools ignore keywords beside `$ref`. In the result, a keyword such as `maxLength` is beside its
    `type`, which ajv requires.

    Args:
        shape: changed in place.
        parts: the shapes that it refers to, by name.
        scalars: replace references to a text, a number or a boolean too.
    """
    for name, member in shape.get("properties", {}).items():
        if "$ref" not in member:
            continue
        inner = parts[part_name(member)]
        if member.keys() - _ANNOTATIONS or (scalars and inner["type"] != "object" and "enum" not in inner):
            shape["properties"][name] = {**inner, **{k: v for k, v in member.items() if k != "$ref"}}


def references(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    """Yield the name of every referenced shape, once per reference."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield part_name(value)
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def nullable_reference(member: dict[str, Any]) -> str | None:
    """Return the name of the shape in `anyOf: [reference, null]`, or None."""
    if _NULL not in member.get("anyOf", []):
        return None
    inner = _not_null(member)
    return part_name(inner) if "$ref" in inner else None


def part_name(reference: dict[str, Any]) -> str:
    """Return the name of the shape that a schema refers to."""
    return str(reference["$ref"]).rpartition("/")[2]


def without(keyword: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Remove a keyword everywhere; a member with the same name is kept."""
    return {
        name: _in_each(keyword, item, named=name in _MAPS) for name, item in schema.items() if name != keyword
    }


def _in_each(keyword: str, value: Any, *, named: bool) -> Any:  # noqa: ANN401 - any JSON
    if named:
        return {name: without(keyword, part) for name, part in value.items()}
    if isinstance(value, list):
        return [without(keyword, item) if isinstance(item, dict) else item for item in value]
    return without(keyword, value) if isinstance(value, dict) else value


def _not_null(member: dict[str, Any]) -> dict[str, Any]:
    choices: list[dict[str, Any]] = member.get("anyOf", [member])
    return next(choice for choice in choices if choice != _NULL)
