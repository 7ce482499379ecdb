"""Record refused senders in the settings, and choose a mail to retry."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from shared.deliveries.release import release_mails, release_waiting
from shared.deliveries.status import DeliveryStatus
from shared.errors import ProblemError, SenderRefusedError
from shared.settings.sender_refusal import begin_probe, is_probe_due, record_sender_refused
from shared.settings.tenant import Status
from shared.settings.update import active_problem, record_sender_accepted, update_settings
from shared.telemetry import Event, log_event, log_failed_step

if TYPE_CHECKING:
    from shared.sending.attempt import Attempt
    from shared.sending.ports import SendingServices
    from shared.settings.sender import Sender
    from shared.settings.tenant import TenantSettings

_WAITING = DeliveryStatus.WAITING_FOR_MICROSOFT365
#: How many of the waiting mails, the oldest ones, are considered as the probe.
_MAX_CANDIDATES = 500


def sender_is_refused(attempt: Attempt, error: ProblemError, ports: SendingServices) -> bool:
    """Record a refusal of the sender; return whether it is confirmed.

    If the refusal can't be stored, the next one is stored instead.
    """
    if not isinstance(error, SenderRefusedError):
        return False
    if attempt.mailbox is None:
        # Graph was not called, because a confirmed refusal is in the settings already.
        return True
    sender = attempt.mailbox.sender
    try:
        return _record_refused(attempt, sender, error, ports)
    except ProblemError as missed:
        log_failed_step("note_refusal", missed.code, tenant_id=sender.tenant_id)
        return False


def _record_refused(
    attempt: Attempt, sender: Sender, error: SenderRefusedError, ports: SendingServices
) -> bool:
    row, problem = attempt.delivery, active_problem(error, ports.system)
    before: list[TenantSettings] = []

    def change(settings: TenantSettings) -> TenantSettings:
        before[:] = [settings]
        return record_sender_refused(
            settings, sender.consent.version, problem, row.message_id, waited=row.waited_for_sender
        )

    after = update_settings(ports.settings, sender.tenant_id, change)
    if _mailbox_id(after) != _mailbox_id(before[0]):
        log_failed_step("find_mailbox_by_id", error.code, tenant_id=sender.tenant_id)
    refused = after.status is Status.SENDER_REFUSED
    if refused and before[0].status is not after.status:
        log_event(
            Event.SENDER_REFUSED,
            level=logging.ERROR,
            tenant_id=sender.tenant_id,
            problem=error.code,
            who_acts=error.problem.who_acts,
            request_id=error.request_id,
        )
    return refused


def _mailbox_id(settings: TenantSettings) -> str | None:
    return settings.consent.mailbox_id if settings.consent else None


def release_after_acceptance(sender: Sender, ports: SendingServices) -> None:
    """Release waiting mail after a mail was accepted.

    If this fails, the timer releases the mail.
    """
    if not record_sender_accepted(ports.settings, sender.tenant_id, sender.consent.version):
        return
    try:
        release_waiting(sender.tenant_id, _WAITING, ports)
    except ProblemError as error:
        log_failed_step("release", error.code, tenant_id=sender.tenant_id)


def probe_sender(settings: TenantSettings, ports: SendingServices) -> None:
    """Release one waiting mail as the probe, if a probe is due.

    This is the oldest mail of those with the fewest attempts.
    """
    now = ports.system.now()
    if not is_probe_due(settings, now):
        return
    waiting = ports.deliveries.list_pending(settings.tenant_id, [_WAITING], _MAX_CANDIDATES)
    if not waiting:
        return
    mail = min(waiting, key=lambda each: each.attempt)
    update_settings(
        ports.settings, settings.tenant_id, lambda found: begin_probe(found, mail.message_id, now)
    )
    release_mails(settings.tenant_id, _WAITING, [mail], ports)
