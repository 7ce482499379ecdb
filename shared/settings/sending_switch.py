"""Pause and resume sending for the whole installation.

The switch is one stored row: sending is paused while the row exists. An operator writes and removes the row
with `python -m shared.operate`, and every process reads it at most every ten seconds. The row is tagged with
the client id of the paused installation, and does not pause other installations that use the same storage
account. A row without a tag, written by hand or by an older version, pauses all of them until the operator's
next command.
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

#: The maximum age of the cached row that a process uses.
MAX_SWITCH_AGE = timedelta(seconds=10)
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

    def is_of_other_installation(self, installation: str | None) -> bool:
        """Return whether only another installation than this one is paused.

        A pause without a tag pauses every installation. If the id of this installation is not known, the
        pause counts for it.
        """
        if self.installation is None or installation is None:
            return False
        return self.installation != installation


def check_own_pause(pause: SendingPause, installation: str | None) -> None:
    """Refuse to change a pause of another installation.

    If the id of this installation is not known, a pause with a tag counts as another installation's.

    Raises:
        OtherInstallationError: the pause belongs to another installation.
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
        """Store a pause and return it; an existing pause is kept and returned.

        If the existing pause has no tag, it is tagged with the installation of the new one.
        """

    def remove(self) -> None:
        """End the pause; if there is none, nothing happens."""


class SendingSwitch:
    """Reads the switch, and caches it for all threads of a process."""

    def __init__(
        self, store: PauseStore, system: System, installation: Callable[[], str | None] = lambda: None
    ) -> None:
        """Wrap a store.

        `installation` returns the client id of this installation, or None while it is not known.
        """
        self._store = store
        self._system = system
        self._installation = installation
        self._lock = threading.Lock()
        self._pause: SendingPause | None = None
        self._read_at: Moment | None = None

    def current_pause(self) -> SendingPause | None:
        """Return the pause, at most ten seconds old, or None.

        If the switch cannot be read again, an older value is not used: mail is sent only while the process
        knows that sending is not paused.

        Raises:
            TransientError, ConfigurationError: the switch can't be read.
        """
        pause = self._stored()
        if pause is None or pause.is_of_other_installation(self._installation()):
            return None
        return pause

    def check_owner(self) -> None:
        """Report a stored pause of another installation, as an error.

        Such a pause has no effect on this installation.

        Raises:
            OtherInstallationError: the pause belongs to another installation.
            ConfigurationError: the switch can't be read.
            TransientError: the switch can't be read.
        """
        pause, ours = self._stored(), self._installation()
        if pause is not None and pause.is_of_other_installation(ours):
            check_own_pause(pause, ours)

    def _stored(self) -> SendingPause | None:
        with self._lock:
            if self._read_at is None or self._read_at.has_passed(MAX_SWITCH_AGE, self._system):
                now = Moment.of(self._system)
                self._pause = self._store.load()
                self._read_at = now
            return self._pause
