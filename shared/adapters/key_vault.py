"""Azure Key Vault: tokens, one secret a consent.

A name is used once, so a deleted secret that is still recoverable is never in the way. Other apps may
share the vault, so each secret carries the client id of our app registration.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.keyvault.secrets import SecretClient

from shared.adapters.azure_errors import translated
from shared.errors import ConflictError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from datetime import datetime

    from azure.core.credentials import TokenCredential
    from azure.keyvault.secrets import DeletedSecret

#: Deletion usually takes a few seconds; somebody waits for the answer.
_TIME_TO_DELETE = timedelta(seconds=8)
_NOT_ALLOWED = frozenset({403, 409})
_APP = "app-registration"
_TIMEOUTS: dict[str, Any] = {"connection_timeout": 5, "read_timeout": 10, "retry_total": 2}


class KeyVaultTokenStore:
    """Tokens as secrets of a vault."""

    def __init__(
        self,
        vault_url: str,
        client_id: str,
        credential: TokenCredential,
        time_to_delete: timedelta = _TIME_TO_DELETE,
    ) -> None:
        self._tags = {_APP: client_id}
        self._time_to_delete = time_to_delete
        self._client = SecretClient(vault_url, credential, **_TIMEOUTS)

    def read(self, name: str) -> str | None:
        """Return what is kept, or None."""
        with _errors():
            try:
                return self._client.get_secret(name).value
            except ResourceNotFoundError:
                return None

    def write(self, name: str, tokens: str) -> None:
        """Keep tokens.

        Raises:
            ConflictError: `consent_superseded`: what had this name was deleted and is recoverable.
        """
        with _errors():
            try:
                self._client.set_secret(name, tokens, content_type="application/json", tags=self._tags)
            except ResourceExistsError as error:
                raise ConflictError("consent_superseded") from error

    def delete(self, name: str) -> datetime | None:
        """Delete tokens, for good where the vault allows it, and return until when they are recoverable.

        A name is gone from the vault a few seconds before it can be purged.
        https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview
        """
        with _errors():
            try:
                poller = self._client.begin_delete_secret(name)
                poller.wait(self._time_to_delete.total_seconds())
                if not poller.done():
                    return poller.result().scheduled_purge_date
                return self._purge(poller.result())
            except (ResourceNotFoundError, ResourceExistsError):
                # The second says that somebody else is deleting it just now.
                return None

    def names(self, tenant_id: str) -> tuple[str, ...]:
        """Return the names of all tokens that this app registration keeps for a tenant."""
        with _errors():
            found = [
                secret.name
                for secret in self._client.list_properties_of_secrets()
                if self._tags.items() <= (secret.tags or {}).items()
            ]
        return tuple(name for name in found if name and name.startswith(f"smtp-{tenant_id}-"))

    def _purge(self, deleted: DeletedSecret) -> datetime | None:
        """Purge protection and a role without the right to purge both refuse it; neither is an error."""
        try:
            self._client.purge_deleted_secret(str(deleted.name))
        except HttpResponseError as error:
            if error.status_code not in _NOT_ALLOWED:
                raise
            return deleted.scheduled_purge_date
        return None


def _errors() -> AbstractContextManager[None]:
    return translated("key_vault_unavailable", "key_vault_denied")
