"""Reconcile uncertain sends by looking for the mail in the mailbox.

A send is uncertain if the response was lost, or if Graph refused the mail but may have sent it.

With Mail.ReadWrite each mail has a key of the app, by which it is found in the mailbox. The outcome cannot be
determined without this permission, if no copy of the mail is saved, or if the mailbox has no room for the
key.

Users report mails that were sent although Graph answered 429 or 503. `sendMail` saves a mail in Drafts and
then submits it, so one look-up shows whether a refused mail was saved and will be sent. A mail that the app
sends as a draft is in Drafts whether it was submitted or not, so it is looked up only after Exchange must
have sent it.
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

#: A mail that is not in the mailbox after this time was not accepted: a copy arrives within seconds, and
#: Graph ends a request after two minutes.
RECONCILE_WINDOW = timedelta(minutes=5)
FIRST_CHECK = timedelta(seconds=15)
#: A search that has failed for this long is not likely to succeed.
_MAX_SEARCH_TIME = timedelta(minutes=15)
#: Errors with which Graph did not do a search: it timed out, was too complex (InefficientFilter), or is not
#: supported.
SEARCH_FAILURES = (GraphTimeoutError, UnexpectedResponseError)
_MAY_SKIP_SEARCH_AFTER = (*SEARCH_FAILURES, AccessDeniedError)
#: The tolerated difference between the clocks of two hosts.
_CLOCK_SKEW = timedelta(minutes=15)


class CopyWaitsError(OutcomeUnknownError):
    """A copy of the mail is in the mailbox and waits to be sent."""


class SearchRefusedError(TransientError):
    """Exchange refuses the search because of the mailbox or a permission.

    The reason may be temporary, so the search is tried again.
    """


def next_check(since: datetime, now: datetime) -> datetime:
    """Return when to look next.

    The waits grow. One look-up is at the end of RECONCILE_WINDOW, when the outcome can be determined.
    """
    later = now + max(FIRST_CHECK, now - since)
    end_of_window = since + RECONCILE_WINDOW
    return later if now >= end_of_window else min(later, end_of_window)


def search_key(
    request: MailRequest, sender: Sender, delivery: Delivery, *, sent_as_draft: bool = False
) -> str | None:
    """Return the key by which a mail of this sender is found.

    Returns None if the mail can't be looked up. A mail that was sent as a draft leaves a copy even if the
    scheduler wanted none.
    """
    refused = delivery.uncertain_send is not None and delivery.uncertain_send.refused
    leaves_copy = request.save_to_sent_items or sent_as_draft or refused
    return mailbox_key(sender, delivery) if leaves_copy else None


def mailbox_key(sender: Sender, delivery: Delivery) -> str | None:
    """Return the key of a mail, or None if this mailbox has none with it."""
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
    """Search the mailbox for a mail that may have been sent.

    The result has the sent mail, or drafts of a mail that was not sent. It is None if no look-up is needed,
    or if a refused mail can't be looked up, which counts as not sent.

    `key` is None if the mail has no key, or its copy may be in another mailbox. A refused draft is then found
    by its id.

    Raises:
        CopyWaitsError: the mail was accepted and waits to be sent.
        OutcomeUnknownError: it can't be determined, or not yet, whether the mail was sent.
        TransientError, ConsentRequiredError: the mailbox can't be searched at present.
    """
    if draft is not None and not (draft.submitted or draft.unused):
        # The worker crashed while it was still attaching files, so the mail was not sent.
        return None
    used_draft = None if draft is None or draft.unused else draft
    found = _search(key, uncertain_send, used_draft, mailbox, ports)
    if found is None:
        return None
    older_drafts = () if draft is None else draft.older_drafts
    found = tuple(mail for mail in found if not (mail.is_draft and mail.mail_id in older_drafts))
    if contains_sent_mail(found):
        return found
    if used_draft is None and found:
        # The app created no draft, so this is the mail itself, which was sent in one request and is still in
        # Drafts.
        raise CopyWaitsError("outcome_unknown")
    if uncertain_send.copy_seen:
        raise OutcomeUnknownError("outcome_unknown")
    is_one_check_enough = used_draft is None and uncertain_send.refused
    if not is_one_check_enough and ports.system.now() < uncertain_send.since + RECONCILE_WINDOW:
        raise OutcomeUnknownError("outcome_unknown")
    return found


def _search(
    key: str | None,
    uncertain_send: UncertainSend,
    draft: Draft | None,
    mailbox: Mailbox,
    ports: SendingServices,
) -> tuple[FoundMail, ...] | None:
    """Search by key, or else for a draft by its id.

    Returns None for a refused mail if neither is possible.
    """
    if key is not None:
        try:
            return _call(mailbox, lambda token, sender: ports.transport.find(token, sender, key))
        except SEARCH_FAILURES:
            found = find_by_id(draft, mailbox, ports)
            # If the id is not found, that proves nothing, because Graph may have given the copy another one.
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
    """Search the mailbox; turn a rejection into a transient error.

    A rejection would end the mail as not sent, although it may have been sent. A search contains nothing of
    the mail, so a rejection concerns the mailbox or a permission, which can be granted again.
    """
    try:
        return mailbox.call(search)
    except RejectedError as error:
        params: dict[str, Any] = dict(error.params)
        raise SearchRefusedError(error.code, request_id=error.request_id, **params) from error


def may_skip_search(error: TransientError, uncertain_send: UncertainSend, now: datetime) -> bool:
    """Return whether to send a refused mail again without a look-up.

    In a large mailbox every search can time out (microsoft-graph-docs#5853), and that must not keep a refused
    mail from ever being sent. If Exchange says why it refuses the search, the mail waits until the reason is
    gone, or until its deadline.
    """
    if not uncertain_send.refused or uncertain_send.copy_seen:
        return False
    return isinstance(error, _MAY_SKIP_SEARCH_AFTER) and now >= uncertain_send.since + _MAX_SEARCH_TIME


def without_look_up(row: Delivery) -> Delivery:
    """Return the row of a refused mail that is sent again without a look-up.

    The history and a warning say that it may have been sent before.
    """
    since = row.uncertain_send.since if row.uncertain_send else row.updated_at
    history = list(row.history)
    for index, event in enumerate(history):
        if event.at == since and event.code:
            history[index] = replace(event, maybe_sent=True)
    warnings = row.warnings_with(MAYBE_ACCEPTED, since)
    return replace(row, uncertain_send=None, history=tuple(history), warnings=warnings)


def contains_sent_mail(found: tuple[FoundMail, ...] | None) -> bool:
    """Return whether one of the found mails was sent, and is no draft."""
    return any(not mail.is_draft for mail in found or ())


def _other_mailbox(uncertain_send: UncertainSend, sender: Sender) -> bool:
    """Return whether the mail may have been sent from another mailbox.

    Another mailbox than the current one can't be searched.
    """
    if uncertain_send.refused:
        return uncertain_send.mailbox != mailbox_owner(sender)
    if uncertain_send.consent_version is None:
        began_at = uncertain_send.worker_began_at
        # The time of the consent is that of another host's clock, so a consent from shortly before counts
        # too.
        return began_at is not None and sender.consent.consented_at >= began_at - _CLOCK_SKEW
    return uncertain_send.consent_version != sender.consent.version
