"""How many requests this process makes to one mailbox at a time; used by all threads."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from shared.time_limit import held

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.sending.mailbox_schedule import MailboxSchedule

#: https://learn.microsoft.com/graph/throttling-limits: of one app, for one mailbox.
IN_FLIGHT: Final = 4


class Turns:
    """One request at a time at first, as other hosts do; more where mails wait and no host was refused any.

    Attributes:
        width: how many at a time.
        wanted: how many are made, or wait.
    """

    def __init__(self) -> None:
        self.width = 1
        self.wanted = 0
        self._free = threading.Semaphore(1)
        self._lock = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, and hold it.

        Raises:
            AttemptTooLongError: where it does not come in time.
        """
        with self._lock:
            self.wanted += 1
        try:
            with held(self._free):
                yield
        finally:
            with self._lock:
                self.wanted -= 1

    def widen(self, line: MailboxSchedule) -> None:
        """Make one more request at once, where mails wait for one and no host was refused any."""
        with self._lock:
            wanted = self.width < min(self.wanted, IN_FLIGHT)
        if not wanted or not line.may_widen():
            return
        with self._lock:
            if self.width < IN_FLIGHT:
                self.width += 1
                self._free.release()
