"""Declare the mail queue.

Every method may raise TransientError and ConfigurationError.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import timedelta


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
        """Queue a message that becomes visible after a delay."""

    def backlog(self) -> Backlog:
        """Return how many messages wait, without receiving one."""

    def poison_length(self) -> int:
        """Count the poison queue's messages, including invisible ones."""
