"""Define MSAL's HTTP session, which tells outages from refusals."""

from __future__ import annotations

import io
import json
import math
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import jwt
import requests
from requests.exceptions import ContentDecodingError

from shared.adapters.http import ENTRA_RESPONSE_SECONDS, HttpSession
from shared.adapters.retry_after import requested_wait

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The wait that Entra usually asks for (MSAL .NET #2855), used if it asks for a wait without a time.
THROTTLED_WAIT = timedelta(seconds=60)
#: The member of an error document that passes the wait in seconds through MSAL.
WAIT_SECONDS = "retry_after_seconds"
_RETRY_AFTER = "Retry-After"
_CODES = "error_codes"
#: The values of `error` by which a refusal without one of Entra's numbers is recognised: RFC 6749 section 5.2
#: and https://learn.microsoft.com/entra/identity-platform/reference-error-codes. The JSON of a gateway can
#: have an `error` too, such as "Forbidden" or "Not Found".
_OAUTH_ERRORS = frozenset(
    {
        "consent_required",
        "interaction_required",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_resource",
        "invalid_scope",
        "login_required",
        "server_error",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)
_ENDPOINTS = ("authorization_endpoint", "token_endpoint")
_TEXTS = ("access_token", "client_info", "refresh_token", "scope")
#: No token lives that long; a larger number of seconds would overflow a date.
_MAX_LIFE_SECONDS = 366 * 24 * 3600


class EntraConnection(HttpSession):
    """A session that returns only responses that MSAL interprets correctly.

    Without it, MSAL would take a busy service for a refusal or a missing tenant. For a response that is not
    JSON, such as the page of a proxy or an incomplete response, it would raise the same ValueError as for a
    wrong state, and log the whole response, including any tokens.
    """

    def __init__(self) -> None:
        super().__init__(ENTRA_RESPONSE_SECONDS)

    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override] # noqa: ANN401 - as `requests` has it
        """Send one request.

        Raises:
            requests.RequestException: there is no response, or no usable one.
            ConfigurationError: `certificate_not_trusted`, `proxy_refused`, `host_not_found`.
        """
        response = super().request(method, url, **options)
        is_busy = (
            response.status_code == HTTPStatus.TOO_MANY_REQUESTS
            or response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
        )
        if method == "POST":
            return _token_response(response, is_busy=is_busy)
        if is_busy:
            response.raise_for_status()
        _check_endpoints(response)
        return response


def _check_endpoints(response: requests.Response) -> None:
    """Refuse a response that has neither endpoints nor a refusal by Entra.

    MSAL takes every refusal for a missing tenant, and caches a document without endpoints for a day.
    """
    document = _document(response)
    if response.status_code == HTTPStatus.OK:
        usable = all(str(document.get(name)).startswith("https://") for name in _ENDPOINTS)
    else:
        usable = _is_entras_refusal(document)
    if not usable:
        raise ContentDecodingError("The response does not come from Entra.")


def _token_response(response: requests.Response, *, is_busy: bool) -> requests.Response:
    """Return the token response in a form in which MSAL caches only a wait.

    MSAL caches a response with `Retry-After` for that time, and a refusal without it for a minute. In this
    minute it would hide that an admin has corrected the cause, so such a refusal gets a `Retry-After` of
    zero. The body of a 429 is not JSON for client credentials, and MSAL's error for a 5xx has no headers.
    Both are replaced by an error document that contains the wait.
    """
    retry_after = wait_of(response)
    if is_busy:
        is_throttled = response.status_code == HTTPStatus.TOO_MANY_REQUESTS
        wait = retry_after or (THROTTLED_WAIT if is_throttled else None)
        body = _read(response) or {}
        codes = body.get(_CODES)
        members = {
            "error": "temporarily_unavailable",
            _CODES: codes if isinstance(codes, list) else [],
            "correlation_id": body.get("correlation_id"),
        }
        return _rebuilt(HTTPStatus.TOO_MANY_REQUESTS, members, wait)
    document = _document(response)
    if "access_token" not in document and not _is_entras_refusal(document):
        raise ContentDecodingError("The response does not come from Entra.")
    if retry_after and response.status_code >= HTTPStatus.BAD_REQUEST:
        return _rebuilt(response.status_code, document, retry_after)
    if "access_token" in document:
        return _rebuilt(response.status_code, _usable(document), timedelta(0))
    response.headers[_RETRY_AFTER] = "0"
    return response


def _is_entras_refusal(document: Mapping[str, Any]) -> bool:
    """Return whether a document is a refusal by Entra, not by a gateway."""
    error = document.get("error")
    codes = document.get(_CODES)
    if not isinstance(error, str):
        return False
    if codes is None:
        return error in _OAUTH_ERRORS
    return isinstance(codes, list)


def wait_of(response: requests.Response) -> timedelta | None:
    """Return the wait that the server asks for; None if it asks for none."""
    return requested_wait(response.headers)


def _usable(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a successful response that MSAL can parse.

    An ID token that cannot be decoded is left out, because MSAL would fail on it.

    Raises:
        ContentDecodingError: the token's lifetime is missing, or a member is not a text.
    """
    try:
        seconds = min(int(document["expires_in"]), _MAX_LIFE_SECONDS)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ContentDecodingError("Entra's response does not say how long the token lives.") from None
    if not all(isinstance(document.get(name, ""), str) for name in _TEXTS) or not document["access_token"]:
        raise ContentDecodingError("Entra's response has a member of another type.")
    # MSAL would use `refresh_in` to refresh cached access tokens, which the app does not keep in MSAL's
    # cache.
    unused = {"refresh_in"}
    try:
        jwt.decode(str(document.get("id_token")), options={"verify_signature": False})
    except jwt.PyJWTError:
        unused.add("id_token")
    return {name: value for name, value in document.items() if name not in unused} | {"expires_in": seconds}


def _rebuilt(status: int, document: Mapping[str, Any], wait: timedelta | None) -> requests.Response:
    rebuilt = requests.Response()
    rebuilt.status_code = status
    rebuilt.encoding = "utf-8"
    if wait is not None:
        seconds = math.ceil(wait.total_seconds())
        document = {**document, WAIT_SECONDS: seconds} if seconds else document
        rebuilt.headers[_RETRY_AFTER] = str(seconds)
    rebuilt.raw = io.BytesIO(json.dumps(document).encode())
    return rebuilt


def _document(response: requests.Response) -> dict[str, Any]:
    """Return the JSON object in a response.

    Raises:
        ContentDecodingError: there is none. The error does not contain the text of the response.
    """
    found = _read(response)
    if found is None:
        raise ContentDecodingError("Entra's response is not a JSON object.")
    return found


def _read(response: requests.Response) -> dict[str, Any] | None:
    try:
        found = response.json()
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
