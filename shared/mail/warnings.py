"""Find problems of a mail that do not prevent sending. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.mail.content_ids import missing_content_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.mail.message import MailRequest

#: The maximum length of a subject in Exchange's store:
#: https://learn.microsoft.com/exchange/client-developer/web-service-reference/subject
STORED_SUBJECT = 255


@dataclass(frozen=True, slots=True)
class MailWarning:
    """One warning: its code, a parameter for its text, a number to log."""

    code: str
    fact: tuple[str, str]
    count: int


def find_warnings(request: MailRequest, body: str) -> tuple[MailWarning, ...]:
    """Find what the sender of a mail should correct.

    `body` is its text, also if it is stored in a blob.
    """
    return tuple(_find(request, body))


def _find(request: MailRequest, body: str) -> Iterator[MailWarning]:
    if request.body.content_type == "html":
        missing = missing_content_ids(body, (file.content_id for file in request.attachments))
        if missing:
            yield MailWarning("content_id_missing", ("content_ids", ", ".join(missing)), len(missing))
    # Exchange counts UTF-16 units.
    length = len(request.subject.encode("utf-16-le", "surrogatepass")) // 2
    if length > STORED_SUBJECT:
        yield MailWarning("subject_over_limit", ("length", str(length)), length)
