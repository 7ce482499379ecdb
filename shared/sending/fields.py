"""What single members of a queued mail may be: a line, an address, a path, a moment. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints

from shared.mail_address import check_mail_address

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BLOB_PART = r"(?!\.{1,2}(?:/|$))[^\u0000-\u001f\u007f\\?#%:/]+"
_BLOB_PATH = re.compile(f"{_BLOB_PART}(?:/{_BLOB_PART})*")


def _without_control_characters(text: str) -> str:
    """Close header injection (RFC 5322 section 2.2: a header ends at a line break)."""
    if _CONTROL.search(text):
        raise ValueError("control characters and line breaks are not allowed")
    return text


def _inside_the_container(path: str) -> str:
    """Keep a mail from reading anything but its own container."""
    if not _BLOB_PATH.fullmatch(path):
        raise ValueError("use a plain path inside the attachments container, such as 2026/11/23/sales.pdf")
    return path


def _in_utc(moment: datetime) -> datetime:
    """Write a moment as we compare it; the first and the last year have moments that UTC can't express."""
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is no moment that can be compared") from error


type Line = Annotated[
    str,
    StringConstraints(max_length=998),
    AfterValidator(_without_control_characters),
    Field(json_schema_extra={"pattern": r"^[^\u0000-\u001f\u007f]*$"}),
]
type MailAddress = Annotated[
    str,
    StringConstraints(max_length=320),
    AfterValidator(check_mail_address),
    Field(json_schema_extra={"format": "email"}),
]
type BlobPath = Annotated[
    str,
    StringConstraints(min_length=1, max_length=1024),
    AfterValidator(_inside_the_container),
    Field(
        description=(
            "A path in the container `attachments`, such as 2026/11/23/sales.pdf: without \\ ? # % : and "
            "control characters, no part empty, `.` or `..`."
        ),
        json_schema_extra={"pattern": f"^{_BLOB_PART}(?:/{_BLOB_PART})*$"},
    ),
]
type Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
