"""Find out whether a mail was sent whose answer was lost, or that was refused and may be sent all the same.

With Mail.ReadWrite a mail carries our key, by which it is found in the mailbox. Without that permission,
without a copy, or where the mailbox has no room for the key, nobody can tell.

Users report mails that were sent although Graph answered 429 or 503. `sendMail` saves a mail in Drafts and
then submits it, so one look is enough for a mail that was refused. A draft is in Drafts whether submitted or
not, so the look comes once transport must have it.
https://learn.microsoft.com/graph/outlook-things-to-know-about-send-mail
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.errors import OutcomeUnknownError, RejectedError, TransientError
from shared.sending.mailbox import mailbox_of
from shared.sending.payload import delivery_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.deliveries.delivery import Delivery, Doubt
    from shared.sending.dependencies import Sending
    from shared.sending.draft_note import Draft
    from shared.sending.mailbox import Mailbox
    from shared.sending.ports import FoundMail
    from shared.sending.request import MailRequest
    from shared.settings.sender import Sender

#: A mail that is not in the mailbox by then was not taken: copies arrive in seconds, and Graph gives a
#: request up after two minutes.
SETTLED = timedelta(minutes=5)
FIRST_LOOK = timedelta(seconds=15)
#: A search that takes too long for so long is not likely to end.
_SEARCH_PATIENCE = timedelta(minutes=15)
#: The same of a search that Graph finds too complex (InefficientFilter) or does not do.
SEARCH_NOT_DONE = frozenset({"graph_timeout", "unexpected_answer"})
_NO_ANSWER_TO_A_SEARCH = frozenset({"access_denied", "graph_timeout", "unexpected_answer"})
#: What the clocks of two hosts may differ.
_CLOCKS = timedelta(minutes=15)


class CopyWaitsError(OutcomeUnknownError):
    """A copy of the mail is in the mailbox and waits to be sent."""


class SearchRefusedError(TransientError):
    """Exchange refuses the search because of the mailbox or a right, which can pass."""


def next_look(since: datetime, now: datetime) -> datetime:
    """Return when to look next: soon at first, then less and less often, and once it must have settled."""
    later = now + max(FIRST_LOOK, now - since)
    return later if now >= since + SETTLED else min(later, since + SETTLED)


def look_up_key(
    request: MailRequest, sender: Sender, delivery: Delivery, *, as_draft: bool = False
) -> str | None:
    """Return the key by which a mail of this sender can be found again; None where it cannot be.

    `as_draft`: the mail was handed over as a draft, which leaves a copy whatever was asked for.
    """
    refused = delivery.doubt is not None and delivery.doubt.refused
    leaves_copy = request.save_to_sent_items or as_draft or refused
    return mailbox_key(sender, delivery) if leaves_copy else None


def mailbox_key(sender: Sender, delivery: Delivery) -> str | None:
    """Return the key of a mail whose copy is in this sender's mailbox, if one was wanted; None as above."""
    if not sender.may_draft or delivery.without_key:
        return None
    if delivery.doubt and _other_mailbox(delivery.doubt, sender):
        return None
    return delivery_key(delivery.tenant_id, delivery.message_id)


