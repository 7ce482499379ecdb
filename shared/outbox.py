"""What the journeys need of the mail queue; the promises of `shared/ports.py` hold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in a queue.

    Attributes:
        length: about how many messages there are; those that nobody sees at this moment count too.
        oldest_since: since when the first message that can be taken waits; None where there is none.
    """

    length: int
    oldest_since: datetime | None


class Outbox(Protocol):
    """The queue `mail-outbox`, from the putting side, and its poison queue."""

    def put(self, text: bytes, delay: timedelta) -> None:
        """Queue a message that becomes visible after a delay."""

    def backlog(self) -> Backlog:
        """Look at what waits in the queue; nothing is taken out of it."""

    def poison_length(self) -> int:
        """Count the messages of the poison queue; those that nobody sees at this moment count too."""
