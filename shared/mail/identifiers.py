"""The ids of a mail: a message id and a tenant id. Pure."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from shared.characters import END

_MESSAGE_ID_SIGN = "[A-Za-z0-9._:-]"

#: `.` and `..` are path segments in a URL (RFC 3986 section 5.2.4), so the API could not be called with them.
MESSAGE_ID = re.compile(rf"(?!\.{{1,2}}(?!{_MESSAGE_ID_SIGN})){_MESSAGE_ID_SIGN}{{1,200}}")

TENANT_ID = re.compile(r"[0-9a-fA-F-]{36}")


def _message_id(text: str) -> str:
    if not MESSAGE_ID.fullmatch(text):
        raise ValueError("use 1 to 200 of the characters A-Z a-z 0-9 . _ : -, and not . or .. alone")
    return text


def _tenant_id(text: str) -> str:
    if not TENANT_ID.fullmatch(text):
        raise ValueError("use the id of an Entra tenant, such as 6f1c0a52-0000-4000-8000-000000000001")
    return text.lower()


#: Both are parts of the names of blobs and rows, so neither may contain anything that changes a path.
type MessageId = Annotated[
    str,
    AfterValidator(_message_id),
    Field(json_schema_extra={"pattern": f"^{MESSAGE_ID.pattern}{END}"}),
]

type TenantId = Annotated[
    str, AfterValidator(_tenant_id), Field(json_schema_extra={"pattern": f"^{TENANT_ID.pattern}{END}"})
]
