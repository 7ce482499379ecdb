"""Builds what the journeys need from what the operator set, on first use, once a process.

The only module that knows both ports and adapters. Every adapter is imported where it is first
wanted: an import at the top would be paid at each cold start, by functions that never use it.
"""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any, Self, overload

from shared.config import AppConfig, StorageConfig
from shared.telemetry import quieten_libraries
from shared.world import RealWorld

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from azure.core.credentials import TokenCredential
    from azure.data.tables import TableServiceClient
    from azure.storage.blob import BlobServiceClient

    from shared.adapters.entra import EntraAuthority
    from shared.consent.custody import Custody
    from shared.deliveries.ports import DeliveryLog, KeptTexts
    from shared.ports import CallerTokens, FlowStore, Outbox, SettingsStore, TokenStore
    from shared.sending.pauses import Pauses
    from shared.sending.ports import AttachmentFiles, MailTransport


#: Members need one another, so whoever builds one may go on to build the next.
_BUILDING = threading.RLock()


class member[Kept](functools.cached_property[Kept]):  # noqa: N801 - read as the decorator that it is
    """A member that is built once, also when the first mails of a process want it at the same time."""

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> Kept: ...
    def __get__(self, instance: object | None, owner: type[Any] | None = None) -> Self | Kept:
        """Build it, or return what another thread has built meanwhile."""
        with _BUILDING:
            return super().__get__(instance, owner)


class Services:
    """Everything the journeys need; reading a member may raise ConfigurationError.

    A member that could not be built is tried again at its next use.
    """

    def __init__(self) -> None:
        self.world = RealWorld()

    @member
    def config(self) -> AppConfig:
        """What the operator decided."""
        return AppConfig.from_env()

    @member
    def storage(self) -> StorageConfig:
        """Where tables, queues and blobs are."""
        return StorageConfig.from_env()

    @property
    def allowed_tenants(self) -> frozenset[str]:
        """The tenants that this installation serves."""
        return self.config.allowed_tenant_ids

    @property
    def message_limit_mb(self) -> int:
        """The most that a mailbox may send, encoded."""
        return self.config.mailbox_message_limit_mb

    @property
    def resends_unknown(self) -> bool:
        """Whether a mail that may have been sent, and can't be looked up, is sent again."""
        return self.config.on_unknown_outcome == "resend"

    @property
    def retention_days(self) -> int:
        """How long the delivery log goes back."""
        return self.config.delivery_retention_days

    @property
    def home_tenant(self) -> str:
        """The operator's own tenant."""
        return self.config.entra_tenant_id

    @member
    def settings(self) -> SettingsStore:
        """What the admins decided."""
        from shared.adapters.tables import TableSettingsStore

        return TableSettingsStore(self._tables)

    @member
    def flows(self) -> FlowStore:
        """The consents under way."""
        from shared.adapters.tables import TableFlowStore

        return TableFlowStore(self._tables)

    @member
    def deliveries(self) -> DeliveryLog:
        """What became of each mail."""
        from shared.adapters.delivery_table import TableDeliveryLog

        return TableDeliveryLog(self._tables)

    @member
    def outbox(self) -> Outbox:
        """The queue `mail-outbox`."""
        from shared.adapters.queues import StorageQueueOutbox

        return StorageQueueOutbox(self.storage, self._storage_credential)

    @member
    def files(self) -> AttachmentFiles:
        """The schedulers' files."""
        from shared.adapters.blobs import BlobAttachmentFiles

        return BlobAttachmentFiles(self._blobs)

    @member
    def requests(self) -> KeptTexts:
        """The requests of mails that are not done yet."""
        from shared.adapters.blobs import BlobKeptTexts

        return BlobKeptTexts(self._blobs, "requests")

    @member
    def drafts(self) -> KeptTexts:
        """The notes on drafts under way."""
        from shared.adapters.blobs import BlobKeptTexts

        return BlobKeptTexts(self._blobs, "drafts")

    @member
    def pauses(self) -> Pauses:
        """The mailboxes that Graph wants left alone."""
        from shared.sending.pauses import Pauses

        return Pauses()

    @member
    def vault(self) -> TokenStore:
        """Where tokens are kept."""
        from shared.adapters.key_vault import KeyVaultTokenStore

        identity = self._identity(self.config.identity_client_id)
        return KeyVaultTokenStore(self.config.key_vault_url, self.config.entra_client_id, identity)

    @member
    def authorizer(self) -> EntraAuthority:
        """Microsoft Entra, for consent and for access tokens."""
        from shared.adapters.credentials import msal_credential
        from shared.adapters.entra import EntraAuthority

        return EntraAuthority(self.config, msal_credential(self.config.credential), self.world)

    @member
    def tokens(self) -> Custody:
        """Access tokens for sending."""
        from shared.consent.custody import Custody

        return Custody(self.vault, self.authorizer, self.settings, self.world)

    @member
    def transport(self) -> MailTransport:
        """Microsoft Graph."""
        from shared.adapters.graph import GraphMailTransport

        return GraphMailTransport(self.config.graph_endpoint)

    @member
    def caller_tokens(self) -> CallerTokens:
        """The check of our callers' access tokens."""
        from shared.adapters.caller_tokens import EntraCallerTokens

        return EntraCallerTokens(self.config)

    @property
    def probes(self) -> Mapping[str, Callable[[], object]]:
        """A call for each part of the outside that returns if the part answers."""
        from shared.adapters.storage_probe import ask_containers, ask_queue, ask_tables

        return {
            "tables": lambda: ask_tables(self._tables),
            "queue": lambda: ask_queue(self.storage, self._storage_credential),
            "blobs": lambda: ask_containers(self._blobs),
            "vault": lambda: self.vault.read("readiness"),
            "entra": lambda: self.authorizer.discover(self.home_tenant),
        }

    @member
    def _tables(self) -> TableServiceClient:
        from shared.adapters.tables import table_service

        return table_service(self.storage, self._storage_credential)

    @member
    def _blobs(self) -> BlobServiceClient:
        from shared.adapters.blobs import blob_service

        return blob_service(self.storage, self._storage_credential)

    def _storage_credential(self) -> TokenCredential:
        return self._identity(self.storage.client_id)

    @functools.cache  # noqa: B019 - there is one Services a process
    def _identity(self, client_id: str | None) -> TokenCredential:
        from shared.adapters.credentials import azure_credential

        return azure_credential(client_id)


@functools.cache
def services() -> Services:
    """Return this process's services."""
    quieten_libraries()
    return Services()
