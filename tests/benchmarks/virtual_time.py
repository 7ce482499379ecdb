"""Threads in virtual time: greenlets that switch when they sleep or wait.

Code written for threads runs unchanged, hours pass in seconds, and a run is reproducible.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from types import TracebackType

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped] # it ships no types

from tests.fakes import NOON


class Timeline:
    """Runs greenlets, each at its moment; `time` is in seconds."""

    def __init__(self) -> None:
        self.time = 0.0
        self._due: list[tuple[float, int, greenlet]] = []
        self._numbers = count()
        self._hub = getcurrent()

    def start(self, work: Callable[[], None], at: float | None = None) -> None:
        """Have work begin now, or at a moment."""
        self.wake(greenlet(work, self._hub), self.time if at is None else at)

    def wake(self, waiting: greenlet, at: float | None = None) -> None:
        """Resume a greenlet."""
        heapq.heappush(self._due, (self.time if at is None else at, next(self._numbers), waiting))

    def sleep(self, seconds: float) -> None:
        """Let time pass for the greenlet that calls."""
        self.wake(getcurrent(), self.time + seconds)
        self._hub.switch()

    def wait(self) -> None:
        """Wait until another greenlet resumes the calling one."""
        self._hub.switch()

    def run(self, *, until: float, done: Callable[[], bool]) -> None:
        """Run due greenlets in order; drop those that remain."""
        while self._due and not done():
            self.time, _, next_one = heapq.heappop(self._due)
            if self.time > until:
                break
            next_one.switch()


class VirtualSemaphore:
    """`threading.Semaphore` in virtual time: first come, first served."""

    def __init__(self, timeline: Timeline, value: int = 1) -> None:
        self._timeline = timeline
        self._value = value
        self._waiting: deque[greenlet] = deque()

    def acquire(self, *, blocking: bool = True, timeout: float | None = None) -> bool:
        """Acquire a permit, waiting until there is one."""
        if self._value:
            self._value -= 1
            return True
        if not blocking:
            return False
        self._waiting.append(getcurrent())
        self._timeline.wait()
        return True

    def release(self) -> None:
        """Give one back, or pass it on."""
        if self._waiting:
            self._timeline.wake(self._waiting.popleft())
        else:
            self._value += 1

    def __enter__(self) -> bool:
        """Acquire a permit."""
        return self.acquire()

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Give it back."""
        self.release()


class VirtualThreading:
    """A replacement for the parts of `threading` that the app uses."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    def get_ident(self) -> int:
        """Name the greenlet that calls."""
        return id(getcurrent())

    def Lock(self) -> VirtualSemaphore:  # noqa: N802 - threading's name
        """Return a lock."""
        return VirtualSemaphore(self._timeline)

    def Semaphore(self, value: int = 1) -> VirtualSemaphore:  # noqa: N802 - threading's name
        """Return a semaphore."""
        return VirtualSemaphore(self._timeline, value)


class VirtualSystem:
    """The app's `System` on a timeline, with repeatable random values."""

    def __init__(self, timeline: Timeline, seed: int) -> None:
        self._timeline = timeline
        self._chance = random.Random(seed)
        self._numbers = count(1)

    def now(self) -> datetime:
        """Return the time."""
        return NOON + timedelta(seconds=self._timeline.time)

    def steady(self) -> datetime:
        """Return the time, which is never set back here."""
        return self.now()

    def random_token(self) -> str:
        """Return a value of its own."""
        return f"secret-{next(self._numbers)}"

    def new_id(self) -> str:
        """Return an identifier of its own."""
        return f"00000000-0000-4000-8000-{next(self._numbers):012d}"

    def jitter(self) -> float:
        """Return a number from 0 to 1."""
        return self._chance.random()

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self._timeline.sleep(seconds)
