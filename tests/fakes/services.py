"""Every port in memory, in the shape of `bootstrap.Services`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from shared.consent.directory_wait import MAX_WAITING
from shared.consent.token_cache import AccessTokenCache
from shared.refusal_counter import RefusalCounter
from shared.sending.rate_limit.throttle import Throttle
from shared.sending.storage_outage import ClaimMemory
from shared.settings.sending_switch import SendingSwitch
from tests.fakes.blobs import MemoryFiles, MemoryTexts
from tests.fakes.deliveries import MemoryDeliveries
from tests.fakes.entra import FakeCallers, FakeEntra
from tests.fakes.flows import MemoryFlows
from tests.fakes.graph import FakeGraph
from tests.fakes.queue import MemoryOutbox
from tests.fakes.schedule import MemorySchedules
from tests.fakes.settings import MemoryOperatorLog, MemoryPause, MemorySettings
from tests.fakes.system import FakeSystem
from tests.fakes.values import CLIENT_ID, CONFIG, CONTOSO, STORAGE_ACCOUNT
from tests.fakes.vault import MemoryVault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.errors import (
        ConfigurationError,
    )


class FakeServices:
    """Every port in memory, in the shape of `bootstrap.Services`."""

    def __init__(self) -> None:
        self.system = FakeSystem()
        self.refusals = RefusalCounter(self.system)
        self.config = CONFIG
        self.settings = MemorySettings()
        self.stored_settings = self.settings
        self.installation: str | None = CLIENT_ID
        self.storage_account: str | None = STORAGE_ACCOUNT
        self.pause_store = MemoryPause()
        self.operator_log = MemoryOperatorLog()
        self.operator_id: str | None = "operator-object-id"
        self.switch = SendingSwitch(self.pause_store, self.system, lambda: self.installation)
        self.flows = MemoryFlows()
        self.vault = MemoryVault()
        self.authorizer = FakeEntra(self.system)
        self.tokens = AccessTokenCache(
            self.vault, self.authorizer, self.settings, self.system, lambda: self.allowed_tenants
        )
        self.transport = FakeGraph()
        self.outbox = MemoryOutbox()
        self.files = MemoryFiles()
        self.requests = MemoryTexts(now=self.system.now)
        self.drafts = MemoryTexts(now=self.system.now)
        self.schedules = MemorySchedules(clock=self.system.steady)
        self.throttle = self.new_throttle()
        self.claims = ClaimMemory()
        self.allowed_tenants = self.config.allowed_tenant_ids
        self.message_limit_mb = self.config.mailbox_message_limit_mb
        self.resends_unknown = False
        self.setting_problems: tuple[ConfigurationError, ...] = ()
        self.retention_days = self.config.delivery_retention_days
        self.deliveries = MemoryDeliveries()
        self.caller_tokens = FakeCallers()
        self.directory_waits = threading.BoundedSemaphore(MAX_WAITING)

    def new_throttle(self) -> Throttle:
        """Build the throttle of another process."""
        return Throttle(self)

    @property
    def probes(self) -> Mapping[str, Callable[[], object]]:
        return {"tables": lambda: self.settings.load(CONTOSO), "vault": lambda: self.vault.read("readiness")}

    @property
    def application_senders(self) -> tuple[str, ...]:
        return self.config.application_senders

    @property
    def messages_per_minute(self) -> int:
        return self.config.mailbox_messages_per_minute

    @property
    def home_tenant(self) -> str:
        return self.config.entra_tenant_id
