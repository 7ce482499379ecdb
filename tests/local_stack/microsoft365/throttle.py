"""Entra's limit of token requests, which further requests prolong."""

import threading
from collections import defaultdict, deque
from datetime import datetime, timedelta

from .aadsts import Refused
from .behaviour import Behaviour
from .clock import Clock

#: MSAL .NET #2855 for client credentials; of a request loop Entra does not say how long it lasts.
WAIT = timedelta(seconds=60)


class TooManyRequests(Exception):  # noqa: N818 (the reason phrase of 429)
    """The response to throttled clients: plain text with `Retry-After`."""


class Throttle:
    """Counts the token requests of an app, for itself or for one account."""

    def __init__(self, clock: Clock, behaviour: Behaviour) -> None:
        self._clock = clock
        self._behaviour = behaviour
        self._lock = threading.Lock()
        self._requests: defaultdict[tuple[str, str], deque[datetime]] = defaultdict(deque)
        self._until: dict[tuple[str, str], datetime] = {}

    def check(self, client_id: str, tenant: str, account: str) -> None:
        """Count a request; `account` is empty for client credentials.

        Raises:
            TooManyRequests: of an app for itself.
            Refused: 50196, of an app for an account.
        """
        limit = self._behaviour.token_requests_a_minute
        if limit and self._exceeds(limit, (client_id, account or tenant)):
            if account:
                raise Refused(50196)
            raise TooManyRequests

    def _exceeds(self, limit: int, key: tuple[str, str]) -> bool:
        now = self._clock.now()
        with self._lock:
            counted = self._requests[key]
            counted.append(now)
            while counted[0] <= now - WAIT:
                counted.popleft()
            over = len(counted) > limit or now < self._until.get(key, now)
            if over:
                self._until[key] = now + WAIT
            return over
