"""Azurite, Microsoft's storage emulator, in memory on its own ports."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from tests.local_stack.host_process import CORE_TOOLS
from tests.local_stack.prerequisites import MissingPrerequisiteError
from tests.local_stack.processes import Child

PROGRAM = Path(__file__).parent / "node_modules" / ".bin" / "azurite"
START_SECONDS = 60.0
#: The account that every Azurite has, with the key that its documentation prints.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
LISTENING = r"service is successfully listening at (http://\S+)"


@dataclass(frozen=True)
class Ports:
    """The ports of the three services; 0 lets Azurite choose a free one."""

    blob: int = 0
    queue: int = 0
    table: int = 0


@dataclass(frozen=True)
class Endpoints:
    """The origins of the three services."""

    blob: str
    queue: str
    table: str

    def connection_string(self) -> str:
        """Spell out the address of each service."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint={self.blob}/{ACCOUNT};QueueEndpoint={self.queue}/{ACCOUNT};"
            f"TableEndpoint={self.table}/{ACCOUNT};"
        )


class Azurite:
    """A running Azurite; `wait()` completes its slow start.

    `any_api_version` also serves clients that are newer than Azurite, as a scheduler's can be. Those of Core
    Tools' extension bundle can be newer too.
    """

    def __init__(
        self, ports: Ports | None = None, *, program: Path = PROGRAM, any_api_version: bool = False
    ) -> None:
        ports = ports or Ports()
        program = _require(program)
        self._scratch = TemporaryDirectory(prefix="azurite-")
        self._child = Child(
            [
                program,
                "--silent",
                "--inMemoryPersistence",
                "--disableTelemetry",
                *(["--skipApiVersionCheck"] if any_api_version or CORE_TOOLS else []),
                *("--blobPort", str(ports.blob)),
                *("--queuePort", str(ports.queue)),
                *("--tablePort", str(ports.table)),
            ],
            Path(self._scratch.name, "azurite.log"),
            directory=Path(self._scratch.name),
        )

    def wait(self) -> Self:
        """Wait until all three services listen.

        Raises:
            ChildFailedError: it ended instead, for instance because a given port is taken.
        """
        _ = self.endpoints
        return self

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def endpoints(self) -> Endpoints:
        """The addresses that Azurite printed, in the order of its start."""
        return Endpoints(*self._child.wait_for_lines(LISTENING, 3, START_SECONDS))

    @property
    def connection_string(self) -> str:
        """The value of AzureWebJobsStorage."""
        return self.endpoints.connection_string()

    def stop(self) -> None:
        """End the process; everything that was stored is gone."""
        self._child.stop()
        self._scratch.cleanup()

    def __enter__(self) -> Self:
        try:
            return self.wait()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _require(program: Path) -> Path:
    if shutil.which("node") is None:
        raise MissingPrerequisiteError(
            "Node 22 is needed for Azurite, the storage emulator, and was not found."
        )
    if not program.exists():
        raise MissingPrerequisiteError(
            "Azurite, the storage emulator, is not installed: run `make setup` once."
        )
    return program
