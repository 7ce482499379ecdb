"""What the operator sets: the app settings, read once from the environment.

The only module that reads `os.environ`. What a tenant's admin decides is `settings/`, not this.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from shared.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

OFFICE365 = "Office365"


@dataclass(frozen=True, slots=True)
class Cloud:
    """Hosts of one Microsoft cloud.

    https://learn.microsoft.com/graph/deployments and, for China's sign-in host,
    https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud.
    """

    authority_host: str
    graph_endpoint: str
    token_exchange_audience: str


CLOUDS: dict[str, Cloud] = {
    "global": Cloud(
        "https://login.microsoftonline.com", "https://graph.microsoft.com", "api://AzureADTokenExchange"
    ),
    "usgov": Cloud(
        "https://login.microsoftonline.us", "https://graph.microsoft.us", "api://AzureADTokenExchangeUSGov"
    ),
    "usdod": Cloud(
        "https://login.microsoftonline.us",
        "https://dod-graph.microsoft.us",
        "api://AzureADTokenExchangeUSGov",
    ),
    "china": Cloud(
        "https://login.partner.microsoftonline.cn",
        "https://microsoftgraph.chinacloudapi.cn",
        "api://AzureADTokenExchangeChina",
    ),
}


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


@dataclass(frozen=True, slots=True)
class StorageConfig:
    """Where tables, queues and blobs are: a connection string, or service addresses and an identity."""

    connection_string: str | None = field(default=None, repr=False)
    table_uri: str = ""
    queue_uri: str = ""
    blob_uri: str = ""
    client_id: str | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> StorageConfig:
        """Read the storage settings alone, so that a mail can be kept while others are wrong.

        Raises:
            ConfigurationError: a setting is missing or wrong; it names the setting.
        """
        env = _Environment(environ)
        connection_string = env.text("AzureWebJobsStorage", "")
        if connection_string:
            return cls(connection_string)
        return cls(
            table_uri=env.url("AzureWebJobsStorage__tableServiceUri"),
            queue_uri=env.url("AzureWebJobsStorage__queueServiceUri"),
            blob_uri=env.url("AzureWebJobsStorage__blobServiceUri"),
            client_id=env.text("AzureWebJobsStorage__clientId", "") or None,
        )


@dataclass(frozen=True, slots=True)
class AppConfig:
    """What the operator decides about sending.

    Attributes:
        graph_resource: what Entra calls this cloud's Graph in a scope, wherever its requests go.
    """

    entra_tenant_id: str
    entra_client_id: str
    credential: ClientCredential
    authority_host: str
    graph_endpoint: str
    graph_resource: str
    allowed_tenant_ids: frozenset[str]
    api_audience: str
    admin_role: str
    public_base_url: str
    frontend_origins: tuple[str, ...]
    key_vault_url: str
    identity_client_id: str | None
    on_unknown_outcome: Literal["hold", "resend"]
    mailbox_message_limit_mb: int
    delivery_retention_days: int

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> AppConfig:
        """Read and check every setting.

        Raises:
            ConfigurationError: a setting is missing or wrong; it names the setting.
        """
        env = _Environment(environ)
        if env.text("SMTP_PROVIDER", "") != OFFICE365:
            raise ConfigurationError("smtp_provider_not_office365")
        cloud = CLOUDS[env.one_of("MICROSOFT_CLOUD", tuple(CLOUDS), "global")]
        home = env.text("ENTRA_TENANT_ID").lower()
        identity = env.text("ENTRA_MANAGED_IDENTITY_CLIENT_ID", "")
        return cls(
            entra_tenant_id=home,
            entra_client_id=env.text("ENTRA_CLIENT_ID").lower(),
            credential=_credential(env, cloud),
            authority_host=env.url("ENTRA_AUTHORITY_HOST", cloud.authority_host),
            graph_endpoint=env.url("GRAPH_ENDPOINT", cloud.graph_endpoint),
            graph_resource=cloud.graph_endpoint,
            allowed_tenant_ids=frozenset(tenant.lower() for tenant in env.items("ALLOWED_TENANT_IDS", home)),
            api_audience=env.text("API_AUDIENCE"),
            admin_role=env.text("ADMIN_ROLE", "Workspace.Admin"),
            public_base_url=env.url("PUBLIC_BASE_URL"),
            frontend_origins=env.origins("FRONTEND_ORIGINS"),
            key_vault_url=env.url("KEY_VAULT_URL"),
            identity_client_id=env.text("AzureWebJobsStorage__clientId", "") or identity or None,
            on_unknown_outcome=_on_unknown_outcome(env),
            mailbox_message_limit_mb=env.number("MAILBOX_MESSAGE_LIMIT_MB", 35, 1, 210),
            delivery_retention_days=env.number("DELIVERY_RETENTION_DAYS", 90, 1, 3650),
        )

    def authority(self, tenant_id: str) -> str:
        """The Entra authority of one tenant."""
        return f"{self.authority_host}/{tenant_id}"


class _Environment:
    """Typed reads that fail with the setting's name."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str, default: str | None = None) -> str:
        value = self._values.get(name, "").strip()
        if value:
            return value
        if default is None:
            raise ConfigurationError("setting_missing", setting=name)
        return default

    def items(self, name: str, default: str | None = None) -> tuple[str, ...]:
        found = tuple(item for part in self.text(name, default).split(",") if (item := part.strip()))
        if not found:
            raise ConfigurationError("setting_invalid", setting=name, reason="it names nothing")
        return found

    def origins(self, name: str) -> tuple[str, ...]:
        """Read origins as browsers send them (RFC 6454 section 6.2); `*` is none."""
        found = self.items(name)
        for origin in found:
            parts = urlsplit(origin)
            if not parts.hostname or origin != f"https://{parts.hostname}{_port(parts.netloc)}":
                raise ConfigurationError(
                    "setting_invalid",
                    setting=name,
                    reason="use origins such as https://inforiver.contoso.com",
                )
        return found

    def one_of(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.text(name, default).lower()
        if value not in allowed:
            raise ConfigurationError(
                "setting_invalid", setting=name, reason=f"use one of {', '.join(allowed)}"
            )
        return value

    def number(self, name: str, default: int, low: int, high: int) -> int:
        value = self.text(name, str(default))
        if not value.isdecimal() or not low <= int(value) <= high:
            raise ConfigurationError(
                "setting_invalid", setting=name, reason=f"use a whole number from {low} to {high}"
            )
        return int(value)

    def url(self, name: str, default: str | None = None) -> str:
        value = self.text(name, default).rstrip("/")
        parts = urlsplit(value)
        if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
            raise ConfigurationError("setting_invalid", setting=name, reason="use an https address")
        return value


def _port(netloc: str) -> str:
    _, colon, port = netloc.partition(":")
    return f":{port}" if colon and port.isdecimal() else ""


def _credential(env: _Environment, cloud: Cloud) -> ClientCredential:
    names = ("ENTRA_CLIENT_SECRET", "ENTRA_CLIENT_CERTIFICATE_PATH", "ENTRA_MANAGED_IDENTITY_CLIENT_ID")
    given = [name for name in names if env.text(name, "")]
    if not given:
        raise ConfigurationError("setting_missing", setting=" or ".join(names))
    if len(given) > 1:
        raise ConfigurationError(
            "setting_invalid", setting=" and ".join(given), reason="set one client credential, not several"
        )
    value = env.text(given[0])
    if given[0] == "ENTRA_CLIENT_SECRET":
        return ClientSecret(value)
    if given[0] == "ENTRA_CLIENT_CERTIFICATE_PATH":
        return ClientCertificate(value)
    return FederatedIdentity(value, cloud.token_exchange_audience)


def _on_unknown_outcome(env: _Environment) -> Literal["hold", "resend"]:
    return "resend" if env.one_of("ON_UNKNOWN_OUTCOME", ("hold", "resend"), "hold") == "resend" else "hold"
