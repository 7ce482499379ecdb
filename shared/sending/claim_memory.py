"""What this process alone knows of claims while storage cannot be told: used by all threads.

Both are lost with the process, and then the row decides. A message is known by its content: the host copies
one that failed too often to the poison queue, where it has another id.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The oldest are dropped first. Each is a message of 64 KiB at most.
_MAX_KEPT = 200


class ClaimMemory:
    """The claims of mails that this process works on, and messages that could not be queued."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: set[str] = set()
        self._messages: dict[str, bytes] = {}
        self._unqueued: set[str] = set()

    @contextmanager
    def holding(self, claim_id: str) -> Iterator[None]:
        """Let it be known that a claim is worked on."""
        with self._lock:
            self._active.add(claim_id)
        try:
            yield
        finally:
            with self._lock:
                self._active.discard(claim_id)

    def holds(self, claim_id: str | None) -> bool:
        """Say whether a thread of this process works on the mail under this claim."""
        with self._lock:
            return claim_id in self._active

    def keep(self, key: str, text: bytes) -> None:
        """Keep what is to be taken for a message once it comes again."""
        with self._lock:
            self._messages.pop(key, None)
            while len(self._messages) >= _MAX_KEPT:
                oldest = next(iter(self._messages))
                del self._messages[oldest]
                self._unqueued.discard(oldest)
            self._messages[key] = text
            self._unqueued.add(key)

    def take_unqueued(self) -> dict[str, bytes]:
        """Return the messages that are not queued yet, by their keys, to one thread alone; they stay kept.

        Another process may take the queue message, and does not know what this one is to be taken for.
        """
        with self._lock:
            taken = {key: self._messages[key] for key in self._unqueued}
            self._unqueued.clear()
            return taken

    def leave_unqueued(self, key: str) -> None:
        """Have a message that was taken, and could not be queued, taken again."""
        with self._lock:
            if key in self._messages:
                self._unqueued.add(key)

    def recall(self, key: str, text: bytes) -> bytes:
        """Return what a message is taken for."""
        with self._lock:
            return self._messages.get(key, text)

    def forget(self, key: str, text: bytes) -> None:
        """Forget a message that is completed, if it was taken for this text; another thread knows more."""
        with self._lock:
            if self._messages.get(key) == text:
                del self._messages[key]
                self._unqueued.discard(key)
