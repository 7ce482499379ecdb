"""Limit the time of one invocation of a function, for all its calls.

After `functionTimeout` in host.json the host stops the worker process, and with it every other mail that the
process is sending. So no call begins and no wait continues after a time limit, which starts with the
invocation. The limit is in a context variable, because Azure's clients retry and wait internally, where their
caller cannot pass it.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shared.errors import NothingSentError
from shared.system import Moment, System

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

#: No call of Graph begins later. If the longest one (105 seconds) begins at this time, two minutes remain to
#: record the outcome.
SENDING_LIMIT: Final = timedelta(minutes=6)
#: Calls of storage end at this time, half a minute before `functionTimeout`.
RECORDING_LIMIT: Final = timedelta(minutes=9, seconds=30)


class AttemptTooLongError(NothingSentError):
    """The time of this attempt is over; the next one begins at once."""

    def __init__(self) -> None:
        super().__init__("attempt_too_long", retry_after=timedelta(0))


@dataclass(frozen=True, slots=True)
class _Limit:
    system: System
    started: Moment
    total: timedelta

    def remaining(self, total: timedelta) -> timedelta:
        return total - self.started.elapsed(self.system)


_current: ContextVar[_Limit | None] = ContextVar("limit", default=None)


@contextmanager
def limit_invocation(system: System, total: timedelta = SENDING_LIMIT) -> Iterator[None]:
    """Limit the time of an invocation that begins now."""
    before = _current.set(_Limit(system, Moment.of(system), total))
    try:
        yield
    finally:
        _current.reset(before)


@contextmanager
def extend_for_recording() -> Iterator[None]:
    """Allow calls of storage until the later limit, to record the outcome.

    Graph is not called in this time.
    """
    limit = _current.get()
    before = _current.set(limit and _Limit(limit.system, limit.started, RECORDING_LIMIT))
    try:
        yield
    finally:
        _current.reset(before)


def invocation_start(system: System) -> Moment:
    """Return when the invocation began; if there is no limit, now."""
    limit = _current.get()
    return Moment.of(system) if limit is None else limit.started


def seconds_left() -> float | None:
    """Return how long a call or wait may take; None without a limit.

    Raises:
        AttemptTooLongError: once the time is over.
    """
    limit = _current.get()
    return None if limit is None else _positive_seconds(limit.remaining(limit.total))


def check_sending() -> None:
    """Check that a call of Graph may begin.

    Raises:
        AttemptTooLongError: once the time for sending is over.
    """
    limit = _current.get()
    if limit is not None:
        _positive_seconds(limit.remaining(SENDING_LIMIT))


def _positive_seconds(remaining: timedelta) -> float:
    if remaining <= timedelta(0):
        raise AttemptTooLongError
    return remaining.total_seconds()


@contextmanager
def acquire_in_time(lock: threading.Lock | threading.Semaphore) -> Iterator[None]:
    """Acquire a lock or semaphore, and hold it.

    Raises:
        AttemptTooLongError: if it is not free in time.
    """
    remaining = seconds_left()
    acquired = lock.acquire() if remaining is None else lock.acquire(timeout=remaining)
    if not acquired:
        raise AttemptTooLongError
    try:
        yield
    finally:
        lock.release()
