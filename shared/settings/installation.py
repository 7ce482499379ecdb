"""Identify an installation: app registration and storage account. Pure.

One of the two alone does not identify an installation: two installations can use the same app registration
and vault, or, because of a wrong setting, the same storage account.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Installation:
    """One installation.

    `storage_account` is the name of the account that holds its tables.
    """

    client_id: str
    storage_account: str


class OtherInstallationError(ConfigurationError):
    """What was to be changed belongs to another installation."""

    def __init__(self, *, ours: str, theirs: str, **params: str) -> None:
        super().__init__("other_installation", ours=ours, theirs=theirs, **params)


def other_installation(ours: Installation, theirs: Installation) -> OtherInstallationError:
    """Return the error that names both installations.

    It names the storage accounts only if the app registration is the same.
    """
    if ours.client_id != theirs.client_id:
        return OtherInstallationError(ours=ours.client_id, theirs=theirs.client_id)
    return OtherInstallationError(ours=_with_account(ours), theirs=_with_account(theirs))


def _with_account(installation: Installation) -> str:
    return f"{installation.client_id} with the storage account {installation.storage_account}"
