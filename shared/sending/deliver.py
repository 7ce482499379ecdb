"""The procedure of journey 2: what is done with one queued message."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from shared.errors import ConfigurationError, InvalidInputError, MailerError
from shared.problems import FieldError
from shared.sending.attempt import Attempt, HeldClaim
from shared.sending.claim import claim
from shared.sending.doubt import was_sent
from shared.sending.draft import abandon, send_as_draft
from shared.sending.mailbox import Mailbox
from shared.sending.outcome import record_accepted, record_failure
from shared.sending.parcel import Parcel, prepare
from shared.sending.payload import build_attachment, build_send_mail
from shared.sending.queued import find_mail
from shared.sending.route import Route
from shared.sending.verdict import expired
from shared.settings.sender import sender_of

if TYPE_CHECKING:
    from shared.sending.dependencies import Sending
    from shared.sending.request import MailRequest
    from shared.settings.sender import Sender


def deliver(text: bytes, queue_id: str, ports: Sending) -> None:
    """Do what is to be done with one queued message; returning completes it."""
    mail = find_mail(text, queue_id, ports)
    if mail is None:
        return
    request, text = mail
    delivery = claim(request, text, queue_id, ports)
    if delivery is None:
        return
    attempt = Attempt(request, text, delivery)
    with HeldClaim(attempt, ports):
        try:
            request_id = _send(attempt, ports)
        except (MailerError, ConfigurationError) as error:
            record_failure(attempt, error, ports)
        else:
            record_accepted(attempt, request_id, ports)


def _send(attempt: Attempt, ports: Sending) -> str | None:
    """Send the mail, and return Graph's id of its answer; None where an earlier attempt had sent it."""
    sender = _sender(attempt.request.tenant_id, ports)
    mailbox = attempt.mailbox = Mailbox(sender, ports)
    note = attempt.note(ports)
    doubt = attempt.delivery.doubt
    if doubt is not None:
        attempt.drafted = True
        if was_sent(attempt.request, doubt, note.load(), mailbox, ports):
            return None
        attempt.delivery = replace(attempt.delivery, doubt=None)
    _check_time(attempt.request, ports)
    mailbox.check_pause()
    parcel = prepare(attempt.request, sender, ports)
    if parcel.route is Route.DRAFT:
        attempt.drafted = True
        return send_as_draft(parcel, note, mailbox, ports)
    if attempt.repeated:
        abandon(note, mailbox, ports)
    return _send_at_once(parcel, mailbox, ports)


def _send_at_once(parcel: Parcel, mailbox: Mailbox, ports: Sending) -> str:
    files = [build_attachment(file.attachment, file.content(ports.files)) for file in parcel.files]
    save = parcel.request.save_to_sent_items
    body = build_send_mail(parcel.message, files, save_to_sent_items=save)
    return mailbox.submit(lambda token, sender: ports.transport.send_mail(token, sender, body))


def _sender(tenant_id: str, ports: Sending) -> Sender:
    if tenant_id not in ports.allowed_tenants:
        unserved = FieldError("tenantId", "this installation does not serve that tenant")
        raise InvalidInputError("invalid_message", fields=[unserved])
    return sender_of(ports.settings.load(tenant_id))


def _check_time(request: MailRequest, ports: Sending) -> None:
    if request.expires_at is not None and request.expires_at <= ports.world.now():
        raise expired(request.expires_at)
