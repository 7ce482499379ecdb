"""A request and its reply, without the framework."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from shared.contract import Contract


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked; header names in lower case.

    Attributes:
        trace_id: names this request in our log and in a problem document.
    """

    method: str
    path: str
    trace_id: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    route: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)

    def form(self) -> dict[str, str]:
        """Read a urlencoded form; of a name that comes twice the first one counts."""
        pairs = parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)
        return dict(reversed(pairs))

    def cookie(self, name: str) -> str | None:
        """Return a cookie, or None."""
        for part in self.headers.get("cookie", "").split(";"):
            found, _, value = part.strip().partition("=")
            if found == name:
                return value
        return None


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


_NO_STORE = {"Cache-Control": "no-store"}


def json_reply(status: int, content: Contract | Mapping[str, Any], **headers: str) -> Reply:
    """Answer with JSON, which nobody may keep."""
    if isinstance(content, dict):
        text = json.dumps(content).encode()
    else:
        text = content.model_dump_json(by_alias=True).encode()  # type: ignore[union-attr]
    return Reply(status, text, {"Content-Type": "application/json", **_NO_STORE, **headers})


def empty_reply(status: int, **headers: str) -> Reply:
    """Answer without a body."""
    return Reply(status, headers={**_NO_STORE, **headers})
