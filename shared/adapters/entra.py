"""Get consent and access tokens from Microsoft Entra through MSAL."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import jwt
import msal
import requests

from shared.adapters.entra_connection import EntraConnection, wait_of
from shared.adapters.entra_error_mapping import entra_error, redeem_error
from shared.adapters.msal_cache import tokens_to_store
from shared.consent.errors import EntraUnavailableError
from shared.consent.ports import AccessToken, AuthFlow, AuthorizationRequest, TokenResponse
from shared.errors import ConfigurationError, ConsentRequiredError, InvalidInputError
from shared.settings.scopes import granted_scopes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from shared.config import AppConfig
    from shared.settings.tenant import Account
    from shared.system import System


class EntraAuthority:
    """Entra for one app registration."""

    def __init__(self, config: AppConfig, credential: str | dict[str, Any], system: System) -> None:
        self._config = config
        self._credential = credential
        self._system = system
        # MSAL caches the endpoints of tenants in it, and for how long Entra wants no requests.
        self._http_cache: dict[str, Any] = {}
        self._session = EntraConnection()

    def begin(
        self,
        tenant_id: str,
        scopes: Iterable[str],
        state: str,
        login_hint: str,
        *,
        force_consent: bool = False,
    ) -> AuthorizationRequest:
        """Prepare a sign-in for a tenant.

        The prompt `consent` shows the screen even if an admin has consented for everybody, and "Need admin
        approval" if users may not consent. So it is used only on request. Only this prompt gets a hint for
        the account, because Entra refuses a hint with `select_account` (pull request 3315 of MSAL.js).
        """
        with _network_errors():
            auth_flow = self._app(tenant_id, msal.SerializableTokenCache()).initiate_auth_code_flow(
                list(scopes),
                redirect_uri=self._redirect_uri,
                state=state,
                prompt="consent" if force_consent else "select_account",
                login_hint=login_hint if force_consent else None,
                response_mode="form_post",
            )
        # The flow is stored without its state, so that a person who reads it cannot complete the consent.
        del auth_flow["state"]
        return AuthorizationRequest(auth_flow.pop("auth_uri"), auth_flow)

    def begin_admin_consent(self, tenant_id: str, state: str) -> AuthorizationRequest:
        """Prepare an admin's consent, which has no nonce or PKCE verifier."""
        query = {
            "client_id": self._config.entra_client_id,
            "scope": self._app_scope,
            "redirect_uri": self._redirect_uri,
            "state": state,
        }
        address = f"{self._config.authority(tenant_id)}/v2.0/adminconsent?{urlencode(query)}"
        return AuthorizationRequest(address, {})

    def redeem(self, tenant_id: str, auth_flow: AuthFlow, callback: Mapping[str, str]) -> TokenResponse:
        """Exchange a callback's code for tokens; the caller checked the state.

        Raises:
            ConsentRequiredError: `consent_failed`, `consent_code_used`, `admin_approval_needed`,
                `sign_in_blocked`: Microsoft refuses the code; `permission_not_granted`: its tokens
                would last an hour.
            InvalidInputError: `consent_reply_invalid`.
        """
        # This cache is used only here, because MSAL fills it before it checks the nonce.
        cache = msal.SerializableTokenCache()
        flow = {**auth_flow, "state": callback.get("state")}
        try:
            with _network_errors():
                response = self._app(tenant_id, cache).acquire_token_by_auth_code_flow(flow, dict(callback))
        except (ValueError, RuntimeError):
            # MSAL's text contains the nonce, so the cause is not attached.
            raise InvalidInputError("consent_reply_invalid") from None
        if "access_token" not in response:
            raise redeem_error(response)
        if "refresh_token" not in response:
            raise ConsentRequiredError("permission_not_granted", missing="offline_access")
        return TokenResponse(
            claims=response.get("id_token_claims", {}),
            scopes=granted_scopes(response.get("scope", "")),
            tokens=tokens_to_store(cache.serialize()),
        )

    def refresh(
        self,
        tenant_id: str,
        tokens: str,
        account: Account,
        scopes: Iterable[str],
        *,
        claims: str | None = None,
    ) -> AccessToken:
        """Get a new access token.

        Raises:
            ConsentRequiredError: `consent_lost`, `sign_in_blocked`.
            ConfigurationError: `tokens_of_other_account`: they are not used.
        """
        cache = _read(tokens, account.name)
        requested_at = self._system.now()
        with _network_errors():
            app = self._app(tenant_id, cache)
            known = _account(app.get_accounts(), account)
            response = app.acquire_token_silent_with_error(
                list(scopes), known, force_refresh=True, claims_challenge=claims
            )
        if response is None:
            raise ConsentRequiredError("consent_lost", account=account.name, error="no_refresh_token")
        if "access_token" not in response:
            raise entra_error(response, account.name)
        identity = response.get("id_token_claims", {})
        if identity.get("oid", account.object_id) != account.object_id:
            raise _of_other_account(account, str(identity["oid"]))
        return AccessToken(
            access_token=response["access_token"],
            expires_at=requested_at + timedelta(seconds=int(response["expires_in"])),
            # A response may omit the scope if it is the requested one (RFC 6749 section 5.1).
            scopes=granted_scopes(response.get("scope", "")) or None,
            tokens=tokens_to_store(cache.serialize()),
            username=str(identity.get("preferred_username") or ""),
            email=str(identity.get("email") or ""),
        )

    def app_only(self, tenant_id: str, *, claims: str | None = None) -> AccessToken:
        """Get an access token for the app itself.

        Raises:
            ConsentRequiredError: `consent_lost`, `sign_in_blocked`.
        """
        requested_at = self._system.now()
        with _network_errors():
            app = self._app(tenant_id, msal.SerializableTokenCache())
            response = app.acquire_token_for_client([self._app_scope], claims_challenge=claims)
        if "access_token" not in response:
            raise entra_error(response, "the app")
        return AccessToken(
            access_token=response["access_token"],
            expires_at=requested_at + timedelta(seconds=int(response["expires_in"])),
            scopes=_roles(response["access_token"]),
            tokens="",
        )

    def discover(self, tenant_id: str) -> None:
        """Request the tenant's endpoints, even if they are cached.

        Raises:
            EntraUnavailableError: Entra does not respond.
        """
        address = f"{self._config.authority(tenant_id)}/v2.0/.well-known/openid-configuration"
        with _network_errors():
            self._session.get(address).raise_for_status()

    @property
    def _app_scope(self) -> str:
        return f"{self._config.graph_resource}/.default"

    @property
    def _redirect_uri(self) -> str:
        return f"{self._config.public_base_url}/api/consent/callback"

    def _app(self, tenant_id: str, cache: msal.SerializableTokenCache) -> msal.ConfidentialClientApplication:
        """Build MSAL's app, which requests the tenant's endpoints if not cached."""
        try:
            return msal.ConfidentialClientApplication(
                self._config.entra_client_id,
                authority=self._config.authority(tenant_id),
                client_credential=self._credential,
                token_cache=cache,
                http_client=self._session,
                http_cache=self._http_cache,
                instance_discovery=False,
            )
        except ValueError as error:
            # Entra knows no such tenant, or MSAL can't use the credential's format.
            raise ConfigurationError("app_registration_wrong", error="no endpoints") from error


