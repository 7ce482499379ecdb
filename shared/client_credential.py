"""How the app proves itself to Entra, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """Prove the app by a client secret."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """Prove the app by a certificate file with its private key (PEM or PFX)."""

    path: str


@dataclass(frozen=True, slots=True)
class FederatedIdentity:
    """Prove the app by a user-assigned managed identity, without any secret."""

    client_id: str
    audience: str


type ClientCredential = ClientSecret | ClientCertificate | FederatedIdentity
