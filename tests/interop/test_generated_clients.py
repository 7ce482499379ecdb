"""Clients generated from the OpenAPI document compile and work."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.interop import HERE, MODULES, NSWAG
from tests.interop.conftest import read_last_line, run
from tests.local_stack.microsoft365.contoso import ADA

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.interop.conftest import Client, Run

    type Journey = Callable[[Client], dict[str, Any]]

SEEN = {
    "before": {
        "health": "alive",
        "settings": {"status": "not_configured", "from": None, "problem": None},
        "missing": {"status": 404, "code": "delivery_not_found", "whoActs": "caller", "fields": []},
        "wrong": {
            "status": 400,
            "code": "invalid_from_email_address",
            "whoActs": "workspace_admin",
            "fields": ["fromEmailAddress"],
        },
        "unknown": {"status": 401, "code": "token_missing", "whoActs": "caller", "fields": []},
        "flow": {"status": "pending", "stage": "link_not_opened", "problem": None},
    },
    "after": {
        "flow": {"status": "completed", "stage": None, "problem": None},
        "settings": {"status": "enabled", "from": ADA, "problem": None},
        "unchanged": None,
        "changed": True,
        "delivery": {"status": "accepted", "to": 1, "problem": None},
        "listed": True,
        "ready": {"status": "ready", "storage": True},
        "reset": 204,
    },
}


@pytest.fixture(scope="module")
def typescript(npm: Path, documents: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate types, compile the programs in strict mode, return the folder."""
    project = tmp_path_factory.mktemp("typescript")
    for file in (HERE / "typescript").iterdir():
        shutil.copy(file, project)
    (project / "node_modules").symlink_to(MODULES)
    (project / "package.json").write_text(json.dumps({"type": "module"}), "utf-8")
    run(npm / "openapi-typescript", documents / "openapi.json", "-o", project / "api.d.ts")
    run(npm / "json2ts", "-i", documents / "mail-message.schema.json", "-o", project / "mail-message.d.ts")
    run(npm / "tsc", "-p", project)
    return project / "made"


def test_a_client_in_typescript_works(typescript: Path, run_consent_client: Journey) -> None:
    def client(phase: str, environment: dict[str, str]) -> dict[str, Any]:
        return read_last_line(run("node", typescript / "smoke.js", phase, environment=environment))

    assert run_consent_client(client) == SEEN


def test_a_message_in_typescript_has_the_types_of_the_mail_schema(typescript: Path) -> None:
    """The compiler rejects exactly what `mail.ts` marks as an error."""
    assert (typescript / "mail.js").exists()


@pytest.fixture(scope="module")
def dotnet(mono: Run, documents: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate a client with NSwag, compile a program with it and return it."""
    folder = tmp_path_factory.mktemp("dotnet")
    client, program = folder / "Client.cs", folder / "Smoke.exe"
    command = (
        "openapi2csclient",
        f"/input:{documents / 'openapi.json'}",
        f"/output:{client}",
        "/namespace:Mailer",
    )
    mono(NSWAG / "NSwag.exe", *command)
    libraries = (
        "System.Net.Http",
        "System.ComponentModel.DataAnnotations",
        "System.Runtime.Serialization",
        NSWAG / "Newtonsoft.Json.dll",
    )
    references = [f"-r:{each}" for each in libraries]
    run("mcs", "-langversion:latest", f"-out:{program}", *references, client, HERE / "dotnet/Smoke.cs")
    return program


def test_a_client_for_net_that_nswag_generates_works(
    dotnet: Path, mono: Run, run_consent_client: Journey
) -> None:
    def client(phase: str, environment: dict[str, str]) -> dict[str, Any]:
        return read_last_line(mono(dotnet, phase, environment=environment))

    assert run_consent_client(client) == SEEN
