"""Define the message format of `mail-outbox`. Pure.

The published JSON Schema is made from these models.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from shared.errors import InvalidInputError
from shared.mail.fields import AnyRecipient, Headers, Line, MessageId, Moment, QueueName, Recipient, TenantId
from shared.mail.file_fields import Base64File, BlobPath, MediaType
from shared.mail.list_unsubscribe import HTTPS_ADDRESS_START, ONE_CLICK_HAS_HTTPS, ListUnsubscribe
from shared.problems import FieldError
from shared.schema import Contract, Flag, broken_field, parse

#: A storage queue accepts messages of 64 KiB, and base64 makes this one a third longer.
MAX_MESSAGE_BYTES = 48 * 1024
#: https://learn.microsoft.com/graph/api/resources/message: to, cc and bcc together.
MAX_RECIPIENTS = 500
MAX_CORRELATION_ID = 128
#: https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits:
#: "File attachments limit", including inline files.
MAX_ATTACHMENTS = 250


def _needs_strings(*names: str) -> dict[str, JsonValue]:
    """Require in JSON Schema that these texts are present and not null."""
    return {"required": list(names), "properties": {name: {"type": "string"} for name in names}}


def _needs_one_of(one: str, other: str) -> dict[str, JsonValue]:
    """Require in JSON Schema exactly one of two members."""
    return {"anyOf": [_needs_strings(one), _needs_strings(other)], "not": _needs_strings(one, other)}


#: Without `if` and `then` of JSON Schema's draft 7, which NJsonSchema ignores.
_INLINE_HAS_CONTENT_ID: dict[str, JsonValue] = {
    "anyOf": [
        {"properties": {"inline": {"type": ["boolean", "null"], "enum": [False, None]}}},
        _needs_strings("contentId"),
    ]
}


def _is_version_1(version: object) -> object:
    if isinstance(version, bool) or version != 1:
        raise ValueError("use 1")
    return 1


class Body(Contract):
    """The body of the mail: `content`, or for a long one `blob`."""

    model_config = ConfigDict(json_schema_extra=_needs_one_of("content", "blob"))

    content_type: Literal["html", "text"] = Field(description="The format of the text.")
    content: str | None = Field(None, description="The text itself.")
    blob: BlobPath | None = Field(
        None, description="The path of a file with the text, in UTF-8, of 3.8 MB at most."
    )

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.content is None) == (self.blob is None):
            raise ValueError("give either content or blob")
        return self


class Attachment(Contract):
    """A file: `blob`, or `contentBytes` for a very small one."""

    model_config = ConfigDict(
        json_schema_extra={
            **_needs_one_of("blob", "contentBytes"),
            "allOf": [_INLINE_HAS_CONTENT_ID],
        }
    )

    name: Annotated[Line, Field(min_length=1, max_length=255)] = Field(
        description="The file name that recipients see."
    )
    content_type: MediaType = Field(
        description=(
            "The media type of the file, such as text/csv. Parameters are not allowed, except for `method` "
            "of text/calendar, such as `text/calendar; method=REQUEST`. Whether Outlook shows such a file as "
            "an invitation was not verified."
        )
    )
    blob: BlobPath | None = Field(None, description="The path of the file in the container `attachments`.")
    content_bytes: Base64File | None = Field(None, description="The file itself, in base64.")
    content_id: Annotated[Line, Field(min_length=1, max_length=255)] | None = Field(
        None, description="The name by which the HTML refers to the file, as `cid:…`."
    )
    inline: Flag = Field(default=False, description="Show the file within the text, which needs a contentId.")

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.content_bytes is None) == (self.blob is None):
            raise ValueError("give either blob or contentBytes")
        return self

    @model_validator(mode="after")
    def _inline_file_has_content_id(self) -> Self:
        if self.inline and self.content_id is None:
            raise ValueError("an inline file needs a contentId, to which the html refers as cid:…")
        return self


class MailRequest(Contract):
    """One mail to send, as a scheduler writes it to `mail-outbox`.

    It has no sender: the address on the Tenant Settings page is the only one.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": [name], "properties": {name: {"type": "array", "minItems": 1}}}
                for name in ("to", "cc", "bcc")
            ],
            "allOf": [ONE_CLICK_HAS_HTTPS],
        }
    )

    schema_version: Annotated[Literal[1], BeforeValidator(_is_version_1)] = Field(
        description="The version of this contract."
    )
    message_id: MessageId = Field(
        description=(
            "The scheduler's own id of the mail. Derive it from what identifies the occurrence (schedule, "
            "due time, audience): if the schedule runs twice, the mail is then sent once, within the days "
            "for which deliveries are stored (90 by default). A mail that is accepted or unknown is not sent "
            "again under its id. A mail that is invalid, expired, or rejected for a reason that the sender "
            "can correct starts again when its id is queued again, also with other content."
        )
    )
    tenant_id: TenantId = Field(description="The Entra tenant whose admin enabled sending.")
    to: tuple[AnyRecipient, ...] = Field((), description="1 to 500 recipients in to, cc and bcc together.")
    cc: tuple[AnyRecipient, ...] = Field((), description="Recipients of a copy.")
    bcc: tuple[AnyRecipient, ...] = Field((), description="Recipients that are hidden from the others.")
    reply_to: tuple[AnyRecipient, ...] = Field(
        (), description="Addresses for replies; the From address if empty."
    )
    subject: Line = Field(
        description="One line of text. Exchange keeps 255 characters; a longer one causes a warning."
    )
    body: Body = Field(description="The text of the mail.")
    attachments: tuple[Attachment, ...] = Field(
        (), max_length=MAX_ATTACHMENTS, description="Up to 250 files, in the order in which they are shown."
    )
    importance: Literal["low", "normal", "high"] = Field(
        "normal", description="The importance that mail programs show."
    )
    save_to_sent_items: Flag = Field(
        default=True,
        description="Without a copy, a mail whose response was lost can't be looked up and ends as unknown.",
    )
    headers: Headers = Field(default_factory=dict, description="Headers named x-…, but not x-ms-….")
    is_read_receipt_requested: Flag = Field(
        default=False, description="Ask each recipient's mail program to report when the mail is read."
    )
    is_delivery_receipt_requested: Flag = Field(
        default=False, description="Ask each recipient's server to report when it has the mail."
    )
    list_unsubscribe: ListUnsubscribe | None = Field(
        None,
        description=(
            "How to unsubscribe: https and mailto addresses in angle brackets, separated by commas (the "
            "header List-Unsubscribe). Whether Exchange sends the header was not verified."
        ),
    )
    list_unsubscribe_post: Literal["List-Unsubscribe=One-Click"] | None = Field(
        None,
        description=(
            "The https address of listUnsubscribe accepts a POST without further confirmation (RFC 8058, "
            "List-Unsubscribe-Post). Whether Exchange sends the header was not verified."
        ),
    )
    expires_at: Moment | None = Field(
        None, description="The mail is not sent after this time; with a time zone."
    )
    correlation_id: Annotated[Line, Field(max_length=MAX_CORRELATION_ID)] | None = Field(
        None, description="The scheduler's own id of a run, copied to the delivery and the log."
    )
    outcome_queue: QueueName | None = Field(
        None,
        description="One of OUTCOME_QUEUES, which receives the mail's outcome (mail-outcome.schema.json).",
    )

    @model_validator(mode="after")
    def _has_recipients(self) -> Self:
        count = len(self.to) + len(self.cc) + len(self.bcc)
        if not 1 <= count <= MAX_RECIPIENTS:
            raise ValueError(f"give 1 to {MAX_RECIPIENTS} recipients in to, cc and bcc together, not {count}")
        return self

    @model_validator(mode="after")
    def _content_ids_differ(self) -> Self:
        ids = [attachment.content_id for attachment in self.attachments]
        for number, content_id in enumerate(ids):
            if content_id is not None and content_id in ids[:number]:
                raise broken_field(
                    f"attachments.{number}.contentId", "another attachment has the same contentId"
                )
        return self

    @model_validator(mode="after")
    def _one_click_has_https_address(self) -> Self:
        addresses = self.list_unsubscribe or ""
        if self.list_unsubscribe_post is not None and HTTPS_ADDRESS_START not in addresses:
            raise broken_field("listUnsubscribePost", "needs an https address in listUnsubscribe")
        return self

    @property
    def recipients(self) -> tuple[Recipient, ...]:
        """All recipients of the mail."""
        return self.to + self.cc + self.bcc

    def fingerprint(self, known: str = "") -> str:
        """Return a hash, which differs for other content with the same id.

        Members that may differ if a schedule runs twice are left out; so are default values, so that a new
        member of the format changes no hash. `known` is kept where the order of headers counted in it.
        """
        if known and known == _hash(self):
            return known
        return _hash(self.model_copy(update={"headers": dict(sorted(self.headers.items()))}))


def _hash(content: MailRequest) -> str:
    varying = {"expires_at", "correlation_id", "outcome_queue"}
    text = content.model_dump_json(exclude=varying, exclude_defaults=True)
    return hashlib.sha256(text.encode()).hexdigest()


def parse_mail_request(text: bytes) -> MailRequest:
    """Parse a queued message.

    Raises:
        InvalidInputError: `invalid_message`, with every invalid field.
    """
    if len(text) > MAX_MESSAGE_BYTES:
        reason = f"is {len(text)} bytes; at most {MAX_MESSAGE_BYTES} are allowed"
        raise InvalidInputError("invalid_message", fields=[FieldError("(whole body)", reason)])
    return parse(MailRequest, text, "invalid_message")
