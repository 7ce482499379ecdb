"""Record an invalid message."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shared.characters import check_line
from shared.deliveries.delivery import Delivery
from shared.deliveries.status import DeliveryStatus
from shared.errors import ConfigurationError, TransientError
from shared.mail.fields import MESSAGE_ID
from shared.mail.message import MAX_CORRELATION_ID
from shared.sending.conflict import record_conflict
from shared.sending.record_outcome import log_outcome
from shared.sending.storage_outage import persist
from shared.settings.ownership import refuse_other_installation
from shared.settings.update import active_problem
from shared.storage_names import QUEUE_NAME
from shared.telemetry import Event, log_mail_event

if TYPE_CHECKING:
    import re

    from shared.errors import InvalidInputError
    from shared.sending.ports import SendingServices


def record_unreadable(text: bytes, queue_id: str, error: InvalidInputError, ports: SendingServices) -> None:
    """Record an invalid message under its own ids, if it has any.

    The record replaces that of an earlier invalid message with the same ids. If a mail has these ids, the
    invalid message is recorded as a conflict of that mail.

    Raises:
        NotRecordedError, TransientError: storage does not respond.
        OtherInstallationError: the row is not changed.
        ConfigurationError: `written_by_other_version`: the row is not changed.
    """
    now = ports.system.now()
    names = _names_in(text)
    row = Delivery(
        tenant_id=names.tenant_id if names.tenant_id in ports.allowed_tenants else ports.home_tenant,
        message_id=names.message_id or f"unreadable-{queue_id}",
        status=DeliveryStatus.INVALID,
        queued_at=now,
        updated_at=now,
        trying_since=now,
        fields=error.fields,
        correlation_id=names.correlation_id,
        outcome_queue=names.outcome_queue,
    ).transition(DeliveryStatus.INVALID, now, problem=active_problem(error, ports.system))
    refuse_other_installation(row.tenant_id, ports.settings)
    if persist(lambda: ports.deliveries.add(row), ports.system) is None:
        known = ports.deliveries.find(row.tenant_id, row.message_id)
        if known is None:
            raise TransientError("storage_unavailable", service="tables")
        if known.status is DeliveryStatus.OTHER_VERSION:
            raise ConfigurationError("written_by_other_version")
        if known.status is not DeliveryStatus.INVALID:
            record_conflict(known, hashlib.sha256(text).hexdigest(), text, ports)
            return
        if known.fields == row.fields and row.outcome_queue in {None, known.outcome_queue}:
            # The queue redelivers a message whose worker was stopped.
            log_mail_event(Event.MAIL_DUPLICATE_IGNORED, row)
            return
        row = _replacing(known, row)
        if persist(lambda: ports.deliveries.save(row), ports.system) is None:
            raise TransientError("storage_unavailable", service="tables")
    # The parameters describe the message by kind, size and hash, and contain nothing of its text.
    log_outcome(row, **error.params)


def _replacing(known: Delivery, row: Delivery) -> Delivery:
    """Return the row with what an earlier row of the same id has to keep."""
    replacing = replace(
        row,
        queued_at=known.queued_at,
        history=known.with_event(row.history[-1]).history,
        conflict_at=known.conflict_at,
        outcome_count=known.outcome_count,
        unreported_outcomes=known.unreported_outcomes,
        additions=known.additions,
        etag=known.etag,
        stored_status=known.stored_status,
    )
    return replacing.with_unreported_outcome()


@dataclass(frozen=True, slots=True)
class _Names:
    """The usable ids of an invalid message; None for one that is not usable."""

    tenant_id: str | None = None
    message_id: str | None = None
    correlation_id: str | None = None
    outcome_queue: str | None = None


def _names_in(text: bytes) -> _Names:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return _Names()
    if not isinstance(found, dict):
        return _Names()
    tenant_id = found.get("tenantId")
    return _Names(
        tenant_id.lower() if isinstance(tenant_id, str) else None,
        _matching(MESSAGE_ID, found.get("messageId")),
        _correlation_id(found.get("correlationId")),
        _matching(QUEUE_NAME, found.get("outcomeQueue")),
    )


def _matching(pattern: re.Pattern[str], value: object) -> str | None:
    return value if isinstance(value, str) and pattern.fullmatch(value) else None


def _correlation_id(value: object) -> str | None:
    if not isinstance(value, str) or len(value) > MAX_CORRELATION_ID:
        return None
    try:
        # JSON can escape half of a character, which no row can hold.
        check_line(value).encode()
    except ValueError:
        return None
    return value
