"""Validate single fields of a queued mail: lines, addresses, times. Pure."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    JsonValue,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from shared.characters import END, LINE_CLASS, check_line
from shared.mail_address import ADDRESS_PATTERN, MAX_ADDRESS_CHARS, check_mail_address
from shared.schema import Contract
from shared.storage_names import QUEUE_NAME

#: Graph refuses the sixth header with InvalidInternetMessageHeaderCollection.
MAX_HEADERS = 5
#: Storage refuses control characters, private-use and unassigned characters.
#: https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
_NO_NAME = r"\u0000-\u001f\u007f-\u009f\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff"
_BLOB_PART = rf"(?!\.{{1,2}}(?:/|{END}))[^{_NO_NAME}\\?#%:/]+"
_MAX_BLOB_PARTS = 254
_HOUR = "(?:[01][0-9]|2[0-3])"
_SIXTIETH = "[0-5][0-9]"
_DATE = "[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_TIME = rf"{_HOUR}:{_SIXTIETH}:{_SIXTIETH}(?:\.[0-9]+)?"
#: RFC 3339 section 5.6.
_MOMENT = re.compile(f"{_DATE}[Tt]{_TIME}(?:[Zz]|[+-]{_HOUR}:{_SIXTIETH})")
#: A token of RFC 6838. `$` is written as \x24: fastjsonschema takes any other for the end of the text.
_TOKEN = r"[A-Za-z0-9!#\x24&^_.+-]+"  # noqa: S105
_PLAIN_TYPE = f"{_TOKEN}/{_TOKEN}"
#: This parameter marks an invitation (RFC 5546).
_CALENDAR = r"[Tt][Ee][Xx][Tt]/[Cc][Aa][Ll][Ee][Nn][Dd][Aa][Rr]; ?[Mm][Ee][Tt][Hh][Oo][Dd]=[A-Za-z-]{1,30}"
_ONE_TYPE = re.compile(f"{_PLAIN_TYPE}|{_CALENDAR}")
_HEADER_NAME = re.compile(r"[xX]-[A-Za-z0-9-]{1,74}")
_SIGN = r"(?:[A-Za-z0-9+/][\r\n]*)"
_PAD = r"(?:=[\r\n]*)"
_BASE64 = re.compile(rf"[\r\n]*(?:{_SIGN}{{4}})*(?:{_SIGN}{{2}}{_PAD}{{2}}|{_SIGN}{{3}}{_PAD})?")
_BLOB_PATH = re.compile(f"{_BLOB_PART}(?:/{_BLOB_PART})*")


def _inside_the_container(path: str) -> str:
    """Allow only paths inside the mail's own container."""
    if not _BLOB_PATH.fullmatch(path) or path.count("/") >= _MAX_BLOB_PARTS:
        raise ValueError("use a plain path inside the attachments container, such as 2026/11/23/sales.pdf")
    return path


def _without_nulls(headers: object) -> object:
    """Drop headers that are null, as if missing; invalid names are refused."""
    if not isinstance(headers, dict):
        return headers
    return {
        name: value
        for name, value in headers.items()
        if value is not None or not _HEADER_NAME.fullmatch(name) or _is_of_microsoft(name)
    }


def _is_of_microsoft(header: str) -> bool:
    return header[2:].lower().startswith("ms-")


def _not_of_microsoft(headers: dict[str, str]) -> dict[str, str]:
    """Refuse headers that control Exchange itself.

    X-MS-Exchange-Organization-… affects its filters and routing.
    """
    if any(map(_is_of_microsoft, headers)):
        raise ValueError("headers named x-ms-… are Microsoft's own")
    return headers


def _rfc3339(text: object) -> object:
    """Keep pydantic from reading a number, or digits, as a Unix time."""
    if not isinstance(text, str) or not _MOMENT.fullmatch(text):
        raise ValueError("use a moment with its time zone, such as 2026-11-24T06:00:00Z")
    return text


