"""Microsoft Entra's access tokens for our own API, checked with PyJWT.

https://learn.microsoft.com/entra/identity-platform/access-tokens#validate-tokens
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import jwt
from jwt import PyJWK, PyJWKClient, PyJWKClientConnectionError, PyJWKSetError

from shared.errors import ForbiddenError, TransientError, UnauthenticatedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.config import AppConfig

#: Entra rotates its signing keys every few weeks and may at any time; an unknown key is fetched at once.
_KEYS_LIVE_SECONDS = 3600
_LEEWAY_SECONDS = 60
_REQUIRED = ["exp", "iat", "nbf", "aud", "iss", "tid", "oid"]


class EntraCallerTokens:
    """Access tokens, signed by the tenant that the caller belongs to."""

    def __init__(self, config: AppConfig, keys_live_seconds: float = _KEYS_LIVE_SECONDS) -> None:
        self._config = config
        self._keys_live_seconds = keys_live_seconds
        self._keys = functools.cache(self._key_client)

    def verify(self, token: str) -> Mapping[str, Any]:
        """Return the claims of a valid token.

        Raises:
            UnauthenticatedError: `token_invalid`.
            ForbiddenError: `tenant_not_allowed`.
            TransientError: `entra_unavailable`, when the signing keys can't be had.
        """
        try:
            tenant_id = self._claimed_tenant(token)
            claims: dict[str, Any] = jwt.decode(
                token,
                self._signing_key(tenant_id, token).key,
                algorithms=["RS256"],
                audience=self._config.api_audience,
                issuer=f"{self._config.authority(tenant_id)}/v2.0",
                leeway=_LEEWAY_SECONDS,
                options={"require": _REQUIRED},
            )
        except jwt.PyJWTError as error:
            raise UnauthenticatedError("token_invalid") from error
        return claims

    def _claimed_tenant(self, token: str) -> str:
        """Return the tenant whose keys to check with; the signature then proves it."""
        claims = jwt.decode(token, options={"verify_signature": False})
        tenant_id = claims.get("tid")
        if not isinstance(tenant_id, str):
            raise UnauthenticatedError("token_invalid")
        if tenant_id not in self._config.allowed_tenant_ids:
            raise ForbiddenError("tenant_not_allowed")
        return tenant_id

    def _signing_key(self, tenant_id: str, token: str) -> PyJWK:
        try:
            return self._keys(tenant_id).get_signing_key_from_jwt(token)
        except (PyJWKClientConnectionError, PyJWKSetError, OSError, ValueError) as error:
            # An answer that breaks off, or is no set of keys, says nothing about the token.
            raise TransientError("entra_unavailable") from error

    def _key_client(self, tenant_id: str) -> PyJWKClient:
        """Keep the set of keys for its time; single keys, which PyJWK would keep for ever, are not kept."""
        return PyJWKClient(
            f"{self._config.authority(tenant_id)}/discovery/v2.0/keys",
            lifespan=self._keys_live_seconds,
            timeout=5,
        )
