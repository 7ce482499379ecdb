"""One attempt to send one mail: what is known when it ends, however it ends."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shared.deliveries.delivery import MAYBE_ACCEPTED, Delivery, Doubt
from shared.errors import (
    OutcomeUnknownError,
    ProblemError,
    RejectedError,
)
from shared.sending.doubt import FIRST_LOOK, SETTLED, look_up_key
from shared.sending.draft_note import DraftNote
from shared.sending.hand_over import ClaimLostError
from shared.sending.mailbox import Mailbox
from shared.sending.payload import delivery_key
from shared.sending.persist import persist
from shared.sending.queued import QueuedMail
from shared.sending.unrecorded import accepted_message, repeated_message
from shared.sending.verdict import Situation, count_refusals
from shared.settings.tenant import StandingProblem
from shared.telemetry import Event, log_event
from shared.world import Moment

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shared.sending.dependencies import Sending
    from shared.sending.request import MailRequest
    from shared.sending.warnings import MailWarning
    from shared.settings.sender import Sender

#: Graph's codes for a mailbox that is full, and for one that has no room for named properties.
_NO_ROOM = frozenset({"ErrorQuotaExceeded", "quotaLimitReached"})


@dataclass
class Attempt:
    """A mail that is being sent; the members that have a default are filled in as far as the attempt came.

    Attributes:
        delivery: the row as it was written last; before it is `claimed`, the row that is to be written.
        unused_claims: claims that are known to have handed nothing over.
        claim_tried: the claim may have been written, whether storage answered or not.
        accepted: the row to be written, once Exchange has taken the mail.
        as_draft: the mail is handed over as a draft, or was the last time.
    """

    mail: QueuedMail
    queue_id: str
    claim_id: str
    delivery: Delivery
    unused_claims: frozenset[str] = frozenset()
    begun: Moment | None = None
    claimed: bool = False
    claim_tried: bool = False
    accepted: Delivery | None = None
    mailbox: Mailbox | None = None
    drafted: bool = False
    as_draft: bool = False

    @property
    def request(self) -> MailRequest:
        """What is to be sent."""
        return self.mail.request

    @property
    def text(self) -> bytes:
        """The same as JSON."""
        return self.mail.text

    def next_claim(self, now: datetime) -> Delivery:
        """Return the row of a mail that the log does not know, claimed."""
        return self.delivery.claimed(self.queue_id, now, self.claim_id)

    def take(self, row: Delivery) -> None:
        """Go on with the row that holds the claim."""
        self.delivery, self.claimed = row, True
        self.unused_claims -= {self.claim_id}

    def begin_again(self) -> None:
        """Forget the part of the attempt that was made before the mail was found to have a row."""
        # Whatever was written under this claim, nothing was handed over.
        self.unused_claims |= {self.claim_id}
        self.mailbox, self.drafted, self.as_draft = None, False, False

    def message_for_another_try(self) -> bytes:
        """Return what is to be queued where storage could not be told how this attempt ended."""
        if self.accepted is not None:
            return accepted_message(self.accepted)
        unused = self.unused_claims
        if self.claim_tried:
            unused |= {self.claim_id}
        if not unused or self._maybe_sent:
            return self.mail.message
        return repeated_message(self.delivery, self.text, unused)

    @property
    def was_tried(self) -> bool:
        """Whether an earlier attempt may have left a draft; one that only waited for its slot has not."""
        return any(step.code != "mailbox_paused" for step in self.delivery.history[:-1])

    @property
    def repeated(self) -> bool:
        """Whether something of an earlier attempt may be left."""
        return len(self.delivery.history) > 1

    @property
    def maybe_taken(self) -> bool:
        """Whether the mail may have been taken in this attempt, and no doubt says so yet."""
        return self._maybe_sent and self.delivery.doubt is None

    @property
    def _maybe_sent(self) -> bool:
        """Whether the mail may be sent by this attempt; a refusal counts where it can be looked up."""
        mailbox = self.mailbox
        refused = mailbox is not None and mailbox.refusal is not None
        return (mailbox is not None and mailbox.submitted) or (refused and self._may_look_up(refused=True))

    def _may_look_up(self, *, refused: bool) -> bool:
        """Whether the mail can be looked for; a draft that was refused is known by its id, too."""
        if self.mailbox is None:  # The sender could not be read: a later attempt can say.
            return self.delivery.doubt is not None
        by_id = refused and self.as_draft and self.mailbox.sender.may_draft
        return by_id or self.look_up_key(self.mailbox.sender) is not None

    def look_up_key(self, sender: Sender) -> str | None:
        """Return the key by which the mail can be found in the sender's mailbox; None where it cannot be."""
        return look_up_key(self.request, sender, self.delivery, as_draft=self.as_draft)

    @property
    def from_address(self) -> str | None:
        """The address that sends, or sent the last time."""
        return self.mailbox.sender.address if self.mailbox else self.delivery.from_address

    def note(self, ports: Sending) -> DraftNote:
        """Return the note on the mail's draft."""
        return DraftNote(self.delivery.tenant_id, self.delivery.message_id, ports)

    def warn(self, found: tuple[MailWarning, ...], ports: Sending) -> None:
        """Record what the mail's sender should correct; a warning that is on record stays as it is."""
        known = {warning.code: warning for warning in self.delivery.warnings}
        new = {
            each.code: StandingProblem(each.code, ports.world.now(), dict([each.fact]))
            for each in found
            if each.code not in known
        }
        # That one is no property of the mail, and stays.
        before = tuple(warning for warning in self.delivery.warnings if warning.code == MAYBE_ACCEPTED)
        warnings = (*((known | new)[each.code] for each in found), *before)
        if warnings != self.delivery.warnings:
            self.delivery = replace(self.delivery, warnings=warnings)
        for each in found:
            if each.code in new:
                log_event(
                    Event.MAIL_WARNING,
                    level=logging.WARNING,
                    tenant_id=self.delivery.tenant_id,
                    message_id=self.delivery.message_id,
                    correlation_id=self.delivery.correlation_id,
                    problem=each.code,
                    who_acts=new[each.code].problem.who_acts,
                    count=each.count,
                )

    def with_or_without_key(self, call: Callable[[str | None], str], ports: Sending) -> str:
        """Make the call that writes our key, and once more without it where the mailbox has no room.

        Exchange has one code for a full mailbox and for one without room for named properties (Microsoft
        Learn, "Mailbox named properties quota exceeded"). Without its key a mail can't be looked up, and
        that is on record before it is sent.

        Raises:
            RejectedError: `mailbox_full`, where there is no room without our key either.
            NotRecordedError: storage does not answer; nothing is sent without the key then.
            ClaimLostError: another worker has the mail by now.
        """
        if not self.delivery.without_key:
            try:
                return call(delivery_key(self.delivery.tenant_id, self.delivery.message_id))
            except RejectedError as error:
                if error.graph_code not in _NO_ROOM:
                    raise
            self._record_missing_key(ports)
        try:
            return call(None)
        except RejectedError as error:
            own_headers = self.request.headers or self.request.list_unsubscribe_post
            if error.graph_code in _NO_ROOM and own_headers:
                raise error.with_facts(own_headers="yes") from error
            raise

    def _record_missing_key(self, ports: Sending) -> None:
        row = replace(self.delivery, without_key=True)
        saved = persist(lambda: ports.deliveries.save(row), ports.world)
        if saved is None:
            raise ClaimLostError
        self.delivery = saved
        log_event(
            Event.MAIL_WITHOUT_KEY,
            level=logging.WARNING,
            tenant_id=saved.tenant_id,
            message_id=saved.message_id,
            correlation_id=saved.correlation_id,
        )

    def failed(self, error: ProblemError, ports: Sending) -> Situation:
        """Say what the verdict depends on.

        An outcome that nobody knows leaves the mail in doubt. So does a refusal after which it may be sent,
        if it is repeated and can be looked up before.
        """
        now = ports.world.now()
        refused = self.mailbox is not None and self.mailbox.refusal is error
        doubt = self.delivery.doubt
        may_look_up = self._may_look_up(refused=refused or (doubt is not None and doubt.refused))
        in_doubt = isinstance(error, OutcomeUnknownError) or (refused and may_look_up)
        if in_doubt and doubt is None:
            doubt = self._doubt(now, refused=refused)
            self.delivery = replace(self.delivery, doubt=doubt)
        return Situation(
            now,
            self.delivery.attempt,
            self.delivery.counted_since(now),
            self.request.expires_at,
            ports.world.jitter(),
            in_doubt_since=doubt.since if doubt else None,
            may_look_up=may_look_up,
            first_look=(SETTLED if self.as_draft else FIRST_LOOK) if refused and may_look_up else None,
            maybe_sent=refused and not may_look_up,
            # Asked only when it matters: a mail is kept while every setting but storage's is wrong.
            resends=isinstance(error, OutcomeUnknownError) and ports.resends_unknown,
            refusals=count_refusals(error, self.delivery, now),
        )

    def _doubt(self, now: datetime, *, refused: bool) -> Doubt:
        generation = self.mailbox.sender.consent.generation if self.mailbox else None
        owner = self.mailbox.owner if self.mailbox and refused else None
        return Doubt(now, generation, refused=refused, mailbox=owner)
