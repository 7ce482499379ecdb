"""Find the mail of a queue message, in the message or in storage."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from shared.deliveries.requeue import StoredMailRef, parse_requeue_message
from shared.errors import ConfigurationError, InvalidInputError
from shared.mail.decode import decode_message
from shared.mail.message import MailRequest, parse_mail_request
from shared.sending.attempt import QueuedMail
from shared.sending.rate_limit.slots import visible_after
from shared.sending.record_accepted import record_accepted_mail
from shared.sending.unreadable import record_unreadable
from shared.sending.unrecorded import (
    UNRECORDED_MARKS,
    AcceptedMail,
    RepeatedMail,
    parse_unrecorded,
    write_mail,
    write_repeated,
)
from shared.sending.unusable_request import record_lost, record_unreadable_request
from shared.settings.ownership import refuse_other_installation

if TYPE_CHECKING:
    from shared.sending.ports import SendingServices


def find_mail(raw: bytes, queue_id: str, ports: SendingServices) -> QueuedMail | None:
    """Return the mail of a message to process now, or None.

    The result is None if the message needs no more work: it was queued again until its slot, it reported that
    a mail was accepted and this is recorded now, or the mail cannot be read and its row says why.

    Raises:
        NotRecordedError, TransientError: storage does not respond.
        ConfigurationError: the tenant belongs to another installation, or another version of the app wrote
            the message or row and this version cannot read it.
    """
    text = raw
    try:
        text = decode_message(raw)
        found = parse_queued(text)
    except InvalidInputError as error:
        record_unreadable(text, queue_id, error, ports)
        return None
    refuse_other_installation(found.tenant_id, ports.settings)
    if isinstance(found, MailRequest):
        return QueuedMail(found, text, text, maybe_new=True)
    if isinstance(found, AcceptedMail):
        record_accepted_mail(found, ports)
        return None
    if isinstance(found, RepeatedMail) and found.mail is not None:
        return _repeated(found)
    return _stored_mail(found, text, queue_id, ports)


def decode_if_possible(raw: bytes) -> bytes:
    """Return a message to queue again, decoded if possible."""
    try:
        return decode_message(raw)
    except InvalidInputError:
        return raw


def message_key(raw: bytes) -> str:
    """Return a key for a message, which is the same in the poison queue."""
    return hashlib.sha256(decode_if_possible(raw)).hexdigest()


def parse_queued(text: bytes) -> MailRequest | StoredMailRef | AcceptedMail | RepeatedMail:
    """Parse a queued message: a scheduler's mail, or the app's own.

    Raises:
        InvalidInputError: `invalid_message`, with every invalid field.
    """
    if text.startswith(UNRECORDED_MARKS):
        return parse_unrecorded(text)
    return parse_requeue_message(text) or parse_mail_request(text)


def _repeated(mail: RepeatedMail) -> QueuedMail:
    text = write_mail(mail)
    try:
        request = parse_mail_request(text)
    except InvalidInputError as error:
        # The app queues such a message only for a mail that it could read, so another version has queued it.
        raise ConfigurationError("request_of_other_version") from error
    unused = frozenset(mail.unused_claims)
    message = write_repeated(mail)
    return QueuedMail(request, text, message, unused_claims=unused, maybe_accepted=mail.maybe_accepted)


def _stored_mail(
    found: StoredMailRef | RepeatedMail, message: bytes, queue_id: str, ports: SendingServices
) -> QueuedMail | None:
    """Return the mail whose request is stored."""
    ref, unused = _reference(found)
    wait = ports.throttle.remaining_wait(ref)
    if wait is not None:
        ports.outbox.put(message, visible_after(wait))
        return None
    text = ports.requests.load(ref.tenant_id, ref.message_id)
    if text is None:
        record_lost(ref, queue_id, unused, ports)
        return None
    try:
        request = parse_mail_request(text)
    except InvalidInputError as error:
        record_unreadable_request(ref, queue_id, unused, error, ports)
        return None
    return QueuedMail(request, text, message, unused_claims=unused, requeued_for=ref.requeued_for)


def _reference(found: StoredMailRef | RepeatedMail) -> tuple[StoredMailRef, frozenset[str]]:
    """Return the reference to the stored request, and unused claims."""
    if isinstance(found, StoredMailRef):
        return found, frozenset()
    ref = StoredMailRef(tenant_id=found.tenant_id, message_id=found.message_id)
    return ref, frozenset(found.unused_claims)
