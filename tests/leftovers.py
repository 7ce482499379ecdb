"""Checks that a test leaves nothing behind."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

THREAD_END_SECONDS = 5.0
#: pytest keeps the name of the running test there.
PYTEST_VARIABLE = "PYTEST_CURRENT_TEST"


class LeftoverError(AssertionError):
    """A test left something that affects the next one; the text names it."""


@contextmanager
def check_for_leftovers() -> Iterator[None]:
    """Check for leftover threads and changes of the environment.

    Raises:
        LeftoverError: there are some; a thread that is ending gets a few seconds.
    """
    threads_before = _other_threads()
    environment_before = _environment()
    yield
    for thread in _other_threads() - threads_before:
        thread.join(THREAD_END_SECONDS)
        if thread.is_alive():
            raise LeftoverError(f"The test left the thread {thread.name} running.")
    changed = {name for name, _ in environment_before.items() ^ _environment().items()}
    if changed:
        raise LeftoverError(f"The test changed the environment: {', '.join(sorted(changed))}")


def _other_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if not thread.daemon}


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != PYTEST_VARIABLE}
