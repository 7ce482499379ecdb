"""The five-minute timer."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.config import check_settings
from shared.consent.errors import EntraUnavailableError
from shared.deliveries.delivery import Delivery
from shared.deliveries.release import release_waiting, resume_overdue
from shared.deliveries.requeue import next_attempt_message
from shared.deliveries.status import DeliveryStatus
from shared.errors import (
    ConfigurationError,
    ConsentRequiredError,
    RejectedError,
    TokenRefusedError,
    TransientError,
)
from shared.mail.message import parse_mail_request
from shared.sending.attempt import first_row
from shared.sending.deliver import deliver
from shared.sending.errors import AccessDeniedError, MailboxNotFoundError, UnexpectedResponseError
from shared.sending.maintenance import release_all
from shared.settings.operator_log import OperatorAction
from shared.settings.sending_switch import SendingPause
from shared.settings.tenant import ActiveProblem, Status
from tests.builders import a_file, a_message, enabled_services, large_file_services, some_settings
from tests.fakes import CONTOSO, FABRIKAM, NOON, FakeServices

if TYPE_CHECKING:
    from collections.abc import Iterator

CONSENT = DeliveryStatus.WAITING_FOR_CONSENT


def waiting_services(count: int, status: DeliveryStatus = CONSENT) -> FakeServices:
    """Build services that can send, with waiting mails; the last is oldest."""
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


def test_waiting_mail_is_sent_oldest_first_and_paced() -> None:
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


def test_a_mail_that_changes_between_two_reads_is_not_changed() -> None:
    services = waiting_services(1)
    log = services.deliveries
    listed = log.list_pending(CONTOSO, [CONSENT], 9)
    row = log.rows[CONTOSO, "m-0000"]
    log.save(replace(row, status=DeliveryStatus.SENDING))
    log.list_pending = lambda *_: listed  # type: ignore[method-assign]
    release_waiting(CONTOSO, CONSENT, services)

    assert log.rows[CONTOSO, "m-0000"].status is DeliveryStatus.SENDING


@pytest.mark.parametrize("status", [CONSENT, DeliveryStatus.WAITING_FOR_OPERATOR])
def test_a_tenant_that_can_send_gets_its_mail_released(status: DeliveryStatus) -> None:
    services = waiting_services(1, status)
    release_all(services)

    assert len(services.outbox.messages) == 1


def lost_services() -> FakeServices:
    """Build services with a mail that waits for a refused consent."""
    services = waiting_services(1)
    problem = ActiveProblem("consent_lost", NOON, {"account": "ada@contoso.com", "error": "AADSTS65001"})
    settings = services.settings.load(CONTOSO)
    services.settings.save(replace(settings, status=Status.RECONNECT_NEEDED, problem=problem))
    return services


def test_a_tenant_without_a_consent_keeps_waiting() -> None:
    services = lost_services()
    services.system.pass_time(timedelta(minutes=5))
    release_all(services)

    assert not services.outbox.messages
    assert not services.authorizer.refreshed


def test_a_lost_consent_is_tried_hourly_and_mail_is_sent_once_it_works(
    caplog: pytest.LogCaptureFixture,
) -> None:
    services = lost_services()
    services.authorizer.fail.append(
        ConsentRequiredError("consent_lost", account="ada@contoso.com", error="AADSTS65001")
    )
    release_all(services)
    assert services.settings.load(CONTOSO).status is Status.RECONNECT_NEEDED
    assert "consent_lost" not in caplog.text

    services.system.pass_time(timedelta(hours=1))
    release_all(services)

    assert services.settings.load(CONTOSO).status is Status.ENABLED
    assert len(services.outbox.messages) == 1


def test_another_reason_for_a_lost_consent_is_shown() -> None:
    services = lost_services()
    services.authorizer.fail.append(ConsentRequiredError("sign_in_blocked", error="AADSTS53003"))
    release_all(services)

    problem = services.settings.load(CONTOSO).problem
    assert problem is not None
    assert problem.code == "sign_in_blocked"


@pytest.mark.parametrize("mail_waits", [False, True])
def test_a_token_is_tried_only_where_mail_waits(*, mail_waits: bool) -> None:
    services = enabled_services(status=Status.OPERATOR_ERROR)
    if mail_waits:
        deliver(a_message(), "q-1", services)
    release_all(services)

    assert bool(services.authorizer.refreshed) is mail_waits


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
        (EntraUnavailableError(), Status.OPERATOR_ERROR, False),
    ],
)
def test_what_the_operator_may_have_fixed_is_tried(
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


class Graph:
    """Fails a search of the mailbox with this error, or finds nothing."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.requests = 0

    def find(self, *_: object) -> tuple[object, ...]:
        self.requests += 1
        if self.error:
            raise self.error
        return ()


