"""Pause and resume sending for the whole installation.

The switch is one stored row: sending is paused while the row exists. An operator writes and removes it with
`python -m shared.operate`; every process reads it at most every ten seconds. The row carries the client id of
the installation that is paused, and pauses no other one that uses the same storage account. A row without it,
made by hand or by an older version, pauses each of them until the operator's next command.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from shared.errors import ConfigurationError
from shared.world import Moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.world import World

#: How old the value may be that a process acts on.
MAX_AGE = timedelta(seconds=10)
MAX_REASON_LENGTH = 200


@dataclass(frozen=True, slots=True)
class SendingPause:
    """Sending is paused.

    Attributes:
        since: when the operator paused it.
        reason: what the operator wrote about it, for the workspace admins.
        installation: the client id of the app registration that is paused; None in a row without a mark.
    """

    since: datetime
    reason: str | None = None
    installation: str | None = None

    def is_foreign(self, installation: str | None) -> bool:
        """Whether another installation than this one is paused; one that cannot tell is paused too."""
        return None not in {self.installation, installation} and self.installation != installation


def check_own_pause(pause: SendingPause, installation: str | None) -> None:
    """Refuse to change a pause of another installation, or one of which this one cannot tell.

    Raises:
        ConfigurationError: `other_installation`.
    """
    if pause.installation not in {None, installation}:
        raise ConfigurationError(
            "other_installation", ours=installation or "unknown", theirs=pause.installation
        )


class PauseStore(Protocol):
    """Stores the pause; the promises of `shared/ports.py` hold."""

    def load(self) -> SendingPause | None:
        """Return the pause, or None while mail is sent."""

    def save(self, pause: SendingPause) -> SendingPause:
        """Store a pause and return it; one that is stored already stays, and is returned instead.

        That one gets the mark of the installation where it has none.
        """

    def remove(self) -> None:
        """End the pause; where there is none, nothing happens."""


class SendingSwitch:
    """The switch as one process reads it; used by all threads."""

    def __init__(
        self, store: PauseStore, world: World, installation: Callable[[], str | None] = lambda: None
    ) -> None:
        """Read a store; `installation` returns the client id of this one, None while it is not known."""
        self._store = store
        self._world = world
        self._installation = installation
        self._lock = threading.Lock()
        self._pause: SendingPause | None = None
        self._read_at: Moment | None = None

    def current_pause(self) -> SendingPause | None:
        """Return the pause, or None while mail is sent; the value is at most ten seconds old.

        A value that is too old and can't be read again is not used: a mail leaves only while the process
        knows that sending is not paused.

        Raises:
            TransientError, ConfigurationError: the switch can't be read.
        """
        pause = self._stored()
        return None if pause is None or pause.is_foreign(self._installation()) else pause

    def check_owner(self) -> None:
        """Refuse a stored pause of another installation; it pauses nothing here.

        Raises:
            ConfigurationError: `other_installation`, or the switch can't be read.
            TransientError: the switch can't be read.
        """
        pause, ours = self._stored(), self._installation()
        if pause is not None and pause.is_foreign(ours):
            check_own_pause(pause, ours)

    def _stored(self) -> SendingPause | None:
        with self._lock:
            if self._read_at is None or self._read_at.has_passed(MAX_AGE, self._world):
                now = Moment.of(self._world)
                self._pause = self._store.load()
                self._read_at = now
            return self._pause
