"""Store tokens in Azure Key Vault, one secret per consent.

A name is used once, so a deleted secret that is still recoverable never conflicts. Other apps may share the
vault, so each secret is tagged with this installation.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.keyvault.secrets import ApiVersion, SecretClient

from shared.adapters.bounded_transport import bounded_transport
from shared.adapters.key_vault_errors import (
    NAME_TAKEN,
    UNAVAILABLE,
    check_absent,
    key_vault_errors,
    vault_code,
)
from shared.adapters.key_vault_requests import ShortRetries, check_page, count_tries
from shared.adapters.key_vault_secrets import check_owner, deleted_tokens, tags_of
from shared.errors import ConflictError, ProblemError, TransientError
from shared.telemetry import log_failed_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.core.credentials import TokenCredential
    from azure.keyvault.secrets import SecretProperties

    from shared.consent.ports import DeletedTokens
    from shared.settings.installation import Installation

#: Entra accepts a refresh token for this long after it was issued, used or not; it can't be configured.
#: https://learn.microsoft.com/entra/identity-platform/refresh-tokens#token-lifetime
REFRESH_TOKEN_LIFETIME = timedelta(days=90)
#: How long to wait for a deletion. It normally takes a few seconds, and a person may be waiting for the
#: response.
_TIME_TO_DELETE = timedelta(seconds=8)
_POLLS = 8
#: A version that every cloud has. The SDK's default is newer than what some sovereign clouds have.
API_VERSION = ApiVersion.V7_4
_TIMEOUTS: dict[str, Any] = {"connection_timeout": 5, "read_timeout": 10}


def _utc_now() -> datetime:
    return datetime.now(UTC)


class KeyVaultTokenStore:
    """Stores tokens as secrets of a vault.

    Each secret expires when its refresh token does. The vault still returns an expired secret; the date is
    for monitoring of the vault.
    """

    def __init__(
        self,
        vault_url: str,
        installation: Installation,
        credential: TokenCredential,
        time_to_delete: timedelta = _TIME_TO_DELETE,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._now = now
        self._installation = installation
        self._tags = tags_of(installation)
        self._time_to_delete = time_to_delete.total_seconds()
        self._client = SecretClient(
            vault_url,
            credential,
            api_version=API_VERSION,
            retry_policy=ShortRetries(),
            transport=bounded_transport(_TIMEOUTS),
            **_TIMEOUTS,
        )

    def read(self, name: str) -> str | None:
        """Return the tokens; None if the vault says that there are none."""
        with key_vault_errors():
            try:
                secret = self._client.get_secret(name)
            except ResourceNotFoundError as error:
                check_absent(error)
                return None
        check_owner(secret.properties.tags, self._installation)
        if secret.value is None:
            # A response without a secret; for a missing one the vault answers 404.
            raise TransientError(UNAVAILABLE)
        return secret.value

    def write(self, name: str, tokens: str, *, new: bool = False) -> None:
        """Store tokens; `new` says that the name was never used before.

        Raises:
            ConflictError: `consent_superseded`: a secret with this name was deleted and is recoverable, or
                has no tag, so that it may belong to another installation with the same app registration.
            OtherInstallationError: another installation uses the name.
        """
        versions = self._check_versions(name)
        if new and not all(self._is_ours(found.tags) for found in versions):
            raise ConflictError("consent_superseded")
        with key_vault_errors():
            try:
                self._client.set_secret(
                    name,
                    tokens,
                    content_type="application/json",
                    tags=self._tags,
                    expires_on=self._now() + REFRESH_TOKEN_LIFETIME,
                )
            except ResourceExistsError as error:
                if vault_code(error) not in NAME_TAKEN:
                    raise
                raise ConflictError("consent_superseded") from error

    def disable_older_versions(self, name: str) -> None:
        """Disable all versions but the newest; old tokens may still be valid.

        Versions of the same second as the newest stay enabled until the next run: the vault does not say
        which of these it returns to a reader.
        """
        versions = self._versions(name)
        with key_vault_errors():
            newest = max((found.created_on for found in versions if found.created_on), default=None)
            for found in versions:
                if newest and found.enabled and found.created_on and found.created_on < newest:
                    self._client.update_secret_properties(name, found.version, enabled=False)

    def delete(self, name: str) -> datetime | None:
        """Delete and, where allowed, purge tokens; return the recovery date.

        A deletion is accepted at once and completes later; only then can the secret be purged.

        https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview

        Raises:
            TransientError: it is not known whether the tokens are deleted.
            OtherInstallationError: the tokens belong to another installation, and are not deleted.
        """
        self._check_versions(name)
        tries: list[int] = []
        with key_vault_errors():
            try:
                accepted = self._client.begin_delete_secret(
                    name, raw_response_hook=count_tries(tries)
                ).result()
            except ResourceNotFoundError as error:
                check_absent(error)
                return self._delete_again(name, may_be_deleting=any(tries))
            except ResourceExistsError:
                # The secret is being deleted already, by another caller or by an earlier request of this one
                # to which the response was lost.
                return self._delete_again(name, may_be_deleting=True)
        if accepted.name is None:
            raise TransientError(UNAVAILABLE)
        return self._purge_if_allowed(deleted_tokens(accepted, name))

    def recoverable(self) -> tuple[DeletedTokens, ...]:
        """Return this installation's deleted, recoverable tokens."""
        with key_vault_errors():
            return tuple(
                deleted_tokens(found, found.name)
                for found in self._client.list_deleted_secrets(raw_response_hook=check_page)
                if found.name and self._is_ours(found.properties.tags)
            )

    def purge(self, name: str) -> None:
        """Purge deleted tokens; those that do not exist are no error."""
        with key_vault_errors():
            try:
                self._client.purge_deleted_secret(name)
            except ResourceNotFoundError as error:
                check_absent(error)

    def names(self) -> tuple[str, ...]:
        """Return the names of all tokens that carry this installation's tag."""
        with key_vault_errors():
            return tuple(
                found.name
                for found in self._client.list_properties_of_secrets(raw_response_hook=check_page)
                if found.name and self._is_ours(found.tags)
            )

    def _check_versions(self, name: str) -> list[SecretProperties]:
        """Refuse a name that another installation uses; else return its versions."""
        versions = self._versions(name)
        for found in versions:
            check_owner(found.tags, self._installation)
        return versions

    def _versions(self, name: str) -> list[SecretProperties]:
        """List the versions of a secret; none if it does not exist."""
        with key_vault_errors():
            try:
                return list(
                    self._client.list_properties_of_secret_versions(name, raw_response_hook=check_page)
                )
            except ResourceNotFoundError as error:
                check_absent(error)
                return []

    def _is_ours(self, tags: dict[str, str] | None) -> bool:
        return self._tags.items() <= (tags or {}).items()

    def _delete_again(self, name: str, *, may_be_deleting: bool) -> datetime | None:
        """Complete an earlier deletion, during which no list has the secret."""
        found = self._find_deleted(name, self._time_to_delete if may_be_deleting else 0)
        if found is None and may_be_deleting:
            raise TransientError(UNAVAILABLE)
        return self._purge_if_allowed(found) if found else None

    def _purge_if_allowed(self, deleted: DeletedTokens) -> datetime | None:
        """Purge if the recovery level allows it; failures are repeated daily.

        If purge protection forbids it, an attempt would be logged by the vault as a refusal, and cause an
        alert.
        """
        if not deleted.purgeable or deleted.recoverable_until is None:
            return deleted.recoverable_until
        try:
            if self._find_deleted(deleted.name, self._time_to_delete) is None:
                return deleted.recoverable_until
            self.purge(deleted.name)
        except ProblemError as error:
            log_failed_step("purge_tokens", error.code)
            return deleted.recoverable_until
        return None

    def _find_deleted(self, name: str, seconds: float) -> DeletedTokens | None:
        """Look for a secret among the deleted ones until the time is over."""
        deadline = time.monotonic() + seconds
        while True:
            with key_vault_errors():
                try:
                    return deleted_tokens(self._client.get_deleted_secret(name), name)
                except ResourceNotFoundError as error:
                    check_absent(error)
                except HttpResponseError as error:
                    if vault_code(error) != "SecretDisabled":
                        raise
                    # The list includes disabled secrets, which a direct read refuses.
                    return next((found for found in self.recoverable() if found.name == name), None)
            if time.monotonic() >= deadline:
                return None
            time.sleep(min(seconds / _POLLS, 1.0))
