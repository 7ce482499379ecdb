"""Remove drafts that a mail does not need any more.

No mail waits for a removal, or fails because of it. If a removal fails, the stored state of the draft is
kept, and a timer tries again.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from shared.errors import ConfigurationError, MailerError
from shared.sending.draft_state import UNREADABLE
from shared.telemetry import log_failed_step

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.sending.attempt import Attempt
    from shared.sending.draft_state import Draft, DraftState
    from shared.sending.mailbox import Mailbox
    from shared.sending.ports import FoundMail, MailTransport, SendingServices
    from shared.settings.sender import Sender


def remove_drafts(draft_state: DraftState, mailbox: Mailbox, ports: SendingServices) -> None:
    """Remove the drafts of a mail, and the stored state.

    If the app has no access to the mailbox that has the drafts, only the stored state is deleted.

    Raises:
        MailerError, ConfigurationError: a draft can't be removed now; the state is kept for a later attempt.
    """
    draft = draft_state.load()
    if draft is None:
        return
    if mailbox.sender.may_draft and draft.owner in {mailbox.owner, UNREADABLE.owner}:
        if not draft.unused:
            found = mailbox.call_without_pause(
                lambda token, sender: ports.transport.find(token, sender, draft_state.key)
            )
            for draft_id in drafts_left_by(draft, found, mailbox):
                mailbox.call_without_pause(partial(_remove, ports.transport, draft_id))
        for draft_id in draft.older_drafts:
            mailbox.call_without_pause(partial(_remove, ports.transport, draft_id))
    draft_state.remove()


def discard_draft(draft_state: DraftState, mailbox: Mailbox, ports: SendingServices) -> None:
    """Remove the draft of a mail sent in one request, or mark it as unused.

    Without this mark, a look-up of the mail would take the draft for the copy of the sent mail.

    Raises:
        MailerError, ConfigurationError: only another version of the app can read the draft's state.
    """
    draft = draft_state.load()
    if draft is None:
        return
    try:
        remove_drafts(draft_state, mailbox, ports)
    except (MailerError, ConfigurationError) as error:
        if draft is UNREADABLE:
            raise
        _log(error, mailbox)
        older = draft.older_drafts
        if draft.draft_id and draft.draft_id not in older:
            older = (*older, draft.draft_id)
        draft_state.save(
            draft.model_copy(
                update={"older_drafts": older, "unused": True, "submitted": False, "upload": None}
            )
        )


def try_to_remove(draft_ids: Iterable[str], mailbox: Mailbox, ports: SendingServices) -> tuple[str, ...]:
    """Remove drafts, and return those that can't be removed now."""
    remaining: list[str] = []
    for draft_id in draft_ids:
        try:
            mailbox.call_without_pause(partial(_remove, ports.transport, draft_id))
        except (MailerError, ConfigurationError) as error:
            _log(error, mailbox)
            remaining.append(draft_id)
    return tuple(remaining)


def remove_drafts_of_unsent_mail(attempt: Attempt, ports: SendingServices) -> None:
    """Remove the drafts of a mail that will not be sent."""
    if attempt.mailbox is None or not (attempt.may_have_draft or attempt.has_earlier_attempts):
        return
    # If a draft can't be removed now, its state is kept, and the timer tries again.
    with suppress(MailerError, ConfigurationError):
        remove_drafts(attempt.draft_state(ports), attempt.mailbox, ports)


def drafts_left_by(draft: Draft | None, found: Iterable[FoundMail], mailbox: Mailbox) -> list[str]:
    """Return the ids of the drafts of a mail that can be removed.

    They are the drafts that a search `found`, and the draft of the stored state. The search does not find a
    draft that was created without the app's key. A draft that was submitted is not removed by its id, because
    the copy of the sent mail has the same id.
    """
    draft_ids = [mail.mail_id for mail in found if mail.is_draft]
    if draft is None or draft.submitted or draft.owner != mailbox.owner:
        return draft_ids
    if draft.draft_id and draft.draft_id not in draft_ids:
        draft_ids.append(draft.draft_id)
    return draft_ids


def _remove(transport: MailTransport, draft_id: str, token: str, sender: Sender) -> None:
    """Remove a draft, unless it was sent and is the copy of the mail now.

    The stored state can be wrong: a suspended worker may have written it late, or a person sent the draft.
    """
    if any(mail.is_draft for mail in transport.find_draft(token, sender, draft_id)):
        transport.remove(token, sender, draft_id)


def _log(error: MailerError | ConfigurationError, mailbox: Mailbox) -> None:
    log_failed_step("remove_draft", error.code, tenant_id=mailbox.sender.tenant_id)
