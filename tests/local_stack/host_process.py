"""A Functions host in a process of its own, so that a test can kill it: Core Tools, or our own host."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.local_stack.certificates import LocalAuthority
from tests.local_stack.processes import Child

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
#: What a child process gets of this one's environment; the app's settings are given, never inherited.
INHERITED = ("HOME", "LANG", "PATH", "TMPDIR", "TZ")


@dataclass(frozen=True)
class HostCommand:
    """How to start a host, where, and what it prints once it answers."""

    arguments: tuple[str, ...]
    directory: Path
    ready: str


@dataclass(frozen=True)
class HostPlan:
    """What a host is to serve.

    Attributes:
        cors: the origins whose pages may call.
        lease: seconds for which our host hides a received message; Core Tools always takes ten minutes.
    """

    app_directory: Path
    port: int
    cors: tuple[str, ...] = ()
    authority: LocalAuthority | None = None
    lease: int = 600


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
    """A host that runs; `wait()` separates its start from whatever can be done meanwhile."""

    def __init__(self, plan: HostPlan, settings: Mapping[str, str], log_file: Path) -> None:
        command = host_command(plan, shutil.which("func"))
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        environment = inherited | {"FUNCTIONS_WORKER_RUNTIME": "python"} | dict(settings)
        self.port = plan.port
        self._ready = command.ready
        super().__init__(command.arguments, log_file, directory=command.directory, environment=environment)

    def wait(self) -> Self:
        """Wait until the host answers.

        Raises:
            ChildFailedError: it ended instead; the text has its log.
        """
        try:
            self.wait_for_lines(self._ready, 1, START_SECONDS)
        except BaseException:
            self.kill()
            raise
        return self


def _own_host(plan: HostPlan) -> HostCommand:
    arguments = [sys.executable, "-m", "tests.local_stack", "host"]
    arguments += ["--app", str(plan.app_directory), "--port", str(plan.port), "--lease", str(plan.lease)]
    if plan.cors:
        arguments += ["--cors", ",".join(plan.cors)]
    if plan.authority:
        arguments += ["--tls-cert", str(plan.authority.certificate_file)]
        arguments += ["--tls-key", str(plan.authority.key_file)]
    return HostCommand(tuple(arguments), REPOSITORY, ready=r"^Listening on (\S+)")