def _account(cached: list[dict[str, Any]], account: Account) -> dict[str, Any] | None:
    """Return the account in a cache that consented; None if it is empty."""
    found = {str(each.get("local_account_id", "")): each for each in cached}
    if found and account.object_id not in found:
        raise _of_other_account(account, ", ".join(sorted(found)))
    return found.get(account.object_id)


def _of_other_account(account: Account, found: str) -> ConfigurationError:
    return ConfigurationError("tokens_of_other_account", expected=account.object_id, found=found)


def _read(tokens: str, username: str) -> msal.SerializableTokenCache:
    """Read stored tokens; refuse a secret that somebody has edited."""
    cache = msal.SerializableTokenCache()
    try:
        found = json.loads(tokens)
        if isinstance(found, dict) and all(isinstance(each, dict) for each in found.values()):
            cache.deserialize(tokens)
            return cache
    except (ValueError, RecursionError) as error:
        raise ConsentRequiredError("consent_lost", account=username, error="tokens_unreadable") from error
    raise ConsentRequiredError("consent_lost", account=username, error="tokens_unreadable")


def _roles(access_token: str) -> frozenset[str] | None:
    """Return the roles in a token, for display; None if it is unreadable.

    Graph's tokens may have any format, and only Graph's responses prove what a token permits.
    https://learn.microsoft.com/entra/identity-platform/access-tokens

    Permissions that Exchange grants (RBAC for Applications) are in no token.
    """
    try:
        roles = jwt.decode(access_token, options={"verify_signature": False}).get("roles", [])
    except jwt.PyJWTError:
        return None
    return frozenset(str(role) for role in roles) if isinstance(roles, list) else None


@contextmanager
def _network_errors() -> Iterator[None]:
    """Translate connection errors, also of MSAL's endpoint discovery."""
    try:
        yield
    except requests.RequestException as error:
        wait = None if error.response is None else wait_of(error.response)
        raise EntraUnavailableError(retry_after=wait) from error
