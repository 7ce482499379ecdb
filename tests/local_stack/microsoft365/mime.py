"""Conversion of a MIME message to Graph's properties."""

import base64
import binascii
from email import message_from_bytes, policy
from email.headerregistry import AddressHeader
from email.message import EmailMessage
from typing import Any

from .mail import Attachment, Content, GraphError, new_id

_OWN_FIELDS = {"to": "toRecipients", "cc": "ccRecipients", "bcc": "bccRecipients", "reply-to": "replyTo"}


def read_mime(body: bytes) -> tuple[bytes, dict[str, Any], list[Attachment]]:
    """Decode a base64 body into MIME bytes, fields and files.

    Raises:
        GraphError: 400 `ErrorMimeContentInvalidBase64String`.
    """
    try:
        raw = base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error as error:
        text = "Invalid base64 string for MIME content."
        raise GraphError(400, "ErrorMimeContentInvalidBase64String", text) from error
    parsed = message_from_bytes(raw, policy=policy.default)
    fields: dict[str, Any] = {"subject": str(parsed.get("subject", "")), "body": _body(parsed)}
    for header, name in _OWN_FIELDS.items():
        fields[name] = [_recipient(pair) for pair in _pairs(parsed, header)]
    if senders := _pairs(parsed, "from"):
        fields["from"] = _recipient(senders[0])
    if parsed["message-id"]:
        fields["internetMessageId"] = str(parsed["message-id"])
    extra = [(n, str(v)) for n, v in parsed.items() if n.lower() not in {*_OWN_FIELDS, "subject", "from"}]
    fields["internetMessageHeaders"] = [{"name": name, "value": value} for name, value in extra]
    body_part = parsed.get_body(("html", "plain"))
    files = [_file(part) for part in parsed.walk() if not part.is_multipart() and part is not body_part]
    return raw, fields, [file for file in files if file.name]


def _pairs(parsed: EmailMessage, header: str) -> list[tuple[str, str]]:
    value = parsed.get(header)
    if not isinstance(value, AddressHeader):
        return []
    return [(address.addr_spec, address.display_name) for address in value.addresses]


def _recipient(pair: tuple[str, str]) -> dict[str, Any]:
    return {"emailAddress": {"address": pair[0], "name": pair[1]}}


def _body(parsed: EmailMessage) -> dict[str, str]:
    part = parsed.get_body(("html", "plain"))
    if part is None:
        return {"contentType": "text", "content": ""}
    kind = "html" if part.get_content_type() == "text/html" else "text"
    return {"contentType": kind, "content": str(part.get_content())}


def _file(part: Any) -> Attachment:
    payload = part.get_payload(decode=True)
    content_id = part.get("content-id")
    return Attachment(
        new_id(),
        part.get_filename() or "",
        part.get_content_type(),
        Content(payload if isinstance(payload, bytes) else b""),
        inline=part.get_content_disposition() == "inline",
        content_id=str(content_id).strip("<>") if content_id else None,
    )
