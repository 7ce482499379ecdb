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
        persist(lambda: _accept_over(row, request_id, ports), ports.system)
    if attempt.has_earlier_attempts:
        _forget(ports.requests, row)
    if attempt.may_have_draft and attempt.has_earlier_attempts:
        _finish(attempt.draft_state(ports), row)
    elif attempt.may_have_draft:
        _forget(ports.drafts, row)
    # Without a request id an earlier attempt had sent it, which says nothing of the sender now.
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
    persist(lambda: _accept_over(row, mail.request_id, ports), ports.system)
    _forget(ports.requests, row)
    _finish(DraftState(mail.tenant_id, mail.message_id, ports), row)


def _accept_over(row: Delivery, request_id: str | None, ports: SendingServices) -> None:
    """Write that a mail was accepted, even over another worker's outcome.

    That worker did not know.
    """
    known = ports.deliveries.find(row.tenant_id, row.message_id)
    if known is None or known.status is DeliveryStatus.ACCEPTED:
        return
    if known.status is DeliveryStatus.OTHER_VERSION:
        # A version that can read the row records it from the queue; repeating the write here is harmless.
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
        # Another worker was faster once more.
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


def _forget(texts: TextStore, row: Delivery) -> None:
    _tidy_up(lambda: texts.remove(row.tenant_id, row.message_id), row)


def _finish(draft_state: DraftState, row: Delivery) -> None:
    _tidy_up(draft_state.finish, row)


def _tidy_up(remove: Callable[[], None], row: Delivery) -> None:
    """Remove data that is not needed any more; the timers repeat failures."""
    try:
        remove()
    except ProblemError as error:
        log_failed_step("remove_kept_text", error.code, tenant_id=row.tenant_id, message_id=row.message_id)
