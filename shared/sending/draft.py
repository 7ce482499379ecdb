"""Send a mail as a draft: create it, attach its files, send it.

Progress is stored after each step, so that an interrupted attempt continues where it stopped. The draft
itself shows which files it has; the stored state adds what Graph does not return: the draft's id, and the
progress of an upload. The state is stored before the draft is created. So each draft is found again, with one
exception: if its creation got no response and the app's key can't be stored or searched for, an empty draft
remains. A draft without a state is the copy of a mail that was sent in one request.

Files are attached strictly one after the other: Graph refuses concurrent changes of one draft with
ErrorIrresolvableConflict.

A draft that has other files than the first ones of the mail is not sent: a new one is begun. A request whose
response was lost may be carried out late. Graph is also known to multiply inline files when another one is
attached (microsoftgraph/msgraph-sdk-dotnet#2937): by the number of files alone, others would be left out.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING

from shared.errors import RejectedError
from shared.mail.payload import build_attachment, write_json
from shared.sending.draft_removal import drafts_left_by, try_to_remove
from shared.sending.draft_state import Draft, PlannedFile
from shared.sending.errors import DraftLostError
from shared.sending.prepare import LARGE_FILE_BYTES
from shared.sending.reconcile import SEARCH_FAILURES, contains_sent_mail, find_by_id
from shared.sending.upload import upload_file

if TYPE_CHECKING:
    from datetime import datetime

    from shared.mail.attachments import SizedFile
    from shared.sending.attempt import Attempt
    from shared.sending.draft_state import DraftState
    from shared.sending.mailbox import Mailbox
    from shared.sending.ports import FoundMail, SendingServices
    from shared.sending.prepare import PreparedMail
    from shared.sending.upload import Upload


#: Signs that a server may remove from a file's name, or replace.
_REPLACEABLE = re.compile(r"[\W_]+")
#: Graph's code for a file that is too small for an upload session. Graph's documentation says that the limit
#: is 3 MB, which in some places means 3 MiB.
_TOO_SMALL_FOR_AN_UPLOAD = "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize"


def send_as_draft(
    prepared: PreparedMail,
    attempt: Attempt,
    found: tuple[FoundMail, ...] | None,
    mailbox: Mailbox,
    ports: SendingServices,
) -> str | None:
    """Send a mail that is too large for one request; return the request id.

    Returns None if a look-up shows that an earlier attempt has sent the mail. `found` is what a search of the
    mailbox in this attempt found; None if there was no search.

    Raises:
        OutcomeUnknownError: the draft was submitted, and no response arrived.
        RejectedError, TransientError, ConsentRequiredError: the mail was not sent.
    """
    draft_state = attempt.draft_state(ports)
    known = draft_state.load()
    draft, attached = _continue_draft(known, prepared, found, mailbox, ports)
    continued = draft is not None and not draft.submitted
    if found is None and (draft is None or draft.submitted):
        found = _find_earlier_mail(known, attempt, mailbox, ports)
        if contains_sent_mail(found):
            return None
    if draft is None:
        older = try_to_remove(drafts_left_by(known, found or (), mailbox), mailbox, ports)
        if known is not None and known.owner == mailbox.owner:
            older = (*known.older_drafts, *older)
        draft = _create_draft(prepared, attempt, older, draft_state, mailbox, ports)
    for index, file in enumerate(prepared.files[attached:], start=attached):
        mailbox.check_time()
        draft = _attach(file, index, draft, draft_state, mailbox, ports)
    if continued and _count_attached(draft, prepared, mailbox, ports) != len(prepared.files):
        raise DraftLostError
    ready = draft_state.save(draft.model_copy(update={"submitted": True}))
    return mailbox.submit(lambda token, sender: ports.transport.send_draft(token, sender, ready.draft_id))


def _continue_draft(
    draft: Draft | None,
    prepared: PreparedMail,
    found: tuple[FoundMail, ...] | None,
    mailbox: Mailbox,
    ports: SendingServices,
) -> tuple[Draft, int] | tuple[None, int]:
    """Return an earlier attempt's draft and its number of files, or None."""
    if draft is None or not draft.draft_id or draft.unused:
        return None, 0
    if (draft.owner, draft.content_hash) != (mailbox.owner, prepared.content_hash()):
        return None, 0
    if draft.submitted and found is not None:
        if draft.draft_id not in {mail.mail_id for mail in found}:
            return None, 0
        # It had all its files when it was submitted.
        return draft, len(prepared.files)
    try:
        attached = _count_attached(draft, prepared, mailbox, ports)
    except DraftLostError:
        return None, 0
    return (None, 0) if attached is None else (draft, attached)


