import json
import threading

import pytest

from shared.api.health import probe_all, read_readiness
from shared.errors import ConfigurationError, TransientError
from shared.mail_queue import Backlog
from shared.settings.sending_switch import SendingPause
from tests.api_client import a_request
from tests.builders import ADMIN
from tests.fakes import NOON, FakeServices


def test_when_every_part_responds_the_app_is_ready() -> None:
    reply = read_readiness(a_request(), ADMIN, FakeServices())

    assert reply.status == 200
    assert json.loads(reply.body) == {
        "status": "ready",
        "sendingPaused": None,
        "poisonQueueLength": 0,
        "outboxLength": 0,
        "outboxOldestQueuedAt": None,
        "parts": {
            "tables": {"status": "ok", "problem": None},
            "vault": {"status": "ok", "problem": None},
            "switch": {"status": "ok", "problem": None},
            "poisonQueue": {"status": "ok", "problem": None},
            "outbox": {"status": "ok", "problem": None},
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


def test_a_pause_of_sending_is_reported_as_no_error() -> None:
    ports = FakeServices()
    ports.pause_store.save(SendingPause(NOON, "installing version 1.4"))

    reply = read_readiness(a_request(), ADMIN, ports)

    found = json.loads(reply.body)
    assert (reply.status, found["status"]) == (200, "ready")
    assert found["sendingPaused"] == {"since": "2026-11-23T12:00:00Z", "reason": "installing version 1.4"}


def test_a_switch_that_cannot_be_read_stops_mail_so_the_app_is_not_ready() -> None:
    ports = FakeServices()
    ports.pause_store.fail.append(TransientError("storage_unavailable", service="tables"))

    reply = read_readiness(a_request(), ADMIN, ports)

    found = json.loads(reply.body)
    assert (reply.status, found["sendingPaused"]) == (503, None)
    assert found["parts"]["switch"]["problem"]["code"] == "storage_unavailable"


def test_what_is_in_the_poison_queue_is_counted_and_nothing_broken() -> None:
    ports = FakeServices()
    ports.outbox.poisoned = 11

    reply = read_readiness(a_request(), ADMIN, ports)

    found = json.loads(reply.body)
    assert (reply.status, found["status"], found["poisonQueueLength"]) == (200, "ready", 11)


def test_what_waits_in_the_queue_is_counted_with_the_age_of_the_oldest() -> None:
    ports = FakeServices()
    ports.outbox.waiting = Backlog(7, NOON)

    reply = read_readiness(a_request(), ADMIN, ports)

    found = json.loads(reply.body)
    assert (reply.status, found["outboxLength"], found["outboxOldestQueuedAt"]) == (
        200,
        7,
        "2026-11-23T12:00:00Z",
    )


def test_a_poison_queue_that_does_not_respond_has_no_length() -> None:
    ports = FakeServices()
    ports.outbox.fail.append(ConfigurationError("storage_incomplete", service="queues"))

    reply = read_readiness(a_request(), ADMIN, ports)

    found = json.loads(reply.body)
    assert (reply.status, found["poisonQueueLength"]) == (503, None)
    assert found["parts"]["poisonQueue"]["problem"]["whoActs"] == "operator"


def test_a_part_that_hangs_delays_the_response_only_until_its_deadline() -> None:
    go_on = threading.Event()

    problems = probe_all({"slow": go_on.wait, "fast": lambda: None}, 0.05)
    go_on.set()

    assert problems["fast"] is None
    assert problems["slow"] is not None
    assert problems["slow"].code == "no_answer_in_time"


def test_a_bug_in_one_part_propagates_and_is_logged() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        probe_all({"broken": broken}, 5.0)
