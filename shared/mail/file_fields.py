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
_REFUSED_CHARACTERS = r"\u0000-\u001f\u007f-\u009f\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff"
_BLOB_SEGMENT = rf"(?!\.{{1,2}}(?:/|{END}))[^{_REFUSED_CHARACTERS}\\?#%:/]+"
_MAX_BLOB_SEGMENTS = 254
#: A type name of RFC 6838. The dollar sign is written as \x24, because fastjsonschema takes every `$` in a
#: pattern for the end of the text.
_TOKEN = r"[A-Za-z0-9!#\x24&^_.+-]+"  # noqa: S105
_PLAIN_TYPE = f"{_TOKEN}/{_TOKEN}"
#: The parameter `method` of text/calendar marks an invitation (RFC 5546).
_CALENDAR = r"[Tt][Ee][Xx][Tt]/[Cc][Aa][Ll][Ee][Nn][Dd][Aa][Rr]; ?[Mm][Ee][Tt][Hh][Oo][Dd]=[A-Za-z-]{1,30}"
_ONE_TYPE = re.compile(f"{_PLAIN_TYPE}|{_CALENDAR}")
_BASE64_CHARACTER = r"(?:[A-Za-z0-9+/][\r\n]*)"
_BASE64_PADDING = r"(?:=[\r\n]*)"
_BASE64_END = f"{_BASE64_CHARACTER}{{2}}{_BASE64_PADDING}{{2}}|{_BASE64_CHARACTER}{{3}}{_BASE64_PADDING}"
_BASE64 = re.compile(rf"[\r\n]*(?:{_BASE64_CHARACTER}{{4}})*(?:{_BASE64_END})?")
_BLOB_PATH = re.compile(f"{_BLOB_SEGMENT}(?:/{_BLOB_SEGMENT})*")


def _check_blob_path(path: str) -> str:
    """Allow only paths inside the mail's own container."""
    if not _BLOB_PATH.fullmatch(path) or path.count("/") >= _MAX_BLOB_SEGMENTS:
        raise ValueError("use a plain path inside the attachments container, such as 2026/11/23/sales.pdf")
    return path


def _check_media_type(text: str) -> str:
    if _ONE_TYPE.fullmatch(text):
        return text
    if ";" in text:
        raise ValueError("leave out the parameters; only text/calendar may have method=…")
    raise ValueError("use a media type such as application/pdf")


def _decode_base64(text: object) -> bytes:
    """Decode base64 strictly.

    A lenient decoder ignores invalid characters, and so makes a damaged file of almost any text.
    """
    if not isinstance(text, str):
        raise ValueError("is not a string")  # noqa: TRY004 - pydantic reports a ValueError
    if not _BASE64.fullmatch(text):
        raise ValueError(_describe_base64_error(text))
    return base64.b64decode(text)


def _encode_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _describe_base64_error(text: str) -> str:
    if text.startswith("data:"):
        return "is a data URL; give only what follows its comma"
    if "-" in text or "_" in text:
        return "is URL-safe base64; use + and / in place of - and _"
    return "is not base64 (RFC 4648 section 4); it needs its padding, and only line breaks may interrupt it"


type BlobPath = Annotated[
    str,
    StringConstraints(min_length=1, max_length=1024),
    AfterValidator(_check_blob_path),
    Field(
        description=(
            "A path in the container `attachments`, such as 2026/11/23/sales.pdf. It must not contain "
            "\\ ? # % : or control or private use characters, and no segment may be empty, `.` or `..`."
        ),
        json_schema_extra={"pattern": f"^{_BLOB_SEGMENT}(?:/{_BLOB_SEGMENT})*{END}"},
    ),
]
type MediaType = Annotated[
    str,
    StringConstraints(max_length=127),
    AfterValidator(_check_media_type),
    Field(json_schema_extra={"pattern": f"^(?:{_PLAIN_TYPE}|{_CALENDAR}){END}"}),
]
#: The decoded content of a base64 member.
type Base64File = Annotated[
    bytes,
    BeforeValidator(_decode_base64),
    PlainSerializer(_encode_base64, return_type=str, when_used="json"),
    # Without `contentEncoding`: some validators then decode the text themselves and refuse line breaks, and
    # some refuse the whole schema.
    WithJsonSchema({"type": "string", "pattern": f"^{_BASE64.pattern}{END}"}),
]
