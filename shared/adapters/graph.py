"""Microsoft Graph: mail."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import NewConnectionError

from shared.adapters.graph_errors import graph_error
from shared.errors import MailerError, OutcomeUnknownError, TransientError

if TYPE_CHECKING:
    from shared.settings.sender import Sender

#: Until the connection stands nothing was sent; after that Graph may take its time with a large mail.
_TIMEOUTS_SECONDS = (5, 100)
_CONNECTIONS = 8
_ACCEPTED = 202


class GraphMailTransport:
    """Mail through Graph, over connections that are kept open."""

    def __init__(self, endpoint: str) -> None:
        self._root = f"{endpoint}/v1.0"
        self._session = _session(self._root)

    def send_mail(self, token: str, sender: Sender, body: bytes) -> str:
        """Send one mail in one request, and return Graph's id of its answer.

        Only 202 is success: an oversized mail can be answered with 200 and lost.

        Raises:
            RejectedError: Graph will never take it.
            OutcomeUnknownError: it went out, and the answer did not come.
            ConsentRequiredError: Graph refuses the token.
        """
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "client-request-id": str(uuid.uuid4()),
        }
        response = self._post(f"{self._root}/{sender.mailbox}/sendMail", body, headers)
        if response.status_code != _ACCEPTED:
            raise graph_error(response, sender)
        return response.headers.get("request-id", headers["client-request-id"])

    def _post(self, address: str, body: bytes, headers: dict[str, str]) -> requests.Response:
        try:
            return self._session.post(address, body, headers=headers, timeout=_TIMEOUTS_SECONDS)
        except requests.RequestException as error:
            raise _transport_error(error) from error


def _session(endpoint: str) -> requests.Session:
    """Open a session that never repeats a request, and reads proxy and CA settings once, not each time."""
    session = requests.Session()
    session.mount("https://", HTTPAdapter(pool_maxsize=_CONNECTIONS, max_retries=0))
    found = session.merge_environment_settings(endpoint, {}, stream=False, verify=True, cert=None)
    session.verify, session.proxies, session.trust_env = found["verify"], dict(found["proxies"]), False
    return session


def _transport_error(error: requests.RequestException) -> MailerError:
    """Tell a request that was never sent from one whose answer did not come."""
    if isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.SSLError):
        return TransientError("graph_unavailable")
    if isinstance(error, requests.ConnectionError) and _never_connected(error):
        return TransientError("graph_unavailable")
    return OutcomeUnknownError("outcome_unknown")


def _never_connected(error: requests.ConnectionError) -> bool:
    """Requests keeps urllib3's reason inside; a refused connection or a name that is not found says so."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, NewConnectionError)
