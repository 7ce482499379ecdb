"""A mail as Microsoft Graph wants it. Pure: a request and its files in, JSON out.

https://learn.microsoft.com/graph/api/user-sendmail and …/graph/api/resources/message.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shared.sending.request import Attachment, MailRequest, Recipient


def build_message(request: MailRequest, body: str, from_address: str | None) -> dict[str, Any]:
    """Build the message without its files.

    `from_address` is None where the signed-in user's own address sends: Graph then fills it in.
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
    }
    return message | {name: value for name, value in optional.items() if value}


def build_attachment(attachment: Attachment, content: bytes) -> dict[str, Any]:
    """Build one file of less than 3 MB."""
    built: dict[str, Any] = {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": attachment.name,
        "contentType": attachment.content_type,
        "contentBytes": base64.b64encode(content).decode(),
    }
    if attachment.content_id is not None:
        built["contentId"] = attachment.content_id
    if attachment.inline:
        built["isInline"] = True
    return built


def build_send_mail(
    message: dict[str, Any], attachments: Sequence[dict[str, Any]], *, save_to_sent_items: bool
) -> bytes:
    """Write the body of one `sendMail` request."""
    whole = message | {"attachments": list(attachments)} if attachments else message
    call: dict[str, Any] = {"message": whole}
    if not save_to_sent_items:
        call["saveToSentItems"] = False
    return json.dumps(call, ensure_ascii=False, separators=(",", ":")).encode()


def _addresses(recipients: Iterable[Recipient]) -> list[dict[str, Any]]:
    return [{"emailAddress": _address(recipient)} for recipient in recipients]


def _address(recipient: Recipient) -> dict[str, str]:
    if recipient.name is None:
        return {"address": recipient.address}
    return {"address": recipient.address, "name": recipient.name}
