"""One mail's way, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.problems import FieldError
from shared.settings.tenant import StandingProblem

#: Longer than `functionTimeout` in host.json, after which no worker can still be sending.
CLAIM = timedelta(minutes=11)
#: A mail that was throttled for a day has its last attempts on record; the first ones tell nothing new.
MAX_HISTORY = 40


class DeliveryStatus(StrEnum):
    """Where a mail stands."""

    SENDING = "sending"
    DEFERRED = "deferred"
    WAITING_FOR_CONSENT = "waiting_for_consent"
    WAITING_FOR_OPERATOR = "waiting_for_operator"
    VERIFYING = "verifying"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    INVALID = "invalid"
    UNKNOWN = "unknown"
    EXPIRED = "expired"

    @property
    def final(self) -> bool:
        """Whether nothing more happens to the mail by itself."""
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


#: States of mails that are put aside: no queue message keeps them, or only a note that may get lost.
SET_ASIDE = frozenset(
    {
        DeliveryStatus.DEFERRED,
        DeliveryStatus.VERIFYING,
        DeliveryStatus.WAITING_FOR_CONSENT,
        DeliveryStatus.WAITING_FOR_OPERATOR,
    }
)


@dataclass(frozen=True, slots=True)
class Audience:
    """Who gets the mail, without saying who: counts, and domains in alphabetical order, not all of many."""

    to: int = 0
    cc: int = 0
    bcc: int = 0
    domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened to the mail; `request_id` is Graph's own id of its answer."""

    at: datetime
    status: DeliveryStatus
    code: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Doubt:
    """A mail may have been sent, at this moment at the latest.

    Attributes:
        generation: the consent it was sent with; None where its worker died before it could say.
        begun: when that worker had begun, so that a consent given later is known to be another.
    """

    since: datetime
    generation: int | None = None
    begun: datetime | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is known of one mail.

    Attributes:
        doubt: an attempt whose outcome nobody knows; the mail is not sent again before that is settled.
        trying_since: when the present row of attempts began; a mail that waited for a consent starts anew.
        fingerprint: tells this content from another under the same id; empty where it was unreadable.
        claimed_by: the queue message whose worker is sending it; None where it failed before it could send.
        etag: the version that was read; None where nothing is stored yet.
        stored: the status that was read.
    """

    tenant_id: str
    message_id: str
    status: DeliveryStatus
    queued_at: datetime
    updated_at: datetime
    trying_since: datetime
    fingerprint: str = ""
    audience: Audience = Audience()
    from_address: str | None = None
    correlation_id: str | None = None
    attempt: int = 1
    claimed_by: str | None = None
    claim_ends_at: datetime | None = None
    next_attempt_at: datetime | None = None
    doubt: Doubt | None = None
    problem: StandingProblem | None = None
    fields: tuple[FieldError, ...] = ()
    history: tuple[Step, ...] = ()
    etag: str | None = None
    stored: DeliveryStatus | None = None

    def moved(
        self,
        status: DeliveryStatus,
        now: datetime,
        *,
        problem: StandingProblem | None = None,
        request_id: str | None = None,
        **changes: Any,  # noqa: ANN401 - of this value's own fields
    ) -> Delivery:
        """Take the next step, together with other changes; the claim ends with it."""
        step = Step(now, status, problem.code if problem else None, request_id)
        fresh = {"next_attempt_at": None, "claimed_by": None, "claim_ends_at": None}
        return replace(
            self.noted(step),
            status=status,
            updated_at=now,
            problem=problem,
            **(fresh | changes),
        )

    def noted(self, step: Step) -> Delivery:
        """Add to the history."""
        return replace(self, history=(*self.history, step)[-MAX_HISTORY:])

    def claimed(self, queue_id: str, now: datetime) -> Delivery:
        """Let the worker of one queue message send the mail, and nobody else."""
        return self.moved(DeliveryStatus.SENDING, now, claimed_by=queue_id, claim_ends_at=now + CLAIM)

    def held_by_another(self, queue_id: str, now: datetime) -> bool:
        """Whether another worker may be sending the mail at this moment."""
        return (
            self.status is DeliveryStatus.SENDING
            and self.claimed_by != queue_id
            and self.claim_ends_at is not None
            and now < self.claim_ends_at
        )
