"""The timer settles claims that expired long ago without a redelivery."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.deliveries.delivery import CLAIM_DURATION, Delivery
from shared.deliveries.status import DeliveryStatus
from shared.deliveries.uncertain_send import HandOver
from shared.errors import (
    ConfigurationError,
    ConsentRequiredError,
    ProblemError,
    RejectedError,
    TransientError,
)
from shared.mail.message import parse_mail_request
from shared.mail.payload import KEY_PROPERTY, delivery_key
from shared.sending.attempt import first_row
from shared.sending.deliver import deliver
from shared.sending.errors import GraphTimeoutError
from shared.sending.maintenance import release_all
from tests.builders import a_message, enabled_services, large_file_services
from tests.fakes import CONTOSO, NOON, FakeMail, FakeServices

#: An hour after the mail was claimed nothing is done yet.
LOST = CLAIM_DURATION + timedelta(minutes=31)


def resolve_lost_claims(services: FakeServices) -> None:
    """Let the timer run until it settles lost claims."""
    for _ in range(2):
        services.system.pass_time(LOST)
        release_all(services)


def lost_claim(services: FakeServices, *, handed_over: bool) -> Delivery:
    mail = parse_mail_request(a_message(messageId="lost"))
    row = replace(first_row(mail, NOON), installation=None).with_claim("q-1", NOON, "claim-1")
    if handed_over:
        row = replace(row, hand_over=HandOver(NOON, 1))
    services.deliveries.add(row)
    return row


@pytest.mark.parametrize(
    ("handed_over", "status", "code"),
    [
        (True, DeliveryStatus.UNKNOWN, "outcome_unknown"),
        (False, DeliveryStatus.EXPIRED, "request_not_kept"),
    ],
)
def test_a_claim_whose_message_is_gone_is_ended(
    handed_over: bool,  # noqa: FBT001
    status: DeliveryStatus,
    code: str,
) -> None:
    services = enabled_services()
    lost_claim(services, handed_over=handed_over)
    services.system.pass_time(LOST - timedelta(minutes=1))
    release_all(services)
    services.system.pass_time(timedelta(minutes=29))
    release_all(services)
    assert services.deliveries.rows[CONTOSO, "lost"].status is DeliveryStatus.SENDING

    resolve_lost_claims(services)
    found = services.deliveries.rows[CONTOSO, "lost"]
    assert found.status is status
    assert found.problem is not None
    assert found.problem.code == code
    assert found.problem.problem.detail


def test_a_claim_whose_request_is_stored_continues() -> None:
    services = enabled_services()
    lost_claim(services, handed_over=False)
    services.requests.save(CONTOSO, "lost", a_message(messageId="lost"))
    resolve_lost_claims(services)
    deliver(services.outbox.messages[-1][0], "q-2", services)

    assert services.deliveries.rows[CONTOSO, "lost"].status is DeliveryStatus.ACCEPTED


def test_a_mail_that_ended_without_its_request_is_sent_when_queued_again() -> None:
    services = enabled_services()
    lost_claim(services, handed_over=False)
    resolve_lost_claims(services)
    deliver(a_message(messageId="lost"), "q-2", services)

    assert services.deliveries.rows[CONTOSO, "lost"].status is DeliveryStatus.ACCEPTED


def test_a_claim_that_another_worker_ends_meanwhile_is_left_to_it() -> None:
    services = enabled_services()
    lost_claim(services, handed_over=True)
    services.system.pass_time(LOST)
    services.deliveries.save = lambda _: None  # type: ignore[method-assign, assignment]
    release_all(services)

    assert services.deliveries.rows[CONTOSO, "lost"].status is DeliveryStatus.SENDING


def test_a_claim_that_changes_between_list_and_read_is_not_changed() -> None:
    services = enabled_services()
    lost_claim(services, handed_over=True)
    services.system.pass_time(LOST)
    find = services.deliveries.find

    def claimed_meanwhile(tenant_id: str, message_id: str) -> Delivery | None:
        found = find(tenant_id, message_id)
        return found and found.with_claim("q-9", services.system.now())

    services.deliveries.find = claimed_meanwhile  # type: ignore[method-assign]
    release_all(services)

    assert services.deliveries.rows[CONTOSO, "lost"].claimed_by == "q-1"


def row(services: FakeServices) -> Delivery:
    return services.deliveries.rows[CONTOSO, "lost"]


def copy_in_mailbox(services: FakeServices, *, is_draft: bool = False) -> None:
    key = {"id": KEY_PROPERTY, "value": delivery_key(CONTOSO, "lost")}
    mail = FakeMail({"singleValueExtendedProperties": [key]}, is_draft=is_draft)
    services.transport.mails["copy"] = mail


def test_what_the_worker_knows_is_waited_for_after_an_outage_of_the_tables() -> None:
    """The message about the acceptance waits up to a quarter of an hour."""
    services = enabled_services()
    save = services.deliveries.save

    def unavailable(_: Delivery) -> Delivery | None:
        raise TransientError("storage_unavailable", service="tables")

    services.deliveries.save = unavailable  # type: ignore[method-assign, assignment]
    deliver(a_message(messageId="lost"), "q-1", services)
    ((accepted, _),) = services.outbox.messages
    assert accepted.startswith(b'{"accepted":')
    services.system.pass_time(timedelta(hours=3))
    services.deliveries.save = save  # type: ignore[method-assign]
    for _ in range(3):
        release_all(services)
        services.system.pass_time(timedelta(minutes=5))
    assert row(services).status is DeliveryStatus.SENDING
    deliver(accepted, "q-2", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert row(services).lost_since is None


def test_a_lost_since_time_in_the_future_is_replaced() -> None:
    services = enabled_services()
    lost_claim(services, handed_over=False)
    services.deliveries.save(replace(row(services), lost_since=NOON + timedelta(days=9)))
    services.system.pass_time(LOST)
    release_all(services)

    assert row(services).lost_since == NOON + LOST


@pytest.mark.parametrize(
    ("is_draft", "status"), [(False, DeliveryStatus.ACCEPTED), (True, DeliveryStatus.UNKNOWN)]
)
def test_a_mail_that_was_being_handed_over_is_searched_in_the_mailbox(
    is_draft: bool,  # noqa: FBT001
    status: DeliveryStatus,
    caplog: pytest.LogCaptureFixture,
) -> None:
    services = large_file_services()
    lost_claim(services, handed_over=True)
    copy_in_mailbox(services, is_draft=is_draft)
    with caplog.at_level(logging.INFO):
        resolve_lost_claims(services)

    assert row(services).status is status
    assert ("mail_accepted {" in caplog.text) is (status is DeliveryStatus.ACCEPTED)
    assert (row(services).uncertain_send is None) is (status is DeliveryStatus.ACCEPTED)


def test_an_acceptance_that_another_worker_overtakes_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    services = large_file_services()
    lost_claim(services, handed_over=True)
    copy_in_mailbox(services)
    services.system.pass_time(LOST)
    release_all(services)
    services.deliveries.save = lambda _: None  # type: ignore[method-assign, assignment]
    with caplog.at_level(logging.INFO):
        resolve_lost_claims(services)

    assert "mail_accepted {" not in caplog.text


def test_without_the_permission_to_read_the_mailbox_nothing_is_searched() -> None:
    services = enabled_services()
    lost_claim(services, handed_over=True)
    resolve_lost_claims(services)

    assert row(services).status is DeliveryStatus.UNKNOWN
    assert "find" not in services.transport.calls


def test_a_mail_of_a_later_consent_is_not_searched_in_another_mailbox() -> None:
    services = large_file_services()
    lost_claim(services, handed_over=True)
    services.deliveries.save(replace(row(services), hand_over=HandOver(NOON, 7)))
    copy_in_mailbox(services)
    resolve_lost_claims(services)

    assert row(services).status is DeliveryStatus.UNKNOWN


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (TransientError("graph_unavailable"), DeliveryStatus.SENDING),
        (
            RejectedError("mailbox_not_found", address="ada@contoso.com", graph_code="ErrorItemNotFound"),
            DeliveryStatus.SENDING,
        ),
        (ConfigurationError("host_not_found", host="graph"), DeliveryStatus.SENDING),
        (ConsentRequiredError("consent_lost", account="ada", error="e"), DeliveryStatus.UNKNOWN),
    ],
)
def test_a_mailbox_search_is_repeated_unless_the_consent_is_lost(
    error: ProblemError, status: DeliveryStatus
) -> None:
    services = large_file_services()
    lost_claim(services, handed_over=True)

    def refuse(*_: Any) -> Any:
        raise error

    services.transport.find = refuse  # type: ignore[method-assign, assignment]
    resolve_lost_claims(services)

    assert row(services).status is status


def test_an_endless_search_delays_no_mail_and_ends_after_a_day() -> None:
    services = large_file_services()
    lost_claim(services, handed_over=True)
    services.transport.fail = [GraphTimeoutError()] * 2
    services.system.pass_time(LOST)
    release_all(services)
    waiting = first_row(parse_mail_request(a_message(messageId="waiting")), services.system.now())
    services.deliveries.add(replace(waiting, status=DeliveryStatus.WAITING_FOR_OPERATOR))
    services.system.pass_time(LOST)
    release_all(services)
    released, first = len(services.outbox.messages), row(services).status
    services.system.pass_time(timedelta(days=1))
    release_all(services)

    assert released == 1
    assert (first, row(services).status) == (DeliveryStatus.SENDING, DeliveryStatus.UNKNOWN)


def test_a_claim_by_a_worker_with_a_clock_far_ahead_is_judged_by_its_age() -> None:
    """The list has the worker's time; a single row is read on this host's."""
    services = enabled_services()
    lost_claim(services, handed_over=False)
    true = row(services)
    ahead = replace(true, claim_ends_at=NOON + timedelta(days=400), claim_id_until=NOON + timedelta(days=400))
    services.deliveries.pending = lambda *_: iter([ahead])  # type: ignore[method-assign]
    services.system.pass_time(LOST)
    release_all(services)

    assert row(services).lost_since == NOON + LOST


def test_an_end_that_another_worker_overtakes_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    services = enabled_services()
    lost_claim(services, handed_over=True)
    services.system.pass_time(LOST)
    release_all(services)
    services.deliveries.save = lambda _: None  # type: ignore[method-assign, assignment]
    resolve_lost_claims(services)

    assert "mail_outcome_unknown {" not in caplog.text


def test_the_lost_claim_of_another_installation_is_not_changed() -> None:
    services = enabled_services()
    lost_claim(services, handed_over=False)
    services.deliveries.save(replace(row(services), installation="another-client"))
    resolve_lost_claims(services)

    assert row(services).status is DeliveryStatus.SENDING
    assert row(services).lost_since is None


def test_lost_claims_of_another_installation_do_not_hide_own_ones() -> None:
    services = enabled_services()
    lost_claim(services, handed_over=False)
    for number in range(200):
        older = replace(row(services), message_id=f"a-{number}", queued_at=NOON - timedelta(days=1))
        services.deliveries.add(replace(older, installation="another-client"))
    resolve_lost_claims(services)

    assert row(services).status is DeliveryStatus.EXPIRED
