"""Find the mail of a queued message, in the message or in storage."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.deliveries.requeue import StoredMailRef, parse_requeue_message
from shared.errors import ConfigurationError, InvalidInputError
from shared.mail.decode import decode_message
from shared.mail.message import MailRequest, parse_mail_request
from shared.sending.accepted import record_accepted_mail
from shared.sending.rate_limit.slots import visible_after
from shared.sending.unreadable import record_unreadable
from shared.sending.unrecorded import AcceptedMail, RepeatedMail, parse_unrecorded, write_mail, write_repeated
from shared.sending.unusable_request import record_lost, record_unreadable_request
from shared.settings.ownership import refuse_foreign

if TYPE_CHECKING:
    from shared.sending.ports import SendingServices


@dataclass(frozen=True, slots=True)
class QueuedMail:
    """The mail of a queued message.

    Attributes:
        text: the mail as JSON.
        message: what to queue again if another worker has claimed the mail.
        maybe_new: the delivery log may not know the mail yet.
        requeued_for: the attempt that the message is for; None for a scheduler's message.
        unused_claims: claims of the mail that are known to have sent nothing.
    """

    request: MailRequest
    text: bytes
    message: bytes
    maybe_new: bool = False
    unused_claims: frozenset[str] = frozenset()
    requeued_for: str | None = None


def find_mail(raw: bytes, queue_id: str, ports: SendingServices) -> QueuedMail | None:
    """Return the mail of a message to process now, or None.

    None: it is back in the queue until its slot, or it cannot be read and its row says why.

    Raises:
        NotRecordedError, TransientError, ConfigurationError: storage does not respond, another installation
            owns the tenant, or another version of the app wrote what this one can't read.
    """
    text = raw
    try:
        text = decode_message(raw)
        found = parse_unrecorded(text) or parse_queued(text)
        queued = _repeated(found) if isinstance(found, RepeatedMail) else found
    except InvalidInputError as error:
        record_unreadable(text, queue_id, error, ports)
        return None
    refuse_foreign(found.tenant_id, ports.settings)
    if isinstance(queued, AcceptedMail):
        record_accepted_mail(queued, ports)
        return None
    if isinstance(queued, MailRequest):
        return QueuedMail(queued, text, text, maybe_new=True)
    if isinstance(queued, QueuedMail):
        return queued
    early = ports.throttle.wait_of(queued)
    if early is not None:
        ports.outbox.put(text, visible_after(early))
        return None
    unused = frozenset(found.unused_claims) if isinstance(found, RepeatedMail) else frozenset[str]()
    return _kept(queued, text, unused, queue_id, ports)


def readable(raw: bytes) -> bytes:
    """Return a message to queue again, decoded if possible."""
    try:
        return decode_message(raw)
    except InvalidInputError:
        return raw


def key_of(raw: bytes) -> str:
    """Return a message's key, by content as the poison queue changes the id."""
    return hashlib.sha256(readable(raw)).hexdigest()


def _repeated(note: RepeatedMail) -> QueuedMail | StoredMailRef:
    if note.mail is None:
        return StoredMailRef(tenant_id=note.tenant_id, message_id=note.message_id)
    text = write_mail(note)
    try:
        request = parse_mail_request(text)
    except InvalidInputError as error:
        # The app queues such a message only for a mail that it has read: another version did.
        raise ConfigurationError("request_of_other_version") from error
    return QueuedMail(request, text, write_repeated(note), unused_claims=frozenset(note.unused_claims))


def _kept(
    mail: StoredMailRef, message: bytes, unused: frozenset[str], queue_id: str, ports: SendingServices
) -> QueuedMail | None:
    kept = ports.requests.load(mail.tenant_id, mail.message_id)
    if kept is None:
        record_lost(mail, queue_id, unused, ports)
        return None
    try:
        request = parse_mail_request(kept)
    except InvalidInputError as error:
        record_unreadable_request(mail, queue_id, unused, error, ports)
        return None
    return QueuedMail(request, kept, message, unused_claims=unused, requeued_for=mail.requeued_for)


def parse_queued(text: bytes) -> MailRequest | StoredMailRef:
    """Parse a queued message: a scheduler's mail or a requeue message.

    Raises:
        InvalidInputError: `invalid_message`, with every invalid field.
    """
    return parse_requeue_message(text) or parse_mail_request(text)
