"""Get tokens of a managed identity; distinguish outages from refusals.

azure-identity raises the same error for both, and waits up to 300 seconds in each of four attempts. The
identity endpoint of a Function App is known to answer 429 and 500 for minutes.

https://learn.microsoft.com/azure/app-service/overview-managed-identity
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError, ClientAuthenticationError, ServiceResponseError
from azure.identity import CredentialUnavailableError, ManagedIdentityCredential

from shared.adapters.bounded_transport import BoundedTransport
from shared.errors import ConfigurationError, TransientError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from azure.core.credentials import AccessTokenInfo, TokenRequestOptions

#: Statuses with which the endpoint refuses to issue a token: the identity does not exist, or the header that
#: authenticates the app is wrong. Other statuses say nothing about the identity.
_REFUSALS = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
#: What MSAL and azure-identity raise for a response that they cannot parse: wrong text, numbers or depth.
_UNREADABLE = (ValueError, TypeError, AttributeError, OverflowError, RecursionError)
_CONNECT_SECONDS = 5
_READ_SECONDS = 10
_RETRIES = 2
#: A new token is requested this long before the old one expires, which the SDKs expect.
_MIN_LIFETIME_SECONDS = 300
#: While the endpoint fails, a token is used until this time before it expires, which is enough for one
#: request.
_MIN_LIFETIME_IN_OUTAGE_SECONDS = 25
#: While a token is still valid, the pause between two calls of the endpoint is a sixtieth of the token's
#: remaining lifetime, but within these limits. A call that gets no response blocks its caller for half a
#: minute.
_MIN_PAUSE_SECONDS = 30
_MAX_PAUSE_SECONDS = 600


class AppServiceIdentity(ManagedIdentityCredential):
    """One managed identity of the Function App.

    Without a client id, this is the system-assigned identity. It raises the app's errors, which the SDKs
    neither catch nor retry. They would retry each of its own attempts. While the endpoint fails, or one call
    waits for it, a valid token is used until it expires.
    """

    def __init__(self, client_id: str | None) -> None:
        transport = _Transport(connection_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS)
        super().__init__(client_id=client_id, transport=transport, retry_total=_RETRIES)
        self._name = client_id or "system-assigned"
        self._cached: dict[tuple[str, ...], AccessTokenInfo] = {}
        self._not_before: dict[tuple[str, ...], float] = {}

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # noqa: ANN401 - as the SDK has it
        """Return a token.

        Raises:
            TransientError: `identity_unavailable`.
            ConfigurationError: `identity_refused`.
        """
        found = self.get_token_info(*scopes, options=cast("TokenRequestOptions", options))
        return AccessToken(found.token, found.expires_on)

    def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """Return a token; raises what `get_token` raises."""
        now = time.time()
        cached = None if (options or {}).get("claims") else self._cached.get(scopes)
        if cached and cached.expires_on - now <= _MIN_LIFETIME_IN_OUTAGE_SECONDS:
            cached = None
        if cached and (not _is_due(cached, now) or now < self._not_before.get(scopes, 0.0)):
            return cached
        # This is set before the endpoint is called, so that other callers use the cached token and do not
        # wait.
        self._not_before[scopes] = now + _pause(cached, now)
        try:
            with self._translated_errors():
                found: AccessTokenInfo = super().get_token_info(*scopes, options=options)
                if found.expires_on <= now:
                    raise ValueError("the token has expired already")
        except TransientError:
            if cached:
                return cached
            raise
        self._cached[scopes] = found
        return found

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except CredentialUnavailableError as error:
            # The response was successful and had no token. For other statuses the transport raises an error.
            raise TransientError("identity_unavailable") from error
        except ClientAuthenticationError as error:
            raise ConfigurationError("identity_refused", identity=self._name) from error
        except (AzureError, *_UNREADABLE) as error:
            raise TransientError("identity_unavailable") from error


def _pause(cached: AccessTokenInfo | None, now: float) -> float:
    pause = (cached.expires_on - now) / 60 if cached else 0.0
    return min(max(pause, _MIN_PAUSE_SECONDS), _MAX_PAUSE_SECONDS)


def _is_due(token: AccessTokenInfo, now: float) -> bool:
    """Return whether to request a new token.

    That is shortly before the old one expires, or once half of a long lifetime has passed (`refresh_on`).
    """
    if token.expires_on - now < _MIN_LIFETIME_SECONDS:
        return True
    return token.refresh_on is not None and token.refresh_on <= now


class _Transport(BoundedTransport):
    """Raises an error for an unsuccessful response, whose status MSAL drops."""

    def send(self, request: Any, **options: Any) -> Any:  # noqa: ANN401 - as the SDK has it
        response = super().send(request, **options)
        if response.status_code == HTTPStatus.OK:
            return response
        if response.status_code in _REFUSALS:
            raise ClientAuthenticationError(f"HTTP {response.status_code}")
        raise ServiceResponseError(f"HTTP {response.status_code}")
