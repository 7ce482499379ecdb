"""What is not as it should be in a mail that is sent all the same. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.sending.content_ids import missing_content_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.sending.request import MailRequest

#: Exchange's store holds no more characters of a subject:
#: https://learn.microsoft.com/exchange/client-developer/web-service-reference/subject
STORED_SUBJECT = 255


@dataclass(frozen=True, slots=True)
class MailWarning:
    """One warning: its code in the catalogue, a fact for its sentence, and a number for the log."""

    code: str
    fact: tuple[str, str]
    count: int


def find_warnings(request: MailRequest, body: str) -> tuple[MailWarning, ...]:
    """Find what the sender of a mail should correct; `body` is its text, also of one that lies in a blob."""
    return tuple(_find(request, body))


def _find(request: MailRequest, body: str) -> Iterator[MailWarning]:
    if request.body.content_type == "html":
        missing = missing_content_ids(body, (file.content_id for file in request.attachments))
        if missing:
            yield MailWarning("content_id_missing", ("content_ids", ", ".join(missing)), len(missing))
    # Exchange counts in UTF-16.
    length = len(request.subject.encode("utf-16-le", "surrogatepass")) // 2
    if length > STORED_SUBJECT:
        yield MailWarning("subject_over_limit", ("length", str(length)), length)
