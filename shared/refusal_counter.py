"""Count the refusals of anonymous calls instead of logging each one.

Anybody can cause a refusal without signing in. One line for each would fill the daily log cap,
after which no alert fires, so these are counted and logged a few times an hour.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from shared.system import System

#: The minimum interval of lines for each operation and reason, in each process.
INTERVAL = timedelta(minutes=5)


@dataclass(slots=True)
class _Count:
    """Refusals since the last line, and the trace id of one of them.

    Attributes:
        logged: the trace id of the first refusal of its kind, which is logged in full.
    """

    written_at: datetime
    logged: str
    refused: int = 0
    trace_id: str = ""


class RefusalCounter:
    """Counts refusals of anonymous calls; thread-safe.

    The first refusal of its kind is logged at once. Later ones are logged together with the first call of any
    kind after the interval: a separate thread would log outside of any invocation, where the Functions host
    can lose the line.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], _Count] = {}

    def count(self, operation: str, problem: str, trace_id: str) -> str:
        """Count a refusal; return the trace id that is logged for its kind.

        It is the call's own if the kind is new.
        """
        with self._lock:
            known = self._counts.get((operation, problem))
            if known is not None:
                known.refused += 1
                known.trace_id = trace_id
                return known.logged
            self._counts[operation, problem] = _Count(self._system.now(), trace_id)
        _log(operation, problem, 1, trace_id)
        return trace_id

    def log_counted(self) -> None:
        """Log every count whose interval has passed."""
        now = self._system.now()
        with self._lock:
            due = {key: each for key, each in self._counts.items() if now - each.written_at >= INTERVAL}
            for key, each in due.items():
                if each.refused:
                    self._counts[key] = _Count(now, each.logged)
                else:
                    del self._counts[key]
        for (operation, problem), each in due.items():
            if each.refused:
                _log(operation, problem, each.refused, each.trace_id)


def _log(operation: str, problem: str, count: int, trace_id: str) -> None:
    log_event(
        Event.REQUESTS_REFUSED,
        level=logging.WARNING,
        operation=operation,
        problem=problem,
        count=count,
        trace_id=trace_id,
    )
