"""What an admin may send again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.deliveries.delivery import Delivery, DeliveryStatus, Doubt
from shared.deliveries.retry import retry_delivery
from shared.errors import ConflictError, NotFoundError, OutcomeUnknownError, RejectedError
from shared.sending.deliver import deliver
from tests.builders import ADMIN, a_message, enabled_services, large_file_services
from tests.calls import a_request, content
from tests.fakes import CONTOSO, NOON, FakeServices

RETRY = a_request(route={"message_id": "m-1"})


def a_row(status: DeliveryStatus) -> FakeServices:
    services = FakeServices()
    services.deliveries.add(Delivery(CONTOSO, "m-1", status, NOON, NOON, NOON, doubt=Doubt(NOON)))
    services.requests.keep(CONTOSO, "m-1", a_message(messageId="m-1"))
    return services


@pytest.mark.parametrize(
    "status", ["rejected", "expired", "unknown", "waiting_for_consent", "waiting_for_operator"]
)
def test_what_was_not_sent_can_be_retried(status: str) -> None:
    services = a_row(DeliveryStatus(status))
    services.world.pass_time(timedelta(days=2))
    reply = retry_delivery(RETRY, ADMIN, services)

    assert (reply.status, content(reply)["status"]) == (202, "deferred")
    assert len(services.outbox.messages) == 1
    row = services.deliveries.rows[CONTOSO, "m-1"]
    assert row.trying_since == services.world.now()
    assert (row.doubt is None) is (status == "unknown")


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


def test_a_mail_that_nobody_knows_cannot() -> None:
    with pytest.raises(NotFoundError):
        retry_delivery(RETRY, ADMIN, FakeServices())


def test_a_mail_that_is_not_kept_any_more_cannot() -> None:
    services = a_row(DeliveryStatus.REJECTED)
    services.requests.kept.clear()
    with pytest.raises(ConflictError, match="request_not_kept"):
        retry_delivery(RETRY, ADMIN, services)


def test_two_admins_retry_once() -> None:
    services = a_row(DeliveryStatus.REJECTED)
    services.deliveries.save = lambda _: None  # type: ignore[method-assign,assignment]
    with pytest.raises(ConflictError, match="still_under_way"):
        retry_delivery(RETRY, ADMIN, services)


def test_a_refused_mail_goes_out_once_the_reason_is_gone() -> None:
    services = enabled_services()
    services.transport.fail = [RejectedError("mailbox_full", address="ada@contoso.com")]
    deliver(a_message(messageId="m-1"), "q-1", services)
    retry_delivery(RETRY, ADMIN, services)
    deliver(services.outbox.messages[0][0], "q-2", services)

    assert services.deliveries.rows[CONTOSO, "m-1"].status is DeliveryStatus.ACCEPTED


def test_an_unknown_outcome_is_sent_again_because_the_admin_says_so() -> None:
    services = large_file_services()
    services.transport.fail = [OutcomeUnknownError("outcome_unknown")]
    deliver(a_message(messageId="m-1", saveToSentItems=False), "q-1", services)
    assert replace(services.deliveries.rows[CONTOSO, "m-1"]).status is DeliveryStatus.UNKNOWN
    retry_delivery(RETRY, ADMIN, services)
    deliver(services.outbox.messages[0][0], "q-2", services)

    assert len(services.transport.sent) == 1
