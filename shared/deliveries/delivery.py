"""One mail's way, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from shared.deliveries.audience import NOBODY, Audience
from shared.deliveries.doubt import Doubt, HandOver
from shared.deliveries.outcome import Outcome, latest, next_outcome
from shared.deliveries.slot import Slot
from shared.deliveries.status import FINAL, PENDING, DeliveryStatus
from shared.deliveries.step import Step
from shared.problems import FieldError
from shared.settings.tenant import StandingProblem
from shared.stored import Stored

__all__ = ["FINAL", "PENDING", "Audience", "Delivery", "DeliveryStatus", "Doubt", "HandOver", "Step"]

#: Longer than `functionTimeout` in host.json, after which no worker can still be sending.
CLAIM = timedelta(minutes=11)
#: What a mail may be late because others are before it, or the app restarts.
_IN_TIME = timedelta(hours=2)
#: No attempt is put off for longer: a time that lies further ahead was written by a clock that was wrong.
LONGEST_WAIT = timedelta(hours=25)
#: A mail that was throttled for a day has its last attempts on record; the first ones tell nothing new.
MAX_HISTORY = 40
CONFLICT = "message_conflict"
MAYBE_ACCEPTED = "maybe_accepted"


@dataclass(frozen=True, slots=True)
class Delivery(Stored):
    """What is known of one mail.

    Attributes:
        doubt: an attempt whose outcome nobody knows; the mail is not sent again before that is settled.
        trying_since: when the present row of attempts began; a mail that waited for a consent starts anew.
        requeued_for: names the next attempt, as the queue message for it does; each move gives another name.
        requeued_by: the queue message whose worker was to queue that one.
        paused_for: how long of that time a pause of sending kept the mail waiting.
        paused_since: the latest look at the mail that found sending paused; None once it goes on.
        fingerprint: tells this content from another under the same id; empty where it was unreadable.
        claimed_by: the queue message whose worker is sending it; None where it failed before it could send.
        claim_id: tells this claim from every other one.
        claim_id_until: repeats the end of that claim. An older version of the app, which knows neither, keeps
            both when it claims the mail itself.
        hand_over: written directly before the mail is handed to Graph; without it nothing was.
        lost_since: when it was first seen that its claim had ended long before; None unless it is claimed.
        conflict_at: when another mail with the same id and other content was last refused.
        warnings: what is not as it should be in a mail that is sent all the same.
        without_key: the mailbox has no room for the key by which a mail is looked up, so it is sent without.
        waited_for_sender: it waited once because Microsoft 365 refused the sender.
        ends_at: when the time for its attempts is over; only while the mail is deferred.
        outcome_queue: where its scheduler wants to read how it ended; None where it does not.
        outcomes: how many ends it came to, of those that are told.
        owed: the ends that were not put into their queue yet.
        installation: the client id of the app registration that claimed it; None in older rows.
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
    audience: Audience = NOBODY
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
    ends_at: datetime | None = None
    paused_for: timedelta = timedelta(0)
    paused_since: datetime | None = None
    doubt: Doubt | None = None
    problem: StandingProblem | None = None
    fields: tuple[FieldError, ...] = ()
    history: tuple[Step, ...] = ()
    conflict_at: datetime | None = None
    warnings: tuple[StandingProblem, ...] = ()
    without_key: bool = False
    waited_for_sender: bool = False
    outcome_queue: str | None = None
    outcomes: int = 0
    owed: tuple[Outcome, ...] = ()
    installation: str | None = None
    etag: str | None = None
    stored: DeliveryStatus | None = None

    def moved(
        self,
        status: DeliveryStatus,
        now: datetime,
        *,
        problem: StandingProblem | None = None,
        request_id: str | None = None,
        maybe_sent: bool = False,
        **changes: Any,  # noqa: ANN401 - of this value's own fields
    ) -> Delivery:
        """Take the next step, together with other changes; the claim ends with it."""
        again = changes.get("next_attempt_at")
        step = Step(now, status, problem.code if problem else None, request_id, maybe_sent=maybe_sent)
        fresh: dict[str, Any] = {
            "next_attempt_at": None,
            "ends_at": None,
            # A text, because times are moved where the clocks of two hosts differ.
            "requeued_for": again and again.isoformat(),
            "requeued_by": again and self.claimed_by,
            "claimed_by": None,
            "claim_ends_at": None,
            "claim_id": None,
            "claim_id_until": None,
            "hand_over": None,
            "lost_since": None,
            "paused_for": self.total_pause(now),
            "paused_since": None,
            "warnings": self._warnings_with(MAYBE_ACCEPTED, now) if maybe_sent else self.warnings,
        }
        return replace(
            self,
            history=self._history_with(step),
            status=status,
            updated_at=now,
            problem=problem,
            **(fresh | changes),
        ).owing_outcome()

    def owing_outcome(self) -> Delivery:
        """Owe its scheduler the end that the mail has just come to, if it asked for it."""
        if self.outcome_queue is None or self.status not in FINAL:
            return self
        outcome = next_outcome(self, self.outcome_queue)
        return replace(self, outcomes=outcome.number, owed=latest((*self.owed, outcome)))

    def total_pause(self, now: datetime) -> timedelta:
        """Return how long pauses of sending have kept the present attempts waiting."""
        if self.paused_since is None:
            return self.paused_for
        # A look that lies in the future was taken by another clock, and shortens nothing.
        return self.paused_for + max(now - self.paused_since, timedelta(0))

    def overdue(self, now: datetime) -> timedelta:
        """Return for how long nobody has taken the mail up although it was due: the app was away."""
        due = self.next_attempt_at or self.claim_ends_at
        late = now - due if due and self.paused_since is None else timedelta(0)
        return late if late > _IN_TIME else timedelta(0)

    def counted_since(self, now: datetime) -> datetime:
        """Return the moment from which the time for its attempts counts: every pause moves it on."""
        return self.trying_since + self.total_pause(now)

    def begun_anew(self, now: datetime) -> Delivery:
        """Start a new row of attempts, with all of its time."""
        return replace(self, trying_since=now, paused_for=timedelta(0))

    def without_look(self) -> Delivery:
        """Go on without a look for a mail that was refused; its history says that it may have been sent."""
        since = self.doubt.since if self.doubt else self.updated_at
        history = tuple(
            replace(step, maybe_sent=True) if step.at == since and step.code else step
            for step in self.history
        )
        return replace(self, doubt=None, history=history, warnings=self._warnings_with(MAYBE_ACCEPTED, since))

    def _warnings_with(self, code: str, since: datetime) -> tuple[StandingProblem, ...]:
        known = any(warning.code == code for warning in self.warnings)
        return self.warnings if known else (*self.warnings, StandingProblem(code, since))

    def noted(self, step: Step) -> Delivery:
        """Add to the history."""
        return replace(self, history=self._history_with(step))

    def _history_with(self, step: Step) -> tuple[Step, ...]:
        return (*self.history, step)[-MAX_HISTORY:]

    def in_conflict(self, now: datetime, refused: str) -> Delivery:
        """Record that a mail with this id and other content was refused; of several in a row, the last."""
        known = self.history
        if known and known[-1].code == CONFLICT:
            known = known[:-1]
        step = Step(now, self.status, CONFLICT, contents=(self.fingerprint, refused))
        return replace(self, history=known, conflict_at=now).noted(step)

    def claimed(self, queue_id: str, now: datetime, claim_id: str | None = None) -> Delivery:
        """Let the worker of one queue message send the mail, and nobody else."""
        end = now + CLAIM
        return self.moved(
            DeliveryStatus.SENDING,
            now,
            claimed_by=queue_id,
            claim_ends_at=end,
            claim_id=claim_id,
            claim_id_until=end if claim_id else None,
            # The message comes again if its worker dies.
            requeued_for=self.requeued_for,
        )

    def unclaimed(self) -> Delivery:
        """Give the claim back, as if the mail had never been taken up."""
        return replace(
            self, claimed_by=None, claim_ends_at=None, claim_id=None, claim_id_until=None, hand_over=None
        )

    @property
    def own_claim(self) -> str | None:
        """The id of its claim; None where an older version of the app has claimed it."""
        return self.claim_id if self.claim_id_until == self.claim_ends_at else None

    @property
    def maybe_handed_over(self) -> bool:
        """Whether the worker that holds the claim, or held it, may have handed the mail to Graph."""
        claimed = self.status is DeliveryStatus.SENDING and self.claimed_by is not None
        # A claim of an older version does not say.
        return claimed and (self.own_claim is None or self.hand_over is not None)

    def doubted(self, now: datetime) -> Delivery:
        """Say that the mail may have been sent by the worker whose claim it carries."""
        if self.doubt is not None:
            return self
        if self.hand_over is None or self.own_claim is None:
            return replace(self, doubt=Doubt(now, begun=self.updated_at))
        return replace(self, doubt=Doubt(now, self.hand_over.generation, claim_id=self.claim_id))

    def held_by_another(self, queue_id: str, now: datetime) -> bool:
        """Whether another worker may be sending the mail at this moment."""
        return self.claimed_by != queue_id and self.is_being_sent(now)

    def is_being_sent(self, now: datetime) -> bool:
        """Whether its claim has not ended yet."""
        end = self.claim_ends_at
        return self.status is DeliveryStatus.SENDING and end is not None and now < end
