"""Validate fields of a queued mail: ids, lines, addresses, times; pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    JsonValue,
    StringConstraints,
    WithJsonSchema,
)

from shared.characters import END, LINE_CLASS, check_line
from shared.mail_address import ADDRESS_PATTERN, MAX_ADDRESS_CHARS, check_mail_address
from shared.schema import Contract
from shared.storage_names import QUEUE_NAME

#: Graph refuses the sixth header with InvalidInternetMessageHeaderCollection.
MAX_HEADERS = 5
_MESSAGE_ID_CHARACTER = "[A-Za-z0-9._:-]"

#: `.` and `..` are not allowed: clients remove such segments from the path of a URL (RFC 3986 section 5.2.4),
#: so the API could not be called for a mail with this id.
MESSAGE_ID = re.compile(rf"(?!\.{{1,2}}(?!{_MESSAGE_ID_CHARACTER})){_MESSAGE_ID_CHARACTER}{{1,200}}")

TENANT_ID = re.compile(r"[0-9a-fA-F-]{36}")
_HOUR = "(?:[01][0-9]|2[0-3])"
_MINUTE_OR_SECOND = "[0-5][0-9]"
_DATE = "[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_TIME = rf"{_HOUR}:{_MINUTE_OR_SECOND}:{_MINUTE_OR_SECOND}(?:\.[0-9]+)?"
#: RFC 3339 section 5.6.
_MOMENT = re.compile(f"{_DATE}[Tt]{_TIME}(?:[Zz]|[+-]{_HOUR}:{_MINUTE_OR_SECOND})")
_HEADER_NAME = re.compile(r"[xX]-[A-Za-z0-9-]{1,74}")


def _check_message_id(text: str) -> str:
    if not MESSAGE_ID.fullmatch(text):
        raise ValueError("use 1 to 200 of the characters A-Z a-z 0-9 . _ : -, and not . or .. alone")
    return text


def _check_tenant_id(text: str) -> str:
    if not TENANT_ID.fullmatch(text):
        raise ValueError("use the id of an Entra tenant, such as 6f1c0a52-0000-4000-8000-000000000001")
    return text.lower()


def _without_nulls(headers: object) -> object:
    """Drop headers that are null, as if they were missing.

    A null header with a name that is not allowed is kept, so that the name is refused.
    """
    if not isinstance(headers, dict):
        return headers
    kept = {}
    for name, value in headers.items():
        is_allowed = _HEADER_NAME.fullmatch(name) and not _is_microsoft_header(name)
        if value is not None or not is_allowed:
            kept[name] = value
    return kept


def _is_microsoft_header(header: str) -> bool:
    return header[2:].lower().startswith("ms-")


def _refuse_microsoft_headers(headers: dict[str, str]) -> dict[str, str]:
    """Refuse headers by which Exchange itself is controlled.

    For example, X-MS-Exchange-Organization-… changes how Exchange filters and routes the mail.
    """
    if any(map(_is_microsoft_header, headers)):
        raise ValueError("headers named x-ms-… are Microsoft's own")
    return headers


def _check_rfc3339(text: object) -> object:
    """Check the form of a time.

    Without this check, pydantic would accept a number, or a text of digits, as a Unix time.
    """
    if not isinstance(text, str) or not _MOMENT.fullmatch(text):
        raise ValueError("use a date and time with a time zone, such as 2026-11-24T06:00:00Z")
    return text


def _check_header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError("use a name that begins with x-, of letters, digits and hyphens, at most 76 long")
    return name


def _in_utc(moment: datetime) -> datetime:
    """Convert a time to UTC.

    This fails for a time of the first or last day that Python supports, if UTC is outside of its range.
    """
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("cannot be converted to UTC") from error


def _check_queue_name(text: str) -> str:
    if not QUEUE_NAME.fullmatch(text):
        raise ValueError("use the name of a storage queue: 3 to 63 of a-z 0-9 -, such as mail-outcomes")
    return text


#: The maximum length of a header line (RFC 5322 section 2.1.1).
MAX_LINE = 998
_LINE_PATTERN = f"^[^{LINE_CLASS}]*{END}"
_LINE_SCHEMA: dict[str, JsonValue] = {"type": "string", "maxLength": MAX_LINE, "pattern": _LINE_PATTERN}

#: A message id and a tenant id are parts of the names of blobs and rows, so neither may contain a character
#: that changes a path.
type MessageId = Annotated[
    str,
    AfterValidator(_check_message_id),
    Field(json_schema_extra={"pattern": f"^{MESSAGE_ID.pattern}{END}"}),
]

type TenantId = Annotated[
    str, AfterValidator(_check_tenant_id), Field(json_schema_extra={"pattern": f"^{TENANT_ID.pattern}{END}"})
]

type Line = Annotated[
    str,
    StringConstraints(max_length=MAX_LINE),
    AfterValidator(check_line),
    Field(json_schema_extra={"pattern": _LINE_PATTERN}),
]
type MailAddress = Annotated[
    str,
    StringConstraints(max_length=MAX_ADDRESS_CHARS),
    AfterValidator(check_mail_address),
    Field(json_schema_extra={"pattern": ADDRESS_PATTERN}),
]
type Headers = Annotated[
    dict[Annotated[str, AfterValidator(_check_header_name)], Line],
    Field(max_length=MAX_HEADERS),
    AfterValidator(_refuse_microsoft_headers),
    Field(
        json_schema_extra={
            "additionalProperties": False,
            "patternProperties": {f"^(?![xX]-[mM][sS]-){_HEADER_NAME.pattern}{END}": _LINE_SCHEMA},
        },
    ),
    BeforeValidator(_without_nulls),
]
type Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_check_rfc3339),
    AfterValidator(_in_utc),
    # Without `format`: ajv refuses a schema with a format for which it has no plug-in.
    WithJsonSchema({"type": "string", "pattern": f"^{_MOMENT.pattern}{END}"}),
]
type QueueName = Annotated[
    str,
    AfterValidator(_check_queue_name),
    Field(json_schema_extra={"pattern": f"^{QUEUE_NAME.pattern}{END}"}),
]


def _as_recipient(value: object) -> object:
    return {"address": value} if isinstance(value, str) else value


class Recipient(Contract):
    """A mail address with a display name."""

    address: MailAddress = Field(description="Such as cfo@contoso.com.")
    name: Annotated[Line, Field(max_length=256)] | None = Field(
        None, description="The name that mail programs show with the address."
    )


type AnyRecipient = Annotated[
    Recipient, BeforeValidator(_as_recipient, json_schema_input_type=MailAddress | Recipient)
]
