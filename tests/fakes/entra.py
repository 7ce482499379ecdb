"""Entra in memory, for consents and for callers of the API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from shared.consent.ports import AccessToken, AuthFlow, AuthorizationRequest, TokenResponse
from shared.errors import (
    UnauthenticatedError,
)
from shared.settings.tenant import Account
from tests.fakes.system import FakeSystem
from tests.fakes.values import CLIENT_ID, CONTOSO


@dataclass
class FakeEntra:
    """Grants each consent immediately; each entry of `fail` is raised once."""

    system: FakeSystem
    account: Account = field(default_factory=lambda: Account("ada-object-id", CONTOSO, "ada@contoso.com"))
    granted: frozenset[str] | None = None
    claims: Mapping[str, Any] = field(default_factory=dict)
    fail: list[Exception] = field(default_factory=list)
    refreshed: list[str] = field(default_factory=list)
    requested_scopes: list[tuple[str, ...]] = field(default_factory=list)
    hints: list[tuple[str, bool]] = field(default_factory=list)
    roles: frozenset[str] | None = frozenset({"Mail.Send"})
    also_granted: frozenset[str] = frozenset()
    claims_wanted: list[str | None] = field(default_factory=list)
    refreshed_for: list[tuple[str, ...]] = field(default_factory=list)
    #: The permissions of the next tokens, one entry for each; after that the usual ones.
    later: list[frozenset[str] | Exception | None] = field(default_factory=list)

    def begin(
        self,
        tenant_id: str,
        scopes: Iterable[str],
        state: str,
        login_hint: str,
        *,
        force_consent: bool = False,
    ) -> AuthorizationRequest:
        self._fail()
        self.requested_scopes.append(tuple(scopes))
        self.hints.append((login_hint, force_consent))
        address = f"https://login.microsoftonline.com/{tenant_id}/oauth2/v2.0/authorize?state={state}"
        return AuthorizationRequest(address, {"code_verifier": "verifier", "nonce": "nonce", "state": state})

    def begin_admin_consent(self, tenant_id: str, state: str) -> AuthorizationRequest:
        return AuthorizationRequest(
            f"https://login.microsoftonline.com/{tenant_id}/v2.0/adminconsent?state={state}", {}
        )

    def app_only(self, tenant_id: str, *, claims: str | None = None) -> AccessToken:
        self._fail()
        self.claims_wanted.append(claims)
        self.refreshed.append("app-only")
        expires_at = self.system.now() + timedelta(hours=1)
        return AccessToken(f"access-{len(self.refreshed)}", expires_at, self._later(self.roles), "")

    def redeem(self, tenant_id: str, auth_flow: AuthFlow, callback: Mapping[str, str]) -> TokenResponse:
        self._fail()
        claims = {
            "tid": tenant_id,
            "aud": CLIENT_ID,
            "iss": f"https://login.microsoftonline.com/{tenant_id}/v2.0",
            "exp": int((self.system.now() + timedelta(hours=1)).timestamp()),
            "oid": self.account.object_id,
            "preferred_username": self.account.username,
            **({"email": self.account.email} if self.account.email else {}),
        }
        granted = self.granted if self.granted is not None else frozenset(self.requested_scopes[-1])
        return TokenResponse({**claims, **self.claims}, granted, f"tokens-of-{callback['code']}")

    def refresh(
        self,
        tenant_id: str,
        tokens: str,
        account: Account,
        scopes: Iterable[str],
        *,
        claims: str | None = None,
    ) -> AccessToken:
        self._fail()
        self.claims_wanted.append(claims)
        self.refreshed.append(tokens)
        self.refreshed_for.append(tuple(scopes))
        expires_at = self.system.now() + timedelta(hours=1)
        known = frozenset(self.refreshed_for[-1]) if self.granted is None else self.granted
        granted = self._later(known | self.also_granted)
        same = account.object_id == self.account.object_id
        name = self.account.username if same else account.username
        email = self.account.email if same else account.email
        return AccessToken(
            f"access-{len(self.refreshed)}", expires_at, granted or None, f"{tokens}+", name, email
        )

    def _later(self, usual: frozenset[str] | None) -> frozenset[str] | None:
        if not self.later:
            return usual
        found = self.later.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def _fail(self) -> None:
        if self.fail:
            raise self.fail.pop(0)


@dataclass
class FakeCallers:
    """Accepts the tokens in `tokens`."""

    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)

    def verify(self, token: str) -> Mapping[str, Any]:
        if token not in self.tokens:
            raise UnauthenticatedError("token_invalid")
        return self.tokens[token]
