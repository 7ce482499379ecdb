"""What the journeys need from the outside, in our words; `adapters/` provides it.

Every method may raise TransientError (the outside is away for a while) and ConfigurationError (it
refuses us, or a setting is missing); only further errors are named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.consent.flow import ConsentFlow, FlowSecret
    from shared.settings.tenant import Account, Consent, TenantSettings


class SettingsStore(Protocol):
    """Keeps one row a tenant."""

    def load(self, tenant_id: str) -> TenantSettings:
        """Return the tenant's settings; unconfigured ones where nothing is stored."""

    def save(self, settings: TenantSettings) -> TenantSettings:
        """Write the settings if they are still the ones that were read, and return them with their new ETag.

        Raises:
            PreconditionFailedError: `settings_changed`.
        """

    def tenants(self) -> tuple[str, ...]:
        """Return every tenant that has settings."""

    def remove(self, tenant_id: str) -> None:
        """Remove a tenant's settings; the number of generations stays, so that none is used twice."""


class FlowStore(Protocol):
    """Keeps consents under way: a row anybody may know, and a row of secrets that is used once."""

    def add(self, flow: ConsentFlow, secret: FlowSecret) -> None:
        """Keep a new flow."""

    def flow(self, flow_id: str) -> ConsentFlow | None:
        """Return a flow, or None where there is none."""

    def forget(self, before: datetime) -> None:
        """Delete every flow that expired before a moment, with its secrets."""

    def of_tenant(self, tenant_id: str) -> tuple[str, ...]:
        """Return the ids of a tenant's flows."""

    def remove(self, flow_id: str) -> None:
        """Delete a flow with its secrets; one that is gone already is no error."""

    def save(self, flow: ConsentFlow) -> None:
        """Write how a flow stands."""

    def secret(self, flow_id: str) -> FlowSecret | None:
        """Return the secrets of a flow, or None where they were used."""

    def replace_secret(self, secret: FlowSecret) -> bool:
        """Write secrets whose ETag is still the stored one, or None where none is; say whether they were."""

    def take_secret(self, secret: FlowSecret) -> bool:
        """Delete the secrets if they are still the ones that were read; say whether they were."""

    def undecided(self, before: datetime) -> Iterable[FlowSecret]:
        """Return the secrets whose `expires_at` is before a moment: consents that nobody decided about."""


@dataclass(frozen=True, slots=True)
class DeletedTokens:
    """Tokens that are deleted and that whoever may do that in the vault can bring back.

    Attributes:
        recoverable_until: when the vault deletes them for good; None where it keeps nothing that is deleted.
        purgeable: whether they can be deleted for good before.
    """

    name: str
    recoverable_until: datetime | None
    purgeable: bool


class TokenStore(Protocol):
    """Keeps tokens encrypted at rest, each set under a name that is used once."""

    def read(self, name: str) -> str | None:
        """Return what is kept, or None."""

    def write(self, name: str, tokens: str, *, new: bool = False) -> None:
        """Keep tokens; `new`: this installation has not used the name before.

        Raises:
            ConflictError: `consent_superseded`: the name is taken, or was, and is recoverable.
        """

    def disable_older_versions(self, name: str) -> None:
        """Make what was written under a name before the newest tokens unreadable."""

    def delete(self, name: str) -> datetime | None:
        """Delete tokens for good; those that are gone already are no error.

        Where the vault keeps what is deleted, return until when. A TransientError says that they may be there
        still.
        """

    def recoverable(self) -> tuple[DeletedTokens, ...]:
        """Return all tokens that are deleted and recoverable."""

    def purge(self, name: str) -> None:
        """Delete tokens for good that are deleted already; those that are gone are no error."""

    def names(self) -> tuple[str, ...]:
        """Return the names of all tokens that are kept."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in about to begin: where the browser goes, and what proves the answer to be ours."""

    address: str
    proof: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What a code was exchanged for. The claims of the ID token are not checked yet."""

    claims: Mapping[str, Any]
    scopes: frozenset[str]
    tokens: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Issued:
    """An access token, and the tokens to keep from now on.

    Attributes:
        scopes: the permissions that the token names; None where nobody but Microsoft can read them.
        username, email: the account's present names; empty where the answer does not say them.
    """

    access_token: str = field(repr=False)
    expires_at: datetime
    scopes: frozenset[str] | None
    tokens: str = field(repr=False)
    username: str = ""
    email: str = ""


class AppTokens(Protocol):
    """Gives access tokens of the app itself."""

    def app_only(self, tenant_id: str, *, claims: str | None = None) -> Issued:
        """Get an access token for the app itself; there are no tokens to keep.

        `scopes` is empty where the permissions are not Entra's but Exchange's (RBAC for Applications).

        Raises:
            ConsentRequiredError: the tenant's admin did not consent, or took it back.
        """


class TokenIssuer(AppTokens, Protocol):
    """Gives access tokens for kept ones."""

    def refresh(
        self,
        tenant_id: str,
        tokens: str,
        account: Account,
        scopes: Iterable[str],
        *,
        claims: str | None = None,
    ) -> Issued:
        """Get a fresh access token.

        Raises:
            ConsentRequiredError: Microsoft no longer accepts the kept tokens.
        """


class Authorizer(TokenIssuer, Protocol):
    """Has a person sign in and consent."""

    def begin(
        self, tenant_id: str, scopes: Iterable[str], state: str, login_hint: str, *, ask_again: bool = False
    ) -> SignIn:
        """Prepare a sign-in; `ask_again` shows the consent page even for what was consented to before."""

    def begin_admin_consent(self, tenant_id: str, state: str) -> SignIn:
        """Prepare an admin's consent to the app's own permissions."""

    def redeem(self, tenant_id: str, proof: Mapping[str, Any], reply: Mapping[str, str]) -> Redeemed:
        """Exchange the code of a reply for tokens.

        Raises:
            ConsentRequiredError: Microsoft refuses the code.
            InvalidInputError: the reply does not fit the sign-in.
        """


class AccessTokens(Protocol):
    """Gives the access token that sends a tenant's mail."""

    def get(
        self,
        tenant_id: str,
        consent: Consent,
        *,
        fresh: bool = False,
        refused: str | None = None,
        claims: str | None = None,
    ) -> str:
        """Return an access token, another one than Graph `refused`; `fresh` has Entra asked in any case.

        `claims`: what Graph's claims challenge wants in it.

        Raises:
            ConsentRequiredError: an admin must consent again.
        """


class CallerTokens(Protocol):
    """Checks the access tokens that callers of the API present."""

    def verify(self, token: str) -> Mapping[str, Any]:
        """Return the claims of a valid token.

        Raises:
            UnauthenticatedError: it is not one.
            ForbiddenError: it is one of a tenant that is not served.
        """
