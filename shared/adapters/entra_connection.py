"""The HTTP connection that MSAL is given: what went wrong on the way is told from what Entra said."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import ContentDecodingError

#: MSAL would wait for ever.
TIMEOUT_SECONDS = 10


class EntraConnection(requests.Session):
    """A session that raises for answers which MSAL takes for something else.

    A busy service would pass for a refusal or for a tenant that does not exist. A text that is no JSON,
    such as a proxy's page or half an answer, would become a ValueError like a wrong state, and MSAL would
    log all of it, with the tokens it may hold.
    """

    def __init__(self) -> None:
        super().__init__()
        # A connection that could not be made is tried once more, as MSAL's own session does.
        self.mount("https://", HTTPAdapter(max_retries=1))

    def request(self, *args: Any, **options: Any) -> requests.Response:  # noqa: ANN401 - as `requests` has it
        """Send one request.

        Raises:
            requests.RequestException: there is no answer, or none that says anything.
        """
        answer = super().request(*args, **{"timeout": TIMEOUT_SECONDS, **options})
        if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            answer.raise_for_status()
        if answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            _check_json(answer)
        return answer


def _check_json(answer: requests.Response) -> None:
    """Refuse an answer that is no JSON object; its text is not carried along."""
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ContentDecodingError("Entra's answer is not a JSON object.")
