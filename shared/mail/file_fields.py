"""Validate the fields of a mail's files: paths, media types, base64. Pure."""

from __future__ import annotations

import base64
import re
from typing import Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from shared.characters import END

#: Storage refuses control characters, private-use and unassigned characters.
#: https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
_NO_NAME = r"\u0000-\u001f\u007f-\u009f\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff"
_BLOB_PART = rf"(?!\.{{1,2}}(?:/|{END}))[^{_NO_NAME}\\?#%:/]+"
_MAX_BLOB_PARTS = 254
#: A token of RFC 6838. `$` is written as \x24: fastjsonschema takes any other for the end of the text.
_TOKEN = r"[A-Za-z0-9!#\x24&^_.+-]+"  # noqa: S105
_PLAIN_TYPE = f"{_TOKEN}/{_TOKEN}"
#: This parameter marks an invitation (RFC 5546).
_CALENDAR = r"[Tt][Ee][Xx][Tt]/[Cc][Aa][Ll][Ee][Nn][Dd][Aa][Rr]; ?[Mm][Ee][Tt][Hh][Oo][Dd]=[A-Za-z-]{1,30}"
_ONE_TYPE = re.compile(f"{_PLAIN_TYPE}|{_CALENDAR}")
_SIGN = r"(?:[A-Za-z0-9+/][\r\n]*)"
_PAD = r"(?:=[\r\n]*)"
_BASE64 = re.compile(rf"[\r\n]*(?:{_SIGN}{{4}})*(?:{_SIGN}{{2}}{_PAD}{{2}}|{_SIGN}{{3}}{_PAD})?")
_BLOB_PATH = re.compile(f"{_BLOB_PART}(?:/{_BLOB_PART})*")


def _inside_the_container(path: str) -> str:
    """Allow only paths inside the mail's own container."""
    if not _BLOB_PATH.fullmatch(path) or path.count("/") >= _MAX_BLOB_PARTS:
        raise ValueError("use a plain path inside the attachments container, such as 2026/11/23/sales.pdf")
    return path


def _media_type(text: str) -> str:
    if _ONE_TYPE.fullmatch(text):
        return text
    if ";" in text:
        raise ValueError("leave out the parameters; only text/calendar may have method=…")
    raise ValueError("use a media type such as application/pdf")


def _decoded(text: object) -> bytes:
    """Decode base64 strictly.

    A lenient decoder makes a damaged file of almost any text.
    """
    if not isinstance(text, str):
        raise ValueError("is not a string")  # noqa: TRY004 - pydantic reports a ValueError
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
    return "is not base64 (RFC 4648 section 4, with its padding; only line breaks are allowed between)"


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
