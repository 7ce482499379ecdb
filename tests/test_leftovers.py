import os
import socket
import threading

import pytest
from pytest_socket import SocketConnectBlockedError

from tests import leftovers
from tests.leftovers import LeftoverError, check_for_leftovers


def test_no_test_reaches_beyond_this_machine() -> None:
    with pytest.warns(UserWarning, match="192"), pytest.raises(SocketConnectBlockedError):
        socket.create_connection(("192.0.2.1", 443), timeout=1)


def test_a_changed_environment_fails_the_test_that_changed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LeftoverError, match="changed the environment: MAILER"), check_for_leftovers():
        monkeypatch.setenv("MAILER_LEFT_BEHIND", "1")


def test_an_environment_that_was_put_back_is_fine() -> None:
    with check_for_leftovers():
        os.environ["MAILER_PUT_BACK"] = "1"
        del os.environ["MAILER_PUT_BACK"]


def test_a_thread_that_continues_fails_the_test_that_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "THREAD_END_SECONDS", 0.05)
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="left behind")
    try:
        with (
            pytest.raises(LeftoverError, match="thread left behind running"),
            check_for_leftovers(),
        ):
            thread.start()
    finally:
        end.set()
        thread.join()
