"""A mail that travels as a draft: made, its files put on it one after the other, then sent.

How far it came is kept after each step, so that an attempt that was cut short goes on where it stopped.
The draft itself says how many files it has; the note adds what Graph can't be asked: which draft it is,
and how far an upload came. There is a note before there is a draft: no draft is ever forgotten, and one
without a note is known to be the copy of a mail that was handed over in one request. Only where the mailbox
has no room for our key, or Graph does not do the search for it, a draft whose creation was not answered
stays behind, without files.

Files go strictly one after the other: two writers on one draft are answered with ErrorIrresolvableConflict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import RejectedError, TransientError
from shared.sending.doubt import SEARCH_NOT_DONE, find_by_id, was_sent
from shared.sending.draft_note import Draft
from shared.sending.draft_removal import left_of, try_to_remove
from shared.sending.payload import build_attachment, write_json
from shared.sending.route import LARGE_FILE_BYTES
from shared.sending.upload import upload_file

if TYPE_CHECKING:
    from shared.sending.attachments import SizedFile
    from shared.sending.attempt import Attempt
    from shared.sending.dependencies import Sending
    from shared.sending.draft_note import DraftNote
    from shared.sending.mailbox import Mailbox
    from shared.sending.parcel import Parcel
    from shared.sending.ports import FoundMail
    from shared.sending.upload import Upload


#: Graph's documents say 3 MB and mean, in some places, 3 MiB.
_TOO_SMALL_FOR_AN_UPLOAD = "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize"


def send_as_draft(
    parcel: Parcel,
    attempt: Attempt,
    found: tuple[FoundMail, ...] | None,
    mailbox: Mailbox,
    ports: Sending,
) -> str | None:
    """Send a mail that one request can't carry, and return Graph's id of its answer; None where it was sent.

    `found`: what a look at the mailbox has found in this attempt already.

    Raises:
        OutcomeUnknownError: the draft went out, and the answer did not come.
        RejectedError, TransientError, ConsentRequiredError: it did not.
    """
    note = attempt.note(ports)
    known = note.load()
    draft, attached = _go_on(known, parcel, found, mailbox, ports)
    if found is None and (draft is None or draft.submitted):
        found = _find_left(known, attempt, mailbox, ports)
        if was_sent(found):
            return None
    if draft is None:
        left = try_to_remove(left_of(known, found or (), mailbox), mailbox, ports)
        if known is not None and known.owner == mailbox.owner:
            left = (*known.left, *left)
        draft = _begin(parcel, attempt, left, note, mailbox, ports)
    for place, file in enumerate(parcel.files[attached:], start=attached):
        mailbox.check_time()
        draft = _attach(file, place, draft, note, mailbox, ports)
    ready = note.keep(draft.model_copy(update={"submitted": True}))
    return mailbox.submit(lambda token, sender: ports.transport.send_draft(token, sender, ready.draft_id))


def _go_on(
    draft: Draft | None,
    parcel: Parcel,
    found: tuple[FoundMail, ...] | None,
    mailbox: Mailbox,
    ports: Sending,
) -> tuple[Draft, int] | tuple[None, int]:
    """Return the draft of an earlier attempt and how many files it has; None where there is none to use."""
    if draft is None or not draft.draft_id or draft.unused:
        return None, 0
    if (draft.owner, draft.stamp) != (mailbox.owner, parcel.stamp()):
        return None, 0
    if draft.submitted and found is not None:
        # It had all its files when it was to be sent.
        there = draft.draft_id in {mail.mail_id for mail in found}
        return (draft, len(parcel.files)) if there else (None, 0)
    try:
        return draft, mailbox.ask(
            lambda token, sender: ports.transport.count_attachments(token, sender, draft.draft_id)
        )
    except TransientError as error:
        if error.code != "draft_lost":
            raise
        return None, 0


def _begin(
    parcel: Parcel,
    attempt: Attempt,
    left: tuple[str, ...],
    note: DraftNote,
    mailbox: Mailbox,
    ports: Sending,
) -> Draft:
    draft = note.keep(Draft(owner=mailbox.owner, stamp=parcel.stamp(), left=left))

    def create(key: str | None) -> str:
        message = parcel.message_with(key)
        return mailbox.ask(lambda token, sender: ports.transport.create_draft(token, sender, message))

    draft_id = attempt.with_or_without_key(create, ports)
    return note.keep(draft.model_copy(update={"draft_id": draft_id}))


def _attach(
    file: SizedFile, place: int, draft: Draft, note: DraftNote, mailbox: Mailbox, ports: Sending
) -> Draft:
    if file.size < LARGE_FILE_BYTES:
        return _attach_whole(file, draft, mailbox, ports)
    under_way = draft.upload if draft.upload and draft.upload.place == place else None

    def keep(upload: Upload | None) -> None:
        note.keep(draft.model_copy(update={"upload": upload}))

    try:
        upload_file(file, place, draft.draft_id, under_way, keep, mailbox, ports)
    except RejectedError as error:
        if error.graph_code != _TOO_SMALL_FOR_AN_UPLOAD:
            raise
        return _attach_whole(file, draft, mailbox, ports)
    return draft.model_copy(update={"upload": None})


def _attach_whole(file: SizedFile, draft: Draft, mailbox: Mailbox, ports: Sending) -> Draft:
    whole = write_json(build_attachment(file.attachment, file.content(ports.files)))
    mailbox.ask(lambda token, sender: ports.transport.attach(token, sender, draft.draft_id, whole))
    return draft


def _find_left(
    known: Draft | None, attempt: Attempt, mailbox: Mailbox, ports: Sending
) -> tuple[FoundMail, ...]:
    """Find what earlier attempts left.

    Where Graph does not do the search, a draft that was to be sent is found by its id. Of a mail that was
    not, a draft without files may stay behind.
    """
    key = attempt.note(ports).key
    try:
        return mailbox.ask(lambda token, sender: ports.transport.find(token, sender, key))
    except TransientError as error:
        if error.code not in SEARCH_NOT_DONE:
            raise
        maybe_sent = attempt.repeated if known is None else known.submitted
        found = find_by_id(known, mailbox, ports) if maybe_sent else ()
        if maybe_sent and not found:
            raise
        return found or ()
