"""Declare the mail queue, and which messages fit in it.

Every method may raise TransientError and ConfigurationError.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta


#: A message has at most 64 KiB of text, and base64 makes four bytes of three:
#: https://learn.microsoft.com/rest/api/storageservices/put-message
_MAX_TEXT = 64 * 1024
MAX_BEFORE_BASE64: Final = _MAX_TEXT // 4 * 3
#: The service refuses a longer request (`MaxLimit` of the code RequestBodyTooLarge); the rest is its XML.
_MAX_XML = 128 * 1024
#: Characters that JSON may contain and XML 1.0 (section 2.2) may not, with their escapes in JSON.
ESCAPED: Final = {"\ufffe": r"\ufffe", "\uffff": r"\uffff"}
_MARKUP: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def fits_queue(text: bytes) -> bool:
    """Return whether the queue accepts a message, in base64 or as plain text."""
    if len(text) <= MAX_BEFORE_BASE64:
        return True
    size = len(text) + _growth(text, ESCAPED)
    return size <= _MAX_TEXT and size + _growth(text, _MARKUP) <= _MAX_XML


def _growth(text: bytes, escapes: Mapping[str, str]) -> int:
    """Return how many bytes longer a text is with these escapes."""
    growths = {sign.encode(): len(escape) - len(sign.encode()) for sign, escape in escapes.items()}
    return sum(text.count(sign) * growth for sign, growth in growths.items())


@dataclass(frozen=True, slots=True)
class Backlog:
    """The waiting messages of a queue.

    Attributes:
        length: the estimated number of messages, including invisible ones.
        oldest_since: since when the first visible message waits; None if there is none.
    """

    length: int
    oldest_since: datetime | None


class Outbox(Protocol):
    """The queue `mail-outbox`, for writing, and its poison queue."""

    def put(self, text: bytes, delay: timedelta) -> None:
        """Queue a message that fits, which becomes visible after a delay."""

    def backlog(self) -> Backlog:
        """Return how many messages wait, without receiving one."""

    def poison_length(self) -> int:
        """Count the poison queue's messages, including invisible ones."""
