"""Pause and resume sending for the whole installation.

The switch is one stored row: sending is paused while the row exists. An operator writes and removes it with
`python -m shared.operate`; every process reads it at most every ten seconds. The row carries the client id of
the paused installation, and does not pause others that use the same storage account. A row without it, made
by hand or by an older version, pauses each of them until the operator's next command.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from shared.settings.installation import OtherInstallationError
from shared.system import Moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.system import System

#: The maximum age of the value that a process uses.
MAX_AGE = timedelta(seconds=10)
MAX_REASON_LENGTH = 200


@dataclass(frozen=True, slots=True)
class SendingPause:
    """A pause of sending.

    Attributes:
        since: when the operator paused it.
        reason: the operator's reason, for the workspace admins.
        installation: the client id of the paused app registration; None in a row without a tag.
    """

    since: datetime
    reason: str | None = None
    installation: str | None = None

    def is_foreign(self, installation: str | None) -> bool:
        """Return whether only another installation is paused.

        If this one's id is not known, it counts as paused too.
        """
        return None not in {self.installation, installation} and self.installation != installation


def check_own_pause(pause: SendingPause, installation: str | None) -> None:
    """Refuse to change a pause that is another installation's.

    The same if this one's id is not known.

    Raises:
        OtherInstallationError: it belongs to another installation.
    """
    if pause.installation not in {None, installation}:
        raise OtherInstallationError(ours=installation or "unknown", theirs=pause.installation)


class PauseStore(Protocol):
    """Stores the pause.

    Every method may raise TransientError and ConfigurationError.
    """

    def load(self) -> SendingPause | None:
        """Return the pause, or None while sending is not paused."""

    def save(self, pause: SendingPause) -> SendingPause:
        """Store a pause and return it; an existing one is kept and returned.

        An existing one is tagged with the installation if it has no tag.
        """

    def remove(self) -> None:
        """End the pause; without one, nothing happens."""


class SendingSwitch:
    """The switch as cached by one process for all its threads."""

    def __init__(
        self, store: PauseStore, system: System, installation: Callable[[], str | None] = lambda: None
    ) -> None:
        """Wrap a store.

        `installation` returns this one's client id, None while it is not known.
        """
        self._store = store
        self._system = system
        self._installation = installation
        self._lock = threading.Lock()
        self._pause: SendingPause | None = None
        self._read_at: Moment | None = None

    def current_pause(self) -> SendingPause | None:
        """Return the pause, at most ten seconds old, or None.

        An older value that can't be read again is not used: a mail is sent only while the process knows that
        sending is not paused.

        Raises:
            TransientError, ConfigurationError: the switch can't be read.
        """
        pause = self._stored()
        return None if pause is None or pause.is_foreign(self._installation()) else pause

    def check_owner(self) -> None:
        """Refuse a stored pause of another installation.

        It pauses nothing here.

        Raises:
            OtherInstallationError: the pause is another one's.
            ConfigurationError: the switch can't be read.
            TransientError: the switch can't be read.
        """
        pause, ours = self._stored(), self._installation()
        if pause is not None and pause.is_foreign(ours):
            check_own_pause(pause, ours)

    def _stored(self) -> SendingPause | None:
        with self._lock:
            if self._read_at is None or self._read_at.has_passed(MAX_AGE, self._system):
                now = Moment.of(self._system)
                self._pause = self._store.load()
                self._read_at = now
            return self._pause
