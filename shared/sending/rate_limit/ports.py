"""Declare the ports of the rate limit; `adapters/` implements the store.

Every method may raise TransientError (the service is unavailable) and ConfigurationError (it refuses the app,
or a setting is missing).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from shared.sending.rate_limit.schedule import Schedule
    from shared.system import System


class ScheduleBusyError(Exception):
    """Too many processes change a row at the same time."""


class ScheduleStore(Protocol):
    """Stores a schedule for each mailbox."""

    def load(self, key: str) -> tuple[Schedule, datetime | None]:
        """Return a mailbox's schedule, empty where none is stored, and the time.

        The time is by storage's clock.
        """

    def save(self, key: str, schedule: Schedule) -> Schedule | None:
        """Write a schedule if it is unchanged since it was read, else None."""


class ThrottleServices(Protocol):
    """The ports of the throttle; reading one may raise ConfigurationError."""

    @property
    def system(self) -> System:
        """The clock."""

    @property
    def schedules(self) -> ScheduleStore:
        """When the mails of each mailbox may be sent."""

    @property
    def messages_per_minute(self) -> int:
        """The operator's limit; 0: none."""

    @property
    def installation(self) -> str | None:
        """The client id: Graph counts for each app."""
