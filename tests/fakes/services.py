"""The app's services with every external system in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shared.bootstrap import Services
from shared.sending.rate_limit.throttle import Throttle
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

    from shared.errors import ConfigurationError


class FakeServices(Services):
    """The app's services with every external system in memory.

    What is not replaced here is built as in the app.
    """

    system: FakeSystem
    settings: MemorySettings
    pause_store: MemoryPause
    operator_log: MemoryOperatorLog
    flows: MemoryFlows
    vault: MemoryVault
    authorizer: FakeEntra  # type: ignore[assignment] # has the methods that the app calls
    transport: FakeGraph
    outbox: MemoryOutbox
    files: MemoryFiles
    requests: MemoryTexts
    drafts: MemoryTexts
    schedules: MemorySchedules
    deliveries: MemoryDeliveries
    caller_tokens: FakeCallers

    #: A test sets what is wrong with the settings.
    setting_problems: tuple[ConfigurationError, ...] = ()

    def __init__(self, **replaced: Any) -> None:
        system = replaced.setdefault("system", FakeSystem())
        settings = MemorySettings()
        fakes: dict[str, object] = {
            "config": CONFIG,
            "installation": CLIENT_ID,
            "storage_account": STORAGE_ACCOUNT,
            "operator_id": "operator-object-id",
            "settings": settings,
            "stored_settings": settings,
            "pause_store": MemoryPause(),
            "operator_log": MemoryOperatorLog(),
            "flows": MemoryFlows(),
            "vault": MemoryVault(),
            "authorizer": FakeEntra(system),
            "transport": FakeGraph(),
            "outbox": MemoryOutbox(),
            "files": MemoryFiles(),
            "requests": MemoryTexts(now=system.now),
            "drafts": MemoryTexts(now=system.now),
            "schedules": MemorySchedules(clock=system.steady),
            "deliveries": MemoryDeliveries(),
            "caller_tokens": FakeCallers(),
        }
        super().__init__(**(fakes | replaced))

    def configure(self, **changes: Any) -> None:
        """Change app settings, as a deployment does."""
        self.config = replace(self.config, **changes)

    def new_throttle(self) -> Throttle:
        """Build the throttle of another process."""
        return Throttle(self)

    @property
    def probes(self) -> Mapping[str, Callable[[], object]]:
        return {"tables": lambda: self.settings.load(CONTOSO), "vault": lambda: self.vault.read("readiness")}
