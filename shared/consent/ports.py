"""Declare the ports of consent; `adapters/` implements them.

Every method may raise TransientError (the service is unavailable) and ConfigurationError (it refuses the
app, or a setting is missing); only further errors are named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.consent.flow import ConsentFlow, FlowSecret
    from shared.settings.tenant import Account


class FlowStore(Protocol):
    """Stores consents in progress.

    Each has a public row, and a row of secrets that are used once.
    """

    def add(self, flow: ConsentFlow, secret: FlowSecret) -> None:
        """Store a new flow."""

    def flow(self, flow_id: str) -> ConsentFlow | None:
        """Return a flow, or None if there is none."""

    def delete_expired(self, before: datetime) -> None:
        """Delete every flow that expired before a time, and its secrets."""

    def of_tenant(self, tenant_id: str) -> tuple[str, ...]:
        """Return the ids of a tenant's flows."""

    def remove(self, flow_id: str) -> None:
        """Delete a flow with its secrets; a missing one is no error."""

    def save(self, flow: ConsentFlow) -> None:
        """Store the state of a flow."""

    def secret(self, flow_id: str) -> FlowSecret | None:
        """Return the secrets of a flow, or None if they were used."""

    def replace_secret(self, secret: FlowSecret) -> bool:
        """Write secrets if their ETag is the stored one; return whether.

        An ETag of None requires that none are stored.
        """

    def consume_secret(self, secret: FlowSecret) -> bool:
        """Delete the secrets if they are unchanged; return whether."""

    def unconfirmed(self, before: datetime) -> Iterable[FlowSecret]:
        """Return secrets whose `expires_at` is before a time.

        Their consents were neither confirmed nor refused.
        """


@dataclass(frozen=True, slots=True)
class DeletedTokens:
    """Deleted tokens that can be recovered with the right permission.

    Attributes:
        recoverable_until: when the vault purges them; None if it retains nothing that is deleted.
        purgeable: whether they can be purged earlier.
    """

    name: str
    recoverable_until: datetime | None
    purgeable: bool


class TokenStore(Protocol):
    """Stores encrypted tokens, each set under a name that is used once."""

    def read(self, name: str) -> str | None:
        """Return the stored tokens, or None."""

    def write(self, name: str, tokens: str, *, new: bool = False) -> None:
        """Store tokens; `new`: this installation has not used the name before.

        Raises:
            ConflictError: `consent_superseded`: the name is in use, or its deleted tokens are recoverable.
        """

    def disable_older_versions(self, name: str) -> None:
        """Make the older versions of a name's tokens unreadable."""

    def delete(self, name: str) -> datetime | None:
        """Delete tokens; missing ones are no error.

        Return until when the vault retains them, None if it does not. After a TransientError they may still
        exist.
        """

    def recoverable(self) -> tuple[DeletedTokens, ...]:
        """Return all deleted, recoverable tokens."""

    def purge(self, name: str) -> None:
        """Purge deleted tokens; those that do not exist are no error."""

    def names(self) -> tuple[str, ...]:
        """Return the names of all stored tokens."""


#: PKCE verifier and nonce, as MSAL keeps them; never the state.
type AuthFlow = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A sign-in: the next URL, and the values that validate its callback."""

    address: str
    auth_flow: AuthFlow = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """A code's tokens. The claims of the ID token are not validated yet."""

    claims: Mapping[str, Any]
    scopes: frozenset[str]
    tokens: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token, and the tokens to store from now on.

    Attributes:
        scopes: the permissions in the token; None if only Microsoft can read them.
        username, email: the account's current names; empty if the response has none.
    """

    access_token: str = field(repr=False)
    expires_at: datetime
    scopes: frozenset[str] | None
    tokens: str = field(repr=False)
    username: str = ""
    email: str = ""


class AppTokens(Protocol):
    """Gets access tokens for the app itself."""

    def app_only(self, tenant_id: str, *, claims: str | None = None) -> AccessToken:
        """Get an access token for the app itself; there is nothing to store.

        `scopes` is empty if Exchange, not Entra, holds the permissions (RBAC for Applications).

        Raises:
            ConsentRequiredError: the tenant's admin did not consent, or revoked the consent.
        """


class TokenIssuer(AppTokens, Protocol):
    """Gets access tokens with stored refresh tokens."""

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
            ConsentRequiredError: Microsoft no longer accepts the stored tokens.
        """


class Authorizer(TokenIssuer, Protocol):
    """Starts sign-ins and consents, and redeems their codes."""

    def begin(
        self,
        tenant_id: str,
        scopes: Iterable[str],
        state: str,
        login_hint: str,
        *,
        force_consent: bool = False,
    ) -> AuthorizationRequest:
        """Prepare a sign-in; `force_consent` always shows the consent page.

        `login_hint` is the account for which it is shown; without `force_consent` the person selects one.
        """

    def begin_admin_consent(self, tenant_id: str, state: str) -> AuthorizationRequest:
        """Prepare an admin's consent to the app's own permissions."""

    def redeem(self, tenant_id: str, auth_flow: AuthFlow, callback: Mapping[str, str]) -> TokenResponse:
        """Exchange the code of a callback for tokens.

        Raises:
            ConsentRequiredError: Microsoft refuses the code.
            InvalidInputError: the callback does not match the sign-in.
        """
