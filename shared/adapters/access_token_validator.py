"""Validate Microsoft Entra's access tokens for this API with PyJWT.

https://learn.microsoft.com/entra/identity-platform/access-tokens#validate-tokens
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jwt

from shared.adapters.http import SIGNING_KEYS_RESPONSE_SECONDS, HttpClient
from shared.adapters.signing_keys import KeyLifetimes, SigningKeys
from shared.errors import UnauthenticatedError
from shared.lazy import built_once
from shared.telemetry import log_failed_step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jwt import PyJWK

    from shared.config import AppConfig

_LEEWAY_SECONDS = 60
_REQUIRED = ["exp", "iat", "nbf", "aud", "iss", "tid", "oid"]


class EntraCallerTokens:
    """Validates access tokens that the caller's own tenant signed."""

    def __init__(self, config: AppConfig, lifetimes: KeyLifetimes | None = None) -> None:
        self._config = config
        self._lifetimes = lifetimes or KeyLifetimes()
        self._http = HttpClient(SIGNING_KEYS_RESPONSE_SECONDS)
        self._keys = built_once(self._keys_of)

    def verify(self, token: str) -> Mapping[str, Any]:
        """Return the claims of a valid token.

        Raises:
            UnauthenticatedError: `token_invalid`, also for a tenant that is not served;
                `token_version_unsupported` for a valid token of version 1: the API's app registration must be
                changed to version 2.
            EntraUnavailableError: the signing keys can't be fetched now.
            ConfigurationError: what `HttpClient.request` raises.
        """
        try:
            tenant_id, issuer = self._claimed_tenant(token)
            version_1 = issuer in _version_1_issuers(tenant_id)
            claims: dict[str, Any] = jwt.decode(
                token,
                self._signing_key(tenant_id, token).key,
                algorithms=["RS256"],
                audience=self._audiences(version_1=version_1),
                issuer=issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": _REQUIRED},
            )
        except jwt.PyJWTError as error:
            raise UnauthenticatedError("token_invalid") from error
        if version_1:
            log_failed_step("caller_tokens", "token_version_unsupported", tenant_id=tenant_id)
            raise UnauthenticatedError("token_version_unsupported")
        return claims

    def _claimed_tenant(self, token: str) -> tuple[str, str]:
        """Return the tenant that the token names, and the issuer to require.

        The caller checks the signature with the keys of this tenant, which proves both.

        A tenant that is not served is refused here, before any key is fetched. The error is the same as for
        any invalid token, so that a caller without a valid token cannot learn which tenants are served.
        """
        try:
            claims = jwt.decode(token, options={"verify_signature": False})
        except (RecursionError, jwt.PyJWTError) as error:
            raise UnauthenticatedError("token_invalid") from error
        tenant_id = claims.get("tid")
        if not isinstance(tenant_id, str) or tenant_id not in self._config.allowed_tenant_ids:
            raise UnauthenticatedError("token_invalid")
        issuer = claims.get("iss")
        if issuer in _version_1_issuers(tenant_id):
            return tenant_id, issuer
        return tenant_id, f"{self._config.authority(tenant_id)}/v2.0"

    def _audiences(self, *, version_1: bool) -> list[str]:
        """Return the accepted audiences; version 1 may have the App ID URI."""
        audience = self._config.api_audience
        return [audience, f"api://{audience}"] if version_1 else [audience]

    def _signing_key(self, tenant_id: str, token: str) -> PyJWK:
        key_id = jwt.get_unverified_header(token).get("kid")
        if not isinstance(key_id, str):
            raise UnauthenticatedError("token_invalid")
        return self._keys(tenant_id).find(key_id)

    def _keys_of(self, tenant_id: str) -> SigningKeys:
        url = f"{self._config.authority(tenant_id)}/discovery/v2.0/keys"
        return SigningKeys(url, self._http, self._lifetimes)


def _version_1_issuers(tenant_id: str) -> tuple[str, ...]:
    """Return the issuers of tokens of version 1; China has its own."""
    return tuple(f"https://{host}/{tenant_id}/" for host in ("sts.windows.net", "sts.chinacloudapi.cn"))
