"""Messages are put back into the queue while storage is not available."""

from __future__ import annotations

import base64
import json
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.deliveries.requeue import requeue_message
from shared.deliveries.status import DeliveryStatus
from shared.errors import (
    ConfigurationError,
    InvalidInputError,
    NothingSentError,
    ProblemError,
    TransientError,
)
from shared.sending.deliver import deliver
from shared.sending.errors import ThrottledError
from shared.sending.poison import record_poisoned
from shared.sending.queued import parse_queued
from shared.sending.unrecorded import MAX_WAIT, MIN_WAIT, RepeatedMail, parse_unrecorded
from tests.builders import a_message, enabled_services
from tests.fakes import CONTOSO, NOON, FakeServices

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.deliveries.delivery import Delivery

MAIL = a_message(messageId="m-1")
UNAVAILABLE = TransientError("storage_unavailable", service="tables")
DENIED = ConfigurationError("storage_denied", service="tables")
HOUR = timedelta(hours=1)


@pytest.fixture
def services() -> FakeServices:
    return enabled_services()


def row(services: FakeServices) -> Delivery:
    return services.deliveries.rows[CONTOSO, "m-1"]


def fail(*_: object) -> None:
    raise UNAVAILABLE


@pytest.mark.parametrize("problem", [UNAVAILABLE, DENIED])
def test_a_message_is_requeued_while_storage_is_unavailable(
    services: FakeServices, problem: ProblemError, caplog: pytest.LogCaptureFixture
) -> None:
    services.pause_store.fail = [problem]
    with caplog.at_level(logging.WARNING):
        deliver(MAIL, "q-1", services)

    assert services.outbox.messages == [(MAIL, MIN_WAIT)]
    assert "mail_requeued {" in caplog.text
    assert ("operator_error {" in caplog.text) is (problem is DENIED)
    assert not services.deliveries.rows


@pytest.mark.parametrize(
    ("waited", "delay"),
    [
        (None, MIN_WAIT),
        (timedelta(seconds=2), MIN_WAIT),
        (timedelta(seconds=40), timedelta(seconds=80)),
        (HOUR, MAX_WAIT),
    ],
)
def test_it_waits_twice_as_long_each_time(
    services: FakeServices, waited: timedelta | None, delay: timedelta
) -> None:
    services.pause_store.fail = [UNAVAILABLE]
    deliver(MAIL, "q-1", services, waited)

    assert services.outbox.messages == [(MAIL, delay)]


def test_messages_that_are_requeued_together_do_not_return_together(services: FakeServices) -> None:
    services.pause_store.fail = [UNAVAILABLE]
    services.system.chance = 1.0
    deliver(MAIL, "q-1", services)

    assert services.outbox.messages == [(MAIL, 1.5 * MIN_WAIT)]


def test_after_an_outage_of_any_length_a_mail_is_sent(services: FakeServices) -> None:
    text, waited = MAIL, timedelta(0)
    services.pause_store.fail = [UNAVAILABLE] * 200
    while services.pause_store.fail:
        deliver(text, "q-1", services, waited)
        ((text, waited),) = services.outbox.messages
        services.outbox.messages.clear()
        services.system.pass_time(waited)
    assert services.system.now() - NOON > timedelta(days=1)

    deliver(text, "q-2", services, waited)

    assert row(services).status is DeliveryStatus.ACCEPTED


def test_a_mail_whose_deadline_passed_in_an_outage_expires_for_a_retry(
    services: FakeServices,
) -> None:
    mail = a_message(messageId="m-1", expiresAt=(NOON + HOUR).isoformat())
    services.pause_store.fail = [UNAVAILABLE]
    deliver(mail, "q-1", services)
    services.system.pass_time(2 * HOUR)
    deliver(services.outbox.messages[0][0], "q-2", services)

    assert row(services).status is DeliveryStatus.EXPIRED
    assert services.requests.load(CONTOSO, "m-1") == mail


def test_a_message_in_base64_is_requeued_as_the_mail_in_it(services: FakeServices) -> None:
    services.pause_store.fail = [UNAVAILABLE]
    deliver(base64.b64encode(MAIL), "q-1", services)

    assert services.outbox.messages == [(MAIL, MIN_WAIT)]


