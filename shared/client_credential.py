"""Define how the app authenticates to Entra. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """Authenticate with a client secret."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """Authenticate with a certificate file and its private key (PEM or PFX)."""

    path: str


@dataclass(frozen=True, slots=True)
class FederatedIdentity:
    """Authenticate with a user-assigned managed identity, without a secret."""

    client_id: str
    audience: str


type ClientCredential = ClientSecret | ClientCertificate | FederatedIdentity
