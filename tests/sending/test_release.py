"""What the clock looks after."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.deliveries.delivery import Delivery, DeliveryStatus
from shared.deliveries.resume import resume_message
from shared.deliveries.waiting import release_waiting, resume_overdue
from shared.errors import ConfigurationError, ConsentRequiredError, TransientError
from shared.sending.deliver import deliver
from shared.sending.release import release_all
from shared.settings.tenant import Status
from tests.builders import a_file, a_message, enabled_services, large_file_services, some_settings
from tests.fakes import CONTOSO, FABRIKAM, NOON, FakeServices

CONSENT = DeliveryStatus.WAITING_FOR_CONSENT


def waiting_services(count: int, status: DeliveryStatus = CONSENT) -> FakeServices:
    """Build services that can send, with mails that still wait; the one with the highest number is oldest."""
    services = enabled_services()
    for number in range(count):
        moment = NOON - timedelta(minutes=number)
        row = Delivery(CONTOSO, f"m-{number:04d}", status, moment, moment, moment - timedelta(days=3))
        services.deliveries.add(row)
    return services


def released(services: FakeServices) -> list[tuple[str, float]]:
    return [
        (text.decode().rpartition("m-")[2][:4], delay.total_seconds())
        for text, delay in services.outbox.messages
    ]


def test_waiting_mail_goes_out_oldest_first_and_paced() -> None:
    services = waiting_services(3)

    assert release_waiting(CONTOSO, CONSENT, services) == 3

    assert released(services) == [("0002", 0), ("0001", 2), ("0000", 4)]
    row = services.deliveries.rows[CONTOSO, "m-0001"]
    assert (row.status, row.next_attempt_at) == (DeliveryStatus.DEFERRED, NOON + timedelta(seconds=2))


def test_days_of_waiting_do_not_count_against_a_released_mail() -> None:
    services = waiting_services(1)
    release_waiting(CONTOSO, CONSENT, services)

    assert services.deliveries.rows[CONTOSO, "m-0000"].trying_since == NOON


def test_a_thousand_mails_leave_at_thirty_a_minute_and_in_order() -> None:
    services = waiting_services(1000)
    order: list[str] = []
    for _ in range(7):
        release_all(services)
        order += [message for message, _ in released(services)]
        assert len(services.outbox.messages) <= 150
        assert all(delay < 300 for _, delay in released(services))
        services.outbox.messages.clear()

    assert order == [f"{number:04d}" for number in reversed(range(1000))]


def test_a_mail_that_moved_on_between_two_looks_is_left_as_it_is() -> None:
    services = waiting_services(1)
    log = services.deliveries
    listed = log.set_aside(CONTOSO, [CONSENT], 9)
    row = log.rows[CONTOSO, "m-0000"]
    log.save(replace(row, status=DeliveryStatus.SENDING))
    log.set_aside = lambda *_: listed  # type: ignore[method-assign]
    release_waiting(CONTOSO, CONSENT, services)

    assert log.rows[CONTOSO, "m-0000"].status is DeliveryStatus.SENDING


@pytest.mark.parametrize("status", [CONSENT, DeliveryStatus.WAITING_FOR_OPERATOR])
def test_a_tenant_that_can_send_gets_its_mail_released(status: DeliveryStatus) -> None:
    services = waiting_services(1, status)
    release_all(services)

    assert len(services.outbox.messages) == 1


def test_a_tenant_without_a_consent_keeps_waiting() -> None:
    services = waiting_services(1)
    settings = services.settings.load(CONTOSO)
    services.settings.save(replace(settings, status=Status.RECONNECT_NEEDED))
    release_all(services)

    assert not services.outbox.messages
    assert not services.authorizer.refreshed


def test_a_tenant_with_nothing_waiting_costs_no_look_at_its_settings() -> None:
    services = enabled_services(status=Status.OPERATOR_ERROR)
    release_all(services)

    assert not services.authorizer.refreshed


@pytest.mark.parametrize(
    ("failure", "status", "goes_out"),
    [
        (None, Status.ENABLED, True),
        (
            ConfigurationError("client_credential_refused", error="invalid_client"),
            Status.OPERATOR_ERROR,
            False,
        ),
        (
            ConsentRequiredError("consent_lost", account="a", error="invalid_grant"),
            Status.RECONNECT_NEEDED,
            False,
        ),
        (TransientError("entra_unavailable"), Status.OPERATOR_ERROR, False),
    ],
)
def test_what_the_operator_may_have_mended_is_tried(
    failure: Exception | None,
    status: Status,
    goes_out: bool,  # noqa: FBT001
) -> None:
    services = waiting_services(1, DeliveryStatus.WAITING_FOR_OPERATOR)
    settings = services.settings.load(CONTOSO)
    services.settings.save(replace(settings, status=Status.OPERATOR_ERROR))
    services.authorizer.fail = [failure, failure] if failure else []
    release_all(services)

    assert services.settings.load(CONTOSO).status is status
    assert bool(services.outbox.messages) is goes_out


def test_a_tenant_that_fails_keeps_no_other_from_its_mail(caplog: pytest.LogCaptureFixture) -> None:
    services = waiting_services(1)
    services.settings.rows = {FABRIKAM: some_settings(), **services.settings.rows}
    count = services.deliveries.count

    def away_for_one(tenant_id: str, statuses: object) -> int:
        if tenant_id == FABRIKAM:
            raise TransientError("storage_unavailable", service="tables")
        return count(tenant_id, statuses)  # type: ignore[arg-type]

    services.deliveries.count = away_for_one  # type: ignore[method-assign]
    with caplog.at_level(logging.WARNING):
        release_all(services)

    assert len(services.outbox.messages) == 1
    assert FABRIKAM in caplog.text


def test_a_mail_whose_note_got_lost_is_queued_again() -> None:
    services = enabled_services()
    services.transport.fail = [TransientError("graph_unavailable")]
    deliver(a_message(messageId="m-1"), "q-1", services)
    services.outbox.messages.clear()
    release_all(services)
    assert not services.outbox.messages

    services.world.pass_time(timedelta(minutes=16))
    release_all(services)

    assert services.outbox.messages == [(resume_message(CONTOSO, "m-1"), timedelta(0))]


def half_made() -> FakeServices:
    services = large_file_services(large=os.urandom(4_000_000))
    services.transport.fail_at = {"put_chunk": [TransientError("graph_unavailable")]}
    deliver(a_message(messageId="m-1", attachments=[a_file("large")]), "q-1", services)
    assert services.transport.drafts
    return services


def left_behind() -> FakeServices:
    """Leave a draft of a mail that came to its end, and that could not be removed then."""
    services = half_made()
    row = services.deliveries.rows[CONTOSO, "m-1"]
    assert services.deliveries.save(row.moved(DeliveryStatus.REJECTED, NOON))
    return services


def test_a_half_made_mail_does_not_stay_in_drafts_for_a_day() -> None:
    services = left_behind()
    services.world.pass_time(timedelta(hours=11))
    release_all(services)
    assert services.transport.drafts

    services.world.pass_time(timedelta(hours=2))
    release_all(services)

    assert not services.transport.drafts
    assert not services.drafts.kept


def test_a_draft_whose_mailbox_cannot_be_reached_now_is_tried_again_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    services = left_behind()
    settings = services.settings.load(CONTOSO)
    services.settings.save(replace(settings, consent=None))
    services.world.pass_time(timedelta(hours=13))
    with caplog.at_level(logging.WARNING):
        release_all(services)

    assert "consent_missing" in caplog.text
    assert services.drafts.kept


def test_a_mail_that_is_on_its_way_keeps_its_draft() -> None:
    services = half_made()
    services.world.pass_time(timedelta(hours=13))
    release_all(services)

    assert services.transport.drafts


def test_drafts_go_before_the_mails_that_would_use_them() -> None:
    services = half_made()
    row = services.deliveries.rows[CONTOSO, "m-1"]
    assert services.deliveries.save(row.moved(DeliveryStatus.WAITING_FOR_OPERATOR, NOON))
    services.world.pass_time(timedelta(hours=60))
    seen: list[object] = []
    services.outbox.put = lambda *_: seen.append(list(services.transport.drafts))  # type: ignore[method-assign]
    release_all(services)

    assert seen == [[]]


def test_a_mail_that_came_before_there_were_settings_is_looked_after() -> None:
    services = FakeServices()
    row = Delivery(CONTOSO, "m-0001", DeliveryStatus.WAITING_FOR_OPERATOR, NOON, NOON, NOON)
    services.deliveries.add(row)
    release_all(services)

    assert released(services) == [("0001", 0)]


def test_an_overdue_mail_is_queued_once_and_not_at_every_look() -> None:
    services = half_made()
    services.outbox.messages.clear()
    services.world.pass_time(timedelta(minutes=20))
    for _ in range(3):
        release_all(services)
        services.world.pass_time(timedelta(minutes=5))

    assert len(services.outbox.messages) == 1


def test_an_overdue_mail_that_goes_on_at_this_moment_is_left_alone() -> None:
    services = half_made()
    services.outbox.messages.clear()
    services.world.pass_time(timedelta(minutes=20))
    listed = services.deliveries.set_aside

    def taken_meanwhile(*arguments: Any) -> tuple[Delivery, ...]:
        mails = listed(*arguments)
        row = services.deliveries.rows[CONTOSO, "m-1"]
        services.deliveries.save(row.claimed("q-2", services.world.now()))
        return mails

    services.deliveries.set_aside = taken_meanwhile  # type: ignore[method-assign,assignment]
    resume_overdue(CONTOSO, services)

    assert not services.outbox.messages


def test_an_overdue_mail_is_found_behind_older_ones_that_are_in_time() -> None:
    services = enabled_services()
    for number in range(200):
        moment = NOON - timedelta(hours=1) + timedelta(seconds=number)
        later = NOON + timedelta(hours=6)
        row = Delivery(CONTOSO, f"m-{number:04d}", DeliveryStatus.DEFERRED, moment, NOON, NOON)
        services.deliveries.add(replace(row, next_attempt_at=later if number < 199 else NOON))
    services.world.pass_time(timedelta(minutes=16))
    release_all(services)

    assert released(services) == [("0199", 0)]


def test_a_mail_that_is_taken_and_put_aside_again_while_it_is_released_is_not_lost() -> None:
    services = waiting_services(0)
    settings = services.settings.load(CONTOSO)
    services.settings.save(replace(settings, status=Status.NOT_CONFIGURED, sender=None, consent=None))
    deliver(a_message(messageId="m-1"), "q-1", services)
    put = services.outbox.put

    def taken_at_once(text: bytes, _delay: timedelta) -> None:
        services.outbox.put = put  # type: ignore[method-assign]
        deliver(text, "q-2", services)

    services.outbox.put = taken_at_once  # type: ignore[method-assign,assignment]
    release_waiting(CONTOSO, CONSENT, services)

    assert services.deliveries.rows[CONTOSO, "m-1"].status is CONSENT


def test_what_nobody_foresaw_at_one_tenant_goes_up_after_the_others_were_looked_after() -> None:
    services = waiting_services(1)
    services.settings.rows = {FABRIKAM: some_settings(), **services.settings.rows}
    count = services.deliveries.count

    def broken_for_one(tenant_id: str, statuses: object) -> int:
        if tenant_id == FABRIKAM:
            raise KeyError(tenant_id)
        return count(tenant_id, statuses)  # type: ignore[arg-type]

    services.deliveries.count = broken_for_one  # type: ignore[method-assign]
    for first in (FABRIKAM, CONTOSO):
        services.settings.rows = {first: services.settings.rows[first], **services.settings.rows}
        with pytest.raises(KeyError):
            release_all(services)

    assert released(services) == [("0000", 0)]


def test_drafts_that_take_long_to_remove_do_not_keep_mails_waiting() -> None:
    services = left_behind()
    for number in range(5):
        services.drafts.keep(CONTOSO, f"old-{number}", b"{}")
    waiting = Delivery(CONTOSO, "m-0001", DeliveryStatus.WAITING_FOR_OPERATOR, NOON, NOON, NOON)
    services.deliveries.add(waiting)
    services.world.pass_time(timedelta(hours=13))
    started = services.world.now()
    find = services.deliveries.find

    def slowly(tenant_id: str, message_id: str) -> Delivery | None:
        services.world.pass_time(timedelta(seconds=100))
        return find(tenant_id, message_id)

    services.deliveries.find = slowly  # type: ignore[method-assign]
    services.outbox.messages.clear()
    release_all(services)

    assert released(services) == [("0001", 0)]
    assert services.world.now() - started < timedelta(minutes=8)
