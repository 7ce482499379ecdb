"""Microsoft Entra through MSAL: consent, and access tokens for kept ones."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import jwt
import msal
import requests
from msal.exceptions import MsalServiceError

from shared.adapters.entra_connection import TIMEOUT_SECONDS, EntraConnection
from shared.adapters.entra_errors import entra_error, redeem_error
from shared.consent.scopes import granted_scopes
from shared.errors import ConfigurationError, ConsentRequiredError, InvalidInputError, TransientError
from shared.ports import Issued, Redeemed, SignIn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from shared.config import AppConfig
    from shared.settings.tenant import Account
    from shared.world import World

#: Access and ID tokens are not kept: the first live an hour, the second were checked.
_KEPT_PARTS = ("Account", "RefreshToken", "AppMetadata")


class EntraAuthority:
    """Entra, for one app registration."""

    def __init__(self, config: AppConfig, credential: str | dict[str, Any], world: World) -> None:
        self._config = config
        self._credential = credential
        self._world = world
        # Remembers the tenants' endpoints and, for a minute, refusals of equal requests.
        self._http_memory: dict[str, Any] = {}

    def begin(
        self, tenant_id: str, scopes: Iterable[str], state: str, login_hint: str, *, ask_again: bool = False
    ) -> SignIn:
        """Prepare a sign-in for a tenant.

        The prompt `consent` asks again even where an admin consented for everybody, and shows "Need
        admin approval" where users may not consent; so it is for those who ask for it.
        """
        with _network_errors():
            proof = self._app(tenant_id, msal.SerializableTokenCache()).initiate_auth_code_flow(
                list(scopes),
                redirect_uri=self._redirect_uri,
                state=state,
                prompt="consent" if ask_again else "select_account",
                login_hint=login_hint,
                response_mode="form_post",
            )
        # Whoever reads what is kept can't answer for the browser: of its state a hash is kept elsewhere.
        del proof["state"]
        return SignIn(proof.pop("auth_uri"), proof)

    def begin_admin_consent(self, tenant_id: str, state: str) -> SignIn:
        """Prepare an admin's consent; without a sign-in of our own there is nothing to prove it with."""
        query = {
            "client_id": self._config.entra_client_id,
            "scope": self._app_scope,
            "redirect_uri": self._redirect_uri,
            "state": state,
        }
        return SignIn(f"{self._config.authority(tenant_id)}/v2.0/adminconsent?{urlencode(query)}", {})

    def redeem(self, tenant_id: str, proof: Mapping[str, Any], reply: Mapping[str, str]) -> Redeemed:
        """Exchange the code of a reply for tokens; that its state is ours was checked before.

        Raises:
            ConsentRequiredError: `consent_failed`, `consent_code_used`, `admin_approval_needed`,
                `sign_in_blocked`: Microsoft refuses the code; `permission_not_granted`: its tokens
                would last an hour.
            InvalidInputError: `consent_reply_invalid`.
        """
        # A cache of its own: MSAL fills it before it checks the nonce.
        cache = msal.SerializableTokenCache()
        begun = {**proof, "state": reply.get("state")}
        try:
            with _network_errors():
                answer = self._app(tenant_id, cache).acquire_token_by_auth_code_flow(begun, dict(reply))
        except (ValueError, RuntimeError):
            # MSAL's text holds the nonce, so the cause is not carried along.
            raise InvalidInputError("consent_reply_invalid") from None
        if "access_token" not in answer:
            raise redeem_error(answer)
        if "refresh_token" not in answer:
            raise ConsentRequiredError("permission_not_granted", missing="offline_access")
        return Redeemed(
            claims=answer.get("id_token_claims", {}),
            scopes=granted_scopes(answer.get("scope", "")),
            tokens=_kept(cache),
        )

    def refresh(self, tenant_id: str, tokens: str, account: Account, scopes: Iterable[str]) -> Issued:
        """Get a fresh access token.

        Raises:
            ConsentRequiredError: `consent_lost`, `sign_in_blocked`.
        """
        cache = msal.SerializableTokenCache()
        cache.deserialize(tokens)
        asked_at = self._world.now()
        with _network_errors():
            app = self._app(tenant_id, cache)
            known = next(iter(app.get_accounts()), None)
            answer = app.acquire_token_silent_with_error(list(scopes), known, force_refresh=True)
        if answer is None:
            raise ConsentRequiredError("consent_lost", account=account.username, error="no_refresh_token")
        if "access_token" not in answer:
            # MSAL would repeat the refusal for a minute, even to an admin who has just mended its cause.
            self._http_memory = {}
            raise entra_error(answer, account.username)
        return Issued(
            access_token=answer["access_token"],
            expires_at=asked_at + timedelta(seconds=int(answer["expires_in"])),
            scopes=granted_scopes(answer.get("scope", "")),
            tokens=_kept(cache),
        )

    def app_only(self, tenant_id: str) -> Issued:
        """Get an access token for the app itself.

        Raises:
            ConsentRequiredError: `consent_lost`, `sign_in_blocked`.
        """
        # A memory of its own: MSAL repeats a refusal for a minute, and the admin may just have consented.
        asked_at = self._world.now()
        with _network_errors():
            app = self._app(tenant_id, msal.SerializableTokenCache(), {})
            answer = app.acquire_token_for_client([self._app_scope])
        if "access_token" not in answer:
            raise entra_error(answer, "the app")
        return Issued(
            access_token=answer["access_token"],
            expires_at=asked_at + timedelta(seconds=int(answer["expires_in"])),
            scopes=_roles(answer["access_token"]),
            tokens="",
        )

    def discover(self, tenant_id: str) -> None:
        """Ask for the tenant's endpoints, whether they are known or not.

        Raises:
            TransientError: `entra_unavailable`.
        """
        address = f"{self._config.authority(tenant_id)}/v2.0/.well-known/openid-configuration"
        with _network_errors():
            requests.get(address, timeout=TIMEOUT_SECONDS).raise_for_status()

    @property
    def _app_scope(self) -> str:
        return f"{self._config.graph_resource}/.default"

    @property
    def _redirect_uri(self) -> str:
        return f"{self._config.public_base_url}/api/consent/callback"

    def _app(
        self, tenant_id: str, cache: msal.SerializableTokenCache, memory: dict[str, Any] | None = None
    ) -> msal.ConfidentialClientApplication:
        """Build MSAL's app, which asks for the tenant's endpoints where they are not known yet."""
        try:
            return msal.ConfidentialClientApplication(
                self._config.entra_client_id,
                authority=self._config.authority(tenant_id),
                client_credential=self._credential,
                token_cache=cache,
                http_client=EntraConnection(),
                http_cache=self._http_memory if memory is None else memory,
                instance_discovery=False,
            )
        except ValueError as error:
            # Entra knows no such tenant, or the credential has a form that MSAL can't use.
            raise ConfigurationError("app_registration_wrong", error="no endpoints") from error


def _kept(cache: msal.SerializableTokenCache) -> str:
    whole = json.loads(cache.serialize())
    return json.dumps({part: whole[part] for part in _KEPT_PARTS if part in whole})


def _roles(access_token: str) -> frozenset[str]:
    """Read what Entra granted the app, to show it; Graph checks the token, not we.

    Permissions that Exchange grants (RBAC for Applications) are in no token.
    """
    roles = jwt.decode(access_token, options={"verify_signature": False}).get("roles", [])
    return frozenset(str(role) for role in roles)


@contextmanager
def _network_errors() -> Iterator[None]:
    """MSAL raises for a 5xx answer and lets the connection raise; also where it looks for endpoints."""
    try:
        yield
    except (MsalServiceError, requests.RequestException) as error:
        raise TransientError("entra_unavailable") from error
