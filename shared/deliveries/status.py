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
    #: This version of the app cannot read the row, and does not change it. The mail waits.
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
#: Statuses of a mail that is tried, or searched for, at a set time.
SCHEDULED = frozenset({DeliveryStatus.DEFERRED, DeliveryStatus.VERIFYING})
#: Statuses of a mail that is being sent, or is tried again automatically.
IN_PROGRESS = SCHEDULED | {DeliveryStatus.SENDING}
#: Statuses of a mail that waits for an admin or the operator, in the order in which it is released.
WAITING_FOR_PERSON = (DeliveryStatus.WAITING_FOR_CONSENT, DeliveryStatus.WAITING_FOR_OPERATOR)
#: Statuses of a mail that is not tried before its problem is solved, in the same order.
WAITING = (*WAITING_FOR_PERSON, DeliveryStatus.WAITING_FOR_MICROSOFT365)
#: Final statuses of a mail that was certainly not sent.
NOT_SENT = frozenset({DeliveryStatus.REJECTED, DeliveryStatus.INVALID, DeliveryStatus.EXPIRED})
