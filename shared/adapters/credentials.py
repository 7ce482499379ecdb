"""Build the credentials of the app for Azure and for Entra."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from shared.adapters.azure_errors import azure_errors
from shared.adapters.managed_identity import AppServiceIdentity
from shared.client_credential import ClientCertificate, ClientSecret
from shared.config import has_identity_endpoint
from shared.errors import ConfigurationError

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from shared.client_credential import ClientCredential


def azure_credential(identity_client_id: str | None) -> TokenCredential:
    """Return the managed identity in Azure, else the developer's sign-in."""
    if has_identity_endpoint():
        return AppServiceIdentity(identity_client_id)
    return DefaultAzureCredential(managed_identity_client_id=identity_client_id)


def object_id(credential: TokenCredential) -> str | None:
    """Return the object id in a token for storage, to record who acted.

    Returns None if the token can't be read. The token is not validated here, but by storage.

    Raises:
        ConfigurationError: `storage_denied`: nobody is signed in.
    """
    with azure_errors("storage_unavailable", "storage_denied", service="tables"):
        token = credential.get_token("https://storage.azure.com/.default").token
    try:
        found = jwt.decode(token, options={"verify_signature": False}).get("oid")
    except jwt.PyJWTError:
        return None
    return str(found) if found else None


def msal_credential(credential: ClientCredential) -> str | dict[str, Any]:
    """Return the app's credential in the form that MSAL expects.

    The managed identity of the app registration can be another one than that for storage and vault.

    Raises:
        ConfigurationError: `setting_invalid`, for a certificate file that can't be used.
    """
    if isinstance(credential, ClientSecret):
        return credential.value
    if isinstance(credential, ClientCertificate):
        return _certificate(Path(credential.path))
    identity = _managed_identity(credential.client_id)
    return {"client_assertion": functools.partial(_assertion, identity, f"{credential.audience}/.default")}


def credential_problems(credential: ClientCredential) -> tuple[ConfigurationError, ...]:
    """Return what is wrong with a certificate file on this machine.

    Other credentials can't be checked locally.
    """
    try:
        msal_credential(credential)
    except ConfigurationError as error:
        return (error,)
    return ()


def _managed_identity(client_id: str) -> TokenCredential:
    if has_identity_endpoint():
        return AppServiceIdentity(client_id)
    return ManagedIdentityCredential(client_id=client_id)


def _assertion(identity: TokenCredential, scope: str) -> str:
    """Get a client assertion for the app from the managed identity.

    MSAL calls this only when it sends a request. A refusal may be temporary, because not every host knows an
    identity that was just assigned.
    """
    try:
        with azure_errors("identity_unavailable", "client_credential_refused", error="managed_identity"):
            return identity.get_token(scope).token
    except ConfigurationError as error:
        error.replicating = "credential"
        raise


def _certificate(path: Path) -> dict[str, Any]:
    """Read a certificate and its private key from one file.

    The file is PEM or PFX, without a password. MSAL computes the SHA-256 thumbprint of the certificate,
    because it is given none.
    """
    try:
        content = path.read_bytes()
        key, certificates = _read_pem(content) if b"-----BEGIN" in content else _read_pfx(content)
        own = _certificate_of(key, certificates)
    except (OSError, ValueError, TypeError, AttributeError, UnsupportedAlgorithm) as error:
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


def _certificate_of(key: Any, certificates: list[x509.Certificate]) -> x509.Certificate:  # noqa: ANN401 - any key
    """Return the certificate of a private key.

    Raises:
        ValueError: there is none, or Entra does not accept this type of key.
    """
    if isinstance(key, RSAPrivateKey):
        for certificate in certificates:
            if certificate.public_key() == key.public_key():
                return certificate
    raise ValueError("no certificate for an RSA key")


def _read_pem(content: bytes) -> tuple[Any, list[x509.Certificate]]:
    return load_pem_private_key(content, None), x509.load_pem_x509_certificates(content)


def _read_pfx(content: bytes) -> tuple[Any, list[x509.Certificate]]:
    key, own, others = pkcs12.load_key_and_certificates(content, None)
    return key, [*([own] if own else []), *others]
