"""One attempt to send one mail: what is known when it ends, however it ends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shared.deliveries.delivery import Delivery, Doubt
from shared.errors import OutcomeUnknownError
from shared.sending.doubt import may_look_up
from shared.sending.draft import DraftNote, abandon
from shared.sending.mailbox import Mailbox
from shared.sending.request import MailRequest
from shared.sending.verdict import Situation
from shared.settings.sender import Sender

if TYPE_CHECKING:
    from shared.errors import ProblemError
    from shared.sending.dependencies import Sending


@dataclass
class Attempt:
    """A claimed mail; `delivery`, `sender` and `drafted` are filled in as far as the attempt came."""

    request: MailRequest
    text: bytes
    delivery: Delivery
    sender: Sender | None = None
    drafted: bool = False

    @property
    def repeated(self) -> bool:
        """Whether something of an earlier attempt may be left."""
        return len(self.delivery.history) > 1

    @property
    def from_address(self) -> str | None:
        """The address that sends, or sent the last time."""
        return self.sender.address if self.sender else self.delivery.from_address

    def note(self, ports: Sending) -> DraftNote:
        """Return the note on the mail's draft."""
        return DraftNote(self.delivery.tenant_id, self.delivery.message_id, ports)

    def give_up_draft(self, ports: Sending) -> None:
        """Remove what this mail left in Drafts, now that it will not be sent."""
        if self.sender is not None and (self.drafted or self.repeated):
            abandon(self.note(ports), Mailbox(self.sender, ports), ports)

    def failed(self, error: ProblemError, ports: Sending) -> Situation:
        """Say what the verdict depends on; an outcome that nobody knows leaves the mail in doubt."""
        now = ports.world.now()
        if isinstance(error, OutcomeUnknownError) and self.delivery.doubt is None:
            generation = self.sender.consent.generation if self.sender else None
            self.delivery = replace(self.delivery, doubt=Doubt(now, generation))
        doubt = self.delivery.doubt
        return Situation(
            now,
            self.delivery.attempt,
            self.delivery.trying_since,
            self.request.expires_at,
            ports.world.jitter(),
            in_doubt_since=doubt.since if doubt else None,
            may_look_up=self.sender is not None and may_look_up(self.request, self.sender),
            resends=ports.resends_unknown,
        )
