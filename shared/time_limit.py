"""Limit the time of one invocation of a function, for all its calls.

After `functionTimeout` in host.json the host stops the worker process, and with it every other mail in it. So
no call begins and no wait continues after these limits, which start with the trigger. A context variable
holds them, because Azure's clients retry and wait internally, far from their caller.
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

#: With the longest call of Graph added (105 s), two minutes are left to record what happened.
SENDING: Final = timedelta(minutes=6)
#: Calls of storage are cut short by then, half a minute before `functionTimeout`.
RECORDING: Final = timedelta(minutes=9, seconds=30)


class AttemptTooLongError(NothingSentError):
    """This attempt's time is over; the next one goes on at once."""

    def __init__(self) -> None:
        super().__init__("attempt_too_long", retry_after=timedelta(0))


@dataclass(frozen=True, slots=True)
class _Limit:
    system: System
    begun: Moment
    total: timedelta

    def left(self, total: timedelta) -> timedelta:
        return total - self.begun.elapsed(self.system)


_current: ContextVar[_Limit | None] = ContextVar("limit", default=None)


@contextmanager
def limited(system: System, total: timedelta = SENDING) -> Iterator[None]:
    """Limit the time of an invocation that begins now."""
    before = _current.set(_Limit(system, Moment.of(system), total))
    try:
        yield
    finally:
        _current.reset(before)


@contextmanager
def recording() -> Iterator[None]:
    """Allow storage the remaining time, to record the outcome.

    Graph is not called in it.
    """
    limit = _current.get()
    before = _current.set(limit and _Limit(limit.system, limit.begun, RECORDING))
    try:
        yield
    finally:
        _current.reset(before)


def begun(system: System) -> Moment:
    """Return when the invocation began; now if there is no limit."""
    limit = _current.get()
    return Moment.of(system) if limit is None else limit.begun


def seconds_left() -> float | None:
    """Return how long a call or wait may take; None without a limit.

    Raises:
        AttemptTooLongError: once the time is over.
    """
    limit = _current.get()
    return None if limit is None else _some_left(limit.left(limit.total))


def check_sending() -> None:
    """Check that a call of Graph may begin.

    Raises:
        AttemptTooLongError: once the time for sending is over.
    """
    limit = _current.get()
    if limit is not None:
        _some_left(limit.left(SENDING))


def _some_left(left: timedelta) -> float:
    if left <= timedelta(0):
        raise AttemptTooLongError
    return left.total_seconds()


@contextmanager
def acquired(lock: threading.Lock | threading.Semaphore) -> Iterator[None]:
    """Acquire a lock or semaphore, and hold it.

    Raises:
        AttemptTooLongError: if it is not free in time.
    """
    left = seconds_left()
    if not (lock.acquire() if left is None else lock.acquire(timeout=left)):
        raise AttemptTooLongError
    try:
        yield
    finally:
        lock.release()
