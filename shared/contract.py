"""What every shape on the wire shares: camelCase names, and unknown members are an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from shared.errors import InvalidInputError
from shared.problems import FieldError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: What is wrong with a mail is kept in a row of 64 KiB, and read by a person.
_MOST_FIELDS = 20
_LONGEST_PATH = 200
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


def _path(found: Sequence[object]) -> str:
    return ".".join(str(part) for part in found)[:_LONGEST_PATH] or "(whole body)"


def field_errors(error: ValidationError) -> Iterator[FieldError]:
    """Say what is wrong with each field, without repeating what stood in it; of many, with the first."""
    every = error.errors(include_url=False, include_context=False, include_input=False)
    for found in every[:_MOST_FIELDS]:
        message = _SENTENCES.get(found["type"]) or found["msg"].removeprefix("Value error, ")
        yield FieldError(_path(found["loc"]), message)
    if len(every) > _MOST_FIELDS:
        yield FieldError("(whole body)", f"has {len(every) - _MOST_FIELDS} more broken fields")
