"""The identity of the app itself, towards Azure and towards Entra."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from shared.config import ClientCertificate, ClientSecret
from shared.errors import ConfigurationError, TransientError

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from shared.config import ClientCredential


def azure_credential(identity_client_id: str | None) -> TokenCredential:
    """Return the managed identity in Azure, and the developer's own sign-in on a laptop."""
    return DefaultAzureCredential(managed_identity_client_id=identity_client_id)


def msal_credential(credential: ClientCredential) -> str | dict[str, Any]:
    """Return the app's credential as MSAL takes it.

    The managed identity that vouches for the app is its own, whichever one reads storage and vault.

    Raises:
        ConfigurationError: `setting_invalid`, for a certificate file that can't be used.
    """
    if isinstance(credential, ClientSecret):
        return credential.value
    if isinstance(credential, ClientCertificate):
        return _certificate(Path(credential.path))
    identity = ManagedIdentityCredential(client_id=credential.client_id)
    return {"client_assertion": functools.partial(_assertion, identity, f"{credential.audience}/.default")}


def _assertion(identity: TokenCredential, scope: str) -> str:
    """Let the managed identity vouch for the app; MSAL asks only when it sends a request."""
    try:
        return identity.get_token(scope).token
    except ClientAuthenticationError as error:
        raise ConfigurationError("client_credential_refused", error="managed_identity") from error
    except AzureError as error:
        # Nobody refused anything: the identity's endpoint did not answer.
        raise TransientError("entra_unavailable") from error


def _certificate(path: Path) -> dict[str, Any]:
    """Read a certificate and its private key from one PEM or PFX file without a password.

    MSAL is given no thumbprint, so it takes the SHA-256 one of the certificate.
    """
    try:
        content = path.read_bytes()
        key, certificates = _read_pem(content) if b"-----BEGIN" in content else _read_pfx(content)
        # Entra takes client assertions that an RSA key signed, and no others.
        own = next(
            found
            for found in certificates
            if found.public_key() == key.public_key() and isinstance(key, RSAPrivateKey)
        )
    except (OSError, ValueError, TypeError, AttributeError, StopIteration) as error:
        raise ConfigurationError(
            "setting_invalid",
            setting="ENTRA_CLIENT_CERTIFICATE_PATH",
            reason="name a readable PEM or PFX file that holds the certificate and its RSA "
            "private key, without a password",
        ) from error
    plain = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "private_key": key.private_bytes(*plain).decode(),
        "public_certificate": own.public_bytes(Encoding.PEM).decode(),
    }


def _read_pem(content: bytes) -> tuple[Any, list[x509.Certificate]]:
    return load_pem_private_key(content, None), x509.load_pem_x509_certificates(content)


def _read_pfx(content: bytes) -> tuple[Any, list[x509.Certificate]]:
    key, own, others = pkcs12.load_key_and_certificates(content, None)
    return key, [*([own] if own else []), *others]
