"""A clock and random values that a test controls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

from tests.fakes.values import NOON


@dataclass
class FakeSystem:
    """A clock that only a test advances, and distinguishable values."""

    time: datetime = NOON
    chance: float = 0.0
    slept: list[float] = field(default_factory=list)
    passed: timedelta = timedelta(0)
    _numbers: Iterable[int] = field(default_factory=lambda: count(1))

    def now(self) -> datetime:
        return self.time

    def steady(self) -> datetime:
        return NOON + self.passed

    def random_token(self) -> str:
        return f"secret-{self._next():04d}"

    def new_id(self) -> str:
        return f"00000000-0000-4000-8000-{self._next():012d}"

    def jitter(self) -> float:
        return self.chance

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.pass_time(timedelta(seconds=seconds))

    def pass_time(self, wait: timedelta) -> None:
        self.time += wait
        self.passed += wait

    def set_clock(self, by: timedelta) -> None:
        """Set the clock forward or back without time passing."""
        self.time += by

    def _next(self) -> int:
        return next(iter(self._numbers))
