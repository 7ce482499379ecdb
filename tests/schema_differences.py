"""Allowed differences of published schema and parser, with reasons."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.api.consent_models import CheckBody
from shared.api.openapi.document import document
from shared.api.settings_models import EnableBody, SaveBody
from shared.api.test_mail import TestMailBody
from shared.errors import InvalidInputError
from shared.mail.json_schema import mail_message_schema
from shared.mail.message import parse_mail_request
from shared.schema import Contract, parse
from shared.settings.tenant import Authorization

if TYPE_CHECKING:
    import jsonschema_rs


@dataclass(frozen=True)
class Published:
    """A published schema and the function that parses its values."""

    schema: dict[str, Any]
    read: Callable[[bytes], Any]


#: What the parser alone refuses: a pattern for its message, and why no schema says it.
ONLY_THE_PARSER = {
    r"^this is not a full mail address": "the grammar of addresses does not fit into a pattern",
    r"^the character U\+[0-9A-F]{5,6} is not allowed": "validators read patterns above U+FFFF differently",
    r"^give 1 to 500 recipients in to, cc and bcc together": "JSON Schema cannot add the lengths of lists",
    r"^another attachment has the same contentId$": "JSON Schema cannot compare the members of two entries",
    r"^is not a valid date and time$": "a pattern does not know how many days a month has",
    r"^cannot be converted to UTC$": "a pattern does not know which times UTC cannot express",
    r"^is \d+ bytes; at most 49152 are allowed$": "JSON Schema cannot measure a whole text",
    r"^is not valid JSON": "half a surrogate pair is JSON and no Unicode text",
}
#: Of very many errors the others are counted.
_MORE = r"^has \d+ more broken fields$"
#: What the schema alone refuses: whether a value is such, and why.
ONLY_THE_SCHEMA: dict[str, Callable[[Any], bool]] = {
    "a header that is null counts for the schema, which cannot leave it out": (
        lambda value: None in (value.get("headers") or {}).values()
    ),
}


def mail_messages() -> Published:
    """Describe the messages of the queue."""
    return Published(mail_message_schema(), parse_mail_request)


def bodies() -> dict[str, Published]:
    """Describe the bodies of the API, by the names of their shapes."""
    readers: dict[type[Contract], Callable[[bytes], Any]] = {
        EnableBody: lambda text: parse(EnableBody, text, "invalid_request").requested_sender(),
        SaveBody: lambda text: parse(SaveBody, text, "invalid_request").requested_sender(
            Authorization.DELEGATED
        ),
        TestMailBody: lambda text: parse(TestMailBody, text, "invalid_request"),
        CheckBody: lambda text: parse(CheckBody, text, "invalid_request"),
    }
    shapes = document()["components"]["schemas"]
    return {shape.__name__: Published(shapes[shape.__name__], read) for shape, read in readers.items()}


def disagreement(published: Published, validator: jsonschema_rs.Validator, value: Any) -> str | None:
    """Return the difference of schema and parser; None if equal or listed."""
    text = json.dumps(value).encode()
    fits = validator.is_valid(value)
    try:
        published.read(text)
    except InvalidInputError as refused:
        if not fits:
            return None
        unlisted = [
            f"{error.field}: {error.message}"
            for error in refused.fields
            if not any(re.search(pattern, error.message) for pattern in (*ONLY_THE_PARSER, _MORE))
        ]
        return f"only the parser refuses: {unlisted}" if unlisted else None
    if fits or any(explains(value) for explains in ONLY_THE_SCHEMA.values()):
        return None
    return "only the schema refuses"
