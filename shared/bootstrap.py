"""Build the adapters from the app settings, once per process.

Only this module knows both ports and adapters. It imports an adapter at first use, to start quickly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.client_credential import ClientCertificate
from shared.config_report import report_settings
from shared.lazy import built_once, lazy
from shared.lazy_config import LazyConfig
from shared.telemetry import quieten_libraries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from azure.core.credentials import TokenCredential
    from azure.data.tables import TableServiceClient
    from azure.storage.blob import BlobServiceClient

    from shared.adapters.entra import EntraAuthority
    from shared.caller import CallerTokens
    from shared.consent.ports import FlowStore, TokenStore
    from shared.consent.token_cache import AccessTokenCache
    from shared.deliveries.ports import DeliveryLog, TextStore
    from shared.errors import ConfigurationError
    from shared.mail.ports import AttachmentFiles
    from shared.mail_queue import Outbox
    from shared.sending.ports import MailTransport
    from shared.sending.rate_limit.ports import ScheduleStore
    from shared.sending.rate_limit.throttle import Throttle
    from shared.settings.operator_log import OperatorLog
    from shared.settings.ownership import OwnedSettingsStore
    from shared.settings.ports import SettingsStore
    from shared.settings.sending_switch import PauseStore, SendingSwitch


class Services(LazyConfig):
    """Holds every service of the app; each is built at its first use.

    Reading a member may raise ConfigurationError, and it is then built at its next use. A value that needs a
    setting which may be missing is passed as a function, so that the service can be built without it.
    """

    @lazy
    def throttle(self) -> Throttle:
        """Schedules the mails of each mailbox."""
        from shared.sending.rate_limit.throttle import Throttle

        return Throttle(self)

    @lazy
    def stored_settings(self) -> SettingsStore:
        """The tenants' settings in the table, which installations can share."""
        from shared.adapters.table_storage import TableSettingsStore

        return TableSettingsStore(self._tables)

    @lazy
    def settings(self) -> OwnedSettingsStore:
        """The tenants' settings; those of another installation are refused."""
        from shared.settings.ownership import OwnedSettings

        return OwnedSettings(self.stored_settings, self._this_installation, self._issued_to, self.system)

    @lazy
    def pause_store(self) -> PauseStore:
        """The row that pauses sending."""
        from shared.adapters.pause_table import TablePauseStore

        return TablePauseStore(self._tables)

    @lazy
    def switch(self) -> SendingSwitch:
        """The switch that pauses sending, cached for seconds."""
        from shared.settings.sending_switch import SendingSwitch

        return SendingSwitch(self.pause_store, self.system, lambda: self.installation)

    @lazy
    def schedules(self) -> ScheduleStore:
        """The schedule of each mailbox, which all hosts share."""
        from shared.adapters.schedule_table import TableScheduleStore

        return TableScheduleStore(self._tables)

    @lazy
    def operator_log(self) -> OperatorLog:
        """What operators did by command; logged by the next timer."""
        from shared.adapters.operator_table import TableOperatorLog

        return TableOperatorLog(self._tables)

    @lazy
    def operator_id(self) -> str | None:
        """The object id of the account signed in to storage. None with a key."""
        from shared.adapters.credentials import object_id

        return None if self.storage.connection_string else object_id(self._storage_credential())

    @lazy
    def flows(self) -> FlowStore:
        """The consents in progress, from link to callback."""
        from shared.adapters.flow_table import TableFlowStore

        return TableFlowStore(self._tables)

    @lazy
    def deliveries(self) -> DeliveryLog:
        """The delivery log; it also queues the outcomes for schedulers."""
        from shared.adapters.delivery_table import TableDeliveryLog
        from shared.adapters.queue_storage import StorageOutcomeQueues
        from shared.deliveries.notify import NotifyingDeliveryLog

        queues = StorageOutcomeQueues(self.storage, self._storage_credential)
        log = TableDeliveryLog(self._tables)
        return NotifyingDeliveryLog(log, queues, lambda: self.config.outcome_queues, self.system)

    @lazy
    def outbox(self) -> Outbox:
        """The queue `mail-outbox`."""
        from shared.adapters.queue_storage import StorageQueueOutbox

        return StorageQueueOutbox(self.queue_storage, lambda: self._identity(self.queue_storage.client_id))

    @lazy
    def files(self) -> AttachmentFiles:
        """The attachments that schedulers have uploaded."""
        from shared.adapters.blob_storage import BlobAttachmentFiles

        return BlobAttachmentFiles(self._blobs)

    @property
    def setting_problems(self) -> tuple[ConfigurationError, ...]:
        """What is wrong with the settings, including the certificate's file."""
        found = super().setting_problems
        if found or not isinstance(self.config.credential, ClientCertificate):
            return found
        from shared.adapters.credentials import credential_problems

        return credential_problems(self.config.credential)

    @lazy
    def requests(self) -> TextStore:
        """The requests of unfinished mails."""
        from shared.adapters.blob_storage import BlobTextStore

        return BlobTextStore(self._blobs, "requests")

    @lazy
    def drafts(self) -> TextStore:
        """The state of drafts in progress."""
        from shared.adapters.blob_storage import BlobTextStore

        return BlobTextStore(self._blobs, "drafts")

    @lazy
    def vault(self) -> TokenStore:
        """Key Vault, for the refresh tokens."""
        from shared.adapters.key_vault import KeyVaultTokenStore

        identity = self._identity(self.config.identity_client_id)
        return KeyVaultTokenStore(self.config.key_vault_url, self._this_installation(), identity)

    @lazy
    def authorizer(self) -> EntraAuthority:
        """The client of Microsoft Entra, for consent and access tokens."""
        from shared.adapters.credentials import msal_credential
        from shared.adapters.entra import EntraAuthority

        return EntraAuthority(self.config, msal_credential(self.config.credential), self.system)

    @lazy
    def tokens(self) -> AccessTokenCache:
        """The access tokens for sending, cached."""
        from shared.consent.token_cache import AccessTokenCache

        return AccessTokenCache(
            self.vault, self.authorizer, self.settings, self.system, lambda: self.allowed_tenants
        )

    @lazy
    def transport(self) -> MailTransport:
        """The client of Microsoft Graph."""
        from shared.adapters.graph import GraphMailTransport

        return GraphMailTransport(self.config.graph_endpoint)

    @lazy
    def caller_tokens(self) -> CallerTokens:
        """Validates the access tokens of the API's callers."""
        from shared.adapters.access_token_validator import EntraCallerTokens

        return EntraCallerTokens(self.config)

    @property
    def probes(self) -> Mapping[str, Callable[[], object]]:
        """For each external system, a call that returns if it responds."""
        from shared.adapters.health_probes import probe_containers, probe_queue, probe_tables

        return {
            "tables": lambda: probe_tables(self._tables),
            "queue": lambda: probe_queue(self.storage, self._storage_credential),
            "blobs": lambda: probe_containers(self._blobs),
            "vault": lambda: self.vault.read("readiness"),
            "entra": lambda: self.authorizer.discover(self.home_tenant),
        }

    def _issued_to(self, name: str) -> str | None:
        from shared.adapters.msal_cache import client_of

        return client_of(tokens) if (tokens := self.vault.read(name)) else None

    @lazy
    def _tables(self) -> TableServiceClient:
        from shared.adapters.table_storage import table_service

        return table_service(self.storage, self._storage_credential)

    @lazy
    def _blobs(self) -> BlobServiceClient:
        from shared.adapters.blob_storage import blob_service

        return blob_service(self.storage, self._storage_credential)

    def _storage_credential(self) -> TokenCredential:
        return self._identity(self.storage.client_id)

    @built_once
    def _identity(self, client_id: str | None) -> TokenCredential:
        from shared.adapters.credentials import azure_credential

        return azure_credential(client_id)


@built_once
def services() -> Services:
    """Return this process's services; the first call also logs problems.

    The settings are not checked at import, because an exception there would leave the app without functions.
    """
    quieten_libraries()
    found = Services()
    report_settings(found.setting_problems)
    return found
