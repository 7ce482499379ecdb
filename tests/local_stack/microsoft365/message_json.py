"""Messages as Graph's JSON: what Graph refuses and how it writes."""

import base64
import binascii
import re
from collections.abc import Collection
from typing import Any
from urllib.parse import quote

from .behaviour import Behaviour
from .mail import Address, Attachment, Content, GraphError, Message, new_id

FILE_ATTACHMENT = "#microsoft.graph.fileAttachment"
MAX_HEADERS = 5
_RECIPIENTS = ("toRecipients", "ccRecipients", "bccRecipients", "replyTo")
_WRITABLE = frozenset(
    {
        *_RECIPIENTS,
        "@odata.type",
        "attachments",
        "body",
        "categories",
        "flag",
        "from",
        "importance",
        "inferenceClassification",
        "internetMessageHeaders",
        "internetMessageId",
        "isDeliveryReceiptRequested",
        "isRead",
        "isReadReceiptRequested",
        "multiValueExtendedProperties",
        "sender",
        "singleValueExtendedProperties",
        "subject",
    }
)
_ATTACHMENT_MEMBERS = frozenset(
    {"@odata.type", "name", "contentType", "contentBytes", "isInline", "contentId", "contentLocation", "size"}
)
_PROPERTY_ID = re.compile(
    r"(String|Integer|Boolean|SystemTime|Double|Binary|CLSID|Long|Short|Currency|Float) "
    r"(\{[0-9A-Fa-f-]{36}\} (Name .+|Id 0x[0-9A-Fa-f]+)|0x[0-9A-Fa-f]+)"
)


def read_message(
    document: Any, behaviour: Behaviour
) -> tuple[dict[str, Any], list[Attachment], list[dict[str, str]]]:
    """Read a message resource: its fields, files and extended properties.

    Raises:
        GraphError: 400 in Graph's own words for whatever it would not take.
    """
    fields = dict(_object(document, "message"))
    for name in fields:
        if name not in _WRITABLE:
            raise unreadable(f"The property '{name}' does not exist on type 'microsoft.graph.message'.")
    for name in _RECIPIENTS:
        for item in _list(fields.get(name, []), name):
            _recipient(item)
    for name in ("from", "sender"):
        if fields.get(name) is not None:
            _recipient(fields[name])
    _check_body(fields.get("body"))
    _check_headers(fields.get("internetMessageHeaders"))
    _check_choices(fields)
    files = [read_attachment(item, behaviour) for item in _list(fields.pop("attachments", []), "attachments")]
    extended = [
        _extended(item) for item in _list(fields.pop("singleValueExtendedProperties", []), "properties")
    ]
    return fields, files, extended


def read_attachment(document: Any, behaviour: Behaviour) -> Attachment:
    """Read a file attachment.

    Raises:
        GraphError: 400 for a wrong type or a missing member, 413 for a file that needs an upload session.
    """
    item = _object(document, "attachment")
    if item.get("@odata.type") != FILE_ATTACHMENT:
        raise unreadable(f"The type '{item.get('@odata.type', '')}' is not a kind of attachment.")
    for name in item:
        if name not in _ATTACHMENT_MEMBERS:
            raise unreadable(
                f"The property '{name}' does not exist on type 'microsoft.graph.fileAttachment'."
            )
    for name in ("name", "contentBytes"):
        if not isinstance(item.get(name), str):
            raise GraphError(400, "ErrorRequiredPropertyMissing", f"Required property '{name}' is missing.")
    try:
        data = base64.b64decode(item["contentBytes"], validate=True)
    except binascii.Error as error:
        raise unreadable("Cannot convert the literal to the expected type 'Edm.Binary'.") from error
    if len(data) >= behaviour.largest_post:
        raise GraphError(
            413, "ErrorAttachmentSizeLimitExceeded", "Use an upload session for this attachment."
        )
    return Attachment(
        new_id(),
        item["name"],
        str(item.get("contentType") or "application/octet-stream"),
        Content(data),
        inline=bool(item.get("isInline")),
        content_id=item.get("contentId"),
    )


def unreadable(message: str) -> GraphError:
    """Make Graph's error for a body that breaks the schema."""
    return GraphError(400, "RequestBodyRead", message)


def addresses(items: Any) -> tuple[Address, ...]:
    """Turn checked recipients into addresses."""
    return tuple(
        Address(item["emailAddress"]["address"], item["emailAddress"].get("name") or "")
        for item in items or []
    )