NO_READ = RejectedError("access_denied", graph_code="ErrorAccessDenied", address="ada@contoso.com")


@pytest.mark.parametrize(
    ("minute", "error", "searches", "status"),
    [
        (0, None, 1, Status.ENABLED),
        (10, NO_READ, 1, Status.ENABLED),
        (10, TokenRefusedError("token_refused", error="e"), 1, Status.OPERATOR_ERROR),
        (10, TransientError("graph_unavailable"), 1, Status.OPERATOR_ERROR),
        (10, AccessDeniedError(graph_code="Forbidden", address="a"), 1, Status.ENABLED),
        (10, UnexpectedResponseError(graph_code="InefficientFilter"), 1, Status.ENABLED),
        (10, UnexpectedResponseError(graph_code="HTTP 403"), 1, Status.OPERATOR_ERROR),
        (10, MailboxNotFoundError(graph_code="NotFound", address="a"), 1, Status.ENABLED),
        (5, None, 0, Status.OPERATOR_ERROR),
        (15, None, 0, Status.OPERATOR_ERROR),
    ],
)
def test_a_token_is_shown_to_graph_every_ten_minutes_until_it_takes_one(
    minute: int, error: Exception | None, searches: int, status: Status
) -> None:
    services = waiting_services(1, DeliveryStatus.WAITING_FOR_OPERATOR)
    problem = ActiveProblem("token_refused", NOON, {"error": "InvalidAuthenticationToken"})
    settings = services.settings.load(CONTOSO)
    services.settings.save(replace(settings, status=Status.OPERATOR_ERROR, problem=problem))
    services.transport = graph = Graph(error)  # type: ignore[assignment]
    services.system.pass_time(timedelta(minutes=minute))

    release_all(services)

    assert graph.requests == searches
    assert services.settings.load(CONTOSO).status is status
    assert bool(services.outbox.messages) is (status is Status.ENABLED)


def test_a_tenant_that_fails_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    services = waiting_services(1)
    services.settings.rows = {FABRIKAM: some_settings(), **services.settings.rows}
    count = services.deliveries.count

    def unavailable_for_one(tenant_id: str, statuses: object) -> int:
        if tenant_id == FABRIKAM:
            raise TransientError("storage_unavailable", service="tables")
        return count(tenant_id, statuses)  # type: ignore[arg-type]

    services.deliveries.count = unavailable_for_one  # type: ignore[method-assign]
    with caplog.at_level(logging.WARNING):
        release_all(services)

    assert len(services.outbox.messages) == 1
    assert FABRIKAM in caplog.text


def test_a_mail_whose_requeue_message_was_lost_is_queued_again() -> None:
    services = enabled_services()
    services.transport.fail = [TransientError("graph_unavailable")]
    deliver(a_message(messageId="m-1"), "q-1", services)
    services.outbox.messages.clear()
    release_all(services)
    assert not services.outbox.messages

    services.system.pass_time(timedelta(minutes=16))
    release_all(services)

    row = services.deliveries.rows[CONTOSO, "m-1"]
    assert services.outbox.messages == [(next_attempt_message(row), timedelta(0))]


