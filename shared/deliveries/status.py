"""Where a mail can stand. Pure."""

from __future__ import annotations

from enum import StrEnum


class DeliveryStatus(StrEnum):
    """Where a mail stands."""

    SENDING = "sending"
    DEFERRED = "deferred"
    WAITING_FOR_CONSENT = "waiting_for_consent"
    WAITING_FOR_OPERATOR = "waiting_for_operator"
    WAITING_FOR_MICROSOFT365 = "waiting_for_microsoft365"
    VERIFYING = "verifying"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    INVALID = "invalid"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    #: A row that this version cannot read; it changes nothing of it, and its mail waits.
    OTHER_VERSION = "other_version"

    @property
    def final(self) -> bool:
        """Whether the status no longer changes automatically."""
        return self in FINAL


FINAL = frozenset(
    {
        DeliveryStatus.ACCEPTED,
        DeliveryStatus.REJECTED,
        DeliveryStatus.INVALID,
        DeliveryStatus.UNKNOWN,
        DeliveryStatus.EXPIRED,
    }
)
#: States of mails that have not come to their end; the log lists these by themselves, the oldest first.
PENDING = frozenset(DeliveryStatus) - FINAL - {DeliveryStatus.OTHER_VERSION}
