"""What a consent needs from storage, Key Vault and Entra; `adapters/` provides it.

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
    """Stores consents in progress: a public row, and one of secrets.

    The secrets are used once.
    """

    def add(self, flow: ConsentFlow, secret: FlowSecret) -> None:
        """Store a new flow."""

    def flow(self, flow_id: str) -> ConsentFlow | None:
        """Return a flow, or None where there is none."""

    def forget(self, before: datetime) -> None:
        """Delete every flow that expired before a moment, and its secrets."""

    def of_tenant(self, tenant_id: str) -> tuple[str, ...]:
        """Return the ids of a tenant's flows."""

    def remove(self, flow_id: str) -> None:
        """Delete a flow with its secrets; a missing one is no error."""

    def save(self, flow: ConsentFlow) -> None:
        """Store the state of a flow."""

    def secret(self, flow_id: str) -> FlowSecret | None:
        """Return the secrets of a flow, or None where they were used."""

    def replace_secret(self, secret: FlowSecret) -> bool:
        """Write secrets if their ETag is the stored one; say whether they were.

        None: none are stored.
        """

    def consume_secret(self, secret: FlowSecret) -> bool:
        """Delete the secrets if they are unchanged; say whether they were."""

    def undecided(self, before: datetime) -> Iterable[FlowSecret]:
        """Return secrets whose `expires_at` is before a moment.

        They belong to consents that nobody confirmed or refused.
        """


@dataclass(frozen=True, slots=True)
class DeletedTokens:
    """Deleted tokens that a person with that permission can recover.

    Attributes:
        recoverable_until: when the vault purges them; None if it retains nothing that is deleted.
        purgeable: whether they can be purged before.
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
            ConflictError: `consent_superseded`: the name is taken, or was, and is recoverable.
        """

    def disable_older_versions(self, name: str) -> None:
        """Make the older versions of a name's tokens unreadable."""

    def delete(self, name: str) -> datetime | None:
        """Delete tokens permanently; missing ones are no error.

        If the vault retains deleted tokens, return until when. After a TransientError they may still exist.
        """

    def recoverable(self) -> tuple[DeletedTokens, ...]:
        """Return all deleted, recoverable tokens."""

    def purge(self, name: str) -> None:
        """Purge deleted tokens; those that do not exist are no error."""

    def names(self) -> tuple[str, ...]:
        """Return the names of all stored tokens."""


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A sign-in to start: the next URL, and what validates its callback."""

    address: str
    proof: Mapping[str, Any] = field(repr=False)


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
        scopes: the permissions that the token names; None where only Microsoft can read them.
        username, email: the account's current names; empty where the response has none.
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

        `scopes` is empty where the permissions are not Entra's but Exchange's (RBAC for Applications).

        Raises:
            ConsentRequiredError: the tenant's admin did not consent, or revoked the consent.
        """


class TokenIssuer(AppTokens, Protocol):
    """Gets access tokens for stored ones."""

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
    """Lets a person sign in and consent."""

    def begin(
        self, tenant_id: str, scopes: Iterable[str], state: str, login_hint: str, *, ask_again: bool = False
    ) -> AuthorizationRequest:
        """Prepare a sign-in; `ask_again` always shows the consent page."""

    def begin_admin_consent(self, tenant_id: str, state: str) -> AuthorizationRequest:
        """Prepare an admin's consent to the app's own permissions."""

    def redeem(self, tenant_id: str, proof: Mapping[str, Any], reply: Mapping[str, str]) -> TokenResponse:
        """Exchange the code of a callback for tokens.

        Raises:
            ConsentRequiredError: Microsoft refuses the code.
            InvalidInputError: the callback does not match the sign-in.
        """