def with_unfinished_draft() -> FakeServices:
    services = large_file_services(large=os.urandom(4_000_000))
    services.transport.fail_at = {"put_chunk": [TransientError("graph_unavailable")]}
    deliver(a_message(messageId="m-1", attachments=[a_file("large")]), "q-1", services)
    assert services.transport.drafts
    return services


def with_orphaned_draft() -> FakeServices:
    """Leave a draft of a finished mail that could not be removed."""
    services = with_unfinished_draft()
    row = services.deliveries.rows[CONTOSO, "m-1"]
    assert services.deliveries.save(row.transition(DeliveryStatus.REJECTED, NOON))
    return services


def test_a_leftover_draft_is_removed_within_a_day() -> None:
    services = with_orphaned_draft()
    services.system.pass_time(timedelta(hours=11))
    release_all(services)
    assert services.transport.drafts

    services.system.pass_time(timedelta(hours=2))
    release_all(services)

    assert not services.transport.drafts
    assert not services.drafts.kept


def test_a_draft_whose_mailbox_cannot_be_reached_now_is_tried_again_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    services = with_orphaned_draft()
    settings = services.settings.load(CONTOSO)
    services.settings.save(replace(settings, consent=None))
    services.system.pass_time(timedelta(hours=13))
    with caplog.at_level(logging.WARNING):
        release_all(services)

    assert "consent_missing" in caplog.text
    assert services.drafts.kept


def test_a_mail_in_progress_keeps_its_draft() -> None:
    services = with_unfinished_draft()
    services.system.pass_time(timedelta(hours=13))
    release_all(services)

    assert services.transport.drafts


def test_a_mail_known_only_to_another_version_keeps_its_draft() -> None:
    services = with_unfinished_draft()
    known = services.deliveries.rows[CONTOSO, "m-1"]
    services.deliveries.rows[CONTOSO, "m-1"] = replace(known, status=DeliveryStatus.OTHER_VERSION)
    services.system.pass_time(timedelta(hours=13))
    release_all(services)

    assert services.transport.drafts


def test_drafts_are_removed_before_mails_that_would_use_them_are_released() -> None:
    services = with_unfinished_draft()
    row = services.deliveries.rows[CONTOSO, "m-1"]
    assert services.deliveries.save(row.transition(DeliveryStatus.WAITING_FOR_OPERATOR, NOON))
    services.system.pass_time(timedelta(hours=60))
    seen: list[object] = []
    services.outbox.put = lambda *_: seen.append(list(services.transport.drafts))  # type: ignore[method-assign]
    release_all(services)

    assert seen == [[]]


def test_a_mail_from_before_the_first_settings_is_maintained_too() -> None:
    services = FakeServices()
    row = Delivery(CONTOSO, "m-0001", DeliveryStatus.WAITING_FOR_OPERATOR, NOON, NOON, NOON)
    services.deliveries.add(row)
    release_all(services)

    assert released(services) == [("0001", 0)]


def test_an_overdue_mail_is_queued_once_and_not_at_every_look() -> None:
    services = with_unfinished_draft()
    services.outbox.messages.clear()
    services.system.pass_time(timedelta(minutes=20))
    for _ in range(3):
        release_all(services)
        services.system.pass_time(timedelta(minutes=5))

    assert len(services.outbox.messages) == 1


def test_an_overdue_mail_that_continues_at_this_moment_is_not_changed() -> None:
    services = with_unfinished_draft()
    services.outbox.messages.clear()
    services.system.pass_time(timedelta(minutes=20))
    listed = services.deliveries.pending

    def claimed_meanwhile(*arguments: Any) -> Iterator[Delivery]:
        yield from listed(*arguments)
        row = services.deliveries.rows[CONTOSO, "m-1"]
        services.deliveries.save(row.with_claim("q-2", services.system.now()))

    services.deliveries.pending = claimed_meanwhile  # type: ignore[method-assign,assignment]
    resume_overdue(CONTOSO, services)

    assert not services.outbox.messages


