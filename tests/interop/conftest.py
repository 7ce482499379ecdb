"""Third-party tools: npm packages of the lock file, and Mono for .NET."""

import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from shared.api.openapi.document import document_text
from shared.mail.json_schema import schema_text
from tests.interop import HERE, MODULES, NSWAG
from tests.local_stack.browser_client import BrowserClient
from tests.local_stack.clients import Admin
from tests.local_stack.microsoft365.contoso import ADA
from tests.local_stack.stack import QUICK, LocalStack

#: The types of .NET Standard, for the compiler.
FACADE = "/usr/lib/mono/4.5/Facades/netstandard.dll"

type Run = Callable[..., str]
type Client = Callable[..., dict[str, Any]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark this folder's tests."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.interop)


def run(*command: object, text: str = "", environment: Mapping[str, str] | None = None) -> str:
    """Run a program and return its output."""
    done = subprocess.run(
        [str(part) for part in command],
        input=text,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def missing(what: str) -> None:
    """Skip a test whose tool is missing; in CI, fail."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} In CI these tests have to run.")
    pytest.skip(what)


@pytest.fixture(scope="session")
def npm() -> Path:
    """Return the folder with the programs of npm."""
    if not MODULES.is_dir():
        missing("The packages of npm are missing; `make interop` fetches them.")
    return MODULES / ".bin"


@pytest.fixture(scope="session")
def mono(npm: Path) -> Run:
    """Run a program for .NET, with NSwag's libraries beside it."""
    if not (shutil.which("mono") and shutil.which("mcs")):
        missing("Mono is missing; Debian's packages are called mono-devel and mono-mcs.")

    def run_it(program: object, *arguments: object, **options: Any) -> str:
        environment = {"MONO_PATH": str(NSWAG), **options.pop("environment", {})}
        return run("mono", program, *arguments, environment=environment, **options)

    return run_it


@pytest.fixture(scope="session")
def njsonschema(mono: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Compile the program that validates values with NJsonSchema."""
    program = tmp_path_factory.mktemp("njsonschema") / "Validate.exe"
    libraries = [f"-r:{NSWAG / name}" for name in ("NJsonSchema.dll", "Newtonsoft.Json.dll")]
    source = HERE / "dotnet" / "Validate.cs"
    run("mcs", "-langversion:latest", f"-out:{program}", *libraries, f"-r:{FACADE}", source)
    return lambda schema, values: mono(program, text=json.dumps({"schema": schema, "values": values}))


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write both documents into a folder, as they are downloaded."""
    folder = tmp_path_factory.mktemp("documents")
    (folder / "openapi.json").write_bytes(document_text())
    (folder / "mail-message.schema.json").write_text(schema_text(), "utf-8")
    return folder


@pytest.fixture(scope="package")
def local_stack() -> Iterator[LocalStack]:
    """Run the app under a name that every client connects to this machine."""
    with LocalStack(settings=QUICK) as running:
        yield running


@pytest.fixture
def run_consent_client(local_stack: LocalStack, tmp_path: Path) -> Callable[[Client], dict[str, Any]]:
    """Complete a consent that the client starts; return its output."""
    system, authority = local_stack.microsoft365, local_stack.authority
    certificate = tmp_path / "server.der"
    certificate.write_bytes(ssl.PEM_cert_to_DER_cert(authority.certificate_file.read_text("ascii")))
    environment = {
        "API_URL": local_stack.api_url,
        "API_TOKEN": system.api_token(ADA),
        "API_CERTIFICATE": str(certificate),
        "NODE_EXTRA_CA_CERTS": str(authority.ca_file),
        "FROM_ADDRESS": ADA,
    }

    def go(client: Client) -> dict[str, Any]:
        system.consents.clear()
        admin = Admin(local_stack.api_url, environment["API_TOKEN"], authority.ca_file)
        admin.call("POST", "tenant-settings/smtp/reset")
        admin.close()
        before = client("before", environment)
        BrowserClient(authority.ca_file).consent(before.pop("startUrl"), ADA)
        after = client("after", environment | {"FLOW_ID": before.pop("flowId")})
        return {"before": before, "after": after}

    return go


def read_last_line(printed: str) -> dict[str, Any]:
    """Read the JSON that a program printed last."""
    found: dict[str, Any] = json.loads(printed.strip().splitlines()[-1])
    return found
