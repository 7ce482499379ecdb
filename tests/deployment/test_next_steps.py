"""The text that azd prints after provisioning."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from infra.hooks.next_steps import REGISTRATION_BY_HAND, STEPS, TEMPORARY_ACCESS, next_steps
from infra.hooks.reporting import run_step
from tests.deployment.pins import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

OUTPUTS = {
    "AZURE_ENV_NAME": "mailer-test",
    "AZURE_RESOURCE_GROUP": "rg-mailer-test",
    "PUBLIC_BASE_URL": "https://func-mailer-abc.azurewebsites.net",
    "REDIRECT_URI": "https://func-mailer-abc.azurewebsites.net/api/consent/callback",
    "ENTRA_CLIENT_ID": "8c7e0f6a-1111-4222-8333-444455556666",
    "ENTERPRISE_APP_OBJECT_ID": "1d2e3f40-aaaa-4bbb-8ccc-ddddeeeeffff",
    "ENTRA_TENANT_ID": "6f1c0000-0000-4000-8000-000000000001",
    "IDENTITY_PRINCIPAL_ID": "99990000-0000-4000-8000-000000000002",
    "API_SCOPE": "api://6f1c/inforiver-mailer/settings",
    "ADMIN_ROLE": "Workspace.Admin",
}
BROUGHT_REGISTRATION = OUTPUTS | {"ENTERPRISE_APP_OBJECT_ID": "", "API_SCOPE": ""}


def run_hook(environment: Mapping[str, str], redirection: str = "") -> subprocess.CompletedProcess[bytes]:
    """Run it as azd does; `redirection` is the shell's."""
    return subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", f"{sys.executable} -S -m infra.hooks.next_steps {redirection}"],
        cwd=ROOT,
        env=dict(environment),
        capture_output=True,
        check=False,
        timeout=60,
    )


def test_every_placeholder_is_filled() -> None:
    text = next_steps(OUTPUTS)

    assert "$" not in text
    assert "Not filled in" not in text


def test_the_real_addresses_and_ids_are_shown() -> None:
    text = next_steps(OUTPUTS)

    assert f"{OUTPUTS['PUBLIC_BASE_URL']}/api" in text
    assert f"-AppId {OUTPUTS['ENTRA_CLIENT_ID']} -ObjectId {OUTPUTS['ENTERPRISE_APP_OBJECT_ID']}" in text


def test_objects_in_exchange_carry_the_name_of_the_environment() -> None:
    """Two environments can share a tenant and must not share an object name."""
    text = next_steps(OUTPUTS)

    assert '"Inforiver mail"' not in text
    assert text.count('"Inforiver mail (mailer-test)') == 4


def test_temporarily_granted_access_comes_with_the_command_that_revokes_it() -> None:
    granted = next_steps(OUTPUTS | {"GRANT_OPERATOR_DATA_ACCESS": "true"})

    assert "az role assignment delete --ids $(az role assignment list --all --assignee" in granted
    assert "'/resourceGroups/rg-mailer-test/'" in granted
    for never in (OUTPUTS, OUTPUTS | {"GRANT_OPERATOR_DATA_ACCESS": "false"}):
        assert "az role assignment delete" not in next_steps(never)


def test_a_registration_from_the_template_needs_no_manual_step() -> None:
    assert "Federated credential" not in next_steps(OUTPUTS)


def test_for_an_existing_registration_only_its_values_are_printed() -> None:
    text = next_steps(BROUGHT_REGISTRATION)

    assert f"subject  {OUTPUTS['IDENTITY_PRINCIPAL_ID']}" in text
    assert "<scope of your app registration>" in text
    assert "Not filled in" not in text


@pytest.mark.parametrize("name", ["ADMIN_ROLE", "ENTRA_CLIENT_ID", "ENTERPRISE_APP_OBJECT_ID", "API_SCOPE"])
def test_an_output_that_is_missing_is_named(name: str) -> None:
    text = next_steps({key: value for key, value in OUTPUTS.items() if key != name})

    assert f"<{name}>" in text
    assert text.count("Not filled in because azd passed no value: " + name) == 1
    assert "the template made none" not in text


def test_a_missing_output_does_not_count_as_a_registration_of_your_own() -> None:
    assert "Federated credential" not in next_steps({})


def test_without_azd_every_name_is_listed_and_the_exit_code_is_0() -> None:
    done = run_hook({})

    assert (done.returncode, done.stderr) == (0, b"")
    for name in ("ADMIN_ROLE", "ENTRA_CLIENT_ID", "PUBLIC_BASE_URL", "API_SCOPE"):
        assert f"<{name}>".encode() in done.stdout
    assert b"Not filled in" in done.stdout


@pytest.mark.parametrize(
    "value",
    ['{"broken": ', "$ADMIN_ROLE ${", "%s %(x)s", "Rôle.Ädmin", "one\ntwo", "x" * 100_000],
    ids=["broken json", "placeholder", "format", "accents", "lines", "long"],
)
def test_a_strange_value_is_printed_as_it_is(value: str) -> None:
    done = run_hook(OUTPUTS | {"ADMIN_ROLE": value})

    assert (done.returncode, done.stderr) == (0, b"")
    assert value.encode() in done.stdout


def test_a_console_without_the_character_gets_a_question_mark() -> None:
    done = run_hook(OUTPUTS | {"ADMIN_ROLE": "Rôle", "PYTHONIOENCODING": "ascii"})

    assert done.returncode == 0
    assert b"R?le" in done.stdout


def test_a_value_that_is_no_text_is_no_error() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "infra.hooks.next_steps"],
        cwd=ROOT,
        env={b"ADMIN_ROLE": b"\xff\xfe"},
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("redirection", [">&-", "2>&- >&-", ">/dev/full", "| true"])
def test_a_console_that_takes_nothing_is_no_error(redirection: str) -> None:
    done = run_hook(OUTPUTS, redirection)

    assert (done.returncode, done.stderr) == (0, b"")


def test_an_unexpected_error_is_printed_and_not_raised(capsys: pytest.CaptureFixture[str]) -> None:
    run_step("The list", lambda: next_steps(None))  # type: ignore[arg-type]

    assert capsys.readouterr().out.startswith("The list stopped: AttributeError: ")


def test_every_name_in_the_text_is_an_output_of_the_template() -> None:
    outputs = re.findall(r"^output (\w+) ", (ROOT / "infra/main.bicep").read_text("utf-8"), re.MULTILINE)

    # The environment's name is azd's own.
    named = set(re.findall(r"\$(\w+)", REGISTRATION_BY_HAND + STEPS + TEMPORARY_ACCESS))
    assert named <= {*outputs, "AZURE_ENV_NAME"}


@pytest.mark.parametrize("path", ["reporting.py", "next_steps.py", "smoke.py"])
def test_a_hook_runs_on_the_python_that_an_operator_has(path: str) -> None:
    """Not the app's: the one that macOS brings is 3.9."""
    ast.parse((ROOT / "infra/hooks" / path).read_text("utf-8"), feature_version=(3, 9))
