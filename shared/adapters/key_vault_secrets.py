"""Read a secret's tags: whose tokens it holds, whether recoverable. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.consent.ports import DeletedTokens
from shared.settings.installation import Installation, other_installation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from azure.keyvault.secrets import DeletedSecret

#: The tags that hold the client id of the app registration that wrote a secret, and its storage account.
APP: Final = "app-registration"
ACCOUNT: Final = "storage-account"


def tags_of(installation: Installation) -> dict[str, str]:
    """Return the tags that mark the secrets of an installation."""
    return {APP: installation.client_id, ACCOUNT: installation.storage_account}


def check_owner(tags: Mapping[str, str] | None, ours: Installation) -> None:
    """Refuse another installation's tokens.

    A secret without a tag is older than the tag.

    Raises:
        OtherInstallationError: it names both.
    """
    found = tags_of(ours) | dict(tags or {})
    theirs = Installation(found[APP], found[ACCOUNT])
    if theirs != ours:
        raise other_installation(ours, theirs)


def deleted_tokens(secret: DeletedSecret, name: str) -> DeletedTokens:
    """Read a deleted secret.

    Without a date and a recovery id the vault retains nothing that is deleted.
    """
    return DeletedTokens(
        name,
        recoverable_until=secret.scheduled_purge_date,
        purgeable="Purgeable" in (secret.properties.recovery_level or ""),
    )
