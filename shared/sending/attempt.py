"""Define the state of one attempt to send one mail."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shared.deliveries.delivery import Delivery
from shared.deliveries.recipient_summary import RecipientSummary
from shared.deliveries.status import DeliveryStatus
from shared.errors import RejectedError
from shared.mail.message import MailRequest
from shared.mail.payload import delivery_key
from shared.sending.draft_state import DraftState
from shared.sending.errors import ClaimLostError
from shared.sending.mailbox import Mailbox
from shared.sending.reconcile import search_key
from shared.sending.storage_outage import persist
from shared.sending.unrecorded import accepted_message, repeated_message
from shared.system import Moment
from shared.telemetry import Event, log_mail_event
from shared.time_limit import invocation_start

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shared.deliveries.uncertain_send import HandOver
    from shared.sending.ports import SendingServices
    from shared.settings.sender import Sender

#: How many domains of recipients are stored at most.
_MAX_DOMAINS = 50
#: Graph's codes for a full mailbox, and for one without room for named properties.
_NO_ROOM = frozenset({"ErrorQuotaExceeded", "quotaLimitReached"})


@dataclass(frozen=True, slots=True)
class QueuedMail:
    """The mail of a queued message.

    Attributes:
        text: the mail as JSON.
        message: the queue message, which is queued again if another worker has claimed the mail.
        maybe_new: the delivery log may have no row for the mail yet.
        requeued_for: the id of the attempt for which the message was queued; None for a scheduler's message.
        unused_claims: earlier claims whose outcome is known: nothing was sent, or Graph refused the mail.
        maybe_accepted: Graph may have sent the mail although it refused it under one of these claims, and the
            mail was not looked up.
    """

    request: MailRequest
    text: bytes
    message: bytes
    maybe_new: bool = False
    unused_claims: frozenset[str] = frozenset()
    maybe_accepted: bool = False
    requeued_for: str | None = None


@dataclass
class Attempt:
    """The state of an attempt; optional members are set as it progresses.

    Attributes:
        delivery: the row as last written; until the mail is `claimed`, the row to write.
        unused_claims: those of the message, and claims of this attempt with which nothing was sent.
        begun: when the invocation began, from which its time limits count.
        claim_tried: the attempt has tried to write its claim, which may be stored even without a response.
        accepted: the row to write, once Exchange has accepted the mail.
        may_have_draft: there may be a draft of the mail in the mailbox.
        sent_as_draft: the mail is sent as a draft, or was sent as one by the last attempt.
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
    may_have_draft: bool = False
    sent_as_draft: bool = False

    @property
    def request(self) -> MailRequest:
        """The mail to send."""
        return self.mail.request

    @property
    def text(self) -> bytes:
        """The mail as JSON."""
        return self.mail.text

    def next_claim(self, now: datetime, hand_over: HandOver | None = None) -> Delivery:
        """Return the row for a mail without a row, with this attempt's claim."""
        return self.delivery.with_claim(self.queue_id, now, self.claim_id, hand_over)

    def continue_with_claim(self, row: Delivery) -> None:
        """Continue with the row in which this attempt's claim is stored."""
        self.delivery = row
        self.claimed = True
        self.unused_claims -= {self.claim_id}

    def restart(self) -> None:
        """Reset the attempt, because the mail turned out to have a row."""
        # Even if this claim was written, nothing was sent with it.
        self.unused_claims |= {self.claim_id}
        self.mailbox = None
        self.may_have_draft = self.sent_as_draft = False

    def message_for_another_try(self) -> bytes:
        """Return the message to queue if the outcome cannot be stored."""
        if self.accepted is not None:
            return accepted_message(self.accepted)
        unused = self.unused_claims
        if self.claim_tried:
            unused |= {self.claim_id}
        if not unused or self._maybe_sent:
            return self.mail.message
        return repeated_message(self.delivery, self.text, unused, maybe_accepted=self.maybe_accepted)

    @property
    def was_tried_before(self) -> bool:
        """Whether an earlier attempt did more than wait, and so may have a draft."""
        return any(step.code != "mailbox_paused" for step in self.delivery.history[:-1])

    @property
    def has_earlier_attempts(self) -> bool:
        """Whether earlier attempts may have left data in storage."""
        return len(self.delivery.history) > 1

    @property
    def maybe_accepted(self) -> bool:
        """Whether a refused mail may have been sent, and cannot be looked up."""
        refused = self.mailbox is not None and self.mailbox.refusal is not None
        return self.mail.maybe_accepted or (refused and not self.may_look_up(refused=True))

    @property
    def has_unrecorded_send(self) -> bool:
        """Whether this attempt may have sent the mail, and the row omits that."""
        return self._maybe_sent and self.delivery.uncertain_send is None

    @property
    def _maybe_sent(self) -> bool:
        """Whether this attempt may have sent the mail.

        After a refusal that leaves this open, it counts as sent if a look-up can show it.
        """
        if self.mailbox is None:
            return False
        if self.mailbox.submitted:
            return True
        return self.mailbox.refusal is not None and self.may_look_up(refused=True)

    def may_look_up(self, *, refused: bool) -> bool:
        """Return whether the mail can be looked up.

        A refused draft can also be found by its id.
        """
        if self.mailbox is None:
            # The sender could not be read, so a later attempt decides whether to look up the mail.
            return self.delivery.uncertain_send is not None
        by_id = refused and self.sent_as_draft and self.mailbox.sender.may_draft
        return by_id or self.search_key(self.mailbox.sender) is not None

    def search_key(self, sender: Sender) -> str | None:
        """Return the key by which the mail is found in the mailbox, or None."""
        return search_key(self.request, sender, self.delivery, sent_as_draft=self.sent_as_draft)

    @property
    def from_address(self) -> str | None:
        """The From address of this attempt, or of the last one."""
        return self.mailbox.sender.address if self.mailbox else self.delivery.from_address

    def draft_state(self, ports: SendingServices) -> DraftState:
        """Return the stored state of the mail's draft."""
        return DraftState(self.delivery.tenant_id, self.delivery.message_id, ports)

    def with_or_without_key(self, call: Callable[[str | None], str], ports: SendingServices) -> str:
        """Make a call with the app's key; without it if the mailbox has no room.

        Exchange has the same code for a full mailbox and for one without room for named properties (Microsoft
        Learn, "Mailbox named properties quota exceeded"). A mail without its key can't be looked up, and that
        is recorded before it is sent.

        Raises:
            RejectedError: `mailbox_full`, if there is no room without the app's key either.
            NotRecordedError: storage does not respond; then nothing is sent without the key.
            ClaimLostError: another worker has claimed the mail.
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
                raise error.with_params(own_headers="yes") from error
            raise

    def _record_missing_key(self, ports: SendingServices) -> None:
        row = replace(self.delivery, without_key=True)
        saved = persist(lambda: ports.deliveries.save(row), ports.system)
        if saved is None:
            raise ClaimLostError
        self.delivery = saved
        log_mail_event(
            Event.MAIL_WITHOUT_KEY, saved, level=logging.WARNING, correlation_id=saved.correlation_id
        )


def begin_attempt(mail: QueuedMail, queue_id: str, ports: SendingServices) -> Attempt:
    """Return a new attempt, which has not claimed its mail yet."""
    row = first_row(mail.request, ports.system.now(), ports.installation)
    started = invocation_start(ports.system)
    return Attempt(mail, queue_id, ports.system.new_id(), row, mail.unused_claims, started)


def first_row(request: MailRequest, now: datetime, installation: str | None = None) -> Delivery:
    """Return the first row of a new mail."""
    return Delivery(
        tenant_id=request.tenant_id,
        message_id=request.message_id,
        status=DeliveryStatus.SENDING,
        queued_at=now,
        updated_at=now,
        trying_since=now,
        fingerprint=request.fingerprint(),
        recipients=_summarize_recipients(request),
        correlation_id=request.correlation_id,
        outcome_queue=request.outcome_queue,
        installation=installation,
    )


def _summarize_recipients(request: MailRequest) -> RecipientSummary:
    domains = sorted({recipient.address.rpartition("@")[2] for recipient in request.recipients})
    counts = len(request.to), len(request.cc), len(request.bcc)
    return RecipientSummary(*counts, tuple(domains[:_MAX_DOMAINS]))
