"""The token endpoint `/{tenant}/oauth2/v2.0/token` for three grants.

Codes, refresh tokens and client credentials become access tokens.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from .aadsts import Refused
from .behaviour import Behaviour
from .client_proof import ClientProof
from .consents import Consents
from .directory import AppRegistration, Directory, Tenant, User
from .grants import Code, Grants
from .scopes import DEFAULT, GRAPH, OIDC, Scope, ScopeRequest, mixes_default, parse
from .throttle import Throttle
from .tokens import ACCESS_TOKEN_LIFETIME, API_SCOPE, CLAIMS_REQUEST, Tokens, client_info

#: Resources beside Graph and the apps of the directory for which tokens can be had.
OTHER_RESOURCES = frozenset({"https://vault.azure.net", "https://storage.azure.com"})


@dataclass(frozen=True)
class Server:
    """Ages in seconds at which a server knows a grant and an app."""

    consent_lag: float
    app_lag: float


class TokenEndpoint:
    """Handles token requests; state and rules, no HTTP."""

    def __init__(
        self,
        directory: Directory,
        consents: Consents,
        grants: Grants,
        tokens: Tokens,
        proof: ClientProof,
        behaviour: Behaviour,
        throttle: Throttle,
    ) -> None:
        self._throttle = throttle
        self._numbers = count()
        self._directory = directory
        self._consents = consents
        self._grants = grants
        self._tokens = tokens
        self._proof = proof
        self._behaviour = behaviour
        #: Further roots that mean Graph: the emulator's own.
        self.graph_names: frozenset[str] = frozenset()

    def token_response(self, tenant_name: str, form: Mapping[str, str], authorization: str) -> dict[str, Any]:
        """Return the token document.

        Raises:
            Refused: for each of Entra's reasons.
            TooManyRequests: too many requests of an app for itself.
        """
        tenant = self._directory.tenant(tenant_name)
        if tenant is None and tenant_name not in ("common", "organizations"):
            raise Refused(90002, f"'{tenant_name}'")
        audiences = self._audiences(tenant, tenant_name)
        app = self._proof.check(form, authorization, audiences)
        if tenant is None and not app.multi_tenant and form.get("grant_type") != "client_credentials":
            raise Refused(50194, f"'{app.client_id}'")
        self._count(app, tenant_name, form)
        server = self._server(form)
        if tenant and not self._consents.knows_app(app.client_id, tenant.tenant_id, server.app_lag):
            raise Refused(700016, f"'{app.client_id}'")
        self._check_claims(form)
        match form.get("grant_type", ""):
            case "authorization_code":
                return self._redeem(tenant_name, tenant, app, form, server)
            case "refresh_token":
                return self._refresh(tenant, app, form, server)
            case "client_credentials":
                return self._app_only(tenant, app, form, server)
            case "":
                raise Refused(900144, "'grant_type'")
            case other:
                raise Refused(70003, f"'{other}'")

    def _server(self, form: Mapping[str, str]) -> Server:
        """Choose a server; with `stale_for` every second one is behind."""
        usual = Server(self._behaviour.consent_lag, self._behaviour.app_lag)
        if not self._behaviour.stale_for or form.get("grant_type") == "authorization_code":
            return usual
        number = next(self._numbers) % 4
        if number == 0:
            return replace(usual, consent_lag=max(usual.consent_lag, self._behaviour.stale_for))
        if number == 2:
            return replace(usual, app_lag=max(usual.app_lag, self._behaviour.stale_for))
        return usual

    def _count(self, app: AppRegistration, tenant: str, form: Mapping[str, str]) -> None:
        token = self._grants.find_refresh_token(form.get("refresh_token", ""))
        if token or form.get("grant_type") == "client_credentials":
            self._throttle.check(app.client_id, tenant, token.user_id if token else "")

    def _check_claims(self, form: Mapping[str, str]) -> None:
        if form.get("claims") and self._behaviour.claims_problem:
            raise Refused(self._behaviour.claims_problem)

    def subject(self, form: Mapping[str, str]) -> str:
        """Name the mailbox of a refresh token, for the log and for faults."""
        token = self._grants.find_refresh_token(form.get("refresh_token", ""))
        user = self._directory.user(token.user_id) if token else None
        return user.address if user else ""

    def _audiences(self, tenant: Tenant | None, name: str) -> list[str]:
        names = {name, *((tenant.tenant_id, tenant.domain) if tenant else ())}
        roots = [f"{self._tokens.authority}/{n}" for n in names]
        return [root + path for root in roots for path in ("/oauth2/v2.0/token", "/v2.0")]

    def _redeem(
        self,
        tenant_name: str,
        tenant: Tenant | None,
        app: AppRegistration,
        form: Mapping[str, str],
        server: Server,
    ) -> dict[str, Any]:
        for name in ("code", "redirect_uri"):
            if not form.get(name):
                raise Refused(900144, f"'{name}'")
        code = self._grants.redeem(form["code"])
        if code.client_id != app.client_id:
            raise Refused(70000)
        request_tenant = self._directory.tenant(code.tenant)
        if (request_tenant.tenant_id if request_tenant else code.tenant) != (
            tenant.tenant_id if tenant else tenant_name
        ):
            raise Refused(700005)
        if form["redirect_uri"] != code.redirect_uri:
            raise Refused(500112)
        _check_pkce(code, form.get("code_verifier", ""))
        requested = self._requested_scopes(form) if form.get("scope") else None
        permissions = requested.permissions if requested else code.permissions
        if not permissions and not code.sign_in:
            raise Refused(28003)
        user = self._active_user(code.user_id)
        sign_in = code.sign_in & (requested.sign_in if requested and requested.sign_in else code.sign_in)
        wanted = ScopeRequest(sign_in, permissions, requested.prefix if requested else "")
        return self._delegated(app, user, wanted, form, server, code.nonce)

    def _refresh(
        self, tenant: Tenant | None, app: AppRegistration, form: Mapping[str, str], server: Server
    ) -> dict[str, Any]:
        if not form.get("refresh_token"):
            raise Refused(900144, "'refresh_token'")
        token = self._grants.use_refresh_token(form["refresh_token"], app.client_id)
        user = self._active_user(token.user_id)
        if tenant is not None and tenant.tenant_id != user.tenant_id:
            raise Refused(50020)
        if user.refresh_problem:
            raise Refused(user.refresh_problem)
        requested = self._requested_scopes(form)
        # A refresh token exists because offline_access was granted, and is renewed from then on.
        wanted = ScopeRequest(requested.sign_in | {"offline_access"}, requested.permissions, requested.prefix)
        return self._delegated(app, user, wanted, form, server)

    def _requested_scopes(self, form: Mapping[str, str]) -> ScopeRequest:
        requested = parse(form.get("scope", ""), self.graph_names)
        if len(requested.resources) > 1:
            raise Refused(28000)
        if mixes_default(requested.permissions):
            raise Refused(70011, "'.default'")
        return requested

    def _active_user(self, user_id: str) -> User:
        user = self._directory.user(user_id)
        if user is None:
            raise Refused(50034)
        if not user.enabled:
            raise Refused(50057)
        return user

    def _delegated(
        self,
        app: AppRegistration,
        user: User,
        wanted: ScopeRequest,
        form: Mapping[str, str],
        server: Server,
        nonce: str = "",
    ) -> dict[str, Any]:
        resource = wanted.resources[0] if wanted.permissions else GRAPH
        scopes = self._granted(app, user, wanted, resource, form, server)
        document: dict[str, Any] = {
            "token_type": "Bearer",
            "scope": _scope_text(scopes, wanted, resource),
            "expires_in": int(ACCESS_TOKEN_LIFETIME.total_seconds()),
            "ext_expires_in": int(ACCESS_TOKEN_LIFETIME.total_seconds()),
            "access_token": self._access_token(app, user, resource, scopes, form),
        }
        if "offline_access" in wanted.sign_in:
            document["refresh_token"] = self._grants.new_refresh_token(app.client_id, user.object_id)
        if "openid" in wanted.sign_in:
            changes = self._behaviour.id_token
            if app.email_claim or user.is_guest or "email" in wanted.sign_in:
                changes = {"email": user.address} | changes
            document["id_token"] = self._tokens.id_token(app.client_id, user, nonce, **changes)
        if form.get("client_info") == "1":
            document["client_info"] = client_info(user)
        return document

    def _granted(
        self,
        app: AppRegistration,
        user: User,
        wanted: ScopeRequest,
        resource: str,
        form: Mapping[str, str],
        server: Server,
    ) -> list[str]:
        """List everything granted on the resource, not only what was requested."""
        given = self._consents.delegated(app.client_id, user.tenant_id, user.object_id)
        consented = self._consents.delegated(
            app.client_id, user.tenant_id, user.object_id, server.consent_lag
        )
        not_missed = {DEFAULT, *self._behaviour.withheld_scopes}
        # The person has just consented on the way to a code, whatever the directory shows.
        counted = given if form.get("grant_type") == "authorization_code" else consented
        missing = [p for p in wanted.permissions if p.name not in not_missed and p not in counted]
        if missing or not counted:
            raise Refused(65001, f"'{missing[0].name if missing else resource}'")
        return sorted(scope.name for scope in consented if scope.resource == resource)

    def _access_token(
        self,
        app: AppRegistration,
        user: User,
        resource: str,
        scopes: list[str],
        form: Mapping[str, str],
    ) -> str:
        if resource == GRAPH:
            return self._tokens.graph_token(
                user.tenant_id,
                app.client_id,
                oid=user.object_id,
                upn=user.principal_name,
                scp=" ".join(scopes),
                idtyp="user",
                **_claims_request(form),
            )
        if (api := self._directory.app(resource)) is None:
            raise Refused(500011, f"'{resource}'")
        return self._tokens.api_token(
            user, api.client_id, scp=" ".join(scopes) or API_SCOPE, azp=app.client_id
        )

    def _app_only(
        self, tenant: Tenant | None, app: AppRegistration, form: Mapping[str, str], server: Server
    ) -> dict[str, Any]:
        if tenant is None:
            raise Refused(50059)
        if not app.multi_tenant and app.tenant_id != tenant.tenant_id:
            raise Refused(700016, f"'{app.client_id}'")
        requested = parse(form.get("scope", ""), self.graph_names)
        if len(requested.permissions) != 1 or requested.sign_in:
            raise Refused(70011)
        wanted = requested.permissions[0]
        if wanted.name != DEFAULT:
            raise Refused(1002012, f"'{wanted.name}'")
        return {
            "token_type": "Bearer",
            "expires_in": int(ACCESS_TOKEN_LIFETIME.total_seconds()),
            "ext_expires_in": int(ACCESS_TOKEN_LIFETIME.total_seconds()),
            "access_token": self._app_token(tenant, app, wanted, form, server),
        }

    def _app_token(
        self, tenant: Tenant, app: AppRegistration, wanted: Scope, form: Mapping[str, str], server: Server
    ) -> str:
        identity = f"5e41ce00-0000-4000-8000-{app.client_id[-12:]}"
        if wanted.resource == GRAPH:
            roles = self._consents.application(app.client_id, tenant.tenant_id, server.consent_lag)
            return self._tokens.graph_token(
                tenant.tenant_id,
                app.client_id,
                oid=identity,
                roles=roles or None,
                idtyp="app",
                **_claims_request(form),
            )
        api = self._directory.app(wanted.resource)
        if api is None and wanted.resource not in OTHER_RESOURCES:
            raise Refused(500011, f"'{wanted.resource}'")
        return self._tokens.app_token(
            tenant.tenant_id, app.client_id, identity, api.client_id if api else wanted.resource
        )


def _claims_request(form: Mapping[str, str]) -> dict[str, str]:
    """Put the claims request into the token, where the fake Graph reads it."""
    return {CLAIMS_REQUEST: form["claims"]} if form.get("claims") else {}


def _check_pkce(code: Code, verifier: str) -> None:
    if not code.challenge and not verifier:
        return
    digest = hashlib.sha256(verifier.encode()).digest()
    hashed = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    if code.challenge != (hashed if code.challenge_method == "S256" else verifier):
        raise Refused(501481)


def _scope_text(scopes: list[str], wanted: ScopeRequest, resource: str) -> str:
    """Spell granted scopes as requested: short, or with the resource."""
    prefix = wanted.prefix or (resource if resource != GRAPH else "")
    names = [f"{prefix}/{name}" if prefix else name for name in scopes]
    # Only Graph's own tokens carry the sign-in scopes, and offline_access shows in none.
    signs_in = (
        sorted(OIDC & {"openid", "profile", "email"})
        if resource == GRAPH and "openid" in wanted.sign_in
        else []
    )
    return " ".join([*signs_in, *names])
