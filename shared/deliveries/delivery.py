"""Define a mail's delivery and its transitions as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from shared.deliveries.event import DeliveryEvent
from shared.deliveries.outcome_report import Outcome, latest_that_fit, next_outcome
from shared.deliveries.recipient_summary import NO_RECIPIENTS, RecipientSummary
from shared.deliveries.slot import Slot
from shared.deliveries.status import FINAL, DeliveryStatus
from shared.deliveries.uncertain_send import HandOver, UncertainSend
from shared.forward_compatible import Stored, stored_as
from shared.problems import FieldError
from shared.settings.tenant import ActiveProblem

#: Longer than `functionTimeout` in host.json, after which no worker can still be sending.
CLAIM_DURATION = timedelta(minutes=11)
#: A due mail that is later than this was delayed by an outage, not by other mails or a restart of the app.
_MAX_LATENESS = timedelta(hours=2)
#: The app delays no attempt for longer, so a later time was written while a clock was wrong.
MAX_WAIT = timedelta(hours=25)
#: Only the latest entries are kept, because the first attempts of a throttled mail add no information.
MAX_HISTORY = 40
CONFLICT = "message_conflict"
MAYBE_ACCEPTED = "maybe_accepted"


@dataclass(frozen=True, slots=True)
class Delivery(Stored):
    """The row of one mail in the delivery log.

    Attributes:
        uncertain_send: an attempt with unknown outcome; the mail is not sent again before it is reconciled.
        trying_since: when the current attempts began; reset once a mail has waited for a consent.
        requeued_for: the id of the next attempt, also in its queue message; each transition sets a new one.
        requeued_by: the queue message whose worker was to queue the message of the next attempt.
        paused_for: how long sending was paused since `trying_since`.
        paused_since: the latest check that found sending paused; None once sending continues.
        fingerprint: the hash of the content, to detect a reused id; empty if the message was unreadable.
        claimed_by: the queue message whose worker is sending the mail; None without a claim.
        claim_id: identifies this claim.
        claim_id_until: the end of that claim. If it differs from `claim_ends_at`, an older version of the
            app, which knows neither `claim_id` nor this member, has made the claim.
        hand_over: written directly before the mail is sent to Graph; without it nothing was sent.
        lost_since: when the claim was first found long expired; None unless the mail is claimed.
        conflict_at: when another mail with the same id and other content was last refused.
        warnings: problems of the mail that do not prevent sending.
        without_key: sent without the key for look-ups, because the mailbox cannot store it.
        waited_for_sender: the mail waited once because Microsoft 365 refused the sender.
        attempts_end_at: when the time for its attempts is over; only while the mail is deferred.
        outcome_queue: the queue for the final status, if its scheduler named one.
        outcome_count: how many final statuses the mail has had, if its scheduler named a queue.
        unreported_outcomes: the outcomes that are not in their queue yet.
        installation: the client id of the app registration that claimed the mail; None in older rows.
        etag: the version of the row that was read; None if nothing is stored yet.
        stored_status: the status in the row that was read; None if nothing is stored yet.
    """

    tenant_id: str
    message_id: str
    status: DeliveryStatus
    queued_at: datetime
    updated_at: datetime
    trying_since: datetime
    fingerprint: str = ""
    recipients: RecipientSummary = field(default=NO_RECIPIENTS, metadata=stored_as("audience"))
    from_address: str | None = None
    correlation_id: str | None = None
    attempt: int = 1
    claimed_by: str | None = None
    claim_ends_at: datetime | None = None
    claim_id: str | None = None
    claim_id_until: datetime | None = None
    hand_over: HandOver | None = None
    lost_since: datetime | None = None
    next_attempt_at: datetime | None = None
    requeued_for: str | None = None
    requeued_by: str | None = None
    slot: Slot | None = None
    attempts_end_at: datetime | None = field(default=None, metadata=stored_as("ends_at"))
    paused_for: timedelta = timedelta(0)
    paused_since: datetime | None = None
    uncertain_send: UncertainSend | None = field(default=None, metadata=stored_as("doubt"))
    problem: ActiveProblem | None = None
    fields: tuple[FieldError, ...] = ()
    history: tuple[DeliveryEvent, ...] = ()
    conflict_at: datetime | None = None
    warnings: tuple[ActiveProblem, ...] = ()
    without_key: bool = False
    waited_for_sender: bool = False
    outcome_queue: str | None = None
    outcome_count: int = field(default=0, metadata=stored_as("outcomes"))
    unreported_outcomes: tuple[Outcome, ...] = field(default=(), metadata=stored_as("owed"))
    installation: str | None = None
    etag: str | None = None
    stored_status: DeliveryStatus | None = None

    def transition(
        self,
        status: DeliveryStatus,
        now: datetime,
        *,
        problem: ActiveProblem | None = None,
        request_id: str | None = None,
        maybe_sent: bool = False,
        **changes: Any,  # noqa: ANN401 - of this value's own fields
    ) -> Delivery:
        """Change the status, and release the claim unless `changes` set one."""
        next_attempt_at = changes.get("next_attempt_at")
        event = DeliveryEvent(
            now, status, problem.code if problem else None, request_id, maybe_sent=maybe_sent
        )
        fresh: dict[str, Any] = {
            "next_attempt_at": None,
            "attempts_end_at": None,
            # A text, because members that are times are adjusted to the clock of the host that reads the row.
            "requeued_for": next_attempt_at.isoformat() if next_attempt_at else None,
            "requeued_by": self.claimed_by if next_attempt_at else None,
            "claimed_by": None,
            "claim_ends_at": None,
            "claim_id": None,
            "claim_id_until": None,
            "hand_over": None,
            "lost_since": None,
            "paused_for": self.total_pause(now),
            "paused_since": None,
            "warnings": self.warnings_with(MAYBE_ACCEPTED, now) if maybe_sent else self.warnings,
        }
        return replace(
            self,
            history=self._history_with(event),
            status=status,
            updated_at=now,
            problem=problem,
            **(fresh | changes),
        ).with_unreported_outcome()

    def with_unreported_outcome(self) -> Delivery:
        """Add an outcome to report, if the mail is final and names a queue."""
        if self.outcome_queue is None or self.status not in FINAL:
            return self
        outcome = next_outcome(
            self.outcome_count + 1,
            self.outcome_queue,
            self.status,
            self.updated_at,
            self.problem,
            self.correlation_id,
            self.fields,
        )
        outcomes = latest_that_fit((*self.unreported_outcomes, outcome))
        return replace(self, outcome_count=outcome.number, unreported_outcomes=outcomes)

    def total_pause(self, now: datetime) -> timedelta:
        """Return how long sending was paused during the current attempts."""
        if self.paused_since is None:
            return self.paused_for
        # A host whose clock is ahead records a check in the future, which must not shorten the pause.
        return self.paused_for + max(now - self.paused_since, timedelta(0))

    def overdue(self, now: datetime) -> timedelta:
        """Return how late a mail is because the app was down; 0 if it was not."""
        due = self.next_attempt_at or self.claim_ends_at
        late = now - due if due and self.paused_since is None else timedelta(0)
        return late if late > _MAX_LATENESS else timedelta(0)

    def counted_since(self, now: datetime) -> datetime:
        """Return `trying_since`, moved later by the duration of every pause."""
        return self.trying_since + self.total_pause(now)

    def with_new_attempts(self, now: datetime) -> Delivery:
        """Begin new attempts, which have their full time again."""
        return replace(self, trying_since=now, paused_for=timedelta(0))

    def warnings_with(self, code: str, since: datetime) -> tuple[ActiveProblem, ...]:
        """Return the warnings with this one; one that exists keeps its time."""
        known = any(warning.code == code for warning in self.warnings)
        return self.warnings if known else (*self.warnings, ActiveProblem(code, since))

    def with_event(self, event: DeliveryEvent) -> Delivery:
        """Add an entry to the history."""
        return replace(self, history=self._history_with(event))

    def _history_with(self, event: DeliveryEvent) -> tuple[DeliveryEvent, ...]:
        return (*self.history, event)[-MAX_HISTORY:]

    def with_conflict(self, now: datetime, refused: str) -> Delivery:
        """Record the latest refusal of another mail with this id."""
        history = self.history
        if history and history[-1].code == CONFLICT:
            history = history[:-1]
        event = DeliveryEvent(now, self.status, CONFLICT, contents=(self.fingerprint, refused))
        return replace(self, history=history, conflict_at=now).with_event(event)

    def with_claim(
        self, queue_id: str, now: datetime, claim_id: str | None = None, hand_over: HandOver | None = None
    ) -> Delivery:
        """Claim the mail for the worker of one queue message."""
        end = now + CLAIM_DURATION
        return self.transition(
            DeliveryStatus.SENDING,
            now,
            claimed_by=queue_id,
            claim_ends_at=end,
            claim_id=claim_id,
            claim_id_until=end if claim_id else None,
            hand_over=hand_over,
            # Kept, because Azure redelivers the message if its worker crashes.
            requeued_for=self.requeued_for,
        )

    def without_claim(self) -> Delivery:
        """Release the claim, as if it had never been made."""
        return replace(
            self, claimed_by=None, claim_ends_at=None, claim_id=None, claim_id_until=None, hand_over=None
        )

    @property
    def own_claim(self) -> str | None:
        """The id of the claim; None if an older version of the app made it."""
        return self.claim_id if self.claim_id_until == self.claim_ends_at else None

    @property
    def may_have_been_sent(self) -> bool:
        """Whether the worker with the claim may have sent the mail to Graph."""
        claimed = self.status is DeliveryStatus.SENDING and self.claimed_by is not None
        # A claim of an older version does not record whether the mail was handed over.
        return claimed and (self.own_claim is None or self.hand_over is not None)

    def with_uncertain_send(self, now: datetime) -> Delivery:
        """Record that the worker with the claim may have sent the mail."""
        if self.uncertain_send is not None:
            return self
        if self.hand_over is None or self.own_claim is None:
            return replace(self, uncertain_send=UncertainSend(now, worker_began_at=self.updated_at))
        return replace(
            self, uncertain_send=UncertainSend(now, self.hand_over.consent_version, claim_id=self.claim_id)
        )

    def held_by_another(self, queue_id: str, now: datetime) -> bool:
        """Return whether another worker may be sending the mail now."""
        return self.claimed_by != queue_id and self.is_being_sent(now)

    def is_being_sent(self, now: datetime) -> bool:
        """Return whether a worker has claimed the mail and may be running."""
        end = self.claim_ends_at
        return self.status is DeliveryStatus.SENDING and end is not None and now < end
