"""Rules for every test: loopback sockets only, no leftovers; fixtures."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from pytest_socket import socket_allow_hosts

from tests.leftovers import check_for_leftovers

pytest_plugins = ("tests.local_stack.fixtures", "tests.storage", "tests.exchange_online")

LOOPBACK = ["127.0.0.1", "::1", "localhost"]

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Allow sockets to loopback only; the plugin resets this after each test."""
    socket_allow_hosts(LOOPBACK, allow_unix_socket=True)


@pytest.fixture(autouse=True)
def no_leftovers() -> Iterator[None]:
    with check_for_leftovers():
        yield
