"""Reconcile uncertain sends by looking for the mail in the mailbox.

Their response was lost, or a refused mail may have been sent.

With Mail.ReadWrite a mail carries a key of the app, by which it is found in the mailbox. Without that
permission, without a copy, or where the mailbox has no room for the key, the outcome cannot be determined.

Users report mails that were sent although Graph answered 429 or 503. `sendMail` saves a mail in Drafts and
then submits it, so one look-up is enough for a refused mail. A draft is in Drafts whether submitted or not,
so it is looked up only after transport must have received it.
https://learn.microsoft.com/graph/outlook-things-to-know-about-send-mail
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.deliveries.delivery import MAYBE_ACCEPTED
from shared.errors import OutcomeUnknownError, RejectedError, TransientError
from shared.mail.payload import delivery_key
from shared.sending.errors import AccessDeniedError, GraphTimeoutError, UnexpectedResponseError
from shared.sending.mailbox import mailbox_owner

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.deliveries.delivery import Delivery
    from shared.deliveries.uncertain_send import UncertainSend
    from shared.mail.message import MailRequest
    from shared.sending.draft_state import Draft
    from shared.sending.mailbox import Mailbox
    from shared.sending.ports import FoundMail, SendingServices
    from shared.settings.sender import Sender

#: A mail that is not in the mailbox by then was not accepted: copies arrive in seconds, and Graph ends a
#: request after two minutes.
RECONCILE_WINDOW = timedelta(minutes=5)
FIRST_CHECK = timedelta(seconds=15)
#: A search that has timed out for this long is not likely to succeed.
_SEARCH_PATIENCE = timedelta(minutes=15)
#: The same for a search that Graph finds too complex (InefficientFilter) or does not support.
SEARCH_FAILURES = (GraphTimeoutError, UnexpectedResponseError)
_NO_ANSWER_TO_A_SEARCH = (*SEARCH_FAILURES, AccessDeniedError)
#: The tolerated difference between the clocks of two hosts.
_CLOCK_SKEW = timedelta(minutes=15)


class CopyWaitsError(OutcomeUnknownError):
    """A copy of the mail is in the mailbox and waits to be sent."""


class SearchRefusedError(TransientError):
    """Exchange refuses the search for a possibly temporary reason.

    That is the mailbox or a permission.
    """


def next_check(since: datetime, now: datetime) -> datetime:
    """Return when to look next: after growing waits, and once it is settled."""
    later = now + max(FIRST_CHECK, now - since)
    return later if now >= since + RECONCILE_WINDOW else min(later, since + RECONCILE_WINDOW)


def search_key(
    request: MailRequest, sender: Sender, delivery: Delivery, *, sent_as_draft: bool = False
) -> str | None:
    """Return the key to find a mail of this sender, or None.

    None means that it can't be looked up.

    `sent_as_draft`: the mail was sent as a draft, which leaves a copy even if none was requested.
    """
    refused = delivery.uncertain_send is not None and delivery.uncertain_send.refused
    leaves_copy = request.save_to_sent_items or sent_as_draft or refused
    return mailbox_key(sender, delivery) if leaves_copy else None


def mailbox_key(sender: Sender, delivery: Delivery) -> str | None:
    """Return the key of a mail with a copy in this mailbox, or None."""
    if not sender.may_draft or delivery.without_key:
        return None
    if delivery.uncertain_send and _other_mailbox(delivery.uncertain_send, sender):
        return None
    return delivery_key(delivery.tenant_id, delivery.message_id)


def search_mailbox(
    key: str | None,
    uncertain_send: UncertainSend,
    draft: Draft | None,
    mailbox: Mailbox,
    ports: SendingServices,
) -> tuple[FoundMail, ...] | None:
    """Return what the mailbox has of an uncertain send.

    That is the sent mail, or what is left of an unsent one.

    `key` is None if the mail has none or its copy may be in another mailbox; a refused draft is then found by
    its id. The result is None if no look-up is needed, or if a refused mail can't be looked up, which counts
    as not sent.

    Raises:
        CopyWaitsError: the mail was accepted and waits to be sent.
        OutcomeUnknownError: it can't be determined, or not yet.
        TransientError, ConsentRequiredError: the mailbox can't be searched at present.
    """
    if draft is not None and not (draft.submitted or draft.unused):
        # The worker that was interrupted was still attaching files.
        return None
    own = None if draft is None or draft.unused else draft
    found = _search(key, uncertain_send, own, mailbox, ports)
    if found is None:
        return None
    old = () if draft is None else draft.older_drafts
    found = tuple(mail for mail in found if not (mail.is_draft and mail.mail_id in old))
    if contains_sent_mail(found):
        return found
    # A draft without a stored state is the copy of a mail that was sent in one request and is queued.
    if own is None and found:
        raise CopyWaitsError("outcome_unknown")
    one_check_is_enough = own is None and uncertain_send.refused
    if uncertain_send.copy_seen or (
        ports.system.now() < uncertain_send.since + RECONCILE_WINDOW and not one_check_is_enough
    ):
        raise OutcomeUnknownError("outcome_unknown")
    return found


def _search(
    key: str | None,
    uncertain_send: UncertainSend,
    draft: Draft | None,
    mailbox: Mailbox,
    ports: SendingServices,
) -> tuple[FoundMail, ...] | None:
    """Search by key, else for a draft by its id.

    None for a refused mail where neither is possible.
    """
    if key is not None:
        try:
            return _call(mailbox, lambda token, sender: ports.transport.find(token, sender, key))
        except SEARCH_FAILURES:
            found = find_by_id(draft, mailbox, ports)
            # That the id is not found proves nothing: Graph may have given the copy another one.
            if not found:
                raise
            return found
    if not uncertain_send.refused:
        raise OutcomeUnknownError("outcome_unknown")
    return find_by_id(draft, mailbox, ports)


def find_by_id(draft: Draft | None, mailbox: Mailbox, ports: SendingServices) -> tuple[FoundMail, ...] | None:
    """Find a draft, sent or not, by its id; None without one here."""
    if draft is None or draft.owner != mailbox.owner or not (draft.draft_id and mailbox.sender.may_draft):
        return None
    draft_id = draft.draft_id
    return _call(mailbox, lambda token, sender: ports.transport.find_draft(token, sender, draft_id))


def _call(mailbox: Mailbox, search: Callable[[str, Sender], tuple[FoundMail, ...]]) -> tuple[FoundMail, ...]:
    """Search the mailbox; a refused search never fails the mail.

    It may have been sent.

    A search contains nothing of a mail, so a refusal concerns the mailbox or a permission, which can be
    granted again.
    """
    try:
        return mailbox.call(search)
    except RejectedError as error:
        params: dict[str, Any] = dict(error.params)
        raise SearchRefusedError(error.code, request_id=error.request_id, **params) from error


def may_skip_search(error: TransientError, uncertain_send: UncertainSend, now: datetime) -> bool:
    """Return whether to give up the search for a refused mail and resend it.

    In a large mailbox every search can time out (microsoft-graph-docs#5853). One refusal must not keep a mail
    from being sent. Where Exchange says why it refuses the search, the mail waits until it does not, or until
    its time is over.
    """
    if not uncertain_send.refused or uncertain_send.copy_seen:
        return False
    return isinstance(error, _NO_ANSWER_TO_A_SEARCH) and now >= uncertain_send.since + _SEARCH_PATIENCE


def without_look_up(row: Delivery) -> Delivery:
    """Return the row of a refused mail that is sent again unseen.

    The history says that it may have been sent.
    """
    since = row.uncertain_send.since if row.uncertain_send else row.updated_at
    history = tuple(
        replace(event, maybe_sent=True) if event.at == since and event.code else event
        for event in row.history
    )
    warnings = row.warnings_with(MAYBE_ACCEPTED, since)
    return replace(row, uncertain_send=None, history=history, warnings=warnings)


def contains_sent_mail(found: tuple[FoundMail, ...] | None) -> bool:
    """Return whether a sent mail was found; a draft may still be in progress."""
    return any(not mail.is_draft for mail in found or ())


def _other_mailbox(uncertain_send: UncertainSend, sender: Sender) -> bool:
    """Return whether the mail may have been sent from another mailbox.

    That one can't be searched.
    """
    if uncertain_send.refused:
        return uncertain_send.mailbox != mailbox_owner(sender)
    if uncertain_send.consent_version is None:
        # The consent's time is by another host's clock, so one from shortly before counts as well.
        return (
            uncertain_send.worker_began_at is not None
            and sender.consent.consented_at >= uncertain_send.worker_began_at - _CLOCK_SKEW
        )
    return uncertain_send.consent_version != sender.consent.version