def _media_type(text: str) -> str:
    if _ONE_TYPE.fullmatch(text):
        return text
    if ";" in text:
        raise ValueError("leave out the parameters; only text/calendar may have method=…")
    raise ValueError("use a media type such as application/pdf")


def _header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError("use a name that begins with x-, of letters, digits and hyphens, at most 76 long")
    return name


def _decoded(text: object) -> bytes:
    """Decode base64 strictly.

    A lenient decoder makes a damaged file of almost any text.
    """
    if not isinstance(text, str):
        raise ValueError("is not a text")  # noqa: TRY004 - pydantic reports a ValueError
    if not _BASE64.fullmatch(text):
        raise ValueError(_what_is_wrong_with(text))
    return base64.b64decode(text)


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _what_is_wrong_with(text: str) -> str:
    if text.startswith("data:"):
        return "is a data URL; give only what follows its comma"
    if "-" in text or "_" in text:
        return "is URL-safe base64; use + and / in place of - and _"
    return "is not base64 (RFC 4648 section 4, with its padding; only line breaks may stand between)"


def _in_utc(moment: datetime) -> datetime:
    """Normalise a time; the first and last year may not fit in UTC."""
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is no moment that can be compared") from error


def _queue_name(text: str) -> str:
    if not QUEUE_NAME.fullmatch(text):
        raise ValueError("use the name of a storage queue: 3 to 63 of a-z 0-9 -, such as mail-outcomes")
    return text


#: The maximum length of a header line (RFC 5322 section 2.1.1).
MAX_LINE = 998
_LINE_PATTERN = f"^[^{LINE_CLASS}]*{END}"
_LINE_SCHEMA: dict[str, JsonValue] = {"type": "string", "maxLength": MAX_LINE, "pattern": _LINE_PATTERN}

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
type BlobPath = Annotated[
    str,
    StringConstraints(min_length=1, max_length=1024),
    AfterValidator(_inside_the_container),
    Field(
        description=(
            "A path in the container `attachments`, such as 2026/11/23/sales.pdf: without \\ ? # % : and "
            "control or private use characters, no part empty, `.` or `..`."
        ),
        json_schema_extra={"pattern": f"^{_BLOB_PART}(?:/{_BLOB_PART})*{END}"},
    ),
]
type Headers = Annotated[
    dict[Annotated[str, AfterValidator(_header_name)], Line],
    Field(max_length=MAX_HEADERS),
    AfterValidator(_not_of_microsoft),
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
    BeforeValidator(_rfc3339),
    AfterValidator(_in_utc),
    # Without `format`: ajv refuses a schema with a format for which it has no plug-in.
    WithJsonSchema({"type": "string", "pattern": f"^{_MOMENT.pattern}{END}"}),
]
type MediaType = Annotated[
    str,
    StringConstraints(max_length=127),
    AfterValidator(_media_type),
    Field(json_schema_extra={"pattern": f"^(?:{_PLAIN_TYPE}|{_CALENDAR}){END}"}),
]
#: The decoded content of a base64 member.
type Base64File = Annotated[
    bytes,
    BeforeValidator(_decoded),
    PlainSerializer(_encoded, return_type=str, when_used="json"),
    # Without `contentEncoding`: validators that decode automatically refuse line breaks, or the whole schema.
    WithJsonSchema({"type": "string", "pattern": f"^{_BASE64.pattern}{END}"}),
]
type QueueName = Annotated[
    str, AfterValidator(_queue_name), Field(json_schema_extra={"pattern": f"^{QUEUE_NAME.pattern}{END}"})
]


def _as_recipient(value: object) -> object:
    return {"address": value} if isinstance(value, str) else value


class Recipient(Contract):
    """A mail address with a display name."""

    address: MailAddress = Field(description="Such as cfo@contoso.com.")
    name: Annotated[Line, Field(max_length=256)] | None = Field(None, description="The name shown with it.")


type AnyRecipient = Annotated[
    Recipient, BeforeValidator(_as_recipient, json_schema_input_type=MailAddress | Recipient)
]
