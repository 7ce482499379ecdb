"""The clock of the emulator: real time plus an offset of the test."""

import threading
from datetime import UTC, datetime, timedelta


class Clock:
    """Real time plus an offset, so that tests can let things expire."""

    def __init__(self) -> None:
        self._offset = timedelta()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Return the time of Microsoft 365."""
        with self._lock:
            return datetime.now(UTC) + self._offset

    def real(self) -> datetime:
        """Return the time of this machine, by which the app checks tokens."""
        return datetime.now(UTC)

    def advance(self, by: timedelta) -> None:
        """Move the clock; a negative step moves it back."""
        with self._lock:
            self._offset += by

    def reset(self) -> None:
        """Go back to real time."""
        with self._lock:
            self._offset = timedelta()

    @property
    def offset(self) -> timedelta:
        """How far the clock has been moved."""
        with self._lock:
            return self._offset
