"""Define the statuses of a mail. Pure."""

from __future__ import annotations

from enum import StrEnum


class DeliveryStatus(StrEnum):
    """The status of a mail."""

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
    #: A row that this version cannot read; it is not changed, and its mail waits.
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
#: Statuses of mails that are not final; the log lists these separately, oldest first.
PENDING = frozenset(DeliveryStatus) - FINAL - {DeliveryStatus.OTHER_VERSION}
