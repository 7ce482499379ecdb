"""A request and its response, independent of the framework."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from shared.errors import PayloadTooLargeError

if TYPE_CHECKING:
    from shared.schema import Contract

#: Limit of a request body where the operation sets none. The host's own limit is 1 MB.
MAX_BODY_BYTES: Final = 64 * 1024
#: Limit of the fields in a form or a query where the operation sets none. Microsoft posts about five.
MAX_FIELDS: Final = 50


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request; header names are in lower case.

    Attributes:
        operation: the name of the function, as in the OpenAPI document.
        trace_id: names this request in the log and in a problem document; always generated here.
        caller_trace_id: the trace id that the caller sent, for comparing two logs.
    """

    operation: str
    trace_id: str
    caller_trace_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    route: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)

    def form(self) -> dict[str, str]:
        """Parse a urlencoded form; the first of several values counts.

        Raises:
            PayloadTooLargeError: `request_too_large`, `too_many_fields`; both are checked before parsing.
        """
        if len(self.body) > MAX_BODY_BYTES:
            raise PayloadTooLargeError("request_too_large", limit=MAX_BODY_BYTES)
        check_field_count(self.body, MAX_FIELDS)
        pairs = parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)
        return dict(reversed(pairs))

    def cookies(self, name: str) -> tuple[str, ...]:
        """Return the value of every cookie of a name, in header order.

        The host joins several `Cookie` headers with a comma, which no cookie may contain. Only space and tab
        are trimmed (RFC 6265bis section 5.6), so no other character can hide before a name. A part without
        `=` is the value of a cookie without a name.
        """
        parts = self.headers.get("cookie", "").replace(",", ";").split(";")
        pairs = (part.partition("=") for part in parts if "=" in part)
        return tuple(value.strip(" \t") for found, _, value in pairs if found.strip(" \t") == name)


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def check_field_count(encoded: bytes, limit: int) -> None:
    """Refuse a form or query with too many fields, without parsing it.

    Raises:
        PayloadTooLargeError: `too_many_fields`.
    """
    if encoded.count(b"&") >= limit:
        raise PayloadTooLargeError("too_many_fields", limit=limit)


def json_response(status: int, content: Contract | Mapping[str, Any], **headers: str) -> Response:
    """Answer with JSON."""
    if isinstance(content, dict):
        text = json.dumps(content).encode()
    else:
        text = content.model_dump_json(by_alias=True).encode()  # type: ignore[union-attr]
    return Response(status, text, {"Content-Type": "application/json", **headers})


def empty_response(status: int, **headers: str) -> Response:
    """Answer without a body."""
    return Response(status, headers=headers)
