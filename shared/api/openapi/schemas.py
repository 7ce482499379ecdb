"""Build the shapes of requests and responses for the OpenAPI document.

The shapes are written for code generators: a nullable member has `null` among its types, no default makes a
member required, and each title consists of words.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

from pydantic.json_schema import models_json_schema

from shared.api.problem_models import ProblemDocument
from shared.json_schema import (
    PlainJsonSchema,
    allow_null,
    nullable_reference,
    or_null,
    references,
    with_null,
    without,
    write_out_refined,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shared.api.openapi.operation import Operation
    from shared.schema import Contract

type Mode = Literal["validation", "serialization"]
type References = dict[tuple[type[Contract], Mode], dict[str, Any]]
type Shapes = dict[str, dict[str, Any]]

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def describe_shapes(operations: Iterable[Operation]) -> tuple[References, Shapes]:
    """Describe every shape once; return the references and the shapes."""
    bodies = _unique(operation.body for operation in operations)
    written = (response.model for operation in operations for response in operation.responses.values())
    responses = _unique([ProblemDocument, *written])
    wanted: dict[tuple[type[Contract], Mode], None] = {
        **{(shape, "validation"): None for shape in bodies},
        **{(shape, "serialization"): None for shape in responses},
    }
    found_references, found = models_json_schema(
        list(wanted), ref_template="#/components/schemas/{model}", schema_generator=PlainJsonSchema
    )
    shapes: Shapes = {name: without("title", shape) for name, shape in found["$defs"].items()}
    for shape in shapes.values():
        write_out_refined(shape, shapes, scalars=True)
    for body in bodies:
        allow_null(shapes[body.__name__], shapes)
    _put_null_into_types(shapes)
    used = {*references(list(shapes.values())), *references(list(found_references.values()))}
    described = {
        name: {"title": words(name), **without("default", shape)}
        for name, shape in shapes.items()
        if name in used
    }
    return found_references, described  # type: ignore[return-value]


def _unique(shapes: Iterable[type[Contract] | None]) -> list[type[Contract]]:
    return list(dict.fromkeys(shape for shape in shapes if shape))


def _put_null_into_types(shapes: Shapes) -> None:
    """Write `null` as one of the types of a member, in place of `anyOf`.

    A shape to which every reference is nullable gets `null` as a type itself.
    """
    nullable_uses = Counter(filter(None, map(nullable_reference, _members(shapes))))
    uses = Counter(references(list(shapes.values())))
    always_nullable = {name for name, count in nullable_uses.items() if uses[name] == count}
    for shape in shapes.values():
        for name, member in shape.get("properties", {}).items():
            if nullable_reference(member) in always_nullable:
                shape["properties"][name] = next(each for each in member["anyOf"] if "$ref" in each)
            elif "anyOf" in member:
                shape["properties"][name] = or_null(member, shapes)
    for name in always_nullable:
        shapes[name] = with_null(shapes[name])


def _members(shapes: Shapes) -> Iterator[dict[str, Any]]:
    for shape in shapes.values():
        yield from shape.get("properties", {}).values()


def words(name: str) -> str:
    """Write the name of a shape or an operation as a title."""
    return _WORD_START.sub(" ", name).replace("_", " ").capitalize()
