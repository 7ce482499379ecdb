"""The contract of `mail-outbox`: what a scheduler may ask for.

Pure. The published JSON Schema is made from these models.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal, Self

from pydantic import (
    Base64Bytes,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)

from shared.contract import Contract, parse
from shared.deliveries.resume import KeptMail, MessageId, TenantId, parse_resume
from shared.errors import InvalidInputError
from shared.problems import FieldError
from shared.sending.fields import BlobPath, Line, MailAddress, Moment

#: A storage queue takes 64 KiB after base64, which makes a third more of it.
MAX_MESSAGE_BYTES = 48 * 1024
#: https://learn.microsoft.com/graph/api/resources/message: to, cc and bcc together.
MAX_RECIPIENTS = 500
#: Graph refuses the sixth with InvalidInternetMessageHeaderCollection.
MAX_HEADERS = 5


def _as_recipient(value: object) -> object:
    return {"address": value} if isinstance(value, str) else value


class Recipient(Contract):
    """A mail address with a display name."""

    address: MailAddress = Field(description="Such as cfo@contoso.com.")
    name: Annotated[Line, Field(max_length=256)] | None = Field(None, description="The name shown with it.")


type AnyRecipient = Annotated[
    Recipient, BeforeValidator(_as_recipient, json_schema_input_type=str | Recipient)
]


def _either(one: str, other: str) -> dict[str, JsonValue]:
    """Say in JSON Schema that one of two members is given, and not both."""
    both: dict[str, JsonValue] = {
        "required": [one, other],
        "properties": {one: {"type": "string"}, other: {"type": "string"}},
    }
    return {"anyOf": [{"required": [one]}, {"required": [other]}], "not": both}


class Body(Contract):
    """The text of the mail: `content`, or for a long one `blob`."""

    model_config = ConfigDict(json_schema_extra=_either("content", "blob"))

    content_type: Literal["html", "text"] = Field(description="What the text is.")
    content: str | None = Field(None, description="The text itself.")
    blob: BlobPath | None = Field(None, description="A file with the text, in UTF-8, of 3.8 MB at most.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.content is None) == (self.blob is None):
            raise ValueError("give either content or blob")
        return self


class Attachment(Contract):
    """A file: `blob`, or when tiny `contentBytes`."""

    model_config = ConfigDict(
        json_schema_extra={
            **_either("blob", "contentBytes"),
            "if": {"properties": {"inline": {"const": True}}, "required": ["inline"]},
            "then": {"properties": {"contentId": {"type": "string"}}, "required": ["contentId"]},
        }
    )

    name: Annotated[Line, Field(min_length=1, max_length=255)] = Field(
        description="The file's name, as the recipients see it."
    )
    content_type: Annotated[str, StringConstraints(pattern=r"^[\w.+-]+/[\w.+-]+$", max_length=127)] = Field(
        description="Its media type, such as text/csv; without parameters."
    )
    blob: BlobPath | None = Field(None, description="Where it lies in the container `attachments`.")
    content_bytes: Base64Bytes | None = Field(None, description="The file itself, in base64.")
    content_id: Annotated[Line, Field(min_length=1, max_length=255)] | None = Field(
        None, description="The name by which the HTML refers to it, as `cid:…`."
    )
    inline: bool = Field(default=False, description="Shown in the text; needs a contentId.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.content_bytes is None) == (self.blob is None):
            raise ValueError("give either blob or contentBytes")
        if self.inline and self.content_id is None:
            raise ValueError("an inline file needs a contentId, to which the html refers as cid:…")
        return self


class MailRequest(Contract):
    """One mail to send, as a scheduler puts it on the queue `mail-outbox`.

    There is no sender: the address on the Tenant Settings page is the only one.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": [name], "properties": {name: {"minItems": 1}}} for name in ("to", "cc", "bcc")
            ]
        }
    )

    schema_version: Literal[1] = Field(description="The version of this contract.")
    message_id: MessageId = Field(
        description="Derived from the occurrence: schedule, due time, audience. Firing twice then sends once."
    )
    tenant_id: TenantId = Field(description="The Entra tenant whose admin enabled sending.")
    to: tuple[AnyRecipient, ...] = Field((), description="1 to 500 recipients in to, cc and bcc together.")
    cc: tuple[AnyRecipient, ...] = Field((), description="Recipients of a copy.")
    bcc: tuple[AnyRecipient, ...] = Field((), description="Recipients whom the others don't see.")
    reply_to: tuple[AnyRecipient, ...] = Field((), description="Where answers go; the From address if empty.")
    subject: Line = Field(description="One line of text.")
    body: Body = Field(description="The text of the mail.")
    attachments: tuple[Attachment, ...] = Field(
        (), description="Files, in the order in which they are shown."
    )
    importance: Literal["low", "normal", "high"] = Field(
        "normal", description="As the mail program shows it."
    )
    save_to_sent_items: bool = Field(
        default=True,
        description="Without a copy, a mail whose answer got lost can't be looked up and ends as unknown.",
    )
    headers: dict[Annotated[str, StringConstraints(pattern=r"^[xX]-[A-Za-z0-9-]{1,74}$")], Line] = Field(
        default_factory=dict,
        max_length=MAX_HEADERS,
        json_schema_extra={"additionalProperties": False},
        description="Further headers, each named x-….",
    )
    expires_at: Moment | None = Field(
        None, description="After it the mail is not sent any more; with its time zone."
    )
    correlation_id: Annotated[Line, Field(max_length=128)] | None = Field(
        None, description="The scheduler's own mark; it stands in the delivery and in the log."
    )

    @model_validator(mode="after")
    def _count_recipients(self) -> Self:
        count = len(self.to) + len(self.cc) + len(self.bcc)
        if not 1 <= count <= MAX_RECIPIENTS:
            raise ValueError(f"give 1 to {MAX_RECIPIENTS} recipients in to, cc and bcc together, not {count}")
        return self

    @property
    def recipients(self) -> tuple[Recipient, ...]:
        """Everybody who gets the mail."""
        return self.to + self.cc + self.bcc

    def fingerprint(self) -> str:
        """Tell this mail's content from another's under the same id.

        What may differ between two firings of the same occurrence is left out; so is what has its default,
        so that a member that is new in the contract changes nothing for the mails that are under way.
        """
        same = self.model_dump_json(exclude={"expires_at", "correlation_id"}, exclude_defaults=True)
        return hashlib.sha256(same.encode()).hexdigest()


def parse_mail_request(text: bytes) -> MailRequest:
    """Read a queued message.

    Raises:
        InvalidInputError: `invalid_message`, with every broken field.
    """
    if len(text) > MAX_MESSAGE_BYTES:
        too_long = FieldError(
            "(whole body)", f"is {len(text)} bytes; at most {MAX_MESSAGE_BYTES} are allowed"
        )
        raise InvalidInputError("invalid_message", fields=[too_long])
    return parse(MailRequest, text, "invalid_message")


def parse_queued(text: bytes) -> MailRequest | KeptMail:
    """Read a queued message: a scheduler's mail, or our own note to try one again.

    Raises:
        InvalidInputError: `invalid_message`, with every broken field.
    """
    return parse_resume(text) or parse_mail_request(text)
