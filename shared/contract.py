"""What every shape on the wire shares: camelCase names, and unknown members are an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from shared.errors import InvalidInputError
from shared.problems import FieldError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SENTENCES = {
    "extra_forbidden": "there is no such member",
    "missing": "is missing",
}


class Contract(BaseModel):
    """A shape that we promise to others."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
        # What we answer always has every member, whether it has a default or not.
        json_schema_serialization_defaults_required=True,
    )


def parse[Shape: Contract](shape: type[Shape], text: bytes, code: str) -> Shape:
    """Read JSON into a shape, or name every broken field.

    Raises:
        InvalidInputError: with `code` and the fields.
    """
    try:
        return shape.model_validate_json(text)
    except ValidationError as error:
        raise InvalidInputError(code, fields=field_errors(error)) from error


def field_errors(error: ValidationError) -> Iterator[FieldError]:
    """Say what is wrong with each field, without repeating what stood in it."""
    for found in error.errors(include_url=False, include_context=False, include_input=False):
        path = ".".join(str(part) for part in found["loc"]) or "(whole body)"
        yield FieldError(path, _SENTENCES.get(found["type"]) or found["msg"].removeprefix("Value error, "))
