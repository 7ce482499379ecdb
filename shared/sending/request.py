"""The contract of `mail-outbox`: what a scheduler may ask for.

Pure. The published JSON Schema is made from these models.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    Base64Bytes,
    BeforeValidator,
    Field,
    StringConstraints,
    model_validator,
)

from shared.contract import Contract, parse
from shared.deliveries.resume import KeptMail, MessageId, TenantId, parse_resume
from shared.errors import InvalidInputError
from shared.mail_address import check_mail_address
from shared.problems import FieldError

#: A storage queue takes 64 KiB after base64, which makes a third more of it.
MAX_MESSAGE_BYTES = 48 * 1024
#: https://learn.microsoft.com/graph/api/resources/message: to, cc and bcc together.
MAX_RECIPIENTS = 500
#: Graph refuses the sixth with InvalidInternetMessageHeaderCollection.
MAX_HEADERS = 5

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BLOB_SEGMENT = re.compile(r"(?!\.{1,2}$)[^\x00-\x1f\x7f\\?#%:/]+")


def _without_control_characters(text: str) -> str:
    """Close header injection (RFC 5322 section 2.2: a header ends at a line break)."""
    if _CONTROL.search(text):
        raise ValueError("control characters and line breaks are not allowed")
    return text


def _inside_the_container(path: str) -> str:
    """Keep a mail from reading anything but its own container."""
    if not all(_BLOB_SEGMENT.fullmatch(segment) for segment in path.split("/")):
        raise ValueError("use a plain path inside the attachments container, such as 2026/11/23/sales.pdf")
    return path


def _as_recipient(value: object) -> object:
    return {"address": value} if isinstance(value, str) else value


type Line = Annotated[
    str,
    StringConstraints(max_length=998),
    AfterValidator(_without_control_characters),
    Field(json_schema_extra={"pattern": r"^[^\u0000-\u001f\u007f]*$"}),
]
type MailAddress = Annotated[
    str,
    StringConstraints(max_length=320),
    AfterValidator(check_mail_address),
    Field(json_schema_extra={"format": "email"}),
]
type BlobPath = Annotated[
    str,
    StringConstraints(min_length=1, max_length=1024),
    AfterValidator(_inside_the_container),
    Field(
        description="A path inside the container `attachments`, without `..`, such as 2026/11/23/sales.pdf."
    ),
]


class Recipient(Contract):
    """A mail address, or an address with a display name."""

    address: MailAddress
    name: Annotated[Line, Field(max_length=256)] | None = None


type AnyRecipient = Annotated[
    Recipient, BeforeValidator(_as_recipient, json_schema_input_type=str | Recipient)
]


class Body(Contract):
    """The text of the mail, in the message or, for a long one, as a blob."""

    content_type: Literal["html", "text"]
    content: str | None = None
    blob: BlobPath | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.content is None) == (self.blob is None):
            raise ValueError("give either content or blob")
        return self


class Attachment(Contract):
    """A file, from the attachments container or, when tiny, in the message."""

    name: Annotated[Line, Field(min_length=1, max_length=255)]
    content_type: Annotated[str, StringConstraints(pattern=r"^[\w.+-]+/[\w.+-]+$", max_length=127)]
    blob: BlobPath | None = None
    content_bytes: Base64Bytes | None = None
    content_id: Annotated[Line, Field(min_length=1, max_length=255)] | None = None
    inline: bool = False

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

    schema_version: Literal[1]
    message_id: MessageId = Field(
        description="Derived from the occurrence: schedule, due time, audience. Firing twice then sends once."
    )
    tenant_id: TenantId
    to: tuple[AnyRecipient, ...] = ()
    cc: tuple[AnyRecipient, ...] = ()
    bcc: tuple[AnyRecipient, ...] = ()
    reply_to: tuple[AnyRecipient, ...] = ()
    subject: Line
    body: Body
    attachments: tuple[Attachment, ...] = ()
    importance: Literal["low", "normal", "high"] = "normal"
    save_to_sent_items: bool = True
    headers: dict[Annotated[str, StringConstraints(pattern=r"^[xX]-[A-Za-z0-9-]{1,74}$")], Line] = Field(
        default_factory=dict, max_length=MAX_HEADERS, json_schema_extra={"additionalProperties": False}
    )
    expires_at: AwareDatetime | None = None
    correlation_id: Annotated[Line, Field(max_length=128)] | None = None

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
