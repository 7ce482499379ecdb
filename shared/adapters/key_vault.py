"""Azure Key Vault: tokens, one secret a consent.

A name is used once, so a deleted secret that is still recoverable is never in the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azure.core.exceptions import ResourceNotFoundError
from azure.keyvault.secrets import SecretClient

from shared.adapters.azure_errors import translated

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from azure.core.credentials import TokenCredential

_TIMEOUTS: dict[str, Any] = {"connection_timeout": 5, "read_timeout": 10, "retry_total": 2}


class KeyVaultTokenStore:
    """Tokens as secrets of a vault."""

    def __init__(self, vault_url: str, credential: TokenCredential) -> None:
        self._client = SecretClient(vault_url, credential, **_TIMEOUTS)

    def read(self, name: str) -> str | None:
        """Return what is kept, or None."""
        with _errors():
            try:
                return self._client.get_secret(name).value
            except ResourceNotFoundError:
                return None

    def write(self, name: str, tokens: str) -> None:
        """Keep tokens."""
        with _errors():
            self._client.set_secret(name, tokens, content_type="application/json")

    def delete(self, name: str) -> None:
        """Delete tokens; those that are gone already are no error."""
        with _errors():
            try:
                self._client.begin_delete_secret(name)
            except ResourceNotFoundError:
                return


def _errors() -> AbstractContextManager[None]:
    return translated("key_vault_unavailable", "key_vault_denied")
