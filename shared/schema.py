"""Parse JSON from outside into models: camelCase, no unknown members.

A UTF-8 byte order mark is ignored, because editors and .NET write one.
"""

from __future__ import annotations

import codecs
import functools
import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Strict, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError, from_json

from shared.errors import InvalidInputError
from shared.problems import FieldError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: JSON's `true` or `false`; pydantic would also accept "off" and 0.
type Flag = Annotated[bool, Strict()]

#: The text for an invalid field by pydantic's type of error, whose context has the values for the braces.
_MESSAGES = {
    "extra_forbidden": "is not a known member",
    "missing": "is missing",
    "string_type": "is not a string",
    "bool_type": "is not true or false",
    "int_type": "is not an integer",
    "int_parsing": "is not an integer",
    "tuple_type": "is not a list",
    "dict_type": "is not an object",
    "model_type": "is not an object",
    "string_too_short": "is shorter than {min_length} characters",
    "string_too_long": "is longer than {max_length} characters",
    "too_short": "has fewer than {min_length} entries",
    "too_long": "has more than {max_length} entries",
    "datetime_parsing": "is not a valid date and time",
    "datetime_from_date_parsing": "is not a valid date and time",
    "literal_error": "use {expected}",
    "enum": "use {expected}",
}
#: The type of error for a rule that concerns several fields. Its context names one of them, and has the text.
_FIELD_ERROR = "field_error"
_OTHERWISE = "is not valid"
_WHOLE = "(whole body)"
#: What pydantic appends to the path of a member if the name of the member is wrong, not its value.
_NAME_OF_A_MEMBER = "[key]"
#: The first bytes of contents that are not JSON in UTF-8. A longer signature comes before a shorter one that
#: it contains.
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF32_LE, "text in UTF-32"),
    (codecs.BOM_UTF32_BE, "text in UTF-32"),
    (codecs.BOM_UTF16_LE, "text in UTF-16"),
    (codecs.BOM_UTF16_BE, "text in UTF-16"),
    (b"\x1f\x8b", "compressed data (gzip)"),
    (b"PK\x03\x04", "a zip archive"),
)
_AT = re.compile(r" at line (\d+) column (\d+)$")


class Contract(BaseModel):
    """A shape that is part of a published contract."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
        # A response always has every member, even those with a default.
        json_schema_serialization_defaults_required=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _leave_out_nulls(cls, members: object) -> object:
        """Drop optional members that are null.

        Many serialisers write every member of an object, even one without a value.
        """
        if not isinstance(members, dict) or None not in members.values():
            return members
        optional = _optional_names(cls)
        return {name: value for name, value in members.items() if value is not None or name not in optional}


@functools.cache
def _optional_names(shape: type[Contract]) -> frozenset[str]:
    """Return the JSON names of the optional members."""
    return frozenset(
        each.alias or name for name, each in shape.model_fields.items() if not each.is_required()
    )


def parse[Shape: Contract](shape: type[Shape], text: bytes, code: str) -> Shape:
    """Parse JSON into a shape, or name every invalid field.

    Raises:
        InvalidInputError: with `code` and the fields.
    """
    try:
        found = read_json(text)
    except ValueError as error:
        raise InvalidInputError(code, fields=[FieldError(_WHOLE, str(error))]) from error
    try:
        return shape.model_validate(found, by_alias=True, by_name=False)
    except ValidationError as error:
        raise InvalidInputError(code, fields=field_errors(error)) from error


def read_json(text: bytes) -> Any:  # noqa: ANN401 - any JSON
    """Parse a JSON text.

    Raises:
        ValueError: it is no JSON in UTF-8; the message says what was found.
    """
    plain = text.removeprefix(codecs.BOM_UTF8)
    if not plain.strip():
        raise ValueError("is empty")
    other = encoding_of(plain)
    if other:
        raise ValueError(f"is {other}, not JSON in UTF-8")
    try:
        return from_json(plain)
    except ValueError as error:
        place = _AT.search(str(error))
        where = f" (line {place[1]}, column {place[2]})" if place else ""
        raise ValueError(f"is not valid JSON{where}") from error


def encoding_of(data: bytes) -> str | None:
    """Describe bytes that are not UTF-8 text; None for UTF-8 text."""
    return signature_of(data) or (None if _decodes(data) else "text in another encoding than UTF-8")


def signature_of(data: bytes) -> str | None:
    """Describe the first bytes: a BOM, a compressed file, wide characters."""
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    if b"\0\0\0" in data[:4]:
        return "text in UTF-32"
    return "text in UTF-16" if b"\0" in data[:2] else None


def _decodes(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def broken_field(field: str, message: str) -> PydanticCustomError:
    """Return the error of the one field that violates a rule over several."""
    return PydanticCustomError(_FIELD_ERROR, "{message}", {"field": field, "message": message})


def field_errors(error: ValidationError) -> Iterator[FieldError]:
    """Return what is wrong with each field, without its value."""
    for found in error.errors(include_url=False, include_input=False):
        context = found.get("ctx", {})
        field = context["field"] if found["type"] == _FIELD_ERROR else _path(found["loc"])
        yield FieldError(field, _message_of(found["type"], context))


def _message_of(kind: str, context: dict[str, Any]) -> str:
    """Return the app's own text; a validator's `ValueError` contains it."""
    if kind == "value_error":
        return str(context["error"])
    if kind == _FIELD_ERROR:
        return str(context["message"])
    return _MESSAGES.get(kind, _OTHERWISE).format_map(context)


def _path(found: Sequence[object]) -> str:
    return ".".join(str(part) for part in found if part != _NAME_OF_A_MEMBER) or _WHOLE
