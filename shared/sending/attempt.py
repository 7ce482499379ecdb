"""One attempt to send one mail: what is known when it ends, however it ends."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shared.deliveries.delivery import Delivery, Doubt
from shared.errors import ConfigurationError, MailerError, OutcomeUnknownError, ProblemError
from shared.sending.doubt import may_look_up
from shared.sending.draft import DraftNote, abandon
from shared.sending.mailbox import Mailbox
from shared.sending.request import MailRequest
from shared.sending.verdict import Situation

if TYPE_CHECKING:
    from types import TracebackType

    from shared.sending.dependencies import Sending


@dataclass
class Attempt:
    """A claimed mail; `delivery`, `mailbox` and `drafted` are filled in as far as the attempt came."""

    request: MailRequest
    text: bytes
    delivery: Delivery
    mailbox: Mailbox | None = None
    drafted: bool = False

    @property
    def repeated(self) -> bool:
        """Whether something of an earlier attempt may be left."""
        return len(self.delivery.history) > 1

    @property
    def maybe_taken(self) -> bool:
        """Whether the mail may have been taken in this attempt, and no doubt says so yet."""
        return self.mailbox is not None and self.mailbox.submitted and self.delivery.doubt is None

    @property
    def from_address(self) -> str | None:
        """The address that sends, or sent the last time."""
        return self.mailbox.sender.address if self.mailbox else self.delivery.from_address

    def note(self, ports: Sending) -> DraftNote:
        """Return the note on the mail's draft."""
        return DraftNote(self.delivery.tenant_id, self.delivery.message_id, ports)

    def give_up_draft(self, ports: Sending) -> None:
        """Remove what this mail left in Drafts, now that it will not be sent."""
        if self.mailbox is None or not (self.drafted or self.repeated):
            return
        # The note stays where the draft can't be removed, and the timer tries again.
        with suppress(MailerError, ConfigurationError):
            abandon(self.note(ports), self.mailbox, ports)

    def failed(self, error: ProblemError, ports: Sending) -> Situation:
        """Say what the verdict depends on; an outcome that nobody knows leaves the mail in doubt."""
        now = ports.world.now()
        if isinstance(error, OutcomeUnknownError) and self.delivery.doubt is None:
            generation = self.mailbox.sender.consent.generation if self.mailbox else None
            self.delivery = replace(self.delivery, doubt=Doubt(now, generation))
        doubt = self.delivery.doubt
        return Situation(
            now,
            self.delivery.attempt,
            self.delivery.trying_since,
            self.request.expires_at,
            ports.world.jitter(),
            in_doubt_since=doubt.since if doubt else None,
            may_look_up=self.mailbox is not None and may_look_up(self.request, self.mailbox.sender, doubt),
            # Asked only when it matters: a mail is kept while every setting but storage's is wrong.
            resends=isinstance(error, OutcomeUnknownError) and ports.resends_unknown,
            refusals=self._times(error.code),
        )

    def _times(self, code: str) -> int:
        """Count how often the present row of attempts ended like this one, this one included."""
        since = self.delivery.trying_since
        return 1 + sum(step.code == code and step.at >= since for step in self.delivery.history)


class HeldClaim:
    """Gives the claim back where the attempt ends with a failure that could not be recorded.

    The message comes again, and a claim that still stands puts the mail in doubt; so it does stand where
    the mail may have been taken.
    """

    def __init__(self, attempt: Attempt, ports: Sending) -> None:
        self._attempt = attempt
        self._ports = ports

    def __enter__(self) -> None:
        """Hold it already."""

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Give it back; a row that was written meanwhile stays as it is."""
        if isinstance(error, Exception) and not self._attempt.maybe_taken:
            row = replace(self._attempt.delivery, claimed_by=None, claim_ends_at=None)
            with suppress(ProblemError):
                self._ports.deliveries.save(row)
