"""Check a request's size, body and query parameters. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from shared.api.request import check_field_count
from shared.errors import InvalidInputError, LengthRequiredError, PayloadTooLargeError
from shared.problems import FieldError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.api.openapi.operation import Operation


def check_size(operation: Operation, query: str, body: bytes) -> None:
    """Refuse a body that is too long or has too many fields.

    It is refused before it is parsed.

    Raises:
        PayloadTooLargeError: `request_too_large`, `too_many_fields`.
    """
    if len(body) > operation.max_body_bytes:
        raise PayloadTooLargeError("request_too_large", limit=operation.max_body_bytes)
    check_field_count(query.encode(errors="replace"), operation.max_fields)
    if operation.form:
        check_field_count(body, operation.max_fields)


def check_body_arrived(operation: Operation, headers: Mapping[str, str], body: bytes) -> None:
    """Refuse an empty body if the headers announced a body.

    The Functions host passes on a body only if the request has a Content-Length, so a chunked body arrives
    empty. If it counted as "no body", the operation would run with its defaults.

    Raises:
        LengthRequiredError: `content_length_required`.
    """
    has_type_only = "content-type" in headers and "content-length" not in headers
    is_announced = "transfer-encoding" in headers or has_type_only
    if operation.takes_body and is_announced and not body:
        raise LengthRequiredError("content_length_required")


def read_query(operation: Operation, text: str) -> dict[str, str]:
    """Read a request's query by its documented parameter names.

    For signed-in callers, names are case-insensitive, and an unknown or repeated name is an error. Anonymous
    operations ignore unknown names, as OAuth clients must (RFC 6749 section 4.1.2), and use the first of
    several values. An empty value counts as missing, as in the Functions host.

    Raises:
        InvalidInputError: `invalid_request`, with every unknown or repeated name.
    """
    pairs = parse_qsl(text, keep_blank_values=True)
    if not operation.admin:
        return _first_values(operation, pairs)
    known = {name.lower(): name for name in operation.query_names}
    errors = list(_query_errors(pairs, known))
    if errors:
        raise InvalidInputError("invalid_request", fields=errors)
    return {known[name.lower()]: value for name, value in pairs if value}


def _first_values(operation: Operation, pairs: list[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in operation.query_names and value:
            found.setdefault(name, value)
    return found


def _query_errors(pairs: list[tuple[str, str]], known: Mapping[str, str]) -> Iterator[FieldError]:
    seen: set[str] = set()
    for name, _ in pairs:
        documented = known.get(name.lower())
        if documented is None:
            yield FieldError(name, "is not a parameter of this operation")
        elif documented in seen:
            yield FieldError(documented, "is given more than once")
        else:
            seen.add(documented)
