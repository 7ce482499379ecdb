"""Limit a process's concurrent requests to a mailbox; for all threads."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from shared.time_limit import acquire_in_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.sending.rate_limit.mailbox_schedule import MailboxSchedule

#: https://learn.microsoft.com/graph/throttling-limits: for one app and mailbox.
MAX_CONCURRENT: Final = 4


class ConcurrencyLimit:
    """Allows one request at first, later up to four.

    Other hosts send too, so more are allowed only while mails wait and no host has a refusal.

    Attributes:
        limit: the number of concurrent requests.
        active: the number of requests that run or wait.
    """

    def __init__(self) -> None:
        self.limit = 1
        self.active = 0
        self._free = threading.Semaphore(1)
        self._lock = threading.Lock()

    @contextmanager
    def request(self) -> Iterator[None]:
        """Wait for a free request, and hold it.

        Raises:
            AttemptTooLongError: none is free in time.
        """
        with self._lock:
            self.active += 1
        try:
            with acquire_in_time(self._free):
                yield
        finally:
            with self._lock:
                self.active -= 1

    def increase_limit(self, mailbox_schedule: MailboxSchedule) -> None:
        """Allow one more request if mails wait and no host has a refusal."""
        with self._lock:
            active = self.limit < min(self.active, MAX_CONCURRENT)
        if not active or not mailbox_schedule.may_increase_limit():
            return
        with self._lock:
            if self.limit < MAX_CONCURRENT:
                self.limit += 1
                self._free.release()
