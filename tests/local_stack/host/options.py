"""How a host is started."""

from dataclasses import dataclass, field
from pathlib import Path

#: What each wait means.
WAIT_HELP = {
    "lease": "for how long a received message stays hidden; it is renewed at half of that (600)",
    "timeout_grace": "for how long a function may go on after its functionTimeout (2)",
    "restart": "between two starts of worker processes (10)",
    "http_stop": "for how long HTTP calls may go on after Ctrl-C (30)",
    "queue_stop": "for how long queue and timer functions may go on after that (10)",
}


@dataclass(frozen=True)
class Waits:
    """Delays of the real host, in seconds, that tests can shorten.

    `WAIT_HELP` describes them. The real host has no setting for any of them. Those of host.json are shortened
    as with every host, by environment variables:
    `AzureFunctionsJobHost__extensions__queues__visibilityTimeout`.
    """

    lease: int = 600
    timeout_grace: float = 2.0
    restart: float = 10.0
    http_stop: float = 30.0
    queue_stop: float = 10.0


@dataclass(frozen=True)
class HostOptions:
    """How a host is started.

    Attributes:
        port: 0 means any free one.
        master_key: opens everything, `/admin` included; `host_key` opens functions alone.
        log_records: a file that gets each record of the app's log as a line of JSON.
    """

    app_directory: Path
    port: int = 0
    cors: tuple[str, ...] = ()
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    master_key: str = ""
    host_key: str = ""
    log_records: Path | None = None
    waits: Waits = field(default_factory=Waits)
