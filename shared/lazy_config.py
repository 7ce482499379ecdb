"""Read the app settings at their first use, for the services."""

from __future__ import annotations

import threading

from shared.config import AppConfig, StorageConfig, check_settings, read_client_id
from shared.errors import ConfigurationError
from shared.lazy import lazy
from shared.refusal_counter import RefusalCounter
from shared.sending.storage_outage import ClaimMemory
from shared.settings.installation import Installation
from shared.system import RealSystem, System


class LazyConfig:
    """The operator's settings; reading a member may raise ConfigurationError."""

    def __init__(self, **replaced: object) -> None:
        """Replace lazy members, for instance with fakes in a test.

        Raises:
            TypeError: no lazy member has the name.
        """
        for name, value in replaced.items():
            if not isinstance(getattr(type(self), name, None), lazy):
                raise TypeError(f"{name} is no lazy member")
            setattr(self, name, value)

    @lazy
    def system(self) -> System:
        """Time, randomness and identifiers."""
        return RealSystem()

    @lazy
    def claims(self) -> ClaimMemory:
        """What this process knows of claims."""
        return ClaimMemory()

    @lazy
    def refusals(self) -> RefusalCounter:
        """How often callers were refused, for the log."""
        return RefusalCounter(self.system)

    @lazy
    def config(self) -> AppConfig:
        """The operator's settings of the app."""
        return AppConfig.from_env()

    @lazy
    def storage(self) -> StorageConfig:
        """Where tables, queues and blobs are."""
        return StorageConfig.from_env()

    @lazy
    def queue_storage(self) -> StorageConfig:
        """Where the queues are.

        A message can be queued while the URL of the tables is wrong.
        """
        return StorageConfig.from_env(services=("queue",))

    @lazy
    def directory_waits(self) -> threading.BoundedSemaphore:
        """The number of callbacks that may wait for Microsoft's directory at once."""
        from shared.consent.directory_wait import MAX_WAITING

        return threading.BoundedSemaphore(MAX_WAITING)

    @lazy
    def installation(self) -> str | None:
        """The client id that tags this installation's data.

        None while it is missing or wrong.
        """
        return read_client_id()

    @lazy
    def storage_account(self) -> str | None:
        """The name of the storage account with the tables, or None.

        None means that a setting is wrong.
        """
        try:
            return self.storage.account
        except ConfigurationError:
            return None

    @property
    def setting_problems(self) -> tuple[ConfigurationError, ...]:
        """What is wrong with the settings, with the name of each."""
        return check_settings()

    @property
    def allowed_tenants(self) -> frozenset[str]:
        """The tenants that this installation serves."""
        return self.config.allowed_tenant_ids

    @property
    def application_senders(self) -> tuple[str, ...]:
        """The addresses that may send with the app's own permission."""
        return self.config.application_senders

    @property
    def message_limit_mb(self) -> int:
        """The message size limit of a mailbox, encoded, in megabytes."""
        return self.config.mailbox_message_limit_mb

    @property
    def messages_per_minute(self) -> int:
        """The rate limit of a mailbox; 0: as learned from Graph's refusals."""
        return self.config.mailbox_messages_per_minute

    @property
    def resends_unknown(self) -> bool:
        """Whether a mail with unknown outcome is sent again without look-up."""
        return self.config.on_unknown_outcome == "resend"

    @property
    def retention_days(self) -> int:
        """How many days of deliveries are kept."""
        return self.config.delivery_retention_days

    @property
    def home_tenant(self) -> str:
        """The operator's own tenant."""
        return self.config.entra_tenant_id

    def _this_installation(self) -> Installation:
        return Installation(self.config.entra_client_id, self.storage.account)
