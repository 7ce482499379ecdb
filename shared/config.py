"""Read the operator's app settings, once, from the environment.

This is the only module that reads `os.environ`. `settings/` has the settings that a tenant's admin decides.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from shared.app_settings_reader import AppSettingsReader, OtherProviderError
from shared.client_credential import ClientCertificate, ClientCredential, ClientSecret, FederatedIdentity
from shared.clouds import CLOUDS, Cloud
from shared.connection_string import CONNECTION_STRING_EXPECTED, account_at, account_in, is_connection_string
from shared.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

OFFICE365 = "Office365"
STORAGE_SERVICES = ("table", "queue", "blob")
#: The largest file, of 150 MB, has 200 MB in base64, and the rest of the mail needs room too.
MAX_MESSAGE_LIMIT_MB = 210
MAX_MESSAGES_PER_MINUTE = 1000


@dataclass(frozen=True, slots=True)
class StorageConfig:
    """How to connect: a connection string, or service URLs and an identity."""

    connection_string: str | None = field(default=None, repr=False)
    table_uri: str = ""
    queue_uri: str = ""
    blob_uri: str = ""
    client_id: str | None = None

    @classmethod
    def from_env(
        cls, environ: Mapping[str, str] = os.environ, services: Collection[str] = STORAGE_SERVICES
    ) -> StorageConfig:
        """Read only the settings of storage, even if other settings are wrong.

        `services` are the services whose URLs are read. So a queue can be used even if the URL of the tables
        is wrong.

        Raises:
            ConfigurationError: a setting is missing or wrong; the error names it.
        """
        env = AppSettingsReader(environ)
        found = _storage(env, services)
        env.check()
        return found

    @property
    def account(self) -> str:
        """The name of the storage account that holds the tables."""
        return account_in(self.connection_string) if self.connection_string else account_at(self.table_uri)


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    """The settings of the schedulers' command, as far as known here.

    Attributes:
        allowed_tenant_ids: the tenants that the installation serves; empty if not known here.
        public_base_url: the URL of the installation's API; empty if not known here.
    """

    storage: StorageConfig
    allowed_tenant_ids: frozenset[str]
    public_base_url: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> SchedulerConfig:
        """Read the settings of the command.

        Raises:
            ConfigurationError: a setting is missing or wrong; the error names it.
        """
        env = AppSettingsReader(environ)
        storage = _storage(env, ("queue", "blob"))
        config = cls(storage, env.guids("ALLOWED_TENANT_IDS", ""), env.url("PUBLIC_BASE_URL", ""))
        env.check()
        return config


@dataclass(frozen=True, slots=True)
class AppConfig:
    """The operator's settings of the app.

    Attributes:
        required_api_scope: the permission that every user's access token must have.
        allowed_client_ids: the clients whose tokens are accepted; if empty, those of any client.
        application_senders: the addresses that may send with the app's own permission; if empty, no tenant
            may.
        outcome_queues: the queues that a mail may name for its outcome.
        graph_resource: the name of this cloud's Graph in Entra's scopes, which does not depend on the
            endpoint.
        identity_client_id: the user-assigned identity that reads Key Vault; None for the system-assigned one.
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
    required_api_scope: str
    allowed_client_ids: frozenset[str]
    public_base_url: str
    frontend_origins: tuple[str, ...]
    key_vault_url: str
    identity_client_id: str | None
    on_unknown_outcome: Literal["hold", "resend"]
    mailbox_message_limit_mb: int
    delivery_retention_days: int
    mailbox_messages_per_minute: int = 0
    application_senders: tuple[str, ...] = ()
    outcome_queues: frozenset[str] = frozenset()

    @classmethod
    def from_env(
        cls, environ: Mapping[str, str] = os.environ, credential: ClientCredential | None = None
    ) -> AppConfig:
        """Read and validate every setting; `credential` replaces the one in them.

        Raises:
            ConfigurationError: a setting is missing or wrong; the error names it.
        """
        env = AppSettingsReader(environ)
        config = _read(env, credential)
        env.check()
        return config

    def authority(self, tenant_id: str) -> str:
        """Return the Entra authority of one tenant."""
        return f"{self.authority_host}/{tenant_id}"


