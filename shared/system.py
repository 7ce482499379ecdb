"""Provide time, randomness and identifiers.

All code gets them from a `System` that is passed as an argument, so that a test can set the time and the next
values.
"""

from __future__ import annotations

import random
import secrets
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

_START = datetime(1970, 1, 1, tzinfo=UTC)


class System(Protocol):
    """The clocks, random values and identifiers of the process."""

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""

    def steady(self) -> datetime:
        """Return a monotonic time, for waits within a process."""

    def random_token(self) -> str:
        """Return an unguessable value of 256 bits, valid in a URL or a cookie."""

    def new_id(self) -> str:
        """Return a new identifier that need not be secret."""

    def jitter(self) -> float:
        """Return a number from 0 to 1."""

    def sleep(self, seconds: float) -> None:
        """Wait; this blocks the thread."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment by both clocks of a machine, to measure the time since then.

    The wall clock (`calendar`) can be set back, and the monotonic clock (`steady`) stops while the machine is
    suspended. So of the two elapsed times the longer one counts.
    """

    calendar: datetime
    steady: datetime

    @classmethod
    def of(cls, system: System) -> Moment:
        """Return the current moment."""
        return cls(system.now(), system.steady())

    def elapsed(self, system: System) -> timedelta:
        """Return how much time has passed since this moment."""
        return max(system.now() - self.calendar, system.steady() - self.steady)

    def has_passed(self, wait: timedelta, system: System) -> bool:
        """Return whether a time has passed since this moment, by either clock."""
        return self.elapsed(system) >= wait


class RealSystem:
    """The clock of this machine and the randomness of its operating system."""

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        return datetime.now(UTC)

    def steady(self) -> datetime:
        """Return a monotonic time."""
        return _START + timedelta(seconds=time.monotonic())

    def random_token(self) -> str:
        """Return an unguessable value of 256 bits, valid in a URL or a cookie."""
        return secrets.token_urlsafe(32)

    def new_id(self) -> str:
        """Return a new identifier that need not be secret."""
        return str(uuid.uuid4())

    def jitter(self) -> float:
        """Return a number from 0 to 1."""
        return random.random()  # noqa: S311 - spreads retries, protects nothing

    def sleep(self, seconds: float) -> None:
        """Wait; this blocks the thread."""
        time.sleep(seconds)
