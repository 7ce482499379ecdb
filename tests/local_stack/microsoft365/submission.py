"""The steps between "send" and 202: recipients, send rights, record."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .accepted_mail import AcceptedMail
from .directory import Directory, User
from .mail import Address, GraphError, Message
from .message_json import addresses

MAX_RECIPIENTS = 500
#: Exchange Online limits, "File attachments limit".
MAX_ATTACHMENTS = 250
# Exchange checks that an address can be one, and nothing about whether anybody reads it.
_ADDRESS = re.compile(r"[^\s@<>(),;:\"\[\]]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


@dataclass(frozen=True)
class Submission:
    """Who sends, from which mailbox, by which call.

    Attributes:
        caller: the signed-in user; None for application permission.
    """

    operation: str
    mailbox: User
    caller: User | None
    client_id: str
    client_request_id: str = ""

    @property
    def actor(self) -> User:
        """Return whose rights count: the user's, or for an app the mailbox's."""
        return self.caller or self.mailbox


def check_recipients(fields: dict[str, Any], quota_status: int) -> None:
    """Check a message's recipients: their number and their addresses.

    Raises:
        GraphError: `ErrorInvalidRecipients`, `ErrorExceededMaxRecipientLimit`.
    """
    recipients = [
        someone for kind in ("to", "cc", "bcc") for someone in addresses(fields.get(f"{kind}Recipients"))
    ]
    start = "At least one recipient isn't valid., "
    if not recipients:
        text = f"{start}A message can't be sent because it contains no recipients."
        raise GraphError(400, "ErrorInvalidRecipients", text)
    for someone in recipients:
        if not _ADDRESS.fullmatch(someone.address):
            raise GraphError(
                400, "ErrorInvalidRecipients", f"{start}Recipient '{someone.address}' is not resolved."
            )
    if len(recipients) > MAX_RECIPIENTS:
        text = "The number of recipients is over the limit."
        raise GraphError(quota_status, "ErrorExceededMaxRecipientLimit", text)


def check_count(files: int) -> None:
    """Limit the number of files in a message.

    How Exchange refuses more is not published.

    Raises:
        GraphError: 400 `ErrorInvalidRequest`.
    """
    if files > MAX_ATTACHMENTS:
        raise GraphError(400, "ErrorInvalidRequest", "The message has too many attachments.")


def sender_of(
    directory: Directory, submission: Submission, fields: dict[str, Any], lag: float = 0.0
) -> tuple[Address, Address]:
    """Return the `from` and `sender` that recipients see.

    A right counts once it is `lag` seconds old.

    Raises:
        GraphError: 403 `ErrorSendAsDenied`.
    """
    actor = submission.actor
    own = Address(actor.address, actor.display_name)
    wanted = addresses([fields["from"]])[0].address if fields.get("from") else submission.mailbox.address
    if actor.has_address(wanted):
        # Exchange puts the primary address in, unless an admin lets aliases send.
        return own, own
    known = directory.user_with_address(wanted, actor.tenant_id) or directory.group(wanted, actor.tenant_id)
    if known is not None:
        other = Address(known.address, known.display_name)
        if directory.has_right("send_as", known.address, actor.address, lag):
            return other, other
        if directory.has_right("send_on_behalf", known.address, actor.address, lag):
            return other, own
    text = (
        "The user account which was used to submit this request does not have the right to send mail "
        "on behalf of the specified sending account., Cannot submit message."
    )
    raise GraphError(403, "ErrorSendAsDenied", text)


def record(
    number: int,
    at: datetime,
    submission: Submission,
    message: Message,
    sender: tuple[Address, Address],
    *,
    save: bool,
) -> AcceptedMail:
    """Record an accepted message; `sender` is the visible `from` and `sender`."""
    fields = message.fields
    body = fields.get("body") or {}
    message.fields |= {"from": _written(sender[0]), "sender": _written(sender[1])}
    return AcceptedMail(
        number=number,
        at=at,
        operation=submission.operation,
        tenant_id=submission.mailbox.tenant_id,
        mailbox=submission.mailbox.address,
        client_id=submission.client_id,
        caller=submission.caller.address if submission.caller else "",
        from_address=sender[0],
        sender=sender[1],
        to=addresses(fields.get("toRecipients")),
        cc=addresses(fields.get("ccRecipients")),
        bcc=addresses(fields.get("bccRecipients")),
        reply_to=addresses(fields.get("replyTo")),
        subject=fields.get("subject") or "",
        body=body.get("content", ""),
        body_type=str(body.get("contentType", "text")).lower(),
        importance=str(fields.get("importance", "normal")).lower(),
        headers={h["name"]: h["value"] for h in fields.get("internetMessageHeaders") or []},
        extended_properties={p["id"]: p["value"] for p in message.extended},
        attachments=tuple(message.attachments),
        save_to_sent_items=save,
        read_receipt=bool(fields.get("isReadReceiptRequested")),
        delivery_receipt=bool(fields.get("isDeliveryReceiptRequested")),
        internet_message_id=fields["internetMessageId"],
        client_request_id=submission.client_request_id,
        mime=message.mime,
    )


def _written(address: Address) -> dict[str, Any]:
    return {"emailAddress": {"name": address.name, "address": address.address}}
