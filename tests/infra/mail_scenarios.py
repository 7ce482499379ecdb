"""Scenarios of mails, run through the real code with in-memory fakes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from shared.api.deliveries import retry_delivery
from shared.consent.errors import EntraUnavailableError
from shared.consent.maintenance import maintain_consents
from shared.deliveries.requeue import requeue_message
from shared.errors import (
    ConfigurationError,
    ConsentRequiredError,
    OutcomeUnknownError,
    RejectedError,
    SenderRefusedError,
    TransientError,
)
from shared.mail_queue import Backlog
from shared.operate.switch import pause_sending
from shared.sending.deliver import deliver
from shared.sending.errors import ThrottledError
from shared.sending.maintenance import release_all
from shared.sending.poison import record_poisoned
from shared.settings.operator_log import report_operator_actions
from shared.settings.sending_switch import MAX_SWITCH_AGE, SendingPause
from shared.telemetry import log_failure
from tests.api_client import a_request
from tests.builders import ADMIN, a_message, some_settings
from tests.fakes import CONTOSO, FABRIKAM

if TYPE_CHECKING:
    from tests.fakes import FakeServices

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_BUSY = TransientError("graph_unavailable")
_REFUSED = RejectedError(
    "send_as_denied", graph_code="ErrorSendAsDenied", account="ada", address="x@contoso.com"
)
_SENDER_REFUSED = SenderRefusedError(
    "send_as_denied", graph_code="ErrorSendAsDenied", account="ada", address="x@contoso.com"
)


def send(services: FakeServices, message_id: str = "m-1", **changes: Any) -> None:
    deliver(a_message(messageId=message_id, **changes), f"q-{message_id}", services)


def keep_busy(services: FakeServices, time: timedelta) -> None:
    """Have Graph respond with 503 while the queue redelivers the mail."""
    end = services.system.now() + time
    services.transport.fail = [_BUSY] * 1000
    while services.system.now() < end:
        deliver_when_due(services)
    services.transport.fail = []


def deliver_when_due(services: FakeServices) -> None:
    """Deliver the queued messages when they are due."""
    message, delay = services.outbox.messages.pop()
    services.system.pass_time(delay)
    deliver(message, f"q-{services.system.now()}", services)


def send_while_busy(services: FakeServices, time: timedelta, message_id: str = "m-1") -> None:
    services.transport.fail = [_BUSY]
    send(services, message_id)
    keep_busy(services, time)


def accepted(services: FakeServices) -> None:
    send(services)


def accepted_after_hours(services: FakeServices) -> None:
    send_while_busy(services, 3 * HOUR)
    deliver_when_due(services)


def deferred_for_two_hours(services: FakeServices) -> None:
    send_while_busy(services, 2 * HOUR)


def deferred_for_half_an_hour(services: FakeServices) -> None:
    send_while_busy(services, 30 * MINUTE)


def deferred_after_waiting_for_consent(services: FakeServices) -> None:
    consent = services.settings.rows.pop(CONTOSO)
    send(services)
    services.system.pass_time(5 * HOUR)
    services.settings.rows[CONTOSO] = consent
    services.outbox.messages.append((requeue_message(CONTOSO, "m-1"), timedelta()))
    keep_busy(services, 2 * HOUR)


def continue_after_wait(services: FakeServices, message_id: str) -> None:
    """Correct after five hours what a mail waits for, and release it."""
    services.system.pass_time(5 * HOUR)
    services.settings.rows[CONTOSO] = some_settings(etag=services.settings.rows[CONTOSO].etag)
    services.outbox.messages.append((requeue_message(CONTOSO, message_id), timedelta()))
    keep_busy(services, 2 * HOUR)


def deferred_after_waiting_for_the_operator(services: FakeServices) -> None:
    services.authorizer.fail = [ConfigurationError("client_credential_refused", error="invalid_client")]
    send(services)
    continue_after_wait(services, "m-1")


def deferred_after_a_retry(services: FakeServices) -> None:
    services.transport.fail = [_REFUSED]
    send(services)
    services.system.pass_time(5 * HOUR)
    retry_delivery(a_request(route={"message_id": "m-1"}), ADMIN, services)
    keep_busy(services, 2 * HOUR)


def retried_just_now_after_long_deferrals(services: FakeServices) -> None:
    send_while_busy(services, 2 * HOUR)
    services.transport.fail = [_REFUSED]
    deliver_when_due(services)
    retry_delivery(a_request(route={"message_id": "m-1"}), ADMIN, services)
    keep_busy(services, 10 * MINUTE)


def deferred_and_queued_again(services: FakeServices) -> None:
    send_while_busy(services, 2 * HOUR)
    retries = list(services.outbox.messages)
    deliver(a_message(messageId="m-1"), "q-again", services)
    services.outbox.messages = retries


def deferred_and_then_paused(services: FakeServices) -> None:
    send_while_busy(services, 2 * HOUR)
    services.pause_store.save(SendingPause(services.system.now(), "deploying"))
    services.system.pass_time(MAX_SWITCH_AGE)
    deliver_when_due(services)


def paused_for(services: FakeServices, time: timedelta) -> None:
    """Pause sending, and have the five-minute timer run until now."""
    services.pause_store.save(SendingPause(services.system.now(), "deploying"))
    end = services.system.now() + time
    while services.system.now() < end:
        services.system.pass_time(5 * MINUTE)
        release_all(services)


def paused_for_two_hours(services: FakeServices) -> None:
    paused_for(services, 2 * HOUR)


def paused_by_an_operator(services: FakeServices) -> None:
    pause_sending("installing version 1.4", services)
    report_operator_actions(services)


def paused_for_half_an_hour(services: FakeServices) -> None:
    paused_for(services, 30 * MINUTE)


def paused_for_two_hours_and_resumed(services: FakeServices) -> None:
    paused_for(services, 2 * HOUR)
    services.pause_store.remove()
    services.system.pass_time(20 * MINUTE)
    release_all(services)


def backlog_for(services: FakeServices, *minutes: int) -> None:
    """Let the timer find front messages of these ages, every five minutes."""
    for age in minutes:
        services.outbox.waiting = Backlog(40, services.system.now() - age * MINUTE)
        release_all(services)
        services.system.pass_time(5 * MINUTE)


def outbox_stuck(services: FakeServices) -> None:
    backlog_for(services, 31, 36)


def outbox_busy(services: FakeServices) -> None:
    backlog_for(services, 3, 29, 4)


def deferred_mail_at_the_front(services: FakeServices) -> None:
    backlog_for(services, 0, 60, 0)


def backlog_of(services: FakeServices, mails: int, pace: int) -> None:
    """Queue more mails than the mailbox may send, in a minute and in hours."""
    services.configure(mailbox_messages_per_minute=pace)
    for number in range(mails):
        send(services, f"m-{number:03}")


def deliver_for(services: FakeServices, time: timedelta) -> None:
    """Deliver queued messages when they are due, for the given time."""
    end = services.system.now() + time
    while services.outbox.messages:
        services.outbox.messages.sort(key=lambda message: message[1])
        wait = services.outbox.messages[0][1]
        if services.system.now() + wait > end:
            break
        services.outbox.messages = [(message, delay - wait) for message, delay in services.outbox.messages]
        services.system.pass_time(wait)
        deliver(services.outbox.messages.pop(0)[0], f"q-{services.system.now()}", services)
    services.system.pass_time(max(end - services.system.now(), timedelta()))


def waiting_for_slots_of_many_hours(services: FakeServices) -> None:
    backlog_of(services, 300, pace=1)
    deliver_for(services, 3 * HOUR)


def waiting_for_a_slot_that_moved_back(services: FakeServices) -> None:
    """Have Graph ask for pauses of an hour, so that all slots move back."""
    backlog_of(services, 100, pace=1)
    for _ in range(3):
        services.transport.fail = [ThrottledError(retry_after=HOUR, address="a")]
        deliver_for(services, HOUR + 2 * MINUTE)


def not_sent_an_hour_after_its_slot(services: FakeServices) -> None:
    backlog_of(services, 3, pace=1)
    services.outbox.messages.clear()
    services.system.pass_time(2 * MINUTE + HOUR)


def not_sent_half_an_hour_after_its_slot(services: FakeServices) -> None:
    backlog_of(services, 3, pace=1)
    services.outbox.messages.clear()
    services.system.pass_time(30 * MINUTE)


def deferred_for_two_hours_and_waiting_for_a_slot(services: FakeServices) -> None:
    send_while_busy(services, 2 * HOUR)
    services.transport.fail = [ThrottledError(retry_after=HOUR / 2, address="a")]
    deliver_when_due(services)


def busy_after_the_wait_for_a_slot(services: FakeServices) -> None:
    """Reach the slot after two hours; Graph is unavailable then."""
    backlog_of(services, 120, pace=1)
    deliver_for(services, 118 * MINUTE)
    keep_busy(services, 10 * MINUTE)


def token_not_refreshed(services: FakeServices) -> None:
    services.system.pass_time(8 * DAY)
    services.authorizer.fail = [EntraUnavailableError()] * 10
    maintain_consents(services)


def token_refreshed_daily(services: FakeServices) -> None:
    services.system.pass_time(8 * DAY)
    maintain_consents(services)


def tenant_removed(services: FakeServices) -> None:
    """Deploy without the tenant; the five-minute timer finds out."""
    services.configure(allowed_tenant_ids=frozenset({FABRIKAM}))
    release_all(services)


def sender_refused(services: FakeServices) -> None:
    """Refuse the right to send to two mails, five minutes apart."""
    services.transport.fail = [_SENDER_REFUSED, _SENDER_REFUSED]
    send(services)
    services.system.pass_time(5 * MINUTE)
    send(services, "m-2")


def deferred_after_waiting_for_microsoft365(services: FakeServices) -> None:
    sender_refused(services)
    continue_after_wait(services, "m-2")


def mail_of_a_removed_tenant(services: FakeServices) -> None:
    services.configure(allowed_tenant_ids=frozenset({FABRIKAM}))
    send(services)


def mail_of_an_unknown_tenant(services: FakeServices) -> None:
    send(services, tenantId="6f1c0000-0000-4000-8000-00000000dead")


def tenant_restored(services: FakeServices) -> None:
    served = services.allowed_tenants
    tenant_removed(services)
    services.configure(allowed_tenant_ids=served)
    services.system.pass_time(20 * MINUTE)
    release_all(services)


def one_accepted_one_deferred(services: FakeServices) -> None:
    send_while_busy(services, 2 * HOUR)
    send(services, "m-2")


def rejected(services: FakeServices) -> None:
    services.transport.fail = [_REFUSED]
    send(services)


def invalid(services: FakeServices) -> None:
    send(services, subject=None)


def conflicting(services: FakeServices) -> None:
    send(services)
    deliver(a_message(messageId="m-1", subject="Another"), "q-2", services)


def duplicate(services: FakeServices) -> None:
    send(services)
    deliver(a_message(messageId="m-1"), "q-2", services)


def duplicate_of_yesterday(services: FakeServices) -> None:
    send(services)
    services.system.pass_time(DAY)
    deliver(a_message(messageId="m-1"), "q-2", services)


def expired(services: FakeServices) -> None:
    send(services, expiresAt="2026-11-23T12:00:00Z")


def unknown(services: FakeServices) -> None:
    services.transport.fail = [OutcomeUnknownError("outcome_unknown")]
    send(services)


def stuck_in_the_poison_queue(services: FakeServices) -> None:
    services.outbox.poisoned = 3
    release_all(services)


def poisoned(services: FakeServices) -> None:
    record_poisoned(a_message(messageId="m-1"), "p-1", services)


def consent_lost(services: FakeServices) -> None:
    services.authorizer.fail = [ConsentRequiredError("consent_lost", account="ada", error="invalid_grant")]
    send(services, "m-3")


def operator_error(services: FakeServices) -> None:
    services.authorizer.fail = [ConfigurationError("client_credential_refused", error="invalid_client")]
    send(services)


def storage_denied(services: FakeServices) -> None:
    """Have only this mail wait for the operator, with unchanged settings."""
    services.transport.fail = [ConfigurationError("storage_denied", service="blobs")]
    send(services)


def bug(services: FakeServices) -> None:
    log_failure(ValueError(f"at {services.system.now()}"), operation="upkeep/keep_alive")


def nothing(services: FakeServices) -> None:
    """Log no line."""
