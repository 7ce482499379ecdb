"""The procedure of journey 2: what is done with one queued message."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from shared.errors import (
    ConfigurationError,
    ConsentRequiredError,
    ExpiredError,
    InvalidInputError,
    MailerError,
    OutcomeUnknownError,
)
from shared.problems import FieldError
from shared.sending.attachments import read_body, size_files
from shared.sending.claim import claim
from shared.sending.outcome import record_accepted, record_failure, record_unreadable
from shared.sending.payload import build_attachment, build_message, build_send_mail
from shared.sending.request import MailRequest, parse_mail_request, parse_queued
from shared.sending.route import check_fits_one_request
from shared.settings.health import note_failure
from shared.settings.sender import sender_of

if TYPE_CHECKING:
    from shared.sending.dependencies import Sending
    from shared.settings.sender import Sender


def deliver(text: bytes, queue_id: str, ports: Sending) -> None:
    """Do what is to be done with one queued message; returning completes it."""
    try:
        queued = parse_queued(text)
    except InvalidInputError as error:
        record_unreadable(text, queue_id, error, ports)
        return
    if isinstance(queued, MailRequest):
        _deliver(queued, text, queue_id, ports)
        return
    kept = ports.requests.load(queued.tenant_id, queued.message_id)
    if kept is not None:
        _deliver(parse_mail_request(kept), kept, queue_id, ports)


def _deliver(request: MailRequest, text: bytes, queue_id: str, ports: Sending) -> None:
    claimed = claim(request, text, queue_id, ports)
    if claimed is None:
        return
    delivery = claimed.delivery
    try:
        if claimed.interrupted:
            raise OutcomeUnknownError("outcome_unknown")
        _check_time(request, ports)
        sender = _sender(request.tenant_id, ports)
        delivery = replace(delivery, from_address=sender.address)
        request_id = _send(request, sender, ports)
    except (MailerError, ConfigurationError) as error:
        record_failure(delivery, text, request.expires_at, error, ports)
    else:
        record_accepted(delivery, request_id, ports)


def _check_time(request: MailRequest, ports: Sending) -> None:
    if request.expires_at is not None and request.expires_at <= ports.world.now():
        raise ExpiredError("expired", moment=f"{request.expires_at:%Y-%m-%d %H:%M} UTC")


def _sender(tenant_id: str, ports: Sending) -> Sender:
    if tenant_id not in ports.allowed_tenants:
        unserved = FieldError("tenantId", "this installation does not serve that tenant")
        raise InvalidInputError("invalid_message", fields=[unserved])
    return sender_of(ports.settings.load(tenant_id))


def _send(request: MailRequest, sender: Sender, ports: Sending) -> str:
    files = size_files(request.attachments, ports.files)
    body = read_body(request.body, ports.files)
    message = build_message(request, body, sender.from_field)
    check_fits_one_request(len(json.dumps(message)), (file.size for file in files))
    token = _token(sender, ports)
    attachments = [build_attachment(file.attachment, file.content(ports.files)) for file in files]
    mail = build_send_mail(message, attachments, save_to_sent_items=request.save_to_sent_items)
    try:
        return ports.transport.send_mail(token, sender, mail)
    except ConsentRequiredError:
        # Graph refused the token before it read the mail: one try with a new one is safe.
        return _send_with_fresh_token(mail, sender, ports)


def _send_with_fresh_token(mail: bytes, sender: Sender, ports: Sending) -> str:
    token = _token(sender, ports, fresh=True)
    try:
        return ports.transport.send_mail(token, sender, mail)
    except ConsentRequiredError as error:
        note_failure(ports.settings, sender.tenant_id, sender.consent.generation, error, ports.world)
        raise


def _token(sender: Sender, ports: Sending, *, fresh: bool = False) -> str:
    try:
        return ports.tokens.get(sender.tenant_id, sender.consent, fresh=fresh)
    except (ConsentRequiredError, ConfigurationError) as error:
        note_failure(ports.settings, sender.tenant_id, sender.consent.generation, error, ports.world)
        raise