def write_message(message: Message, *, immutable: bool, select: Collection[str] = ()) -> dict[str, Any]:
    """Write a message; with `select`, only the id and those properties."""
    content = message.fields.get("body", {"contentType": "text", "content": ""})
    identity = message.immutable_id if immutable else message.plain_id
    made = f"{message.created:%Y-%m-%dT%H:%M:%SZ}"
    document = {
        "id": identity,
        "createdDateTime": made,
        "lastModifiedDateTime": made,
        "receivedDateTime": made,
        "sentDateTime": made,
        "changeKey": message.change_key,
        "categories": [],
        "conversationId": message.conversation_id,
        "conversationIndex": message.conversation_id[:30],
        "inferenceClassification": "focused",
        "isDeliveryReceiptRequested": False,
        "isReadReceiptRequested": False,
        "webLink": f"https://outlook.office365.com/owa/?ItemID={quote(identity, safe='')}",
        "flag": {"flagStatus": "notFlagged"},
        "subject": "",
        "importance": "normal",
        "toRecipients": [],
        "ccRecipients": [],
        "bccRecipients": [],
        "replyTo": [],
        **message.fields,
        "body": {**content, "contentType": str(content.get("contentType", "text")).lower()},
        "bodyPreview": str(content.get("content", ""))[:255],
        "hasAttachments": any(not attachment.inline for attachment in message.attachments),
        "isDraft": message.draft,
        "isRead": True,
        "parentFolderId": folder_id(message.mailbox_id, message.folder),
        "@odata.etag": f'W/"{message.change_key}"',
    }
    if "internetMessageHeaders" not in select:
        document.pop("internetMessageHeaders", None)
    if select:
        document = {name: value for name, value in document.items() if name in {"id", "@odata.etag", *select}}
    return document


def write_attachment(attachment: Attachment, *, whole: bool) -> dict[str, Any]:
    """Write an attachment, with its bytes if `whole`."""
    document: dict[str, Any] = {
        "@odata.type": FILE_ATTACHMENT,
        "id": attachment.attachment_id,
        "name": attachment.name,
        "contentType": attachment.content_type,
        "size": attachment.size,
        "isInline": attachment.inline,
        "contentId": attachment.content_id,
    }
    return document | ({"contentBytes": base64.b64encode(attachment.read()).decode()} if whole else {})


def folder_id(mailbox_id: str, folder: str) -> str:
    """Return the id of a well-known folder."""
    digest = base64.urlsafe_b64encode(f"{mailbox_id}/{folder}".encode()).decode().rstrip("=")
    return f"AQMkAD{digest}AAA="


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise unreadable(f"An unexpected value was found for '{what}'.")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise unreadable(f"An unexpected value was found for '{what}'.")
    return value


def _recipient(item: Any) -> None:
    inner = _object(_object(item, "recipient").get("emailAddress"), "emailAddress")
    if not isinstance(inner.get("address"), str) or set(inner) - {"address", "name"}:
        raise unreadable("An unexpected value was found for 'emailAddress'.")


def _check_body(body: Any) -> None:
    if body is None:
        return
    kind = _object(body, "body").get("contentType", "text")
    if str(kind).lower() not in {"text", "html"} or not isinstance(body.get("content", ""), str):
        raise unreadable("An unexpected value was found for 'body'.")


def _check_choices(fields: dict[str, Any]) -> None:
    if str(fields.get("importance", "normal")).lower() not in {"low", "normal", "high"}:
        raise unreadable("Cannot convert the literal to the expected type 'microsoft.graph.importance'.")
    for name in ("isReadReceiptRequested", "isDeliveryReceiptRequested"):
        if not isinstance(fields.get(name), bool | None):
            raise unreadable("Cannot convert the literal to the expected type 'Edm.Boolean'.")


def _check_headers(headers: Any) -> None:
    if headers is None:
        return
    for item in _list(headers, "internetMessageHeaders"):
        pair = _object(item, "internetMessageHeader")
        if set(pair) != {"name", "value"} or not all(isinstance(value, str) for value in pair.values()):
            raise unreadable("An unexpected value was found for 'internetMessageHeader'.")
        if not pair["name"].lower().startswith("x-"):
            text = f"The internet message header name '{pair['name']}' should start with 'x-' or 'X-'."
            raise GraphError(400, "InvalidInternetMessageHeader", text)
    if len(headers) > MAX_HEADERS:
        text = f"Maximum number of headers in one message should be less than or equal to {MAX_HEADERS}."
        raise GraphError(400, "InvalidInternetMessageHeaderCollection", text)


def _extended(item: Any) -> dict[str, str]:
    pair = _object(item, "singleValueExtendedProperty")
    if not isinstance(pair.get("id"), str) or not isinstance(pair.get("value"), str):
        raise unreadable("An unexpected value was found for 'singleValueExtendedProperty'.")
    if not _PROPERTY_ID.fullmatch(pair["id"]):
        raise GraphError(400, "ErrorInvalidExtendedProperty", f"The id '{pair['id']}' is not a property id.")
    return {"id": pair["id"], "value": pair["value"]}
