"""In-memory implementations of the ports, a module for each service."""

from tests.fakes.blobs import MemoryFiles, MemoryTexts
from tests.fakes.deliveries import MemoryDeliveries
from tests.fakes.entra import FakeCallers, FakeEntra
from tests.fakes.flows import MemoryFlows
from tests.fakes.graph import FakeGraph, FakeMail, FakeUpload
from tests.fakes.queue import MemoryOutbox
from tests.fakes.schedule import MemorySchedules
from tests.fakes.services import FakeServices
from tests.fakes.settings import MemoryOperatorLog, MemoryPause, MemorySettings
from tests.fakes.system import FakeSystem
from tests.fakes.values import CLIENT_ID, CONFIG, CONTOSO, FABRIKAM, INSTALLATION, NOON, STORAGE_ACCOUNT
from tests.fakes.vault import MemoryVault

__all__ = [
    "CLIENT_ID",
    "CONFIG",
    "CONTOSO",
    "FABRIKAM",
    "INSTALLATION",
    "NOON",
    "STORAGE_ACCOUNT",
    "FakeCallers",
    "FakeEntra",
    "FakeGraph",
    "FakeMail",
    "FakeServices",
    "FakeSystem",
    "FakeUpload",
    "MemoryDeliveries",
    "MemoryFiles",
    "MemoryFlows",
    "MemoryOperatorLog",
    "MemoryOutbox",
    "MemoryPause",
    "MemorySchedules",
    "MemorySettings",
    "MemoryTexts",
    "MemoryVault",
]
