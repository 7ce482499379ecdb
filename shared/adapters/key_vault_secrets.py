"""Read to whom a secret belongs, and if it can be recovered. Pure."""

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

    A secret without tags was written by an older version, and is accepted.

    Raises:
        OtherInstallationError: the tokens belong to another installation.
    """
    found = tags_of(ours) | dict(tags or {})
    theirs = Installation(found[APP], found[ACCOUNT])
    if theirs != ours:
        raise other_installation(ours, theirs)


def deleted_tokens(secret: DeletedSecret, name: str) -> DeletedTokens:
    """Describe a deleted secret.

    It has no date if the vault keeps no deleted secrets.
    """
    return DeletedTokens(
        name,
        recoverable_until=secret.scheduled_purge_date,
        purgeable="Purgeable" in (secret.properties.recovery_level or ""),
    )
