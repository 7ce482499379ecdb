"""Each program in docs/samples/ sends a report with a scheduler's roles."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared.api.openapi.deliveries import READ_ROLE
from tests.local_stack.clients import Admin, mails_of, wait_for
from tests.local_stack.host_process import REPOSITORY
from tests.local_stack.microsoft365.contoso import CLIENT_ID
from tests.local_stack.storage_roles import OUTCOMES, PROCESSOR, SCHEDULER_ROLES, RoleAssignment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.local_stack.stack import LocalStack

pytestmark = pytest.mark.stack

SAMPLES = REPOSITORY / "docs" / "samples"
AZURE_CLI = REPOSITORY / ".venv-azure-cli" / "bin"
REPORT = b"%PDF-1.7\n" + bytes(range(256)) * 100
RUN_SECONDS = 120


@dataclass(frozen=True)
class Sample:
    """Two sample programs, to queue a mail and to read its delivery.

    `tool` is on the PATH, `installed` is what `make interop` fetches.
    """

    command: tuple[str, ...]
    reads: tuple[str, ...]
    tool: str
    installed: Path | None = None
    by_role: bool = True


SAMPLES_BY_NAME = {
    "Python": Sample(
        (sys.executable, str(SAMPLES / "queue_mail.py")),
        (sys.executable, str(SAMPLES / "read_delivery.py")),
        sys.executable,
    ),
    "REST": Sample(
        ("bash", str(SAMPLES / "queue-mail-rest.sh")), ("bash", str(SAMPLES / "read-delivery.sh")), "curl"
    ),
    "Node": Sample(
        ("node", str(SAMPLES / "node" / "queue-mail.mjs")),
        ("node", str(SAMPLES / "node" / "read-delivery.mjs")),
        "node",
        SAMPLES / "node" / "node_modules",
    ),
    # The CLI signs in to Azure alone, so here it has the connection string.
    "Azure CLI": Sample(
        ("bash", str(SAMPLES / "queue-mail-az.sh")),
        ("bash", str(SAMPLES / "read-delivery.sh")),
        "bash",
        AZURE_CLI / "az",
        by_role=False,
    ),
}
EVERY = [
    pytest.param(name, id=name, marks=[pytest.mark.interop] if sample.installed else [])
    for name, sample in SAMPLES_BY_NAME.items()
]
WITH_ROLES = [each for each in EVERY if SAMPLES_BY_NAME[str(each.values[0])].by_role]


def installed(name: str) -> Sample:
    sample = SAMPLES_BY_NAME[name]
    missing = not shutil.which(sample.tool) or (sample.installed and not sample.installed.exists())
    if missing and os.environ.get("CI"):
        pytest.fail(f"{name} is missing. In CI its sample has to run.")
    if missing:
        pytest.skip(f"{name} is missing; `make interop` fetches what npm and PyPI have.")
    return sample


def variables(stack: LocalStack, sample: Sample) -> Mapping[str, str]:
    token = stack.schedulers.token("https://storage.azure.com")
    found = {
        "PATH": f"{AZURE_CLI}:{os.environ['PATH']}",
        "HOME": os.environ["HOME"],
        **stack.scheduler_environment(),
        # The host has a name on Azure that only this project's own clients resolve to this machine.
        "MAIL_API_URL": f"https://localhost:{stack.api_port}",
        "MAIL_ACCESS_TOKEN": token,
        "MAIL_API_TOKEN": stack.schedulers.token(CLIENT_ID),
        "CURL_CA_BUNDLE": str(stack.authority.bundle),
    }
    if not sample.by_role:
        found["AZURE_STORAGE_CONNECTION_STRING"] = stack.azurite.connection_string
    return found


def run(stack: LocalStack, name: str, message_id: str, report: Path) -> subprocess.CompletedProcess[str]:
    sample = installed(name)
    return execute(stack, sample, *sample.command, message_id, "cfo@contoso.com", str(report))


def read(stack: LocalStack, name: str, message_id: str) -> subprocess.CompletedProcess[str]:
    sample = installed(name)
    return execute(stack, sample, *sample.reads, message_id)


def execute(stack: LocalStack, sample: Sample, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=dict(variables(stack, sample)),
        cwd=stack.directory,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )


@pytest.fixture
def report(tmp_path: Path) -> Path:
    # A browser names a second download so, and curl takes such signs for patterns.
    path = tmp_path / "Umsatz größe [1] {a,b} 50 % #2.pdf"
    path.write_bytes(REPORT)
    return path


@pytest.fixture(
    params=[role for role in SCHEDULER_ROLES if role.role != PROCESSOR], ids=lambda role: role.role
)
def removed_role(request: pytest.FixtureRequest, stack: LocalStack) -> Iterator[RoleAssignment]:
    """Remove one role of the scheduler temporarily."""
    role: RoleAssignment = request.param
    stack.access.remove_role(stack.schedulers.system_assigned, role)
    yield role
    stack.access.add_roles(stack.schedulers.system_assigned, [role])


def second_is_ignored(stack: LocalStack, message_id: str) -> bool:
    """Tell whether the app took the second message and sent nothing for it."""
    ignored = f'mail_duplicate_ignored {{"message_id": "{message_id}"'
    return ignored in stack.host_log()


@pytest.mark.parametrize("name", EVERY)
def test_a_sample_sends_its_report_once_however_often_it_runs(
    stack: LocalStack, enabled: Admin, report: Path, name: str
) -> None:
    message_id = f"sample:{uuid.uuid4()}"

    for _ in range(2):
        done = run(stack, name, message_id, report)
        assert (done.returncode, done.stdout) == (0, f"{message_id}\n"), done.stderr
    found = read(stack, name, message_id)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["status"] == "accepted"
    wait_for(lambda: second_is_ignored(stack, message_id) or None, "the second message to be ignored")

    assert enabled.delivery(message_id, "accepted")["outcome"]["queue"] == OUTCOMES
    (mail,) = mails_of(stack.microsoft365.mails(), message_id)
    assert mail.recipients == ["cfo@contoso.com"]
    assert mail.body == "<p>Grüße, the report is attached.</p>"
    # A shell has no function that quotes a name for JSON.
    shown = "report.pdf" if name == "REST" else report.name
    assert [(file.name, file.read()) for file in mail.attachments] == [(shown, REPORT)]


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        pytest.param("Python", (sys.executable, str(SAMPLES / "read_outcomes.py")), id="Python"),
        pytest.param(
            "Node",
            ("node", str(SAMPLES / "node" / "read-outcomes.mjs")),
            id="Node",
            marks=pytest.mark.interop,
        ),
    ],
)
def test_a_sample_prints_each_end_once(
    stack: LocalStack, enabled: Admin, report: Path, name: str, reader: tuple[str, ...]
) -> None:
    message_id = f"sample:{uuid.uuid4()}"
    assert run(stack, name, message_id, report).returncode == 0
    enabled.delivery(message_id, "accepted")
    printed = ""

    def read_outcomes() -> bool | None:
        nonlocal printed
        done = execute(stack, installed(name), *reader)
        assert done.returncode == 0, done.stderr
        printed += done.stdout
        return message_id in printed or None

    wait_for(read_outcomes, "the message on the outcome")

    assert f"{message_id} 1 accepted -\n" in printed
    assert printed.count(message_id) == 1


@pytest.mark.parametrize("name", WITH_ROLES)
def test_a_sample_fails_if_a_role_is_removed(
    stack: LocalStack, report: Path, name: str, removed_role: RoleAssignment
) -> None:
    refused = run(stack, name, f"sample:{uuid.uuid4()}", report)

    assert refused.returncode != 0
    assert "AuthorizationPermissionMismatch" in refused.stdout + refused.stderr


@pytest.mark.parametrize("name", EVERY)
def test_a_sample_names_the_missing_app_role(stack: LocalStack, name: str) -> None:
    assert stack.schedulers.api is not None
    stack.schedulers.api = replace(stack.schedulers.api, roles=())
    try:
        refused = read(stack, name, "sample:1")
    finally:
        stack.schedulers.api = replace(stack.schedulers.api, roles=(READ_ROLE,))

    assert refused.returncode == 1
    assert "application_role_required" in refused.stdout + refused.stderr
