"""Build a mail's JSON for Microsoft Graph from request and files. Pure.

https://learn.microsoft.com/graph/api/user-sendmail and …/graph/api/resources/message.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from shared.mail.list_unsubscribe import UNSUBSCRIBE_POST_PROPERTY, UNSUBSCRIBE_PROPERTY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shared.mail.fields import Recipient
    from shared.mail.message import Attachment, MailRequest

#: The extended property with the app's key for a mail (`delivery_key`), by which the app finds the mail in
#: the mailbox. Recipients do not see it.
#: https://learn.microsoft.com/graph/api/resources/extended-properties-overview
KEY_PROPERTY: Final = "String {5f6c2b0e-0d53-4d0a-9c55-0f4b1e9a7c31} Name DeliveryKey"

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def delivery_key(tenant_id: str, message_id: str) -> str:
    """Return the value of `KEY_PROPERTY` for a mail.

    It is a digest, because Exchange compares values without regard to case, and message ids can differ in
    case only.
    """
    return hashlib.sha256(f"{tenant_id}/{message_id}".encode()).hexdigest()


def build_message(request: MailRequest, body: str, from_address: str | None) -> dict[str, Any]:
    """Build the message without its files and without its extended properties.

    `from_address` is None if the mail is sent from the signed-in user's own address: Graph then adds it.
    """
    message: dict[str, Any] = {
        "subject": request.subject,
        "importance": request.importance,
        "body": {"contentType": request.body.content_type, "content": body},
        "toRecipients": _addresses(request.to),
    }
    optional = {
        "ccRecipients": _addresses(request.cc),
        "bccRecipients": _addresses(request.bcc),
        "replyTo": _addresses(request.reply_to),
        "internetMessageHeaders": [{"name": n, "value": v} for n, v in request.headers.items()],
        "from": {"emailAddress": {"address": from_address}} if from_address else None,
        "isReadReceiptRequested": request.is_read_receipt_requested,
        "isDeliveryReceiptRequested": request.is_delivery_receipt_requested,
    }
    return message | {name: value for name, value in optional.items() if value}


def build_attachment(attachment: Attachment, content: bytes) -> dict[str, Any]:
    """Build one file of less than 3 MB."""
    return {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": attachment.name,
        "contentType": attachment.content_type,
        "contentBytes": base64.b64encode(content).decode(),
        **_inline_members(attachment),
    }


def add_properties(message: bytes, request: MailRequest, key: str | None) -> bytes:
    """Add extended properties to a serialised message.

    They are the app's key and the headers for unsubscribing, for which a message of Graph has no members.
    """
    values = {
        KEY_PROPERTY: key,
        UNSUBSCRIBE_PROPERTY: request.list_unsubscribe,
        UNSUBSCRIBE_POST_PROPERTY: request.list_unsubscribe_post,
    }
    properties = [{"id": name, "value": value} for name, value in values.items() if value is not None]
    if not properties:
        return message
    return b"".join((message[:-1], b',"singleValueExtendedProperties":', write_json(properties), b"}"))


def build_send_mail(
    message: bytes, attachments: Sequence[dict[str, Any]], *, save_to_sent_items: bool
) -> bytes:
    """Build the body of a `sendMail` request from a serialised message."""
    files = b',"attachments":' + write_json(attachments) if attachments else b""
    save = b"" if save_to_sent_items else b',"saveToSentItems":false'
    return b"".join((b'{"message":', message[:-1], files, b"}", save, b"}"))


def build_upload_item(attachment: Attachment, size: int) -> bytes:
    """Describe a file that is uploaded in chunks.

    https://learn.microsoft.com/graph/api/attachment-createuploadsession
    """
    item: dict[str, Any] = {
        "attachmentType": "file",
        "name": attachment.name,
        "size": size,
        "contentType": attachment.content_type,
        **_inline_members(attachment),
    }
    return write_json({"AttachmentItem": item})


def write_json(value: object) -> bytes:
    """Serialise for Graph, in as few bytes as possible."""
    return _ENCODER.encode(value).encode()


def _inline_members(attachment: Attachment) -> dict[str, Any]:
    """Return the members for a file to which the HTML refers, if any."""
    members: dict[str, Any] = {}
    if attachment.content_id is not None:
        members["contentId"] = attachment.content_id
    if attachment.inline:
        members["isInline"] = True
    return members


def _addresses(recipients: Iterable[Recipient]) -> list[dict[str, Any]]:
    return [{"emailAddress": _address(recipient)} for recipient in recipients]


def _address(recipient: Recipient) -> dict[str, str]:
    if recipient.name is None:
        return {"address": recipient.address}
    return {"address": recipient.address, "name": recipient.name}