@pytest.mark.parametrize(
    "error", [ConfigurationError("host_not_found", host="graph"), NothingSentError("graph_unavailable")]
)
def test_a_mail_that_no_server_got_is_sent_after_the_outage(
    services: FakeServices, error: ProblemError, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.transport.fail_at = {"send_mail": [error]}
    monkeypatch.setattr(services.deliveries, "save", fail)
    deliver(MAIL, "q-1", services)
    monkeypatch.undo()
    ((text, _),) = services.outbox.messages
    deliver(text, "q-2", services)

    assert (row(services).status, len(services.transport.sent)) == (DeliveryStatus.ACCEPTED, 1)


@pytest.mark.parametrize("text", [b"no JSON", base64.b64encode(MAIL)])
def test_a_message_whose_invalid_mail_cannot_be_recorded_is_requeued(
    services: FakeServices, text: bytes
) -> None:
    services.deliveries.add = fail  # type: ignore[method-assign,assignment]
    services.requests.load = fail  # type: ignore[method-assign,assignment]
    deliver(b"no JSON", "q-1", services)
    deliver(requeue_message(CONTOSO, "m-1"), "q-2", services)

    queued = [message for message, _ in services.outbox.messages]
    assert queued == [b"no JSON", requeue_message(CONTOSO, "m-1")]


def test_a_requeue_message_without_its_container_waits_for_the_operator(
    services: FakeServices,
) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    deliver(MAIL, "q-1", services)
    ((message, delay),) = services.outbox.messages
    services.outbox.messages.clear()
    services.system.pass_time(delay)
    load, gone = services.requests.load, ConfigurationError("storage_incomplete", service="blobs")

    def missing(*_: object) -> None:
        raise gone

    services.requests.load = missing  # type: ignore[method-assign,assignment]
    deliver(message, "q-2", services)
    services.requests.load = load  # type: ignore[method-assign]
    assert row(services).status is DeliveryStatus.DEFERRED
    deliver(services.outbox.messages[0][0], "q-3", services)

    assert row(services).status is DeliveryStatus.ACCEPTED


def test_a_poisoned_message_that_cannot_be_recorded_is_queued_again(services: FakeServices) -> None:
    services.deliveries.find = fail  # type: ignore[method-assign,assignment]
    record_poisoned(MAIL, "p-1", services, timedelta(minutes=1))

    assert services.outbox.messages == [(MAIL, timedelta(minutes=2))]


def test_a_poisoned_message_on_which_the_app_fails_is_requeued_too(
    services: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    def bug(*_: object) -> None:
        raise ZeroDivisionError

    services.deliveries.find = bug  # type: ignore[method-assign,assignment]
    record_poisoned(MAIL, "p-1", services)

    assert services.outbox.messages == [(MAIL, MAX_WAIT)]
    assert "unexpected_error {" in caplog.text


@pytest.mark.parametrize("kind", ["accepted", "repeated"])
def test_a_message_of_this_kind_that_is_malformed_is_invalid(kind: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_unrecorded(b'{"%s":{"tenantId":1}}' % kind.encode())


@pytest.mark.parametrize("end", [deliver, record_poisoned])
@pytest.mark.parametrize("mail", [json.loads(MAIL) | {"priority": 3}, "?", "e30=", "é"])
def test_a_repeated_message_readable_by_another_version_waits_for_it(
    services: FakeServices, end: Callable[..., None], mail: object, caplog: pytest.LogCaptureFixture
) -> None:
    message = {"tenantId": CONTOSO, "messageId": "m-1", "unusedClaims": ["c-1"], "mail": mail}
    text = json.dumps({"repeated": message}, separators=(",", ":")).encode()
    end(text, "q-1", services)

    assert not services.deliveries.rows
    assert services.outbox.messages == [(text, MIN_WAIT)]
    assert '"problem": "request_of_other_version"' in caplog.text


@pytest.mark.parametrize("row_fails", [False, True])
def test_a_refusal_that_storage_could_not_record_leaves_its_warning(
    services: FakeServices,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    row_fails: bool,  # noqa: FBT001
) -> None:
    # Graph may have sent the mail, and without Mail.ReadWrite nobody can look.
    services.transport.fail = [ThrottledError(retry_after=timedelta(seconds=30), address="ada@contoso.com")]
    with monkeypatch.context() as unavailable:
        unavailable.setattr(services.requests, "save", fail)
        if row_fails:
            unavailable.setattr(services.deliveries, "save", fail)
        deliver(MAIL, "q-1", services)
    ((message, _),) = services.outbox.messages
    repeated = parse_queued(message)
    assert (repeated.maybe_accepted if isinstance(repeated, RepeatedMail) else None) is (row_fails or None)
    services.system.pass_time(HOUR)
    deliver(message, "q-2", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert [warning.code for warning in row(services).warnings] == ["maybe_accepted"]
    logged = [line for line in caplog.messages if line.startswith("mail_warning")]
    assert len(logged) == 1
    assert "maybe_accepted" in logged[0]
