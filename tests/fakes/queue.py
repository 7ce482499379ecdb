"""The queue in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from shared.mail_queue import Backlog, fits_queue


@dataclass
class MemoryOutbox:
    messages: list[tuple[bytes, timedelta]] = field(default_factory=list)
    poisoned: int = 0
    waiting: Backlog = field(default_factory=lambda: Backlog(0, None))
    fail: list[Exception] = field(default_factory=list)

    def put(self, text: bytes, delay: timedelta) -> None:
        # The service refuses any other message.
        assert fits_queue(text)
        self.messages.append((text, delay))

    def backlog(self) -> Backlog:
        return self.waiting

    def poison_length(self) -> int:
        if self.fail:
            raise self.fail.pop()
        return self.poisoned