def _count_attached(
    draft: Draft, prepared: PreparedMail, mailbox: Mailbox, ports: SendingServices
) -> int | None:
    """Count the mail's first files in the draft; None if it has others.

    More copies of an inline file do not count: recipients do not see them, and a new draft would have them.
    """
    listed = mailbox.call(
        lambda token, sender: ports.transport.list_attachments(token, sender, draft.draft_id)
    )
    found, wanted = Counter(map(_comparable, listed)), Counter(map(_name_of, prepared.files))
    for name in {_name_of(file) for file in prepared.files if file.attachment.inline}:
        found[name] = min(found[name], wanted[name])
    count = found.total()
    return count if found == Counter(map(_name_of, prepared.files[:count])) else None


def _name_of(file: SizedFile) -> str:
    return _comparable(file.attachment.name)


def _comparable(name: str) -> str:
    """Return the part of a file's name that no server replaces."""
    return _REPLACEABLE.sub("", unicodedata.normalize("NFKD", name)).casefold()


def _create_draft(
    prepared: PreparedMail,
    attempt: Attempt,
    older: tuple[str, ...],
    draft_state: DraftState,
    mailbox: Mailbox,
    ports: SendingServices,
) -> Draft:
    draft = draft_state.save(
        Draft(owner=mailbox.owner, content_hash=prepared.content_hash(), older_drafts=older)
    )

    def create(key: str | None) -> str:
        message = prepared.message_with(key)
        return mailbox.call(lambda token, sender: ports.transport.create_draft(token, sender, message))

    draft_id = attempt.with_or_without_key(create, ports)
    return draft_state.save(draft.model_copy(update={"draft_id": draft_id}))


def _attach(
    file: SizedFile,
    index: int,
    draft: Draft,
    draft_state: DraftState,
    mailbox: Mailbox,
    ports: SendingServices,
) -> Draft:
    if file.size < LARGE_FILE_BYTES:
        return _attach_whole(file, draft, mailbox, ports)
    started = draft.upload if draft.upload and draft.upload.file_index == index else None

    def save(upload: Upload | None) -> None:
        draft_state.save(draft.model_copy(update={"upload": upload}))

    def plan(at: datetime) -> None:
        draft_state.save(draft.model_copy(update={"planned": PlannedFile(file_index=index, at=at)}))

    planned = draft.planned.at if draft.planned and draft.planned.file_index == index else None
    mailbox.wait_for_upload(file.size - (started.first if started else 0), planned, plan)
    try:
        upload_file(file, index, draft.draft_id, started, save, mailbox, ports)
    except RejectedError as error:
        if error.graph_code != _TOO_SMALL_FOR_AN_UPLOAD:
            raise
        return _attach_whole(file, draft, mailbox, ports)
    return draft.model_copy(update={"upload": None})


def _attach_whole(file: SizedFile, draft: Draft, mailbox: Mailbox, ports: SendingServices) -> Draft:
    whole = write_json(build_attachment(file.attachment, file.content(ports.files)))
    mailbox.call(lambda token, sender: ports.transport.attach(token, sender, draft.draft_id, whole))
    return draft


def _find_earlier_mail(
    known: Draft | None, attempt: Attempt, mailbox: Mailbox, ports: SendingServices
) -> tuple[FoundMail, ...]:
    """Find the mail and its drafts that earlier attempts left in the mailbox.

    If Graph cannot do the search, a draft that was submitted is found by its id. If nothing was submitted,
    the mail is sent without the search, and a draft without files may remain.
    """
    key = attempt.draft_state(ports).key
    try:
        return mailbox.call(lambda token, sender: ports.transport.find(token, sender, key))
    except SEARCH_FAILURES:
        maybe_sent = attempt.has_earlier_attempts if known is None else known.submitted
        found = find_by_id(known, mailbox, ports) if maybe_sent else ()
        if maybe_sent and not found:
            raise
        return found or ()
