"""The host's console in .NET's simple log format with level filters."""

import logging
import sys
from collections.abc import Mapping

#: .NET's levels, as host.json names them, with the labels that its console prints.
LABELS = {
    "trace": "trce",
    "debug": "dbug",
    "information": "info",
    "warning": "warn",
    "error": "fail",
    "critical": "crit",
    "none": "",
}
ORDER = {level: number for number, level in enumerate(LABELS)}
INDENT = " " * 6


class Console:
    """A console that prints log lines of sufficient level.

    The category and its event are on one line, the text below.
    """

    def __init__(self, log_levels: Mapping[str, str]) -> None:
        self._levels = {category.casefold(): ORDER[level.lower()] for category, level in log_levels.items()}

    def write(self, category: str, level: str, text: str, *, event: int = 0) -> None:
        """Print a text unless host.json wants less of its category."""
        if ORDER[level] < self._lowest(category):
            return
        lines = f"{LABELS[level]}: {category}[{event}]\n{text}".replace("\n", f"\n{INDENT}")
        print(lines, file=sys.stderr, flush=True)

    def _lowest(self, category: str) -> int:
        """Return the level of the longest category prefix in host.json."""
        parts = category.casefold().split(".")
        for length in range(len(parts), 0, -1):
            level = self._levels.get(".".join(parts[:length]))
            if level is not None:
                return level
        return self._levels.get("default", ORDER["information"])


class PythonLog(logging.Handler):
    """A handler that prints the log of the host's libraries."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record under the name of its logger."""
        self._console.write(record.name, dotnet_level(record.levelno), self.format(record))


def dotnet_level(level: int) -> str:
    """Translate a level of Python's logging."""
    steps = ((50, "critical"), (40, "error"), (30, "warning"), (20, "information"), (10, "debug"))
    return next((name for number, name in steps if level >= number), "trace")
