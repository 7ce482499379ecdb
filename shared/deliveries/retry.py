"""Retry a mail on an admin's request."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from shared.deliveries.lookup import find_by_id
from shared.deliveries.release import ReleaseServices
from shared.deliveries.requeue import next_attempt_message
from shared.deliveries.status import DeliveryStatus
from shared.errors import ConflictError, InvalidInputError
from shared.mail.message import parse_mail_request
from shared.settings.update import probe_now
from shared.telemetry import Event, log_mail_event

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from shared.deliveries.delivery import Delivery
    from shared.deliveries.ports import TextStore
    from shared.settings.ownership import OwnedSettingsStore

#: The problem codes for the statuses in which a mail can't be retried.
REFUSAL_CODES: Final = {
    DeliveryStatus.ACCEPTED: "already_accepted",
    DeliveryStatus.INVALID: "invalid_message",
    DeliveryStatus.SENDING: "still_under_way",
    DeliveryStatus.DEFERRED: "still_under_way",
    DeliveryStatus.VERIFYING: "still_under_way",
    DeliveryStatus.OTHER_VERSION: "written_by_other_version",
}


class RetryServices(ReleaseServices, Protocol):
    """The ports of a retry."""

    @property
    def settings(self) -> OwnedSettingsStore:
        """The settings, which say to which installation a tenant belongs."""

    @property
    def requests(self) -> TextStore:
        """The stored requests."""


def retry_mail(tenant_id: str, message_id: str, delay: timedelta, ports: RetryServices) -> Delivery:
    """Queue a mail again after a delay, and return its row.

    Without a delay the mail is tried even if Microsoft 365 has refused the sender, because that may be
    solved.

    Raises:
        NotFoundError: `delivery_not_found`.
        ConflictError: `already_accepted`, `still_under_way`, `invalid_message`,
            `request_not_kept`, `expiry_passed`, `written_by_other_version`.
    """
    row = find_by_id(tenant_id, message_id, ports)
    if row.status in REFUSAL_CODES:
        raise ConflictError(REFUSAL_CODES[row.status])
    request = ports.requests.load(tenant_id, message_id)
    if request is None:
        raise ConflictError("request_not_kept")
    now = ports.system.now()
    _check_expiry(request, now)
    saved = ports.deliveries.save(_with_new_attempts(row, now, delay))
    if saved is None:
        raise ConflictError("still_under_way")
    if not delay:
        probe_now(ports.settings, tenant_id, message_id, ports.system)
    # If this fails, the timer finds the row overdue and queues the mail.
    ports.outbox.put(next_attempt_message(saved), delay)
    log_mail_event(Event.MAIL_RETRIED, row, was=row.status)
    return saved


def _check_expiry(request: bytes, now: datetime) -> None:
    """Refuse a mail that would expire at once.

    A request that this version of the app cannot read is not checked.

    Raises:
        ConflictError: `expiry_passed`.
    """
    try:
        expires_at = parse_mail_request(request).expires_at
    except InvalidInputError:
        return
    if expires_at is not None and expires_at <= now:
        raise ConflictError("expiry_passed", moment=f"{expires_at:%Y-%m-%d %H:%M} UTC")


def _with_new_attempts(row: Delivery, now: datetime, delay: timedelta) -> Delivery:
    """Queue the mail again; for an unknown outcome, record it as not sent."""
    again = row.transition(DeliveryStatus.DEFERRED, now, next_attempt_at=now + delay)
    uncertain_send = None if row.status is DeliveryStatus.UNKNOWN else row.uncertain_send
    return replace(again.with_new_attempts(now), uncertain_send=uncertain_send)
