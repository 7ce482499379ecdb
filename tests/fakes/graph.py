"""Microsoft Graph in memory."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from shared.errors import (
    RejectedError,
)
from shared.mail.payload import KEY_PROPERTY
from shared.sending.errors import DraftLostError, UploadInterruptedError
from shared.sending.ports import FoundMail
from shared.settings.sender import Sender


@dataclass
class FakeMail:
    """A message in the fake mailbox."""

    message: dict[str, Any]
    is_draft: bool = True
    files: list[tuple[str, bytes]] = field(default_factory=list)


@dataclass
class FakeUpload:
    """An upload in progress."""

    draft_id: str
    name: str
    size: int
    content: bytes = b""


@dataclass
class FakeGraph:
    """Has one mailbox; each entry of `fail` is raised once.

    `fail` is for the next calls, `fail_at` for those of one operation, with None for a call that succeeds. A
    failure in `after` is raised after the operation was carried out.
    """

    sent: list[tuple[str, Sender, bytes]] = field(default_factory=list)
    mails: dict[str, FakeMail] = field(default_factory=dict)
    uploads: dict[str, FakeUpload] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    fail: list[Exception] = field(default_factory=list)
    fail_at: dict[str, list[Exception | None]] = field(default_factory=dict)
    after: dict[str, list[Exception | None]] = field(default_factory=dict)
    numbers: Iterable[int] = field(default_factory=lambda: count(1))
    #: Whether the mailbox accepts the named property that holds the key.
    room_for_key: bool = True

    def send_mail(self, token: str, sender: Sender, body: bytes) -> str:
        self._begin("send_mail")
        call = json.loads(body)
        self._check_room(call["message"])
        self.sent.append((token, sender, body))
        if call.get("saveToSentItems", True):
            self.mails[self._id("sent")] = FakeMail(call["message"], is_draft=False)
        self._finish("send_mail")
        return f"graph-request-{len(self.sent)}"

    def create_draft(self, token: str, sender: Sender, message: bytes) -> str:
        self._begin("create_draft")
        self._check_room(json.loads(message))
        draft_id = self._id("draft")
        self.mails[draft_id] = FakeMail(json.loads(message))
        self._finish("create_draft")
        return draft_id

    def attach(self, token: str, sender: Sender, draft_id: str, file: bytes) -> None:
        self._begin("attach")
        built = json.loads(file)
        self._draft(draft_id).files.append((built["name"], base64.b64decode(built["contentBytes"])))
        self._finish("attach")

    def list_attachments(self, token: str, sender: Sender, draft_id: str) -> tuple[str, ...]:
        self._begin("list_attachments")
        return tuple(name for name, _ in self._draft(draft_id).files)

    def open_upload(self, token: str, sender: Sender, draft_id: str, item: bytes) -> str:
        self._begin("open_upload")
        announced = json.loads(item)["AttachmentItem"]
        url = self._id("https://outlook.office.com/session")
        self.uploads[url] = FakeUpload(draft_id, announced["name"], announced["size"])
        self._finish("open_upload")
        return url

    def put_chunk(self, sender: Sender, url: str, chunk: bytes, first: int, total: int) -> int | None:
        self._begin("put_chunk")
        upload = self.uploads.get(url)
        if upload is None or first != len(upload.content) or total != upload.size:
            raise UploadInterruptedError
        upload.content += chunk
        done = len(upload.content) == total
        if done:
            self._draft(upload.draft_id).files.append((upload.name, upload.content))
            del self.uploads[url]
        self._finish("put_chunk")
        return None if done else len(upload.content)

    def send_draft(self, token: str, sender: Sender, draft_id: str) -> str:
        self._begin("send_draft")
        self._draft(draft_id).is_draft = False
        self._finish("send_draft")
        return f"graph-request-{draft_id}"

    def find(self, token: str, sender: Sender, key: str) -> tuple[FoundMail, ...]:
        self._begin("find")
        return tuple(
            FoundMail(mail_id, mail.is_draft)
            for mail_id, mail in self.mails.items()
            if _key_of(mail.message) == key
        )

    def find_draft(self, token: str, sender: Sender, draft_id: str) -> tuple[FoundMail, ...]:
        self._begin("find_draft")
        mail = self.mails.get(draft_id)
        return (FoundMail(draft_id, mail.is_draft),) if mail else ()

    def remove(self, token: str, sender: Sender, draft_id: str) -> None:
        self._begin("remove")
        self.mails.pop(draft_id, None)

    @property
    def drafts(self) -> list[FakeMail]:
        return [mail for mail in self.mails.values() if mail.is_draft]

    def _check_room(self, message: dict[str, Any]) -> None:
        if _key_of(message) and not self.room_for_key:
            raise RejectedError("mailbox_full", graph_code="ErrorQuotaExceeded", address="ada@contoso.com")

    def _draft(self, draft_id: str) -> FakeMail:
        if draft_id not in self.mails:
            raise DraftLostError
        return self.mails[draft_id]

    def _id(self, kind: str) -> str:
        return f"{kind}-{next(iter(self.numbers))}"

    def _begin(self, operation: str) -> None:
        self.calls.append(operation)
        if self.fail:
            raise self.fail.pop(0)
        _raise_next(self.fail_at.get(operation))

    def _finish(self, operation: str) -> None:
        _raise_next(self.after.get(operation))


def _key_of(message: dict[str, Any]) -> str | None:
    """Return the app's key in a message."""
    properties = message.get("singleValueExtendedProperties", [])
    return next((each["value"] for each in properties if each["id"] == KEY_PROPERTY), None)


def _raise_next(failures: list[Exception | None] | None) -> None:
    """Raise the next error; None means that the call succeeds."""
    failure = failures.pop(0) if failures else None
    if failure is not None:
        raise failure
