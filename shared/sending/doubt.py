"""Find out what became of a mail whose answer never came.

With Mail.ReadWrite it carries our key, by which it is found in the mailbox. Without, or where no copy is
kept, nobody can tell.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.errors import OutcomeUnknownError
from shared.sending.payload import delivery_key

if TYPE_CHECKING:
    from shared.deliveries.delivery import Doubt
    from shared.sending.dependencies import Sending
    from shared.sending.draft import Draft
    from shared.sending.mailbox import Mailbox
    from shared.sending.request import MailRequest
    from shared.settings.sender import Sender

#: A mail that is not in the mailbox by then was not taken: copies arrive in seconds, and Graph gives a
#: request up after two minutes.
SETTLED = timedelta(minutes=5)
_FIRST_LOOK = timedelta(seconds=15)


def next_look(since: datetime, now: datetime) -> datetime:
    """Return when to look next: soon at first, then less and less often, and once it must have settled."""
    later = now + max(_FIRST_LOOK, now - since)
    return later if now >= since + SETTLED else min(later, since + SETTLED)


def may_look_up(request: MailRequest, sender: Sender, doubt: Doubt | None) -> bool:
    """Say whether a mail of this sender can be found again."""
    return sender.may_draft and request.save_to_sent_items and not (doubt and _strange(doubt, sender))


def was_sent(
    request: MailRequest, doubt: Doubt, draft: Draft | None, mailbox: Mailbox, ports: Sending
) -> bool:
    """Say whether a mail in doubt went out.

    Raises:
        OutcomeUnknownError: nobody can tell, or not yet.
        TransientError, ConsentRequiredError: the mailbox can't be looked into at present.
    """
    sender = mailbox.sender
    if draft is not None and not draft.submitted:
        # The worker that was cut short was still putting files on it.
        return False
    if not may_look_up(request, sender, doubt):
        raise OutcomeUnknownError("outcome_unknown")
    key = delivery_key(request.tenant_id, request.message_id)
    found = mailbox.ask(lambda token, sender: ports.transport.find(token, sender, key))
    if any(not mail.is_draft for mail in found):
        return True
    # A draft that no note tells of is the copy of a mail that was taken in one request and waits its turn.
    waits = draft is None and bool(found)
    if waits or ports.world.now() < doubt.since + SETTLED:
        raise OutcomeUnknownError("outcome_unknown")
    return False


def _strange(doubt: Doubt, sender: Sender) -> bool:
    """Whether the mail may have gone out from another mailbox than the one that can be looked into."""
    if doubt.generation is None:
        return doubt.begun is not None and sender.consent.consented_at >= doubt.begun
    return doubt.generation != sender.consent.generation
