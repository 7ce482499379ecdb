"""Exchange behind Graph: drafts, folders, the right to send, and what was accepted for delivery."""

import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from .behaviour import Behaviour
from .clock import Clock
from .directory import Directory, User
from .mail import AcceptedMail, Address, Attachment, GraphError, Message
from .message_json import addresses

FOLDERS = ("inbox", "drafts", "sentitems", "deleteditems", "outbox")
MAX_RECIPIENTS = 500
# Exchange checks that an address can be one, and nothing about whether anybody reads it.
_ADDRESS = re.compile(r"[^\s@<>(),;:\"\[\]]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


@dataclass(frozen=True)
class Submission:
    """Who sends, from which mailbox, by which call.

    Attributes:
        caller: the signed-in user; None when the app acts by itself.
    """

    operation: str
    mailbox: User
    caller: User | None
    client_id: str
    client_request_id: str = ""

    @property
    def actor(self) -> User:
        """Whose rights count: the signed-in user's, or for an app alone the mailbox's own."""
        return self.caller or self.mailbox


class Mailboxes:
    """All messages of all mailboxes, and the log of accepted mails."""

    def __init__(self, directory: Directory, clock: Clock, behaviour: Behaviour) -> None:
        self._directory = directory
        self._clock = clock
        self._behaviour = behaviour
        self._lock = threading.RLock()
        self._messages: list[Message] = []
        self._accepted: list[AcceptedMail] = []

    def accepted(self) -> list[AcceptedMail]:
        """List the accepted mails, first accepted first."""
        with self._lock:
            return list(self._accepted)

    def forget(self) -> None:
        """Empty every mailbox and the log."""
        with self._lock:
            self._messages.clear()
            self._accepted.clear()

    def create_draft(
        self,
        mailbox: User,
        fields: dict[str, Any],
        attachments: list[Attachment],
        extended: list[dict[str, str]],
        mime: bytes | None = None,
    ) -> Message:
        """Keep a message in Drafts."""
        message = self._new(mailbox, fields, attachments, extended, mime)
        with self._lock:
            self._messages.append(message)
        return message

    def list_messages(self, mailbox: User, folder: str = "") -> list[Message]:
        """List what a mailbox holds, newest first, in one folder or in all."""
        with self._lock:
            self._settle()
            held = [m for m in self._messages if m.mailbox_id == mailbox.object_id and m.visible]
            return [m for m in reversed(held) if folder in {"", m.folder}]

    def find(self, mailbox: User, message_id: str) -> Message:
        """Find a message by either of its ids.

        Raises:
            GraphError: 404 `ErrorItemNotFound`.
        """
        for message in self.list_messages(mailbox):
            if message_id in {message.plain_id, message.immutable_id}:
                return message
        raise GraphError(404, "ErrorItemNotFound", "The specified object was not found in the store.")

    def change(self, message: Message, fields: dict[str, Any], extended: list[dict[str, str]]) -> None:
        """Change a draft; of a sent message only what no recipient sees.

        Raises:
            GraphError: 400 `ErrorInvalidPropertySet`.
        """
        with self._lock:
            frozen = set(fields) - {"isRead", "categories", "flag", "importance"}
            if not message.draft and frozen:
                text = f"Can't change '{min(frozen)}' of a message that is not a draft."
                raise GraphError(400, "ErrorInvalidPropertySet", text)
            changed = {item["id"] for item in extended}
            message.extended = [p for p in message.extended if p["id"] not in changed] + extended
            message.fields |= fields
            message.touch()

    def attach(self, message: Message, attachment: Attachment, mailbox: User) -> None:
        """Put a file on a draft.

        Raises:
            GraphError: `ErrorMessageSizeExceeded`; 400 when it is no draft.
        """
        with self._lock:
            self.check_size(message, mailbox, attachment.size)
            if not message.draft:
                raise GraphError(400, "ErrorInvalidOperation", "The message is not a draft.")
            message.attachments.append(attachment)
            message.touch()

    def check_size(self, message: Message, mailbox: User, more: int = 0) -> None:
        """Hold a message against the mailbox's limit, base64 growth counted.

        Raises:
            GraphError: `ErrorMessageSizeExceeded`.
        """
        if message.encoded_size(more) > self._now_of(mailbox).message_limit:
            text = "The message exceeds the maximum supported size."
            raise GraphError(self._behaviour.too_large_status, "ErrorMessageSizeExceeded", text)

    def delete(self, message: Message, *, for_good: bool = False) -> None:
        """Delete a message: into Deleted Items first, out of them for good."""
        with self._lock:
            if for_good or message.folder == "deleteditems":
                self._messages.remove(message)
            else:
                message.move("deleteditems")

    def send_mail(
        self,
        submission: Submission,
        message: tuple[dict[str, Any], list[Attachment], list[dict[str, str]]],
        *,
        save: bool,
        mime: bytes | None = None,
    ) -> AcceptedMail:
        """Accept a message that comes whole; its copy shows after the lag.

        Raises:
            GraphError: recipients, rights or size.
        """
        made = self._new(submission.mailbox, *message, mime)
        made.visible = False
        with self._lock:
            mail = self._accept(submission, made, save=save)
            if save:
                self._messages.append(made)
            return mail

    def send_draft(self, submission: Submission, message: Message) -> AcceptedMail:
        """Accept a draft; it stays in Drafts until the lag is over.

        Raises:
            GraphError: recipients, rights or size; 400 when it is no draft.
        """
        with self._lock:
            on_its_way = message.arrives is not None
            if not message.draft or (on_its_way and not self._behaviour.resend_in_transit):
                raise GraphError(400, "ErrorInvalidOperation", "The message was sent before.")
            return self._accept(submission, message, save=True)

    def sender_of(self, submission: Submission, fields: dict[str, Any]) -> tuple[Address, Address]:
        """Decide the `from` and `sender` that recipients see.

        Raises:
            GraphError: 403 `ErrorSendAsDenied`.
        """
        actor, mailbox = submission.actor, submission.mailbox
        own = Address(actor.address, actor.display_name)
        wanted = addresses([fields["from"]])[0] if fields.get("from") else Address(mailbox.address)
        if wanted.address.lower() == actor.address.lower():
            return own, own
        known = self._directory.user(wanted.address, actor.tenant_id) or self._directory.group(
            wanted.address, actor.tenant_id
        )
        if known is not None:
            other = Address(known.address, known.display_name)
            if self._directory.may("send_as", known.address, actor.address):
                return other, other
            if self._directory.may("send_on_behalf", known.address, actor.address):
                return other, own
        text = (
            "The user account which was used to submit this request does not have the right to send mail "
            "on behalf of the specified sending account., Cannot submit message."
        )
        raise GraphError(403, "ErrorSendAsDenied", text)

    def _accept(self, submission: Submission, message: Message, *, save: bool) -> AcceptedMail:
        fields = message.fields
        to, cc, bcc = (addresses(fields.get(f"{kind}Recipients")) for kind in ("to", "cc", "bcc"))
        self._check_recipients([*to, *cc, *bcc])
        sent_from, sender = self.sender_of(submission, fields)
        self.check_size(message, submission.mailbox)
        message.fields |= {"from": _written(sent_from), "sender": _written(sender)}
        message.arrives = self._clock.now() + timedelta(seconds=self._behaviour.sent_items_lag)
        body = fields.get("body") or {}
        mail = AcceptedMail(
            number=len(self._accepted) + 1,
            at=self._clock.now(),
            operation=submission.operation,
            tenant_id=submission.mailbox.tenant_id,
            mailbox=submission.mailbox.address,
            client_id=submission.client_id,
            caller=submission.caller.address if submission.caller else "",
            from_address=sent_from,
            sender=sender,
            to=to,
            cc=cc,
            bcc=bcc,
            reply_to=addresses(fields.get("replyTo")),
            subject=fields.get("subject") or "",
            body=body.get("content", ""),
            body_type=str(body.get("contentType", "text")).lower(),
            importance=str(fields.get("importance", "normal")).lower(),
            headers={h["name"]: h["value"] for h in fields.get("internetMessageHeaders") or []},
            extended_properties={p["id"]: p["value"] for p in message.extended},
            attachments=tuple(message.attachments),
            save_to_sent_items=save,
            internet_message_id=fields["internetMessageId"],
            client_request_id=submission.client_request_id,
            mime=message.mime,
        )
        self._accepted.append(mail)
        return mail

    def _check_recipients(self, recipients: list[Address]) -> None:
        start = "At least one recipient isn't valid., "
        if not recipients:
            raise GraphError(
                400,
                "ErrorInvalidRecipients",
                f"{start}A message can't be sent because it contains no recipients.",
            )
        for someone in recipients:
            if not _ADDRESS.fullmatch(someone.address):
                text = f"{start}Recipient '{someone.address}' is not resolved."
                raise GraphError(400, "ErrorInvalidRecipients", text)
        if len(recipients) > MAX_RECIPIENTS:
            text = "The number of recipients is over the limit."
            raise GraphError(self._behaviour.quota_status, "ErrorExceededMaxRecipientLimit", text)

    def _new(
        self,
        mailbox: User,
        fields: dict[str, Any],
        attachments: Iterable[Attachment],
        extended: list[dict[str, str]],
        mime: bytes | None,
    ) -> Message:
        message = Message(
            mailbox.object_id, dict(fields), list(attachments), extended, self._clock.now(), mime=mime
        )
        domain = mailbox.address.partition("@")[2]
        message.fields.setdefault("internetMessageId", f"<{message.change_key}@mail.{domain}>")
        return message

    def _settle(self) -> None:
        """Let copies arrive whose lag is over."""
        now = self._clock.now()
        for message in self._messages:
            if message.arrives is not None and message.folder == "drafts" and message.arrives <= now:
                message.move("sentitems")
                message.draft = False
                message.visible = True

    def _now_of(self, mailbox: User) -> User:
        return self._directory.user(mailbox.object_id) or mailbox


def _written(address: Address) -> dict[str, Any]:
    return {"emailAddress": {"name": address.name, "address": address.address}}
