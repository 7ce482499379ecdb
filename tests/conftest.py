"""What every test runs under: no socket beyond this machine, nothing left behind, the stack as fixtures."""

import os
import threading
from collections.abc import Iterator

import pytest
from hypothesis import settings
from pytest_socket import socket_allow_hosts

pytest_plugins = ("tests.local_stack.fixtures",)

LOOPBACK = ["127.0.0.1", "::1", "localhost"]
THREAD_END_SECONDS = 5.0
#: pytest keeps the name of the running test there.
PYTEST_VARIABLE = "PYTEST_CURRENT_TEST"

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let sockets connect to this machine only; the plugin lifts that after each test."""
    socket_allow_hosts(LOOPBACK, allow_unix_socket=True)


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a changed environment, or a thread that would keep the process alive."""
    threads_before = _lasting_threads()
    environment_before = _environment()
    yield
    for thread in _lasting_threads() - threads_before:
        thread.join(THREAD_END_SECONDS)
        assert not thread.is_alive(), f"The test left the thread {thread.name} running."
    changed = {name for name, _ in environment_before.items() ^ _environment().items()}
    assert not changed, f"The test changed the environment: {', '.join(sorted(changed))}"


def _lasting_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if not thread.daemon}


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != PYTEST_VARIABLE}
