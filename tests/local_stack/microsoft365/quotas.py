"""Exchange limits for an app and mailbox: concurrency and rates.

https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits. Every call counts, refused ones
and retries too; the bytes are those of POST, PUT and PATCH. Of mails none is documented for Graph, and those
that were refused do not count.
"""

import math
import threading
from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .behaviour import Behaviour
from .clock import Clock
from .faults import Effect

_UPLOADING = frozenset({"POST", "PUT", "PATCH"})


@dataclass
class _Window:
    """The use in the last period, with its times."""

    used: deque[tuple[datetime, int]] = field(default_factory=deque)

    def add(self, now: datetime, amount: int, length: timedelta) -> int:
        """Count a use and return the total of the period that ends now."""
        self.used.append((now, amount))
        return self.total(now, length)

    def total(self, now: datetime, length: timedelta) -> int:
        """Return the total use of the period that ends now."""
        while self.used and self.used[0][0] <= now - length:
            self.used.popleft()
        return sum(each for _, each in self.used)

    def free_in(self, now: datetime, length: timedelta) -> timedelta:
        """Return when the oldest use leaves the period."""
        return self.used[0][0] + length - now


class Quotas:
    """Counters of the use of each mailbox by each app."""

    def __init__(self, clock: Clock, behaviour: Behaviour) -> None:
        self._clock = clock
        self._behaviour = behaviour
        self._lock = threading.Lock()
        self._calls: defaultdict[tuple[str, str], _Window] = defaultdict(_Window)
        self._bytes: defaultdict[tuple[str, str], _Window] = defaultdict(_Window)
        self._mails: defaultdict[tuple[str, str], _Window] = defaultdict(_Window)

    def refusal(
        self, app: str, mailbox: str, concurrent: int, method: str, length: int, *, submits: bool = False
    ) -> Effect | None:
        """Count a call, and refuse it where a limit is passed.

        Args:
            app: the client id.
            mailbox: the mailbox's address.
            concurrent: how many requests run at this moment, this one included.
            method: of the request.
            length: of its body.
            submits: whether it hands a mail over.
        """
        behaviour, key, now = self._behaviour, (app, mailbox.lower()), self._clock.now()
        with self._lock:
            waits = [
                self._wait(self._calls[key], now, 1, behaviour.calls_limit, behaviour.calls_window),
                self._wait(
                    self._bytes[key],
                    now,
                    length if method in _UPLOADING else 0,
                    behaviour.upload_limit,
                    behaviour.upload_window,
                ),
            ]
        longest = max((wait for wait in waits if wait is not None), default=None)
        if longest is not None:
            text = "Application is over its request limit."
            return Effect(429, "ApplicationThrottled", text, str(math.ceil(longest.total_seconds())))
        if concurrent > behaviour.in_flight_limit:
            text = "Application is over its MailboxConcurrency limit."
            return Effect(429, "ApplicationThrottled", text, behaviour.in_flight_retry_after)
        return self._count_mail(key, now) if submits and behaviour.mails_limit else None

    def _count_mail(self, key: tuple[str, str], now: datetime) -> Effect | None:
        """Count a mail, or refuse it."""
        length = timedelta(seconds=self._behaviour.mails_window)
        with self._lock:
            window = self._mails[key]
            if window.total(now, length) < self._behaviour.mails_limit:
                window.add(now, 1, length)
                return None
            wait = window.free_in(now, length)
        text = "Application is over its message rate limit."
        return Effect(429, "ApplicationThrottled", text, str(math.ceil(wait.total_seconds())))

    @staticmethod
    def _wait(window: _Window, now: datetime, amount: int, limit: int, seconds: float) -> timedelta | None:
        length = timedelta(seconds=seconds)
        over = window.add(now, amount, length) > limit > 0
        return window.free_in(now, length) if over else None
