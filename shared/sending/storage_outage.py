"""Retry writes to storage, and keep in memory what could not be written.

All threads of a process use the same memory, and a restart of the process clears it. A message is identified
by its content, because it gets another id when the host moves it to the poison queue.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.errors import ConfigurationError, ProblemError, TransientError
from shared.time_limit import seconds_left

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shared.system import System

#: How long a write is repeated, unless the time limit of the invocation ends before.
RETRY_DURATION = timedelta(minutes=1)
_FIRST_WAIT = 1.0
_MAX_WAIT = 15.0
#: How many messages are kept in memory, each of at most 64 KiB. The oldest are dropped first.
_MAX_KEPT = 200


class NotRecordedError(Exception):
    """A write to storage failed, or its response was lost.

    In the second case the write was carried out.
    """

    def __init__(self, problem: ProblemError) -> None:
        super().__init__(str(problem))
        self.problem = problem


def problem_of(error: NotRecordedError | ProblemError) -> ProblemError:
    """Return why something was not recorded."""
    return error.problem if isinstance(error, NotRecordedError) else error


def persist[Answer](write: Callable[[], Answer], system: System) -> Answer:
    """Repeat an idempotent write until storage responds.

    Raises:
        NotRecordedError: storage does not respond for a minute, or the operator has to act.
    """
    until = system.steady() + RETRY_DURATION
    wait = _FIRST_WAIT
    while True:
        try:
            return write()
        except ConfigurationError as error:
            raise NotRecordedError(error) from error
        except TransientError as error:
            if system.steady() + timedelta(seconds=wait) >= until or not _is_within_time_limit(wait):
                raise NotRecordedError(error) from error
        system.sleep(wait)
        wait = min(2 * wait, _MAX_WAIT)


def _is_within_time_limit(wait: float) -> bool:
    """Return whether the time limit allows such a wait."""
    try:
        remaining = seconds_left()
    except TransientError:
        return False
    return remaining is None or wait < remaining


class ClaimMemory:
    """The claims in progress, and messages that could not be queued."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: set[str] = set()
        self._messages: dict[str, bytes] = {}
        self._unqueued: set[str] = set()

    @contextmanager
    def holding(self, claim_id: str) -> Iterator[None]:
        """Mark a claim as in progress."""
        with self._lock:
            self._active.add(claim_id)
        try:
            yield
        finally:
            with self._lock:
                self._active.discard(claim_id)

    def holds(self, claim_id: str | None) -> bool:
        """Return whether a thread of this process works with this claim."""
        with self._lock:
            return claim_id in self._active

    def save(self, key: str, text: bytes) -> None:
        """Store the text that replaces a message when it is redelivered."""
        with self._lock:
            self._messages.pop(key, None)
            while len(self._messages) >= _MAX_KEPT:
                oldest = next(iter(self._messages))
                del self._messages[oldest]
                self._unqueued.discard(oldest)
            self._messages[key] = text
            self._unqueued.add(key)

    @property
    def has_unqueued(self) -> bool:
        """Whether a message could not be queued."""
        return bool(self._unqueued)

    def take_unqueued(self) -> dict[str, bytes]:
        """Return the texts that could not be queued, by key, to one thread only.

        They stay stored, because the original message may be redelivered to this process. If another process
        receives it, that process does not know the text that replaces it, so the text has to be queued.
        """
        with self._lock:
            taken = {key: self._messages[key] for key in self._unqueued}
            self._unqueued.clear()
            return taken

    def leave_unqueued(self, key: str) -> None:
        """Record again that a message could not be queued."""
        with self._lock:
            if key in self._messages:
                self._unqueued.add(key)

    def recall(self, key: str, text: bytes) -> bytes:
        """Return the text that replaces a message."""
        with self._lock:
            return self._messages.get(key, text)

    def forget(self, key: str, text: bytes) -> None:
        """Delete the text of a completed message.

        If another thread has stored a newer text, that text is kept.
        """
        with self._lock:
            if self._messages.get(key) == text:
                del self._messages[key]
                self._unqueued.discard(key)
