"""A Functions host in a process of its own, so that a test can kill it: Core Tools, or our own host."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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


def start_host(plan: HostPlan, settings: Mapping[str, str], log_file: Path) -> Child:
    """Start a host with these app settings and wait until it answers.

    Raises:
        ChildFailedError: it ended instead; the text has its log.
    """
    command = host_command(plan, shutil.which("func"))
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment = inherited | {"FUNCTIONS_WORKER_RUNTIME": "python"} | dict(settings)
    child = Child(command.arguments, log_file, directory=command.directory, environment=environment)
    try:
        child.wait_for_lines(command.ready, 1, START_SECONDS)
    except BaseException:
        child.kill()
        raise
    return child


def _own_host(plan: HostPlan) -> HostCommand:
    arguments = [sys.executable, "-m", "tests.local_stack", "host"]
    arguments += ["--app", str(plan.app_directory), "--port", str(plan.port), "--lease", str(plan.lease)]
    if plan.cors:
        arguments += ["--cors", ",".join(plan.cors)]
    if plan.authority:
        arguments += ["--tls-cert", str(plan.authority.certificate_file)]
        arguments += ["--tls-key", str(plan.authority.key_file)]
    return HostCommand(tuple(arguments), REPOSITORY, ready=r"^Listening on (\S+)")
