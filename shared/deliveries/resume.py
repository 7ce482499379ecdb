"""The note that has a kept mail tried again, after a delay, a consent or a retry.

It carries only the name of the kept request: a message that fills the queue's limit could not grow.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import StringConstraints

from shared.contract import Contract, parse

MESSAGE_ID = re.compile(r"[A-Za-z0-9._:-]{1,200}")

#: Both are parts of the names of blobs and rows, so neither holds anything that leads out of its place.
type MessageId = Annotated[str, StringConstraints(pattern=f"^{MESSAGE_ID.pattern}$")]
type TenantId = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F-]{36}$", to_lower=True)]

_MARK = b'{"resume":'


class KeptMail(Contract):
    """A mail whose request is kept in `mail-requests`."""

    tenant_id: TenantId
    message_id: MessageId


class Resume(Contract):
    """What travels through `mail-outbox`."""

    resume: KeptMail


def resume_message(tenant_id: str, message_id: str) -> bytes:
    """Write a note."""
    kept = KeptMail(tenant_id=tenant_id, message_id=message_id)
    return Resume(resume=kept).model_dump_json(by_alias=True).encode()


def parse_resume(text: bytes) -> KeptMail | None:
    """Read a note; None where the message is something else, such as a scheduler's mail.

    Raises:
        InvalidInputError: `invalid_message`, for a note that somebody else wrote badly.
    """
    if not text.startswith(_MARK):
        return None
    return parse(Resume, text, "invalid_message").resume
