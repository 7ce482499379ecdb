"""The host's log: one line a record, with the invocation it belongs to, at the levels of host.json."""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

from azure_functions_runtime.utils.executor import invocation_id_cv

#: .NET's names for the levels, as host.json uses them.
LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 1,
}
OWN_CATEGORIES = ("Function.", "Host.", "azure.functions")
STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class InvocationLog(logging.Handler):
    """Prints records. What a function logs has the category `Function.<name>.User`, as in Azure.

    What the host and the runtime log themselves keeps the name of its logger. Extra fields are printed
    after the text as JSON, because telemetry exporters send them on as well.
    """

    def __init__(self, log_levels: Mapping[str, str]) -> None:
        super().__init__()
        self.running: dict[str, str] = {}
        self._levels = {category.casefold(): LEVELS[level.lower()] for category, level in log_levels.items()}
        self._trace = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record unless its category is quieter than it."""
        invocation_id = invocation_id_cv.get()
        name = self.running.get(invocation_id or "")
        own = not name or record.name.startswith(OWN_CATEGORIES)
        category = record.name if own else f"Function.{name}.User"
        if record.levelno >= self.level_of(category):
            print(self._line(record, invocation_id or "-", category), file=sys.stderr, flush=True)

    def level_of(self, category: str) -> int:
        """Return the level of the longest category in host.json that this one begins with."""
        parts = category.casefold().split(".")
        for length in range(len(parts), 0, -1):
            level = self._levels.get(".".join(parts[:length]))
            if level is not None:
                return level
        return self._levels.get("default", logging.INFO)

    def _line(self, record: logging.LogRecord, invocation_id: str, category: str) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = f"{time} [{invocation_id}] {record.levelname} {category}: {record.getMessage()}"
        extra = {name: value for name, value in vars(record).items() if name not in STANDARD_FIELDS}
        if extra:
            line += f" {json.dumps(extra, default=str)}"
        if record.exc_info:
            line += f"\n{self._trace.formatException(record.exc_info)}"
        return line
