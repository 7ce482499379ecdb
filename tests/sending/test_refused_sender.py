"""A refused sender: every mail waits, and one is tried."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.api.deliveries import retry_delivery
from shared.api.test_mail import send_test_mail
from shared.deliveries.status import DeliveryStatus
from shared.errors import RejectedError, SenderRefusedError, TransientError
from shared.sending.deliver import deliver
from shared.sending.diagnostics import CheckName, Outcome, run_checks
from shared.sending.maintenance import release_all
from shared.settings.sender_refusal import end_refusal
from shared.settings.tenant import ActiveProblem, Status, TenantSettings
from tests.api_client import call, content, finish, open_start_link, read_settings
from tests.api_client import enable as press_enable
from tests.builders import a_message, enabled_services
from tests.fakes import CONTOSO, FakeServices

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery
    from shared.settings.sender import Sender

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
WAITING = DeliveryStatus.WAITING_FOR_MICROSOFT365
CODES = ("mailbox_full", "send_as_denied", "sender_blocked", "access_denied", "mailbox_not_found")


class Mailbox:
    """A mailbox whose sender is refused while `code` is set.

    It is refused for every mail or for `only` one.
    """

    def __init__(self, services: FakeServices, code: str | None = "send_as_denied") -> None:
        self.code = code
        self.only: str | None = None
        self.requests = 0
        self._send = services.transport.send_mail
        services.transport.send_mail = self.send_mail  # type: ignore[method-assign]

    def send_mail(self, token: str, sender: Sender, body: bytes) -> str:
        self.requests += 1
        if self.code is not None and (self.only is None or self.only.encode() in body):
            raise SenderRefusedError(
                self.code,
                graph_code="ErrorX",
                request_id="g-1",
                account="ada@contoso.com",
                address="ada@contoso.com",
            )
        return self._send(token, sender, body)


@pytest.fixture
def services() -> FakeServices:
    return enabled_services()


@pytest.fixture
def mailbox(services: FakeServices) -> Mailbox:
    return Mailbox(services)


def queue(services: FakeServices, message_id: str, **members: object) -> None:
    deliver(a_message(messageId=message_id, subject=message_id, **members), f"q-{message_id}", services)


def run(services: FakeServices, time: timedelta) -> None:
    """Let time pass: deliver due messages, run the timer every five minutes."""
    end = services.system.now() + time
    timer = services.system.now() + 5 * MINUTE
    due = [(services.system.now() + delay, text) for text, delay in services.outbox.messages]
    services.outbox.messages.clear()
    number = 0
    while True:
        due.sort(key=lambda each: each[0])
        moment = min([timer, *(at for at, _ in due[:1])])
        if moment > end:
            break
        services.system.pass_time(max(moment - services.system.now(), timedelta(0)))
        if due and due[0][0] <= moment:
            number += 1
            deliver(due.pop(0)[1], f"q-{services.system.now()}-{number}", services)
        else:
            timer += 5 * MINUTE
            release_all(services)
        due += [(services.system.now() + delay, text) for text, delay in services.outbox.messages]
        services.outbox.messages.clear()
    services.system.pass_time(max(end - services.system.now(), timedelta(0)))
    services.outbox.messages += [(text, at - services.system.now()) for at, text in due]


def row(services: FakeServices, message_id: str) -> Delivery:
    return services.deliveries.rows[CONTOSO, message_id]


def statuses(services: FakeServices) -> set[DeliveryStatus]:
    return {each.status for each in services.deliveries.rows.values()}


def settings_of(services: FakeServices) -> TenantSettings:
    return services.settings.load(CONTOSO)


@pytest.mark.parametrize("code", CODES)
def test_all_mails_of_a_sender_refused_for_two_days_are_sent_afterwards(
    services: FakeServices, mailbox: Mailbox, code: str
) -> None:
    mailbox.code = code
    for number in range(200):
        queue(services, f"m-{number}")
    run(services, 10 * MINUTE)
    assert settings_of(services).status is Status.SENDER_REFUSED
    assert read_settings(services)["problem"]["code"] == code
    assert read_settings(services)["waitingMails"] == 200
    assert statuses(services) == {WAITING}
    before = mailbox.requests
    assert before < 210

    run(services, 48 * HOUR)
    assert statuses(services) == {WAITING}
    assert 50 <= mailbox.requests - before <= 56

    mailbox.code = None
    run(services, 2 * HOUR)
    assert statuses(services) == {DeliveryStatus.ACCEPTED}
    assert len(services.transport.sent) == 200
    assert settings_of(services).status is Status.ENABLED
    assert settings_of(services).refusal is None


def test_one_refusal_changes_no_status_and_ends_with_an_accepted_mail(
    services: FakeServices, mailbox: Mailbox
) -> None:
    queue(services, "m-1")
    assert settings_of(services).status is Status.ENABLED
    assert settings_of(services).refusal is not None
    assert row(services, "m-1").status is DeliveryStatus.DEFERRED

    mailbox.code = None
    queue(services, "m-2")
    assert settings_of(services).refusal is None


def test_another_mail_confirms_a_refusal_after_five_minutes_and_not_before(
    services: FakeServices, mailbox: Mailbox
) -> None:
    queue(services, "m-1")
    services.system.pass_time(4 * MINUTE)
    queue(services, "m-2")
    assert settings_of(services).status is Status.ENABLED
    services.system.pass_time(MINUTE)
    queue(services, "m-3")

    assert settings_of(services).status is Status.SENDER_REFUSED
    assert row(services, "m-3").status is WAITING


def test_a_refusal_of_days_ago_confirms_nothing(services: FakeServices, mailbox: Mailbox) -> None:
    queue(services, "m-1")
    services.system.pass_time(50 * HOUR)
    queue(services, "m-2")

    assert settings_of(services).status is Status.ENABLED
    assert settings_of(services).refusal.message_id == "m-2"  # type: ignore[union-attr]


def test_a_new_mail_waits_without_asking_graph(services: FakeServices, mailbox: Mailbox) -> None:
    queue(services, "m-1")
    run(services, 6 * MINUTE)
    before = mailbox.requests
    queue(services, "m-2")

    assert mailbox.requests == before
    assert row(services, "m-2").status is WAITING
    assert row(services, "m-2").problem.code == "send_as_denied"  # type: ignore[union-attr]
    assert row(services, "m-2").next_attempt_at is None


def test_waiting_mails_are_tried_in_turn_every_ten_minutes_and_then_hourly(
    services: FakeServices, mailbox: Mailbox
) -> None:
    for number in range(3):
        queue(services, f"m-{number}")
    run(services, 6 * MINUTE)
    before = mailbox.requests
    run(services, HOUR)
    assert mailbox.requests - before == 6
    attempts = [row(services, f"m-{number}").attempt for number in range(3)]
    assert max(attempts) - min(attempts) <= 1
    run(services, 6 * HOUR)
    assert mailbox.requests - before == 12


def test_only_its_expiry_ends_a_wait(services: FakeServices, mailbox: Mailbox) -> None:
    queue(services, "m-1")
    queue(services, "m-2", expiresAt=(services.system.now() + 30 * HOUR).isoformat())
    queue(services, "m-3", expiresAt=(services.system.now() + 240 * HOUR).isoformat())
    run(services, 30 * HOUR - MINUTE)
    assert statuses(services) == {WAITING}
    run(services, 2 * MINUTE)
    assert row(services, "m-2").status is DeliveryStatus.EXPIRED
    run(services, 209 * HOUR)
    assert row(services, "m-3").status is WAITING
    run(services, HOUR)

    assert row(services, "m-3").status is DeliveryStatus.EXPIRED
    assert row(services, "m-1").status is WAITING


def test_a_test_mail_tries_at_once_and_the_first_accepted_one_releases_all(
    services: FakeServices, mailbox: Mailbox
) -> None:
    for number in range(5):
        queue(services, f"m-{number}")
    run(services, 6 * MINUTE)
    assert read_settings(services)["actions"]["sendTestMail"]
    refused = content(call(send_test_mail, services))["messageId"]
    run(services, timedelta(seconds=1))
    assert row(services, refused).status is WAITING
    assert settings_of(services).refusal.probe_message_id is None  # type: ignore[union-attr]

    mailbox.code = None
    call(send_test_mail, services)
    run(services, 20 * timedelta(seconds=1))
    assert statuses(services) == {DeliveryStatus.ACCEPTED}
    assert settings_of(services).status is Status.ENABLED
    assert settings_of(services).problem is None


def test_a_retry_tries_at_once(services: FakeServices, mailbox: Mailbox) -> None:
    queue(services, "m-1")
    run(services, 6 * MINUTE)
    mailbox.code = None
    call(retry_delivery, services, route={"message_id": "m-1"})
    run(services, timedelta(seconds=1))

    assert row(services, "m-1").status is DeliveryStatus.ACCEPTED


def test_after_a_new_consent_one_mail_is_tried_at_once_before_the_others(
    services: FakeServices, mailbox: Mailbox
) -> None:
    for number in range(30):
        queue(services, f"m-{number}")
    run(services, 6 * MINUTE)
    before = mailbox.requests
    finish(open_start_link(press_enable(services), services), services)
    assert settings_of(services).status is Status.ENABLED
    run(services, 30 * timedelta(seconds=1))
    assert mailbox.requests - before == 1
    assert [each.status for each in services.deliveries.rows.values()].count(WAITING) == 29

    mailbox.code = None
    run(services, 25 * MINUTE)
    assert statuses(services) == {DeliveryStatus.ACCEPTED}


def test_a_mail_refused_for_its_own_content_stops_others_at_most_once(
    services: FakeServices, mailbox: Mailbox
) -> None:
    mailbox.only = "bad"
    queue(services, "bad")
    run(services, 6 * MINUTE)
    assert settings_of(services).status is Status.SENDER_REFUSED
    queue(services, "m-1")
    run(services, 12 * MINUTE)
    assert row(services, "m-1").status is DeliveryStatus.ACCEPTED

    for number in range(2, 30):
        queue(services, f"m-{number}")
        assert row(services, f"m-{number}").status is DeliveryStatus.ACCEPTED
        run(services, HOUR)
    assert row(services, "bad").status is DeliveryStatus.EXPIRED


def test_the_check_of_the_settings_shows_the_refusal_and_its_mail_ends_it(
    services: FakeServices, mailbox: Mailbox
) -> None:
    queue(services, "m-1")
    run(services, 6 * MINUTE)
    checks = {check.name: check for check in run_checks(CONTOSO, None, services)}
    assert checks[CheckName.CONSENT].outcome is Outcome.OK
    assert checks[CheckName.SEND_AS].problem.code == "send_as_denied"  # type: ignore[union-attr]
    assert settings_of(services).status is Status.SENDER_REFUSED

    mailbox.code = None
    checks = {check.name: check for check in run_checks(CONTOSO, "ada@contoso.com", services)}
    assert checks[CheckName.SEND_AS].outcome is Outcome.OK
    assert settings_of(services).status is Status.ENABLED
    run(services, 15 * MINUTE)
    assert row(services, "m-1").status is DeliveryStatus.ACCEPTED


def test_a_lost_consent_is_shown_first_and_waiting_mails_are_tried_later(
    services: FakeServices, mailbox: Mailbox
) -> None:
    for number in range(3):
        queue(services, f"m-{number}")
    run(services, 6 * MINUTE)
    lost = replace(settings_of(services), status=Status.RECONNECT_NEEDED)
    services.settings.save(lost)
    before = mailbox.requests
    run(services, 30 * MINUTE)
    assert mailbox.requests == before

    mailbox.code = None
    services.settings.save(replace(settings_of(services), status=Status.ENABLED, problem=None))
    run(services, 15 * MINUTE)
    assert statuses(services) == {DeliveryStatus.ACCEPTED}


def test_mails_that_waited_for_the_operator_wait_for_microsoft365_then(
    services: FakeServices, mailbox: Mailbox
) -> None:
    queue(services, "m-1")
    run(services, 6 * MINUTE)
    moved = row(services, "m-1").transition(DeliveryStatus.WAITING_FOR_OPERATOR, services.system.now())
    services.deliveries.save(moved)
    run(services, 11 * MINUTE)
    assert row(services, "m-1").status is WAITING

    mailbox.code = None
    run(services, 15 * MINUTE)
    assert row(services, "m-1").status is DeliveryStatus.ACCEPTED


def test_a_mail_that_waits_for_a_setting_does_not_try(services: FakeServices, mailbox: Mailbox) -> None:
    queue(services, "m-1")
    run(services, 6 * MINUTE)
    problem = ActiveProblem("message_too_large", services.system.now(), {"needed": "99"})
    moved = row(services, "m-1").transition(
        DeliveryStatus.WAITING_FOR_OPERATOR, services.system.now(), problem=problem
    )
    services.deliveries.save(moved)
    before = settings_of(services)
    run(services, HOUR)

    assert settings_of(services) == before


def test_a_mail_rejected_for_its_own_content_ends_no_sender_refusal(
    services: FakeServices, mailbox: Mailbox
) -> None:
    queue(services, "m-1")
    run(services, 6 * MINUTE)
    services.transport.send_mail = mailbox._send  # type: ignore[method-assign]
    services.transport.fail = [RejectedError("file_infected", graph_code="malwareDetected", what="The mail")]
    run(services, 12 * MINUTE)

    assert row(services, "m-1").status is DeliveryStatus.REJECTED
    assert settings_of(services).status is Status.SENDER_REFUSED


def unavailable(services: FakeServices, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(settings: TenantSettings) -> TenantSettings:
        raise TransientError("storage_unavailable", service="tables")

    monkeypatch.setattr(services.settings, "save", fail)


def test_a_refusal_that_cannot_be_stored_is_met_again(
    services: FakeServices, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as outage:
        unavailable(services, outage)
        queue(services, "m-1")
        run(services, 6 * MINUTE)
    assert row(services, "m-1").status is DeliveryStatus.DEFERRED
    run(services, 12 * MINUTE)

    assert row(services, "m-1").status is WAITING


def test_an_unstored_end_of_a_refusal_is_stored_with_the_next_mail(
    services: FakeServices, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        queue(services, f"m-{number}")
    run(services, 6 * MINUTE)
    mailbox.code = None
    call(send_test_mail, services)
    with monkeypatch.context() as outage:
        unavailable(services, outage)
        run(services, timedelta(seconds=1))
    assert settings_of(services).status is Status.SENDER_REFUSED
    run(services, 15 * MINUTE)

    assert statuses(services) == {DeliveryStatus.ACCEPTED}


def test_mails_that_could_not_be_released_are_released_by_the_timer(
    services: FakeServices, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        queue(services, f"m-{number}")
    run(services, 6 * MINUTE)
    mailbox.code = None
    call(send_test_mail, services)

    def fail(*_: object) -> tuple[Delivery, ...]:
        raise TransientError("storage_unavailable", service="tables")

    with monkeypatch.context() as outage:
        outage.setattr(services.deliveries, "list_pending", fail)
        run(services, timedelta(seconds=1))
    assert settings_of(services).status is Status.ENABLED
    assert row(services, "m-0").status is WAITING
    run(services, 6 * MINUTE)

    assert statuses(services) == {DeliveryStatus.ACCEPTED}


def test_a_probe_of_a_refusal_that_just_ended_begins_none() -> None:
    services = enabled_services()
    settings = settings_of(services)

    assert end_refusal(settings, 1) == settings
    assert end_refusal(settings, 2) == settings
