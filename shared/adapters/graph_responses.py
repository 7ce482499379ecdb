"""Read Graph's responses: results, error codes, claims challenges.

A successful response without the requested data is a transient error, so that the call is repeated later.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

from shared.adapters.graph_error_codes import GENERAL_CODES, GRAPH_CODES
from shared.errors import TransientError
from shared.sending.ports import FoundMail

if TYPE_CHECKING:
    from shared.adapters.http import HttpResponse

_CLAIMS = re.compile(r'\bclaims\s*=\s*"([A-Za-z0-9+/=_-]{1,8000})"', re.IGNORECASE)
_SAFE_CODE = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_KNOWN = {code.casefold(): code for code in (*GRAPH_CODES, *GENERAL_CODES)}
_NEXT_RANGE = re.compile(r"\s*(\d+)")


def response_id(response: HttpResponse) -> str:
    """Return Graph's request id, or else the client's, which Graph repeats."""
    return response.headers.get("request-id") or response.headers.get("client-request-id") or ""


def document_of(response: HttpResponse) -> dict[str, Any]:
    """Return the JSON object in a successful response."""
    try:
        found = json.loads(response.body)
    except (ValueError, RecursionError) as error:
        raise TransientError("graph_unavailable", request_id=response.headers.get("request-id")) from error
    return found if isinstance(found, dict) else {}


def text_member(response: HttpResponse, name: str) -> str:
    """Return a member of a successful response that has to be a text."""
    found = document_of(response).get(name)
    if not isinstance(found, str) or not found:
        raise TransientError("graph_unavailable", request_id=response.headers.get("request-id"))
    return found


def read_message(listed: object) -> FoundMail:
    """Read one message of a list.

    If the response does not say whether the message is a draft, it proves nothing, and the call is repeated.
    """
    if isinstance(listed, dict):
        mail_id, is_draft = listed.get("id"), listed.get("isDraft")
        if isinstance(mail_id, str) and isinstance(is_draft, bool):
            return FoundMail(mail_id, is_draft)
    raise TransientError("graph_unavailable")


def read_name(listed: object) -> str:
    """Return the name of one file of a list; empty if it has none."""
    name = listed.get("name") if isinstance(listed, dict) else None
    return name if isinstance(name, str) else ""


def next_range(response: HttpResponse, otherwise: int) -> int:
    """Return where the next chunk begins; written `"N"`, `"N-"` or `"N-M"`.

    The name of the member can be in upper or lower case. Without the member, this returns `otherwise`.
    """
    named = {name.casefold(): value for name, value in document_of(response).items()}
    ranges = named.get("nextexpectedranges")
    found = _NEXT_RANGE.match(str(ranges[0])) if isinstance(ranges, list) and ranges else None
    return int(found[1]) if found else otherwise


def claims_challenge(header: str | None) -> str | None:
    """Return the claims that a `WWW-Authenticate` requests, as JSON.

    Returns None if it requests none.

    https://learn.microsoft.com/entra/identity-platform/claims-challenge
    """
    found = _CLAIMS.search(header or "")
    if not found:
        return None
    encoded = found[1].replace("-", "+").replace("_", "/")
    try:
        text = base64.b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
        return text if isinstance(json.loads(text), dict) else None
    except ValueError:
        return None


def error_codes(response: HttpResponse) -> list[str]:
    """Return an error's codes, most specific first; none without JSON.

    Graph's services write the same code in different cases, so known codes are returned as the tables have
    them. Microsoft's SDKs ignore the case of codes too.
    https://github.com/microsoftgraph/msgraph-sdk-dotnet/blob/dev/docs/errors.md
    """
    try:
        inner: Any = json.loads(response.body)
    except (ValueError, RecursionError):
        return []
    found: list[str] = []
    inner = inner.get("error") if isinstance(inner, dict) else None
    while isinstance(inner, dict):
        code = inner.get("code")
        if isinstance(code, str) and _SAFE_CODE.fullmatch(code):
            found.insert(0, _KNOWN.get(code.casefold(), code))
        inner = inner.get("innerError", inner.get("innererror"))
    return found
