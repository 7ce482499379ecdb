import json
import threading

import pytest

from shared.errors import ConfigurationError
from shared.web.readiness import ask_all, read_readiness
from tests.builders import ADMIN
from tests.calls import a_request
from tests.fakes import FakeServices


def test_when_every_part_answers_the_app_is_ready() -> None:
    reply = read_readiness(a_request(), ADMIN, FakeServices())

    assert reply.status == 200
    assert json.loads(reply.body) == {
        "status": "ready",
        "parts": {
            "tables": {"status": "ok", "problem": None},
            "vault": {"status": "ok", "problem": None},
        },
    }


def test_a_part_that_fails_is_named_with_who_must_act() -> None:
    ports = FakeServices()
    ports.vault.fail.append(ConfigurationError("key_vault_denied"))

    reply = read_readiness(a_request(), ADMIN, ports)

    found = json.loads(reply.body)
    assert (reply.status, found["status"]) == (503, "not_ready")
    assert found["parts"]["tables"]["status"] == "ok"
    assert found["parts"]["vault"]["problem"]["whoActs"] == "operator"


def test_a_part_that_hangs_keeps_nobody_waiting_longer_than_its_deadline() -> None:
    go_on = threading.Event()

    problems = ask_all({"slow": go_on.wait, "fast": lambda: None}, 0.05)
    go_on.set()

    assert problems["fast"] is None
    assert problems["slow"] is not None
    assert problems["slow"].code == "no_answer_in_time"


def test_a_bug_in_one_part_goes_up_and_is_logged_as_one() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask_all({"broken": broken}, 5.0)
