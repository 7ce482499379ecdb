"""Declare the ports of the settings; `adapters/` implements them.

Every method may raise TransientError (the service is unavailable) and ConfigurationError (it refuses the
app, or a setting is missing); only further errors are named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from shared.settings.tenant import Consent, TenantSettings


class SettingsStore(Protocol):
    """Stores one row per tenant."""

    def load(self, tenant_id: str) -> TenantSettings:
        """Return the tenant's settings; unconfigured ones where nothing is stored."""

    def save(self, settings: TenantSettings) -> TenantSettings:
        """Write the settings if unchanged; return them with their new ETag.

        Raises:
            PreconditionFailedError: `settings_changed`.
        """

    def tenants(self) -> tuple[str, ...]:
        """Return every tenant that has settings."""

    def remove(self, tenant_id: str) -> None:
        """Remove a tenant's settings.

        The last version is kept, so that none is used twice.
        """


class AccessTokens(Protocol):
    """Gets the access token to send a tenant's mail."""

    def get(
        self,
        tenant_id: str,
        consent: Consent,
        *,
        fresh: bool = False,
        refused: str | None = None,
        claims: str | None = None,
    ) -> str:
        """Return an access token other than the one that Graph `refused`.

        `fresh` always requests a new one from Entra. `claims` is the claims challenge that Graph returned.

        Raises:
            ConsentRequiredError: an admin must consent again.
        """
