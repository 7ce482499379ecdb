"""Remove drafts that a mail does not need any more.

No mail waits for that, and none fails because of it.

A failed removal is recorded, and a timer tries again.
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


def abandon(draft_state: DraftState, mailbox: Mailbox, ports: SendingServices) -> None:
    """Remove a draft that will not be sent.

    In a mailbox without access only its stored state is deleted.

    Raises:
        MailerError, ConfigurationError: it can't be removed now, and its state is kept for a later attempt.
    """
    draft = draft_state.load()
    if draft is None:
        return
    if mailbox.sender.may_draft and draft.owner in {mailbox.owner, UNREADABLE.owner}:
        if not draft.unused:
            found = mailbox.call_without_pause(
                lambda token, sender: ports.transport.find(token, sender, draft_state.key)
            )
            for draft_id in left_of(draft, found, mailbox):
                mailbox.call_without_pause(partial(_remove, ports.transport, draft_id))
        for draft_id in draft.left:
            mailbox.call_without_pause(partial(_remove, ports.transport, draft_id))
    draft_state.remove()


def discard_draft(draft_state: DraftState, mailbox: Mailbox, ports: SendingServices) -> None:
    """Remove the draft of a mail sent in one request, or mark it as unused.

    Without that mark, a look-up of the mail would take the draft for its copy.

    Raises:
        MailerError, ConfigurationError: only another version of the app can read the draft's state.
    """
    draft = draft_state.load()
    if draft is None:
        return
    try:
        abandon(draft_state, mailbox, ports)
    except (MailerError, ConfigurationError) as error:
        if draft is UNREADABLE:
            raise
        _log(error, mailbox)
        left = (*draft.left, *({draft.draft_id} - {"", *draft.left}))
        draft_state.save(
            draft.model_copy(update={"left": left, "unused": True, "submitted": False, "upload": None})
        )


def try_to_remove(draft_ids: Iterable[str], mailbox: Mailbox, ports: SendingServices) -> tuple[str, ...]:
    """Remove drafts, and return those that can't be removed now."""
    left: list[str] = []
    for draft_id in draft_ids:
        try:
            mailbox.call_without_pause(partial(_remove, ports.transport, draft_id))
        except (MailerError, ConfigurationError) as error:
            _log(error, mailbox)
            left.append(draft_id)
    return tuple(left)


def give_up(attempt: Attempt, ports: SendingServices) -> None:
    """Remove what a mail left in Drafts, as it will not be sent."""
    if attempt.mailbox is None or not (attempt.may_have_draft or attempt.repeated):
        return
    # The state is kept where the draft can't be removed, and the timer tries again.
    with suppress(MailerError, ConfigurationError):
        abandon(attempt.draft_state(ports), attempt.mailbox, ports)


def left_of(draft: Draft | None, found: Iterable[FoundMail], mailbox: Mailbox) -> list[str]:
    """Name the drafts that a mail left.

    A sent draft keeps its id, and its copy must stay.

    A draft that was created without the app's key is known only by its stored state.
    """
    left = [mail.mail_id for mail in found if mail.is_draft]
    if draft is None or draft.submitted or draft.owner != mailbox.owner:
        return left
    return left if draft.draft_id in {"", *left} else [*left, draft.draft_id]


def _remove(transport: MailTransport, draft_id: str, token: str, sender: Sender) -> None:
    """Remove a draft unless it was sent and so is the mail's copy.

    The stored state can be wrong: a suspended worker may have written it late, or a person sent the draft.
    """
    if any(mail.is_draft for mail in transport.find_draft(token, sender, draft_id)):
        transport.remove(token, sender, draft_id)


def _log(error: MailerError | ConfigurationError, mailbox: Mailbox) -> None:
    log_failed_step("remove_draft", error.code, tenant_id=mailbox.sender.tenant_id)