def test_mails_that_wait_for_a_setting_do_not_hide_younger_ones() -> None:
    services = enabled_services()
    status = DeliveryStatus.WAITING_FOR_OPERATOR
    too_large = ActiveProblem("message_too_large", NOON, {"needed": "40"})
    for number in range(5001):
        row = Delivery(CONTOSO, f"m-{number:04d}", status, NOON, NOON, NOON)
        services.deliveries.add(replace(row, problem=too_large if number < 5000 else None))
    release_all(services)

    assert released(services) == [("5000", 0.0)]


def test_an_overdue_mail_is_found_behind_older_ones_that_are_in_time() -> None:
    services = enabled_services()
    for number in range(200):
        moment = NOON - timedelta(hours=1) + timedelta(seconds=number)
        later = NOON + timedelta(hours=6)
        row = Delivery(CONTOSO, f"m-{number:04d}", DeliveryStatus.DEFERRED, moment, NOON, NOON)
        services.deliveries.add(replace(row, next_attempt_at=later if number < 199 else NOON))
    services.system.pass_time(timedelta(minutes=16))
    release_all(services)

    assert released(services) == [("0199", 0)]


def test_a_mail_claimed_and_set_aside_again_during_release_is_not_lost() -> None:
    services = waiting_services(0)
    settings = services.settings.load(CONTOSO)
    services.settings.save(replace(settings, status=Status.NOT_CONFIGURED, sender=None, consent=None))
    deliver(a_message(messageId="m-1"), "q-1", services)
    put = services.outbox.put

    def deliver_at_once(text: bytes, _delay: timedelta) -> None:
        services.outbox.put = put  # type: ignore[method-assign]
        deliver(text, "q-2", services)

    services.outbox.put = deliver_at_once  # type: ignore[method-assign,assignment]
    release_waiting(CONTOSO, CONSENT, services)

    assert services.deliveries.rows[CONTOSO, "m-1"].status is CONSENT


def test_an_unexpected_error_of_one_tenant_is_raised_after_the_others() -> None:
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


@pytest.mark.parametrize("set_back", [timedelta(0), timedelta(hours=1)])
def test_drafts_that_take_long_to_remove_do_not_delay_mails(set_back: timedelta) -> None:
    services = with_orphaned_draft()
    for number in range(5):
        services.drafts.save(CONTOSO, f"old-{number}", b"{}")
    waiting = Delivery(CONTOSO, "m-0001", DeliveryStatus.WAITING_FOR_OPERATOR, NOON, NOON, NOON)
    services.deliveries.add(waiting)
    services.system.pass_time(timedelta(hours=13))
    started = services.system.steady()
    find = services.deliveries.find

    def slowly(tenant_id: str, message_id: str) -> Delivery | None:
        services.system.pass_time(timedelta(seconds=100))
        services.system.set_clock(-set_back)
        return find(tenant_id, message_id)

    services.deliveries.find = slowly  # type: ignore[method-assign]
    services.outbox.messages.clear()
    release_all(services)

    assert released(services) == [("0001", 0)]
    assert services.system.steady() - started < timedelta(minutes=8)


def test_drafts_that_fail_slowly_do_not_hide_another_one() -> None:
    services = with_orphaned_draft()
    for number in range(5):
        services.drafts.save(CONTOSO, f"a-{number}", b"{}")
    services.system.pass_time(timedelta(hours=13))
    find = services.deliveries.find

    def fail_slowly(tenant_id: str, message_id: str) -> Delivery | None:
        if message_id.startswith("a-"):
            services.system.pass_time(timedelta(seconds=100))
            raise TransientError("storage_unavailable", service="tables")
        return find(tenant_id, message_id)

    services.deliveries.find = fail_slowly  # type: ignore[method-assign]
    for _ in range(6):
        release_all(services)
        services.system.pass_time(timedelta(minutes=5))

    assert not services.transport.drafts


