"""Record and log that Exchange accepted a mail, even in a storage outage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.deliveries.delivery import Delivery
from shared.deliveries.status import DeliveryStatus
from shared.errors import ConfigurationError, ProblemError, TransientError
from shared.sending.draft_state import DraftState
from shared.sending.refused_sender import release_after_acceptance
from shared.sending.storage_outage import persist
from shared.telemetry import Event, log_failed_step, log_mail_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.deliveries.ports import TextStore
    from shared.sending.attempt import Attempt
    from shared.sending.ports import SendingServices
    from shared.sending.unrecorded import AcceptedMail


def record_accepted(attempt: Attempt, request_id: str | None, ports: SendingServices) -> None:
    """Record that Exchange accepted the mail, and remove its stored data.

    Raises:
        NotRecordedError, TransientError: storage does not respond.
    """
    now = ports.system.now()
    row = attempt.delivery.transition(
        DeliveryStatus.ACCEPTED,
        now,
        request_id=request_id,
        uncertain_send=None,
        from_address=attempt.from_address,
    )
    attempt.accepted = row
    if persist(lambda: ports.deliveries.save(row), ports.system):
        log_accepted(row)
    else:
        persist(lambda: _overwrite_as_accepted(row, request_id, ports), ports.system)
    if attempt.has_earlier_attempts:
        _remove_text(ports.requests, row)
    if attempt.may_have_draft and attempt.has_earlier_attempts:
        _finish_draft(attempt.draft_state(ports), row)
    elif attempt.may_have_draft:
        _remove_text(ports.drafts, row)
    # Without a request id, an earlier attempt has sent the mail, which does not show whether Microsoft 365
    # accepts the sender now.
    if attempt.mailbox and attempt.mailbox.sender.has_refusal and request_id is not None:
        release_after_acceptance(attempt.mailbox.sender, ports)


def record_accepted_mail(mail: AcceptedMail, ports: SendingServices) -> None:
    """Record an acceptance that could not be stored when it happened.

    Raises:
        NotRecordedError, TransientError: storage still does not respond.
    """
    at = mail.accepted_at
    row = Delivery(
        mail.tenant_id, mail.message_id, DeliveryStatus.ACCEPTED, at, at, at, from_address=mail.from_address
    )
    persist(lambda: _overwrite_as_accepted(row, mail.request_id, ports), ports.system)
    _remove_text(ports.requests, row)
    _finish_draft(DraftState(mail.tenant_id, mail.message_id, ports), row)


def _overwrite_as_accepted(row: Delivery, request_id: str | None, ports: SendingServices) -> None:
    """Write that a mail was accepted, even over the outcome of another worker.

    The other worker did not know that the mail was accepted.
    """
    known = ports.deliveries.find(row.tenant_id, row.message_id)
    if known is None or known.status is DeliveryStatus.ACCEPTED:
        return
    if known.status is DeliveryStatus.OTHER_VERSION:
        # The message is queued again, until a version of the app that can read the row receives it.
        raise ConfigurationError("written_by_other_version")
    accepted = known.transition(
        DeliveryStatus.ACCEPTED,
        row.updated_at,
        request_id=request_id,
        uncertain_send=None,
        from_address=row.from_address,
        fields=(),
    )
    if ports.deliveries.save(accepted) is None:
        # Another worker has written the row meanwhile, so this is tried again.
        raise TransientError("storage_unavailable", service="tables")
    log_accepted(accepted)


def log_accepted(row: Delivery) -> None:
    """Log that Exchange accepted a mail."""
    log_mail_event(
        Event.MAIL_ACCEPTED,
        row,
        correlation_id=row.correlation_id,
        attempt=row.attempt,
        request_id=row.history[-1].request_id,
    )


def _remove_text(texts: TextStore, row: Delivery) -> None:
    _try_to_remove(lambda: texts.remove(row.tenant_id, row.message_id), row)


def _finish_draft(draft_state: DraftState, row: Delivery) -> None:
    _try_to_remove(draft_state.finish, row)


def _try_to_remove(remove: Callable[[], None], row: Delivery) -> None:
    """Remove data; if that fails, the timers remove it later."""
    try:
        remove()
    except ProblemError as error:
        log_failed_step("remove_kept_text", error.code, tenant_id=row.tenant_id, message_id=row.message_id)
