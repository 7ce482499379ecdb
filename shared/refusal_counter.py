"""Count the refusals of anonymous calls instead of logging each one.

Anybody can cause a refusal without signing in. If each were logged, they could use up the daily cap of the
log, and no alert would work after that. So they are counted, and the counts are logged a few times an hour.
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

#: The minimum time between two log lines of a process for the same operation and reason.
INTERVAL = timedelta(minutes=5)


@dataclass(slots=True)
class _Count:
    """Refusals since the last line, and the trace id of one of them.

    Attributes:
        written_at: the time of the last line.
        logged: the trace id of the first refusal of this kind, which has a log line of its own.
    """

    written_at: datetime
    logged: str
    refused: int = 0
    trace_id: str = ""


class RefusalCounter:
    """Counts refusals of anonymous calls; thread-safe.

    The first refusal of its kind is logged at once. Later ones are counted, and the count is logged by the
    first call of any operation after the interval. A separate thread for that would log outside of any
    invocation, and the Functions host can lose such a line.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], _Count] = {}

    def count(self, operation: str, problem: str, trace_id: str) -> str:
        """Count a refusal; return the trace id that is logged for its kind.

        This is the given trace id if the refusal is the first of its kind.
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
