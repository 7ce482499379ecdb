"""A Functions host in its own process that tests can kill.

It is Core Tools or the project's own host.
"""

import os
import shutil
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Self

from tests.local_stack.certificates import LocalAuthority
from tests.local_stack.host.options import Waits
from tests.local_stack.processes import Child

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
STOP_SECONDS = 45.0
#: What a child process gets of this one's environment; the app's settings are given, never inherited.
INHERITED = ("HOME", "LANG", "PATH", "TMPDIR", "TZ")
#: Opens `/admin` of our own host; Core Tools ask for no key.
MASTER_KEY = "local-master-key"
#: The program of Core Tools, where they are installed.
CORE_TOOLS = shutil.which("func")


@dataclass(frozen=True)
class HostCommand:
    """The command and folder of a host, and the line printed when ready."""

    arguments: tuple[str, ...]
    directory: Path
    ready: str


@dataclass(frozen=True)
class HostPlan:
    """The plan of a host: the app and the settings to serve.

    Attributes:
        cors: the origins whose pages may call.
        waits: our own host's; Core Tools always take the genuine ones.
        log_records: a file for each record of the app's log; our own host alone writes it.
    """

    app_directory: Path
    port: int
    cors: tuple[str, ...] = ()
    authority: LocalAuthority | None = None
    waits: Waits = field(default_factory=Waits)
    log_records: Path | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.authority else 'http'}://localhost:{self.port}"


def host_command(plan: HostPlan, core_tools: str | None) -> HostCommand:
    """Choose Core Tools where they are installed, otherwise our own host."""
    if core_tools is None:
        return _own_host(plan)
    arguments = [core_tools, "start", "--port", str(plan.port)]
    if plan.cors:
        arguments += ["--cors", ",".join(plan.cors)]
    if plan.authority:
        arguments += ["--useHttps", "--cert", str(plan.authority.pfx_file)]
        arguments += ["--password", plan.authority.pfx_password]
    return HostCommand(tuple(arguments), plan.app_directory, ready="(Worker process started and initialized)")


class HostProcess(Child):
    """A running host; `wait()` completes its start."""

    def __init__(self, plan: HostPlan, settings: Mapping[str, str], log_file: Path) -> None:
        command = host_command(plan, CORE_TOOLS)
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        # Core Tools run the first Python of the path; it has to be the one with the app's packages.
        inherited["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", "")])
        environment = inherited | {"FUNCTIONS_WORKER_RUNTIME": "python"} | dict(settings)
        self.port = plan.port
        self.url = plan.url
        self._ready = command.ready
        super().__init__(
            command.arguments,
            log_file,
            directory=command.directory,
            environment=environment,
            stop_signal=signal.SIGINT,
        )

    def wait(self) -> Self:
        """Wait until the host responds.

        Raises:
            ChildFailedError: it ended instead; the text has its log.
        """
        try:
            self.wait_for_lines(self._ready, 1, START_SECONDS)
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """Stop the host as Ctrl-C does; running work gets some time to finish."""
        return super().stop(seconds)


def free_port() -> int:
    """Find a free port of 127.0.0.1 for an address needed beforehand."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _own_host(plan: HostPlan) -> HostCommand:
    arguments = [sys.executable, "-m", "tests.local_stack", "host"]
    arguments += ["--app", str(plan.app_directory), "--port", str(plan.port), "--master-key", MASTER_KEY]
    for wait in fields(Waits):
        value = getattr(plan.waits, wait.name)
        if value != wait.default:
            arguments += [f"--{wait.name.replace('_', '-')}-seconds", str(value)]
    if plan.cors:
        arguments += ["--cors", ",".join(plan.cors)]
    if plan.authority:
        arguments += ["--tls-cert", str(plan.authority.certificate_file)]
        arguments += ["--tls-key", str(plan.authority.key_file)]
    if plan.log_records:
        arguments += ["--log-records", str(plan.log_records)]
    return HostCommand(tuple(arguments), REPOSITORY, ready=r"^Now listening on: (\S+)")
