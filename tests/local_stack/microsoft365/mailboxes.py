"""Exchange behind Graph: drafts, folders and accepted mails."""

import threading
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from .accepted_mail import AcceptedMail
from .behaviour import Behaviour
from .clock import Clock
from .directory import Directory, User
from .mail import Attachment, GraphError, Message
from .submission import Submission, check_count, check_recipients, record, sender_of

#: https://learn.microsoft.com/exchange/client-developer/web-service-reference/subject
MAX_SUBJECT = 255
#: Where a mail is while transport does not have it.
_IN_TRANSIT = frozenset({"drafts", "outbox"})
FOLDERS = ("inbox", "drafts", "sentitems", "deleteditems", "outbox")


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

    def clear(self) -> None:
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
        """Store a message in Drafts."""
        self._check_named_properties(mailbox, extended)
        message = self._new(mailbox, fields, attachments, extended, mime)
        message.known_from = self._known_from()
        with self._lock:
            self._messages.append(message)
        return message

    def list_messages(self, mailbox: User, folder: str = "") -> list[Message]:
        """List messages, newest first, in one folder or in all."""
        with self._lock:
            self._finish_transit()
            held = [m for m in self._messages if m.mailbox_id == mailbox.object_id]
            return [m for m in reversed(held) if folder in {"", m.folder}]

    def find(self, mailbox: User, message_id: str) -> Message:
        """Find a message by either of its ids.

        Raises:
            GraphError: 404 `ErrorItemNotFound`.
        """
        now = self._clock.now()
        for message in self.list_messages(mailbox):
            known = message.known_from is None or message.known_from <= now
            if known and message_id in {message.plain_id, message.immutable_id}:
                return message
        raise GraphError(404, "ErrorItemNotFound", "The specified object was not found in the store.")

    def change(self, message: Message, fields: dict[str, Any], extended: list[dict[str, str]]) -> None:
        """Change a draft, or the properties of a sent one no recipient sees.

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
            message.mark_changed()

    def attach(self, message: Message, attachment: Attachment, mailbox: User) -> None:
        """Put a file on a draft.

        Raises:
            GraphError: `ErrorMessageSizeExceeded`; 400 when it is no draft.
        """
        with self._lock:
            check_count(len(message.attachments) + 1)
            self.check_size(message, mailbox, attachment.size)
            if not message.draft:
                raise GraphError(400, "ErrorInvalidOperation", "The message is not a draft.")
            message.attachments.append(attachment)
            message.mark_changed()

    def check_size(self, message: Message, mailbox: User, more: int = 0) -> None:
        """Check a message against the mailbox's limit, base64 growth included.

        Raises:
            GraphError: `ErrorMessageSizeExceeded`.
        """
        if message.encoded_size(more) > self._now_of(mailbox).message_limit:
            text = "The message exceeds the maximum supported size."
            raise GraphError(self._behaviour.too_large_status, "ErrorMessageSizeExceeded", text)

    def delete(self, message: Message, *, for_good: bool = False) -> None:
        """Delete a message: first into Deleted Items, from there permanently."""
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
        """Accept a complete message; it is in Drafts and later in Sent Items.

        The lag is the time between both.

        https://learn.microsoft.com/graph/outlook-things-to-know-about-send-mail

        Raises:
            GraphError: recipients, rights or size.
        """
        self._check_named_properties(submission.mailbox, message[2])
        made = self._new(submission.mailbox, *message, mime)
        made.keeps_copy = save
        with self._lock:
            mail = self._accept(submission, made, save=save)
            self._messages.append(made)
            return mail

    def send_draft(self, submission: Submission, message: Message) -> AcceptedMail:
        """Accept a draft; until the lag is over it is in Drafts or the Outbox.

        Raises:
            GraphError: recipients, rights or size; 400 when it is no draft.
        """
        with self._lock:
            on_its_way = message.arrives is not None
            if not message.draft or (on_its_way and not self._behaviour.resend_in_transit):
                raise GraphError(400, "ErrorInvalidOperation", "The message was sent before.")
            return self._accept(submission, message, save=True)

    def _check_named_properties(self, mailbox: User, extended: list[dict[str, str]]) -> None:
        """Refuse named properties if the mailbox has no room for them.

        The error is the one of a full mailbox.

        Raises:
            GraphError: 403 `ErrorQuotaExceeded`.
        """
        named = any("{" in each["id"] for each in extended)
        if named and not self._now_of(mailbox).room_for_named_properties:
            text = "The mailbox has exceeded its maximum storage limit., The process failed to get the props."
            raise GraphError(403, "ErrorQuotaExceeded", text)

    def _accept(self, submission: Submission, message: Message, *, save: bool) -> AcceptedMail:
        check_recipients(message.fields, self._behaviour.quota_status)
        sender = sender_of(self._directory, submission, message.fields, self._behaviour.rights_lag)
        check_count(len(message.attachments))
        self.check_size(message, submission.mailbox)
        now = self._clock.now()
        message.arrives = now + timedelta(seconds=self._behaviour.sent_items_lag)
        message.known_from = self._known_from()
        if message.folder != self._behaviour.transit_folder:
            message.move(self._behaviour.transit_folder)
        mail = record(len(self._accepted) + 1, now, submission, message, sender, save=save)
        self._accepted.append(mail)
        return mail

    def _known_from(self) -> datetime:
        return self._clock.now() + timedelta(seconds=self._behaviour.replica_lag)

    def _new(
        self,
        mailbox: User,
        fields: dict[str, Any],
        attachments: Iterable[Attachment],
        extended: list[dict[str, str]],
        mime: bytes | None,
    ) -> Message:
        message = Message(
            mailbox.object_id, self._stored(fields), list(attachments), extended, self._clock.now(), mime=mime
        )
        domain = mailbox.address.partition("@")[2]
        message.fields.setdefault("internetMessageId", f"<{message.change_key}@mail.{domain}>")
        return message

    def _stored(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return properties as stored: a subject is cut to 255 characters.

        Raises:
            GraphError: 400, where a longer subject is refused.
        """
        kept, subject = dict(fields), str(fields.get("subject") or "")
        if len(subject) > MAX_SUBJECT and self._behaviour.long_subject == "refused":
            raise GraphError(400, "ErrorInvalidRequest", "The subject is longer than 255 characters.")
        if len(subject) > MAX_SUBJECT and self._behaviour.long_subject == "cut":
            kept["subject"] = subject[:MAX_SUBJECT]
        return kept

    def _finish_transit(self) -> None:
        """Move mails whose lag is over out of Drafts or the Outbox."""
        now = self._clock.now()
        for message in list(self._messages):
            if message.arrives is None or message.folder not in _IN_TRANSIT or message.arrives > now:
                continue
            if message.keeps_copy:
                message.move("sentitems")
                message.draft = False
            else:
                self._messages.remove(message)

    def _now_of(self, mailbox: User) -> User:
        return self._directory.user(mailbox.object_id) or mailbox