def test_a_setting_that_is_broken_does_not_end_the_release() -> None:
    services = waiting_services(1)

    def broken(_: object) -> object:
        raise ConfigurationError("setting_missing", setting="ENTRA_TENANT_ID")

    kind: type = type("Broken", (type(services),), {"allowed_tenants": property(broken)})
    services.__class__ = kind
    release_all(services)

    assert released(services)


def test_a_wrong_setting_is_logged_every_five_minutes_by_its_name(caplog: pytest.LogCaptureFixture) -> None:
    services = FakeServices()
    services.setting_problems = check_settings({"SMTP_PROVIDER": "Office365", "ENTRA_TENANT_ID": "contoso"})
    for _ in range(2):
        release_all(services)

    lines = [line for line in caplog.messages if line.startswith("operator_error {")]
    named = [line for line in lines if '"setting": "ENTRA_TENANT_ID"' in line and "use one GUID" in line]
    assert len(named) == 2


def test_a_feature_that_is_switched_off_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    services = FakeServices()
    services.setting_problems = check_settings({})
    release_all(services)

    assert "operator_error" not in caplog.text


@pytest.mark.parametrize("ahead", [timedelta(days=30), timedelta(days=400)])
def test_a_next_attempt_in_an_impossible_future_is_ignored(
    ahead: timedelta,
) -> None:
    services = enabled_services()
    mail = a_message(messageId="late")
    row = first_row(parse_mail_request(mail), NOON)
    services.deliveries.add(row.transition(DeliveryStatus.DEFERRED, NOON, next_attempt_at=NOON + ahead))
    services.requests.save(CONTOSO, "late", mail)
    before = services.deliveries.rows[CONTOSO, "late"]
    resume_overdue(CONTOSO, services)
    ((message, _),) = services.outbox.messages
    services.deliveries.rows[CONTOSO, "late"] = before
    deliver(message, "q-1", services)

    assert services.deliveries.rows[CONTOSO, "late"].status is DeliveryStatus.ACCEPTED


def test_a_mail_that_was_delayed_without_a_time_is_left_to_its_message() -> None:
    services = enabled_services()
    row = first_row(parse_mail_request(a_message(messageId="m-1")), NOON)
    services.deliveries.add(row.transition(DeliveryStatus.DEFERRED, NOON))

    assert resume_overdue(CONTOSO, services) == 0
    assert not services.outbox.messages


def test_a_pause_of_another_installation_is_reported_and_stops_no_mail(
    caplog: pytest.LogCaptureFixture,
) -> None:
    services = enabled_services()
    services.pause_store.save(SendingPause(NOON, installation="another-client"))
    waiting = Delivery(CONTOSO, "m-1", DeliveryStatus.WAITING_FOR_OPERATOR, NOON, NOON, NOON)
    services.deliveries.add(waiting)
    release_all(services)

    assert released(services)
    assert '"problem": "other_installation"' in caplog.text
    assert '"theirs": "another-client"' in caplog.text
    assert "sending_paused {" not in caplog.text


def test_a_switch_that_cannot_be_read_is_no_operator_error(caplog: pytest.LogCaptureFixture) -> None:
    services = enabled_services()
    services.pause_store.fail = [TransientError("storage_unavailable", service="tables")]
    release_all(services)

    assert "operator_error {" not in caplog.text


def test_operator_actions_of_another_installation_are_left_for_its_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    services = enabled_services()
    for mark in (None, services.installation, "another-client"):
        action = OperatorAction(f"a-{mark}", NOON, "pause_sending", "done", installation=mark)
        services.operator_log.add(action)
    with caplog.at_level(logging.WARNING):
        release_all(services)

    assert caplog.text.count("operator_action {") == 2
    assert [action.installation for action in services.operator_log.actions] == ["another-client"]
