"""The identity of the app itself, towards Azure and towards Entra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azure.core.exceptions import ClientAuthenticationError
from azure.identity import DefaultAzureCredential

from shared.config import ClientCertificate, ClientSecret
from shared.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.core.credentials import TokenCredential

    from shared.config import ClientCredential


def azure_credential(identity_client_id: str | None) -> TokenCredential:
    """Return the managed identity in Azure, and the developer's own sign-in on a laptop."""
    return DefaultAzureCredential(managed_identity_client_id=identity_client_id)


def msal_credential(
    credential: ClientCredential, identity: Callable[[], TokenCredential]
) -> str | dict[str, Any]:
    """Return the app's credential as MSAL takes it.

    Raises:
        ConfigurationError: `setting_invalid`, for a certificate; they are not supported yet.
    """
    if isinstance(credential, ClientSecret):
        return credential.value
    if isinstance(credential, ClientCertificate):
        raise ConfigurationError(
            "setting_invalid",
            setting="ENTRA_CLIENT_CERTIFICATE_PATH",
            reason="certificates are not supported yet",
        )
    scope = f"{credential.audience}/.default"

    def assertion() -> str:
        try:
            return identity().get_token(scope).token
        except ClientAuthenticationError as error:
            raise ConfigurationError("client_credential_refused", error="managed_identity") from error

    return {"client_assertion": assertion}
