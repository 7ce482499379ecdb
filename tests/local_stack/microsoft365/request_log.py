"""The request log of the emulator, without any token."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

# Their values identify nobody and open nothing, so they may be kept.
_KEPT_HEADERS = (
    "Client-Request-Id",
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "Prefer",
    "User-Agent",
)


@dataclass(frozen=True)
class LoggedRequest:
    """One request.

    Attributes:
        host: `entra`, `graph` or `outlook`.
        path: the route, its variable parts left as names.
        header_names: lower-case names of all headers that came.
        headers: the few values that are no secret.
        status: of the response; 0 while in progress or when the connection was cut.
    """

    host: str
    method: str
    path: str
    operation: str
    mailbox: str
    at: datetime
    header_names: frozenset[str]
    headers: dict[str, str]
    status: int = 0


class RequestLog:
    """All requests in order, and the largest number in flight."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[LoggedRequest] = []
        self._in_flight: Counter[tuple[str, str]] = Counter()
        self._peaks: Counter[tuple[str, str]] = Counter()

    def begin(self, entry: LoggedRequest) -> int:
        """Record a request and return the number for `end`."""
        with self._lock:
            self._entries.append(entry)
            return len(self._entries) - 1

    def end(self, number: int, status: int) -> None:
        """Record the response to a request."""
        with self._lock:
            if number < len(self._entries):
                self._entries[number] = replace(self._entries[number], status=status)

    def enter(self, app: str, mailbox: str) -> int:
        """Count a request of an app and mailbox; return the number in flight."""
        key = (app, mailbox.lower())
        with self._lock:
            self._in_flight[key] += 1
            self._peaks[key] = max(self._peaks[key], self._in_flight[key])
            return self._in_flight[key]

    def leave(self, app: str, mailbox: str) -> None:
        """Count a request as ended."""
        with self._lock:
            self._in_flight[app, mailbox.lower()] -= 1

    def peak(self, mailbox: str) -> int:
        """Return the largest number of concurrent requests on a mailbox."""
        with self._lock:
            return max((n for (_, box), n in self._peaks.items() if box == mailbox.lower()), default=0)

    def all(self, operation: str = "", host: str = "") -> list[LoggedRequest]:
        """Return requests by host or operation; `token` covers all its grants."""

        def wanted(entry: LoggedRequest) -> bool:
            named = not operation or f"{entry.operation}.".startswith(f"{operation}.")
            return named and host in ("", entry.host)

        return self._select(wanted)

    def count(self, operation: str = "", host: str = "") -> int:
        """Count requests, as `all` lists them."""
        return len(self.all(operation, host))

    def clear(self) -> None:
        """Delete the requests and the peaks."""
        with self._lock:
            self._entries.clear()
            self._peaks.clear()

    def _select(self, wanted: Callable[[LoggedRequest], bool]) -> list[LoggedRequest]:
        with self._lock:
            return [entry for entry in self._entries if wanted(entry)]


def kept_headers(headers: dict[str, str]) -> dict[str, str]:
    """Pick the header values that may be recorded; names are case-insensitive."""
    lower = {name.lower(): value for name, value in headers.items()}
    return {name: lower[name.lower()] for name in _KEPT_HEADERS if name.lower() in lower}
