"""What azd prints after provisioning."""

from __future__ import annotations

import subprocess
import sys

from infra.hooks.next_steps import next_steps
from tests.infra.project import ROOT

OUTPUTS = {
    "PUBLIC_BASE_URL": "https://func-mailer-abc.azurewebsites.net",
    "REDIRECT_URI": "https://func-mailer-abc.azurewebsites.net/api/consent/callback",
    "ENTRA_CLIENT_ID": "8c7e0f6a-1111-4222-8333-444455556666",
    "ENTERPRISE_APP_OBJECT_ID": "1d2e3f40-aaaa-4bbb-8ccc-ddddeeeeffff",
    "ENTRA_TENANT_ID": "6f1c0000-0000-4000-8000-000000000001",
    "IDENTITY_PRINCIPAL_ID": "99990000-0000-4000-8000-000000000002",
    "API_SCOPE": "api://6f1c/inforiver-mailer/settings",
    "ADMIN_ROLE": "Workspace.Admin",
}


def test_every_placeholder_is_filled() -> None:
    assert "$" not in next_steps(OUTPUTS)


def test_the_exchange_commands_carry_the_real_ids() -> None:
    text = next_steps(OUTPUTS)

    assert "-AppId 8c7e0f6a-1111-4222-8333-444455556666" in text
    assert "-ObjectId 1d2e3f40-aaaa-4bbb-8ccc-ddddeeeeffff" in text


def test_a_registration_made_here_needs_nothing_by_hand() -> None:
    assert "Federated credential" not in next_steps(OUTPUTS)


def test_a_foreign_registration_is_told_what_it_needs() -> None:
    text = next_steps(OUTPUTS | {"ENTERPRISE_APP_OBJECT_ID": "", "API_SCOPE": ""})

    assert "Federated credential" in text
    assert "https://func-mailer-abc.azurewebsites.net/api/consent/callback" in text
    assert "99990000-0000-4000-8000-000000000002" in text


def test_what_is_missing_stays_visible() -> None:
    assert "$API_SCOPE" in next_steps({})


def test_azd_can_run_it_without_any_package() -> None:
    done = subprocess.run(
        [sys.executable, "-S", "infra/hooks/next_steps.py"],
        cwd=ROOT,
        env=OUTPUTS,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    assert "Consent once" in done.stdout
