"""A mail that travels as a draft: made, its files put on it one after the other, then sent.

How far it came is kept after each step, so that an attempt that was cut short goes on where it stopped.
The draft itself says how many files it has; the note adds what Graph can't be asked: which draft it is,
and how far an upload came. Files go strictly one after the other: two writers on one draft are answered
with ErrorIrresolvableConflict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.contract import Contract
from shared.errors import ConfigurationError, MailerError, TransientError
from shared.sending.payload import build_attachment, delivery_key, write_json
from shared.sending.route import LARGE_FILE_BYTES
from shared.sending.upload import Upload, upload_file

if TYPE_CHECKING:
    from shared.sending.attachments import SizedFile
    from shared.sending.dependencies import Sending
    from shared.sending.mailbox import Mailbox
    from shared.sending.parcel import Parcel


class Draft(Contract):
    """What is kept of a draft.

    Attributes:
        generation: the consent it was made with; another one may belong to another mailbox.
        stamp: the content it was begun with.
        upload: the large file that is on its way.
        submitted: sending it has been asked for, so it may be on its way out.
    """

    draft_id: str
    generation: int
    stamp: str
    upload: Upload | None = None
    submitted: bool = False


class DraftNote:
    """The kept note on one mail's draft."""

    def __init__(self, tenant_id: str, message_id: str, ports: Sending) -> None:
        self.key = delivery_key(tenant_id, message_id)
        self._mail = (tenant_id, message_id)
        self._drafts = ports.drafts

    def load(self) -> Draft | None:
        """Return what is kept, or None."""
        text = self._drafts.load(*self._mail)
        return None if text is None else Draft.model_validate_json(text)

    def keep(self, draft: Draft) -> Draft:
        """Write how far the draft came, and return it."""
        self._drafts.keep(*self._mail, draft.model_dump_json(by_alias=True).encode())
        return draft

    def remove(self) -> None:
        """Forget the draft."""
        self._drafts.remove(*self._mail)


def send_as_draft(parcel: Parcel, note: DraftNote, mailbox: Mailbox, ports: Sending) -> str:
    """Send a mail that one request can't carry, and return Graph's id of its answer.

    Raises:
        OutcomeUnknownError: the draft went out, and the answer did not come.
        RejectedError, TransientError, ConsentRequiredError: it did not.
    """
    draft, attached = _go_on(parcel, note, mailbox, ports) or (_begin(parcel, note, mailbox, ports), 0)
    for place, file in enumerate(parcel.files[attached:], start=attached):
        draft = _attach(file, place, draft, note, mailbox, ports)
    draft = note.keep(draft.model_copy(update={"submitted": True}))
    return mailbox.ask(lambda token, sender: ports.transport.send_draft(token, sender, draft.draft_id))


def _go_on(parcel: Parcel, note: DraftNote, mailbox: Mailbox, ports: Sending) -> tuple[Draft, int] | None:
    """Return the draft of an earlier attempt and how many files it has; None where there is none to use."""
    draft = note.load()
    if draft is None:
        return None
    if (draft.generation, draft.stamp) != (mailbox.sender.consent.generation, parcel.stamp()):
        abandon(note, mailbox, ports)
        return None
    try:
        return draft, mailbox.ask(
            lambda token, sender: ports.transport.count_attachments(token, sender, draft.draft_id)
        )
    except TransientError as error:
        if error.code != "draft_lost":
            raise
        note.remove()
        return None


def _begin(parcel: Parcel, note: DraftNote, mailbox: Mailbox, ports: Sending) -> Draft:
    _remove_drafts(note, mailbox, ports)
    draft_id = mailbox.ask(lambda token, sender: ports.transport.create_draft(token, sender, parcel.message))
    generation = mailbox.sender.consent.generation
    return note.keep(Draft(draft_id=draft_id, generation=generation, stamp=parcel.stamp()))


def _attach(
    file: SizedFile, place: int, draft: Draft, note: DraftNote, mailbox: Mailbox, ports: Sending
) -> Draft:
    if file.size < LARGE_FILE_BYTES:
        whole = write_json(build_attachment(file.attachment, file.content(ports.files)))
        mailbox.ask(lambda token, sender: ports.transport.attach(token, sender, draft.draft_id, whole))
        return draft
    under_way = draft.upload if draft.upload and draft.upload.place == place else None

    def keep(upload: Upload | None) -> None:
        note.keep(draft.model_copy(update={"upload": upload}))

    upload_file(file, place, draft.draft_id, under_way, keep, mailbox, ports)
    return draft.model_copy(update={"upload": None})


def abandon(note: DraftNote, mailbox: Mailbox, ports: Sending) -> None:
    """Remove a draft that will not be sent; where that fails now, the note stays for a later try."""
    draft = note.load()
    if draft is None:
        return
    if draft.generation == mailbox.sender.consent.generation:
        try:
            _remove_drafts(note, mailbox, ports)
        except (MailerError, ConfigurationError):
            return
    note.remove()


def _remove_drafts(note: DraftNote, mailbox: Mailbox, ports: Sending) -> None:
    """Remove every draft of this mail, noted or not.

    They are looked up first: a draft that was sent keeps its id, and the copy in Sent Items must stay.
    """
    for found in mailbox.ask(lambda token, sender: ports.transport.find(token, sender, note.key)):
        if found.is_draft:
            _remove(found.mail_id, mailbox, ports)


def _remove(draft_id: str, mailbox: Mailbox, ports: Sending) -> None:
    mailbox.ask(lambda token, sender: ports.transport.remove(token, sender, draft_id))
