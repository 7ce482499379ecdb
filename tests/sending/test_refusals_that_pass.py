"""Temporary refusals of the mailbox, a permission or a sign-in rule."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.deliveries.status import DeliveryStatus
from shared.errors import SenderRefusedError, TokenRefusedError, TransientError
from shared.sending.deliver import deliver
from shared.sending.errors import AccessDeniedError, UnexpectedResponseError
from shared.settings.tenant import RequestedSender, Status, TenantSettings
from tests.builders import a_consent, a_message, enabled_services, list_senders, some_settings
from tests.fakes import CONTOSO, NOON, FakeGraph, FakeServices

if TYPE_CHECKING:
    from shared.settings.sender import Sender

BLOCKED = TokenRefusedError("token_refused", conditional_access=True, error="insufficient_claims")


def missing_right(code: str = "access_denied", graph_code: str = "ErrorInvalidUser") -> SenderRefusedError:
    return SenderRefusedError(
        code, graph_code=graph_code, account="ada@contoso.com", address="ada@contoso.com"
    )


def recently_consented() -> FakeServices:
    services = enabled_services()
    known = services.settings.load(CONTOSO)
    services.settings.save(some_settings(consent=a_consent(consented_at=NOON), etag=known.etag))
    return services


def deliver_what_is_queued(services: FakeServices, until: timedelta) -> None:
    """Deliver queued messages by due time for the given time."""
    begun, number = services.system.now(), 0
    due = [(begun + delay, text) for text, delay in services.outbox.messages]
    services.outbox.messages.clear()
    while due:
        due.sort(key=lambda each: each[0])
        moment, text = due.pop(0)
        if moment > begun + until:
            return
        services.system.pass_time(max(moment - services.system.now(), timedelta(0)))
        number += 1
        deliver(text, f"q-again-{number}", services)
        due += [(services.system.now() + delay, more) for more, delay in services.outbox.messages]
        services.outbox.messages.clear()


@pytest.mark.parametrize(
    "code", ["access_denied", "mailbox_not_found", "send_as_denied", "mailbox_full", "sender_blocked"]
)
def test_twenty_mails_after_a_consent_survive_a_long_permission_delay(code: str) -> None:
    services = recently_consented()
    refused_until = NOON + timedelta(minutes=55)
    send = services.transport.send_mail

    def send_when_the_right_counts(token: str, sender: object, body: bytes) -> str:
        if services.system.now() < refused_until:
            raise missing_right(code)
        return send(token, sender, body)  # type: ignore[arg-type]

    services.transport.send_mail = send_when_the_right_counts  # type: ignore[method-assign]
    for number in range(20):
        deliver(a_message(messageId=f"m-{number}"), f"q-{number}", services)
    deliver_what_is_queued(services, timedelta(hours=3))

    rows = [services.deliveries.rows[CONTOSO, f"m-{number}"] for number in range(20)]
    assert {row.status for row in rows} == {DeliveryStatus.ACCEPTED}


def test_a_mail_waits_if_a_permission_is_missing_an_hour_after_the_consent() -> None:
    services = recently_consented()
    services.transport.fail = [missing_right()] * 50
    deliver(a_message(messageId="m-1"), "q-1", services)
    deliver_what_is_queued(services, timedelta(hours=3))

    row = services.deliveries.rows[CONTOSO, "m-1"]
    assert row.status is DeliveryStatus.WAITING_FOR_MICROSOFT365
    assert row.problem
    assert row.problem.code == "access_denied"
    assert row.updated_at >= NOON + timedelta(hours=1)


def test_an_unknown_response_is_retried_for_a_day_and_named_at_the_end() -> None:
    services = enabled_services()
    services.system.chance = 1.0
    services.transport.fail = [UnexpectedResponseError(graph_code="HTTP 402")] * 200
    deliver(a_message(messageId="m-1"), "q-1", services)
    deliver_what_is_queued(services, timedelta(hours=30))

    row = services.deliveries.rows[CONTOSO, "m-1"]
    assert row.status is DeliveryStatus.EXPIRED
    assert row.problem
    assert "The last error from Microsoft Graph was HTTP 402." in row.problem.problem.detail
    assert row.attempt > 10


def test_unmet_conditional_access_waits_for_an_admin_not_the_operator() -> None:
    services = enabled_services()
    services.transport.fail = [BLOCKED] * 6
    deliver(a_message(messageId="m-1"), "q-1", services)
    assert services.deliveries.rows[CONTOSO, "m-1"].status is DeliveryStatus.DEFERRED
    assert services.settings.load(CONTOSO).status is Status.ENABLED
    deliver_what_is_queued(services, timedelta(hours=1))

    row = services.deliveries.rows[CONTOSO, "m-1"]
    settings = services.settings.load(CONTOSO)
    assert (row.status, settings.status) == (DeliveryStatus.WAITING_FOR_CONSENT, Status.RECONNECT_NEEDED)
    assert settings.problem
    assert (settings.problem.code, settings.problem.problem.who_acts) == (
        "conditional_access",
        "microsoft365_admin",
    )


def test_one_conditional_access_refusal_stops_no_mail() -> None:
    services = enabled_services()
    services.transport.fail = [BLOCKED] * 2
    deliver(a_message(messageId="m-1"), "q-1", services)
    deliver_what_is_queued(services, timedelta(hours=1))

    assert services.deliveries.rows[CONTOSO, "m-1"].status is DeliveryStatus.ACCEPTED
    assert services.settings.load(CONTOSO).problem is None


def test_refusals_within_seconds_count_as_one() -> None:
    services = enabled_services()
    unknown = AccessDeniedError(graph_code="Forbidden", address="ada@contoso.com")
    services.transport.fail = [unknown, unknown, missing_right()]
    deliver(a_message(messageId="m-1"), "q-1", services)
    deliver_what_is_queued(services, timedelta(minutes=1))

    row = services.deliveries.rows[CONTOSO, "m-1"]
    assert [step.code for step in row.history].count("access_denied") == 3
    assert row.status is DeliveryStatus.DEFERRED


def sending_by_object_id() -> FakeServices:
    """Return services with a mailbox id that Graph no longer knows."""
    consent = a_consent(account=None, secret_name=None, mailbox_id="old-id")
    services = enabled_services(sender=RequestedSender("reports@contoso.com"), consent=consent)
    list_senders(services, "reports@contoso.com")
    send = services.transport.send_mail

    def send_by_name(token: str, sender: Sender, body: bytes) -> str:
        if sender.mailbox == "users/old-id":
            raise missing_right("mailbox_not_found")
        return send(token, sender, body)

    services.transport.send_mail = send_by_name  # type: ignore[method-assign]
    return services


def test_a_mailbox_recreated_under_the_same_name_is_found_by_its_name() -> None:
    services = sending_by_object_id()
    deliver(a_message(messageId="m-1"), "q-1", services)
    assert services.deliveries.rows[CONTOSO, "m-1"].status is DeliveryStatus.DEFERRED
    assert services.settings.load(CONTOSO).consent.mailbox_id == "old-id"  # type: ignore[union-attr]
    deliver_what_is_queued(services, timedelta(hours=1))

    assert services.deliveries.rows[CONTOSO, "m-1"].status is DeliveryStatus.ACCEPTED
    assert services.settings.load(CONTOSO).consent.mailbox_id is None  # type: ignore[union-attr]


def test_a_mailbox_that_is_found_by_neither_id_nor_name_has_the_mail_wait() -> None:
    services = sending_by_object_id()
    services.transport.fail = [missing_right("mailbox_not_found")] * 20
    deliver(a_message(messageId="m-1"), "q-1", services)
    deliver_what_is_queued(services, timedelta(hours=2))

    assert services.deliveries.rows[CONTOSO, "m-1"].status is DeliveryStatus.WAITING_FOR_MICROSOFT365
    assert services.settings.load(CONTOSO).consent.mailbox_id is None  # type: ignore[union-attr]


def test_no_mail_is_rejected_while_storage_cannot_remove_a_mailbox_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    services = sending_by_object_id()
    save = services.settings.save
    unavailable = TransientError("storage_unavailable", service="tables")
    failing = [unavailable, unavailable]

    def fails_twice(settings: TenantSettings) -> TenantSettings:
        if failing:
            raise failing.pop()
        return save(settings)

    deliver(a_message(messageId="m-1"), "q-1", services)
    monkeypatch.setattr(services.settings, "save", fails_twice)
    deliver_what_is_queued(services, timedelta(hours=3))

    assert services.deliveries.rows[CONTOSO, "m-1"].status is DeliveryStatus.ACCEPTED
    assert not failing


@pytest.mark.parametrize(
    "refusal",
    [
        missing_right("access_denied", "ErrorAccessDenied"),
        missing_right("mailbox_not_found", "MailboxNotEnabledForRESTAPI"),
    ],
    ids=lambda refusal: refusal.code,
)
def test_other_refusals_do_not_remove_the_mailbox_id(refusal: SenderRefusedError) -> None:
    services = sending_by_object_id()
    services.transport.send_mail = FakeGraph.send_mail.__get__(services.transport)  # type: ignore[method-assign]
    services.transport.fail = [refusal] * 50
    deliver(a_message(messageId="m-1"), "q-1", services)
    deliver_what_is_queued(services, timedelta(hours=4))

    assert services.deliveries.rows[CONTOSO, "m-1"].status is DeliveryStatus.WAITING_FOR_MICROSOFT365
    assert services.settings.load(CONTOSO).consent.mailbox_id == "old-id"  # type: ignore[union-attr]
