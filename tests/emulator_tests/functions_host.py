"""The sample app in its own Functions host, with calls for tests."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
import uuid
from collections.abc import Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueServiceClient

from shared.storage_names import API_VERSION
from tests.local_stack.certificates import LocalAuthority
from tests.local_stack.host.options import Waits
from tests.local_stack.host_process import CORE_TOOLS, MASTER_KEY, HostPlan, HostProcess, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.local_stack.azurite import Azurite

SAMPLE_APP = Path(__file__).parent / "sample_app"
ALLOWED_ORIGIN = "https://allowed.example"
NEVER = "0 0 0 29 2 *"
WAIT_SECONDS = 30.0
POLL_SECONDS = 0.05

#: For tests of what Core Tools cannot do: keys, shorter waits, a file of log records.
own_host_only = pytest.mark.skipif(CORE_TOOLS is not None, reason="Core Tools have no option for it.")


def wait_for[T](probe: Callable[[], T | None], seconds: float = WAIT_SECONDS) -> T:
    """Return the result of a probe as soon as it is not empty.

    Raises:
        AssertionError: nothing came in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = probe()
        if found:
            return found
        time.sleep(POLL_SECONDS)
    raise AssertionError(f"Nothing came within {seconds:.0f} s.")


@dataclass(frozen=True)
class RawResponse:
    """A raw response; header names keep their case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return a header's value, the last where there are several."""
        return {known.casefold(): value for known, value in self.headers}.get(name.casefold())

    def json(self) -> Any:
        """Read the body."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Setup:
    """The configuration of a test host, such as `functionTimeout`.

    `host_json` holds values of host.json. Without `schedule` its setting is missing.
    """

    schedule: str = NEVER
    waits: Waits = field(default_factory=Waits)
    host_json: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    app: Path = SAMPLE_APP
    log_records: Path | None = None
    authority: LocalAuthority | None = None
    origins: tuple[str, ...] = (ALLOWED_ORIGIN,)


class SampleHost:
    """A host with queues of its own."""

    def __init__(self, azurite: Azurite, log_file: Path, setup: Setup, *, name: str = "") -> None:
        self.name = name or uuid.uuid4().hex[:8]
        self.setup = setup
        self._queues = QueueServiceClient.from_connection_string(
            azurite.connection_string, api_version=API_VERSION
        )
        plan = HostPlan(
            setup.app,
            free_port(),
            setup.origins,
            setup.authority,
            setup.waits,
            setup.log_records,
        )
        settings = {
            "AzureWebJobsStorage": azurite.connection_string,
            "PYTHON_THREADPOOL_THREAD_COUNT": "16",
            **{f"{kind.upper()}_QUEUE": self.queue(kind) for kind in ("work", "bytes", "results", "ticks")},
            **{f"AzureFunctionsJobHost__{path}": value for path, value in setup.host_json.items()},
            **({"TICK_SCHEDULE": setup.schedule} if setup.schedule else {}),
            **setup.settings,
        }
        self.child = HostProcess(plan, settings, log_file).wait()
        self.port = plan.port

    def queue(self, kind: str) -> str:
        """Name a queue: work, work-poison, bytes, results or ticks."""
        return kind.replace("work", f"work-{self.name}", 1) if "work" in kind else f"{kind}-{self.name}"

    def log(self) -> str:
        """Return everything that the host has printed."""
        return self.child.log()

    def close(self) -> None:
        """Stop the host and leave no connection open."""
        self.child.stop()
        self._queues.close()

    def request(
        self,
        method: str,
        target: str,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        *,
        chunks: Sequence[bytes] | None = None,
        host: str = "localhost",
        seconds: float = 60.0,
    ) -> RawResponse:
        """Send a request exactly as given, over a connection of its own."""
        with closing(self._connect(host, seconds)) as connection:
            connection.putrequest(method, target, skip_accept_encoding=True, skip_host=_has_host(headers))
            for name, value in headers:
                connection.putheader(name, value)
            if chunks is not None:
                connection.putheader("Transfer-Encoding", "chunked")
            elif body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            try:
                for chunk in chunks or ():
                    connection.send(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                connection.send(b"0\r\n\r\n" if chunks is not None else body or b"")
            except (BrokenPipeError, ConnectionResetError):
                pass  # The host responds without reading the body to its end.
            response = connection.getresponse()
            return RawResponse(response.status, response.getheaders(), response.read())

    def admin(self, method: str, path: str, body: bytes | None = None) -> RawResponse:
        """Call an address under `/admin` with the master key."""
        headers = [("x-functions-key", MASTER_KEY), ("Content-Type", "application/json")]
        return self.request(method, f"/admin/{path}", headers, body)

    def put(self, text: str | bytes, kind: str = "work", *, encode: bool = True) -> None:
        """Add a message to a queue, in base64 by default."""
        raw = text if isinstance(text, bytes) else text.encode()
        shown = base64.b64encode(raw).decode() if encode else raw.decode()
        with self._queues.get_queue_client(self.queue(kind)) as queue:
            try:
                queue.send_message(shown)
            except ResourceNotFoundError:
                queue.create_queue()
                queue.send_message(shown)

    def receive_raw(self, kind: str) -> list[str]:
        """Receive every visible message."""
        with self._queues.get_queue_client(self.queue(kind)) as queue:
            try:
                messages = list(queue.receive_messages(messages_per_page=32))
            except ResourceNotFoundError:
                return []
            for message in messages:
                queue.delete_message(message)
        return [message.content for message in messages]

    def count(self, kind: str) -> int:
        """Count the messages of a queue, hidden ones included."""
        with self._queues.get_queue_client(self.queue(kind)) as queue:
            try:
                return int(queue.get_queue_properties().approximate_message_count or 0)
            except ResourceNotFoundError:
                return 0

    def results(self, count: int, kind: str = "results", seconds: float = WAIT_SECONDS) -> list[Any]:
        """Wait for this number of function reports and receive them."""
        return [json.loads(base64.b64decode(text)) for text in self.receive_texts(count, kind, seconds)]

    def receive_texts(self, count: int, kind: str = "results", seconds: float = WAIT_SECONDS) -> list[str]:
        """Wait for this number of messages and receive them undecoded."""
        found: list[str] = []

        def probe() -> bool:
            found.extend(self.receive_raw(kind))
            return len(found) >= count

        wait_for(probe, seconds)
        return found

    def _connect(self, host: str, seconds: float) -> http.client.HTTPConnection:
        authority = self.setup.authority
        if authority is None:
            return http.client.HTTPConnection(host, self.port, timeout=seconds)
        context = ssl.create_default_context(cafile=str(authority.ca_file))
        return http.client.HTTPSConnection(host, self.port, timeout=seconds, context=context)


@contextmanager
def sample_host(
    azurite: Azurite, directory: Path, setup: Setup | None = None, *, name: str = ""
) -> Iterator[SampleHost]:
    """Run the sample app in a host while the context lasts."""
    host = SampleHost(azurite, directory / f"host-{uuid.uuid4().hex[:8]}.log", setup or Setup(), name=name)
    try:
        yield host
    finally:
        host.close()


def _has_host(headers: Sequence[tuple[str, str]]) -> bool:
    return any(name.casefold() == "host" for name, _ in headers)
