"""The record of a mail that Exchange accepted with 202."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .mail import Address, Attachment


@dataclass(frozen=True)
class AcceptedMail:
    """A mail that Exchange accepted with 202, byte for byte as it came.

    Attributes:
        number: counts from 1 in the order of acceptance.
        operation: `sendMail` or `send`.
        mailbox: whose mailbox it left through.
        caller: the signed-in user's address; empty for application permission.
        from_address: what recipients see; `sender` differs for Send on Behalf.
        save_to_sent_items: whether a copy is kept.
        mime: the message as it came, for the MIME way alone.
    """

    number: int
    at: datetime
    operation: str
    tenant_id: str
    mailbox: str
    client_id: str
    caller: str
    from_address: Address
    sender: Address
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    subject: str
    body: str
    body_type: str
    importance: str
    headers: dict[str, str]
    extended_properties: dict[str, str]
    attachments: tuple[Attachment, ...]
    save_to_sent_items: bool
    read_receipt: bool
    delivery_receipt: bool
    internet_message_id: str
    client_request_id: str
    mime: bytes | None = None

    @property
    def recipients(self) -> list[str]:
        """All addresses it goes to, in lower case."""
        return [someone.address.lower() for someone in (*self.to, *self.cc, *self.bcc)]


def describe(mail: AcceptedMail) -> dict[str, Any]:
    """Describe a mail; each file has a `contentUrl` for its bytes."""

    def people(addresses: tuple[Address, ...]) -> list[dict[str, str]]:
        return [{"address": a.address, "name": a.name} for a in addresses]

    return {
        "number": mail.number,
        "at": mail.at.isoformat(),
        "operation": mail.operation,
        "mailbox": mail.mailbox,
        "clientId": mail.client_id,
        "caller": mail.caller,
        "from": people((mail.from_address,))[0],
        "sender": people((mail.sender,))[0],
        "to": people(mail.to),
        "cc": people(mail.cc),
        "bcc": people(mail.bcc),
        "replyTo": people(mail.reply_to),
        "subject": mail.subject,
        "body": {"contentType": mail.body_type, "content": mail.body},
        "importance": mail.importance,
        "headers": mail.headers,
        "extendedProperties": mail.extended_properties,
        "saveToSentItems": mail.save_to_sent_items,
        "isReadReceiptRequested": mail.read_receipt,
        "isDeliveryReceiptRequested": mail.delivery_receipt,
        "internetMessageId": mail.internet_message_id,
        "clientRequestId": mail.client_request_id,
        "attachments": [
            _file(attachment) | {"contentUrl": file_path(mail, number)}
            for number, attachment in enumerate(mail.attachments, start=1)
        ],
    }


def file_path(mail: AcceptedMail, number: int) -> str:
    """Return where a file of a mail is read, counted from 1."""
    return f"/_control/mails/{mail.number}/attachments/{number}"


def _file(attachment: Attachment) -> dict[str, Any]:
    return {
        "name": attachment.name,
        "contentType": attachment.content_type,
        "size": attachment.size,
        "sha256": attachment.sha256,
        "inline": attachment.inline,
        "contentId": attachment.content_id,
    }
