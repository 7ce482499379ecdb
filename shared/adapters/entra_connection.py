"""The HTTP session that MSAL is given: network failures are told from what Entra said."""

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

from shared.adapters.http import ENTRA_ANSWER_SECONDS, HttpSession
from shared.adapters.retry_after import asked_wait

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What Entra asks for where it says how long: MSAL .NET #2855. Used where it does not.
THROTTLED_WAIT = timedelta(seconds=60)
#: The member of an error document under which the wait in seconds is handed through MSAL.
WAIT_SECONDS = "retry_after_seconds"
_RETRY_AFTER = "Retry-After"
#: Of an answer that asks for a wait, whatever else it says.
_KEPT = ("error_codes", "correlation_id")


class EntraConnection(HttpSession):
    """A session whose answers MSAL does not take for something else.

    A busy service would pass for a refusal or for a tenant that does not exist. A text that is no JSON,
    such as a proxy's page or half an answer, would become a ValueError like a wrong state, and MSAL would
    log all of it, with the tokens it may hold.
    """

    def __init__(self) -> None:
        super().__init__(ENTRA_ANSWER_SECONDS)

    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override] # noqa: ANN401 - as `requests` has it
        """Send one request.

        Raises:
            requests.RequestException: there is no answer, or none that says anything.
            ConfigurationError: `certificate_not_trusted`, `proxy_refused`, `host_not_found`.
        """
        answer = super().request(method, url, **options)
        is_busy = (
            answer.status_code == HTTPStatus.TOO_MANY_REQUESTS
            or answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
        )
        if method == "POST":
            return _token_answer(answer, is_busy=is_busy)
        if is_busy:
            answer.raise_for_status()
        _document(answer)
        return answer


def _token_answer(answer: requests.Response, *, is_busy: bool) -> requests.Response:
    """Return the token endpoint's answer so that MSAL remembers a wait, and nothing else.

    MSAL keeps an answer with `Retry-After` for that time, for equal requests. A refusal without it is kept
    for a minute, which would hide that an admin has corrected its cause; a zero prevents that. The text of
    429 is not JSON for client credentials, and MSAL's error for a 5xx has no headers: both become an error
    document that holds the wait.
    """
    asked = wait_of(answer)
    if is_busy:
        wait = asked or (THROTTLED_WAIT if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS else None)
        said = _read(answer) or {}
        kept = {name: said[name] for name in _KEPT if name in said}
        return _made(HTTPStatus.TOO_MANY_REQUESTS, {"error": "temporarily_unavailable", **kept}, wait)
    document = _document(answer)
    if "access_token" not in document and not isinstance(document.get("error"), str):
        # A gateway in between has JSON of its own; each refusal of Entra has an error (RFC 6749 section 5.2).
        raise ContentDecodingError("The answer is not one of Entra's.")
    if asked and answer.status_code >= HTTPStatus.BAD_REQUEST:
        return _made(answer.status_code, document, asked)
    if "access_token" in document:
        return _made(answer.status_code, _usable(document), timedelta(0))
    answer.headers[_RETRY_AFTER] = "0"
    return answer


def wait_of(answer: requests.Response) -> timedelta | None:
    """Return for how long an answer wants no more requests; None where it does not say."""
    return asked_wait(answer.headers)


def _usable(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a success as MSAL can use it: without an ID token that is none, on which MSAL breaks.

    Raises:
        ContentDecodingError: it does not say how long the token lives.
    """
    try:
        int(document["expires_in"])
    except (KeyError, TypeError, ValueError):
        raise ContentDecodingError("Entra's answer does not say how long the token lives.") from None
    try:
        jwt.decode(str(document.get("id_token")), options={"verify_signature": False})
    except jwt.PyJWTError:
        return {name: value for name, value in document.items() if name != "id_token"}
    return dict(document)


def _made(status: int, document: Mapping[str, Any], wait: timedelta | None) -> requests.Response:
    made = requests.Response()
    made.status_code = status
    made.encoding = "utf-8"
    if wait is not None:
        seconds = math.ceil(wait.total_seconds())
        document = {**document, WAIT_SECONDS: seconds} if seconds else document
        made.headers[_RETRY_AFTER] = str(seconds)
    made.raw = io.BytesIO(json.dumps(document).encode())
    return made


def _document(answer: requests.Response) -> dict[str, Any]:
    """Read an answer; one that is no JSON object is refused, and its text is not carried along."""
    found = _read(answer)
    if found is None:
        raise ContentDecodingError("Entra's answer is not a JSON object.")
    return found


def _read(answer: requests.Response) -> dict[str, Any] | None:
    try:
        found = answer.json()
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
