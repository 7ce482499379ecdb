"""The mails that an admin can retry."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.api.deliveries import list_deliveries, retry_delivery
from shared.consent.errors import EntraUnavailableError
from shared.deliveries.delivery import Delivery
from shared.deliveries.status import DeliveryStatus
from shared.deliveries.uncertain_send import UncertainSend
from shared.errors import ConflictError, NotFoundError, OutcomeUnknownError, RejectedError, TransientError
from shared.sending.deliver import deliver
from tests.api_client import a_request, call, content
from tests.builders import ADMIN, a_message, enabled_services, large_file_services
from tests.fakes import CONTOSO, NOON, FakeServices

RETRY = a_request(route={"message_id": "m-1"})


def a_row(status: DeliveryStatus) -> FakeServices:
    services = FakeServices()
    services.deliveries.add(
        Delivery(CONTOSO, "m-1", status, NOON, NOON, NOON, uncertain_send=UncertainSend(NOON))
    )
    services.requests.save(CONTOSO, "m-1", a_message(messageId="m-1"))
    return services


@pytest.mark.parametrize(
    "status",
    [
        "rejected",
        "expired",
        "unknown",
        "waiting_for_consent",
        "waiting_for_operator",
        "waiting_for_microsoft365",
    ],
)
def test_what_was_not_sent_can_be_retried(status: str) -> None:
    services = a_row(DeliveryStatus(status))
    services.system.pass_time(timedelta(days=2))
    reply = retry_delivery(RETRY, ADMIN, services)

    assert (reply.status, content(reply)["status"]) == (202, "deferred")
    assert len(services.outbox.messages) == 1
    row = services.deliveries.rows[CONTOSO, "m-1"]
    assert row.trying_since == services.system.now()
    assert (row.uncertain_send is None) is (status == "unknown")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("accepted", "already_accepted"),
        ("sending", "still_under_way"),
        ("deferred", "still_under_way"),
        ("verifying", "still_under_way"),
        ("invalid", "invalid_message"),
    ],
)
def test_what_was_sent_or_will_be_cannot(status: str, code: str) -> None:
    services = a_row(DeliveryStatus(status))
    with pytest.raises(ConflictError) as caught:
        retry_delivery(RETRY, ADMIN, services)

    assert caught.value.code == code
    assert not services.outbox.messages


def test_an_unknown_mail_cannot_be_retried() -> None:
    with pytest.raises(NotFoundError):
        retry_delivery(RETRY, ADMIN, FakeServices())


def test_a_mail_whose_request_was_deleted_cannot_be_retried() -> None:
    services = a_row(DeliveryStatus.REJECTED)
    services.requests.kept.clear()
    with pytest.raises(ConflictError, match="request_not_kept"):
        retry_delivery(RETRY, ADMIN, services)


def test_a_mail_past_its_own_expiry_needs_a_later_one() -> None:
    services = a_row(DeliveryStatus.EXPIRED)
    (key,) = services.requests.kept
    services.requests.kept[key] = a_message(messageId=key[1], expiresAt=NOON.isoformat())
    with pytest.raises(ConflictError, match="expiry_passed"):
        retry_delivery(RETRY, ADMIN, services)


def test_a_stored_mail_of_another_version_is_not_judged_by_a_retry() -> None:
    services = a_row(DeliveryStatus.EXPIRED)
    (key,) = services.requests.kept
    services.requests.kept[key] = b"{}"

    assert retry_delivery(RETRY, ADMIN, services).status == 202


def test_two_admins_retry_once() -> None:
    services = a_row(DeliveryStatus.REJECTED)
    services.deliveries.save = lambda _: None  # type: ignore[method-assign,assignment]
    with pytest.raises(ConflictError, match="still_under_way"):
        retry_delivery(RETRY, ADMIN, services)


def test_a_refused_mail_is_sent_once_the_reason_is_gone() -> None:
    services = enabled_services()
    services.transport.fail = [RejectedError("mailbox_full", address="ada@contoso.com")]
    deliver(a_message(messageId="m-1"), "q-1", services)
    retry_delivery(RETRY, ADMIN, services)
    deliver(services.outbox.messages[0][0], "q-2", services)

    assert services.deliveries.rows[CONTOSO, "m-1"].status is DeliveryStatus.ACCEPTED


def test_a_mail_with_unknown_outcome_is_sent_again_if_the_admin_confirms() -> None:
    services = large_file_services()
    services.transport.fail = [OutcomeUnknownError("outcome_unknown")]
    deliver(a_message(messageId="m-1", saveToSentItems=False), "q-1", services)
    assert replace(services.deliveries.rows[CONTOSO, "m-1"]).status is DeliveryStatus.UNKNOWN
    retry_delivery(RETRY, ADMIN, services)
    deliver(services.outbox.messages[0][0], "q-2", services)

    assert len(services.transport.sent) == 1


@pytest.mark.parametrize("unavailable", ["graph", "entra", "vault"])
def test_mails_that_failed_in_an_outage_over_a_day_are_sent_after_a_retry(unavailable: str) -> None:
    services = enabled_services()
    ports = {"graph": services.transport, "entra": services.authorizer, "vault": services.vault}
    failures = ports[unavailable].fail  # type: ignore[attr-defined]
    error = {
        "graph": TransientError("graph_unavailable"),
        "entra": EntraUnavailableError(),
        "vault": TransientError("key_vault_unavailable"),
    }[unavailable]
    ids = [f"m-{number}" for number in range(3)]
    for message_id in ids:
        failures.append(error)
        deliver(a_message(messageId=message_id), "q-1", services)
    while services.outbox.messages:
        text, delay = services.outbox.messages.pop(0)
        services.system.pass_time(delay)
        failures.append(error)
        deliver(text, "q-2", services)
    failures.clear()
    rows = services.deliveries.rows
    assert services.system.now() - NOON > timedelta(hours=20)
    assert {rows[CONTOSO, message_id].status for message_id in ids} == {DeliveryStatus.EXPIRED}
    expired = call(list_deliveries, services, query={"status": "expired"})
    assert sorted(found["messageId"] for found in content(expired)["deliveries"]) == ids

    for message_id in ids:
        reply = retry_delivery(a_request(route={"message_id": message_id}), ADMIN, services)
        assert reply.status == 202
    for text, _ in list(services.outbox.messages):
        deliver(text, "q-3", services)
    assert {rows[CONTOSO, message_id].status for message_id in ids} == {DeliveryStatus.ACCEPTED}
