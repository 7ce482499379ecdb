"""Faults that a test puts into a fake service: each is served a number of times, then it is spent."""

import threading
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Fault:
    """A wrong answer for the requests that it fits.

    Attributes:
        status: the HTTP status; 0 drops the connection without an answer, 200 lets the true answer come.
        times: how many requests get it.
        retry_after: the Retry-After header as sent, in any form.
        delay: seconds to wait before answering.
        method: the verb that it waits for; empty means any.
        path: what the path must contain.
    """

    status: int
    times: int = 1
    retry_after: str = ""
    delay: float = 0.0
    method: str = ""
    path: str = ""

    def fits(self, method: str, path: str) -> bool:
        """Tell whether a request gets this fault."""
        return self.method in ("", method) and self.path in path


class Faults:
    """The faults that wait for their request; safe to use from any thread.

    Attributes:
        hits: how many requests went wrong so far.
    """

    def __init__(self) -> None:
        self.hits = 0
        self._waiting: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Queue a fault behind those that wait already."""
        with self._lock:
            self._waiting.append(fault)

    def clear(self) -> None:
        """Forget every fault."""
        with self._lock:
            self._waiting.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """Return the first fault that fits a request and count it as served."""
        with self._lock:
            for place, fault in enumerate(self._waiting):
                if fault.fits(method, path):
                    self.hits += 1
                    spent = replace(fault, times=fault.times - 1)
                    self._waiting[place : place + 1] = [spent] if spent.times else []
                    return fault
        return None