def look_up(
    key: str | None, doubt: Doubt, draft: Draft | None, mailbox: Mailbox, ports: Sending
) -> tuple[FoundMail, ...] | None:
    """Return what the mailbox holds of a mail in doubt: the sent mail, or what is left of one that was not.

    `key` is None where the mail has none or its copy may be elsewhere; a draft that was refused is then known
    by its id, which it keeps. The result is None where there is no need to look, and where nobody can look
    for a mail that was refused: it was not sent, as far as is known.

    Raises:
        CopyWaitsError: the mail was taken and waits to be sent.
        OutcomeUnknownError: nobody can tell, or not yet.
        TransientError, ConsentRequiredError: the mailbox can't be looked into at present.
    """
    if draft is not None and not (draft.submitted or draft.unused):
        # The worker that was cut short was still putting files on it.
        return None
    own = None if draft is None or draft.unused else draft
    found = _search(key, doubt, own, mailbox, ports)
    if found is None:
        return None
    old = () if draft is None else draft.left
    found = tuple(mail for mail in found if not (mail.is_draft and mail.mail_id in old))
    if was_sent(found):
        return found
    # A draft that no note tells of is the copy of a mail that was taken in one request and waits its turn.
    if own is None and found:
        raise CopyWaitsError("outcome_unknown")
    one_look_is_enough = own is None and doubt.refused
    if doubt.seen or (ports.world.now() < doubt.since + SETTLED and not one_look_is_enough):
        raise OutcomeUnknownError("outcome_unknown")
    return found


def _search(
    key: str | None, doubt: Doubt, draft: Draft | None, mailbox: Mailbox, ports: Sending
) -> tuple[FoundMail, ...] | None:
    """Search by key, or else for a draft by its id; None for a refused mail where neither is possible."""
    if key is not None:
        try:
            return _ask(mailbox, lambda token, sender: ports.transport.find(token, sender, key))
        except TransientError as error:
            found = find_by_id(draft, mailbox, ports) if error.code in SEARCH_NOT_DONE else None
            # That the id is not found proves nothing: Graph may have given the copy another one.
            if not found:
                raise
            return found
    if not doubt.refused:
        raise OutcomeUnknownError("outcome_unknown")
    return find_by_id(draft, mailbox, ports)


def find_by_id(draft: Draft | None, mailbox: Mailbox, ports: Sending) -> tuple[FoundMail, ...] | None:
    """Find a draft, sent or not, by the id that it keeps; None where it has none in this mailbox."""
    if draft is None or draft.owner != mailbox.owner or not (draft.draft_id and mailbox.sender.may_draft):
        return None
    draft_id = draft.draft_id
    return _ask(mailbox, lambda token, sender: ports.transport.find_draft(token, sender, draft_id))


def _ask(mailbox: Mailbox, search: Callable[[str, Sender], tuple[FoundMail, ...]]) -> tuple[FoundMail, ...]:
    """Search the mailbox; no refusal of a search ends a mail, which may have been sent.

    A search carries nothing of a mail, so it is about the mailbox or a right. What was taken away can be
    given back.
    """
    try:
        return mailbox.ask(search)
    except RejectedError as error:
        facts: dict[str, Any] = dict(error.facts)
        raise SearchRefusedError(error.code, request_id=error.request_id, **facts) from error


def gives_up_looking(error: TransientError, doubt: Doubt, now: datetime) -> bool:
    """Say whether a refused mail is sent without a look, because Graph never answers the search.

    In a large mailbox it can always take too long (microsoft-graph-docs#5853). One refusal must not keep a
    mail from being sent. Where Exchange says why it refuses the search, the mail waits until it does not, or
    until its time is over.
    """
    is_needed = not doubt.refused or doubt.seen or isinstance(error, SearchRefusedError)
    return not is_needed and error.code in _NO_ANSWER_TO_A_SEARCH and now >= doubt.since + _SEARCH_PATIENCE


def was_sent(found: tuple[FoundMail, ...] | None) -> bool:
    """Say whether what was found is a sent mail; a draft was not sent, or is still on its way."""
    return any(not mail.is_draft for mail in found or ())


def _other_mailbox(doubt: Doubt, sender: Sender) -> bool:
    """Whether the mail may have gone out from another mailbox than the one that can be looked into."""
    if doubt.refused:
        return doubt.mailbox != mailbox_of(sender)
    if doubt.generation is None:
        # The consent was given by the clock of another host, so one from shortly before counts as well.
        return doubt.begun is not None and sender.consent.consented_at >= doubt.begun - _CLOCKS
    return doubt.generation != sender.consent.generation