def read_client_id(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return only the app's client id, even if other settings are wrong."""
    return AppSettingsReader(environ).guid("ENTRA_CLIENT_ID") or None


def check_settings(environ: Mapping[str, str] = os.environ) -> tuple[ConfigurationError, ...]:
    """Return everything that is wrong with the settings, with their names.

    If SMTP_PROVIDER names another provider, this is the only problem.
    """
    env = AppSettingsReader(environ)
    try:
        _read(env)
        _storage(env)
    except ConfigurationError as error:
        return (error,)
    return tuple(env.problems)


def _storage(env: AppSettingsReader, services: Collection[str] = STORAGE_SERVICES) -> StorageConfig:
    connection_string = env.text("AzureWebJobsStorage", "")
    if connection_string and not is_connection_string(connection_string, services):
        env.report_invalid("AzureWebJobsStorage", CONNECTION_STRING_EXPECTED)
    if env.is_set("AzureWebJobsStorage"):
        return StorageConfig(connection_string)
    return StorageConfig(
        table_uri=env.url("AzureWebJobsStorage__tableServiceUri") if "table" in services else "",
        queue_uri=env.url("AzureWebJobsStorage__queueServiceUri") if "queue" in services else "",
        blob_uri=env.url("AzureWebJobsStorage__blobServiceUri") if "blob" in services else "",
        client_id=env.guid("AzureWebJobsStorage__clientId", "") or None,
    )


def _read(env: AppSettingsReader, credential: ClientCredential | None = None) -> AppConfig:
    """Read every setting; afterwards `env.problems` has what is wrong.

    Raises:
        OtherProviderError: the deployment sends through another provider.
    """
    if env.text("SMTP_PROVIDER", "") != OFFICE365:
        raise OtherProviderError
    cloud = CLOUDS[env.one_of("MICROSOFT_CLOUD", tuple(CLOUDS), "global")]
    home = env.guid("ENTRA_TENANT_ID")
    config = AppConfig(
        entra_tenant_id=home,
        entra_client_id=env.guid("ENTRA_CLIENT_ID"),
        credential=credential or _credential(env, cloud),
        authority_host=env.host("ENTRA_AUTHORITY_HOST", cloud.authority_host),
        graph_endpoint=env.host("GRAPH_ENDPOINT", cloud.graph_endpoint),
        graph_resource=cloud.graph_endpoint,
        allowed_tenant_ids=_allowed_tenants(env, home),
        api_audience=env.guid("API_AUDIENCE"),
        admin_role=env.word("ADMIN_ROLE", "Workspace.Admin"),
        required_api_scope=env.word("REQUIRED_API_SCOPE", "settings"),
        allowed_client_ids=env.guids("ALLOWED_CLIENT_IDS", ""),
        public_base_url=env.url("PUBLIC_BASE_URL"),
        frontend_origins=env.origins("FRONTEND_ORIGINS"),
        key_vault_url=env.host("KEY_VAULT_URL"),
        identity_client_id=_vault_identity(env),
        on_unknown_outcome=_on_unknown_outcome(env),
        mailbox_message_limit_mb=env.number("MAILBOX_MESSAGE_LIMIT_MB", 35, 1, MAX_MESSAGE_LIMIT_MB),
        delivery_retention_days=env.number("DELIVERY_RETENTION_DAYS", 90, 1, 3650),
        mailbox_messages_per_minute=env.number("MAILBOX_MESSAGES_PER_MINUTE", 0, 0, MAX_MESSAGES_PER_MINUTE),
        application_senders=env.addresses("APPLICATION_SENDERS", ""),
        outcome_queues=env.queues("OUTCOME_QUEUES", ""),
    )
    env.check_names()
    return config


def _allowed_tenants(env: AppSettingsReader, home: str) -> frozenset[str]:
    found = env.guids("ALLOWED_TENANT_IDS", home)
    if home and home not in found:
        env.report_invalid(
            "ALLOWED_TENANT_IDS", "the home tenant (ENTRA_TENANT_ID) has to be among the tenants"
        )
    return found


def _vault_identity(env: AppSettingsReader) -> str | None:
    """Return the identity for storage, or else that of the app registration."""
    # The format of this setting is checked by `_credential`.
    second = env.text("ENTRA_MANAGED_IDENTITY_CLIENT_ID", "").lower()
    return env.guid("AzureWebJobsStorage__clientId", "") or second or None


def _credential(env: AppSettingsReader, cloud: Cloud) -> ClientCredential:
    names = ("ENTRA_CLIENT_SECRET", "ENTRA_CLIENT_CERTIFICATE_PATH", "ENTRA_MANAGED_IDENTITY_CLIENT_ID")
    secret, path = (env.text(name, "") for name in names[:2])
    identity = env.guid(names[2], "")
    given = [name for name, value in zip(names, (secret, path, identity), strict=True) if value]
    if not given:
        env.report_missing(" or ".join(names))
    if len(given) > 1:
        env.report_invalid(" and ".join(given), "set one client credential, not several")
    if secret:
        return ClientSecret(secret)
    return ClientCertificate(path) if path else FederatedIdentity(identity, cloud.token_exchange_audience)


def _on_unknown_outcome(env: AppSettingsReader) -> Literal["hold", "resend"]:
    return "resend" if env.one_of("ON_UNKNOWN_OUTCOME", ("hold", "resend"), "hold") == "resend" else "hold"


def has_identity_endpoint(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether App Service offers this process a managed identity."""
    return bool(environ.get("IDENTITY_ENDPOINT") and environ.get("IDENTITY_HEADER"))
