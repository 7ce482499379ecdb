"""All services are built from the settings on first use."""

import inspect
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from shared.bootstrap import Services, services
from shared.errors import ConfigurationError
from shared.operate.services import operator_services
from shared.scheduler_bootstrap import scheduler_services
from tests.fakes import CONFIG, FABRIKAM, FakeSystem, MemorySchedules
from tests.test_config import GIVEN

ROOT = Path(__file__).parent.parent
CONNECTION = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"
)
BY_IDENTITY = {
    "AzureWebJobsStorage__tableServiceUri": "https://mailer.table.core.windows.net",
    "AzureWebJobsStorage__queueServiceUri": "https://mailer.queue.core.windows.net",
    "AzureWebJobsStorage__blobServiceUri": "https://mailer.blob.core.windows.net",
    "AzureWebJobsStorage__clientId": "33333333-2222-4333-8444-555555555555",
}
MEMBERS = [
    "settings",
    "flows",
    "directory_waits",
    "operator_log",
    "deliveries",
    "outbox",
    "files",
    "requests",
    "vault",
    "authorizer",
    "tokens",
    "transport",
    "caller_tokens",
]


@pytest.fixture(params=["connection string", "identity"])
def built_services(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Services:
    storage = {"AzureWebJobsStorage": CONNECTION} if request.param == "connection string" else BY_IDENTITY
    for name, value in (GIVEN | storage).items():
        monkeypatch.setenv(name, value)
    return Services()


@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_is_built_once_and_without_any_request(member: str, built_services: Services) -> None:
    first = getattr(built_services, member)

    assert first is getattr(built_services, member)


def test_threads_that_first_read_a_member_at_once_get_the_same_object(built_services: Services) -> None:
    together = threading.Barrier(8)

    def read(_: int) -> object:
        together.wait(10)
        return built_services.tokens

    with ThreadPoolExecutor(8) as threads:
        assert len({id(found) for found in threads.map(read, range(8))}) == 1


def test_a_member_can_be_replaced_and_the_others_use_it() -> None:
    schedules = MemorySchedules(clock=FakeSystem().steady)
    settings = replace(CONFIG, allowed_tenant_ids=frozenset({FABRIKAM}))

    here = Services(schedules=schedules, config=settings)

    assert here.schedules is schedules
    assert here.allowed_tenants == {FABRIKAM}


@pytest.mark.parametrize("name", ["transports", "allowed_tenants", "setting_problems"])
def test_only_a_lazy_member_can_be_replaced(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        Services(**{name: None})


def test_the_application_senders_are_read_from_the_settings(built_services: Services) -> None:
    assert built_services.application_senders == ()


def test_with_a_connection_string_no_operator_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AzureWebJobsStorage", CONNECTION)

    assert Services().operator_id is None


def test_the_served_tenants_are_read_from_the_settings(built_services: Services) -> None:
    assert built_services.home_tenant in built_services.allowed_tenants


def test_a_missing_setting_is_an_error_at_first_use_and_needs_no_restart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SMTP_PROVIDER", "Office365")
    here = Services()
    with pytest.raises(ConfigurationError, match="ENTRA_TENANT_ID"):
        _ = here.transport
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)

    assert here.transport is not None


def test_rows_and_queue_are_there_while_other_settings_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AzureWebJobsStorage", CONNECTION)
    here = Services()

    assert here.deliveries is not None
    assert here.outbox is not None
    with pytest.raises(ConfigurationError):
        _ = here.vault


def test_the_command_of_a_scheduler_needs_only_queue_and_container(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AzureWebJobsStorage__queueServiceUri", "AzureWebJobsStorage__blobServiceUri"):
        monkeypatch.setenv(name, BY_IDENTITY[name])

    scheduler = scheduler_services()

    assert scheduler.outbox is not None
    assert scheduler.files is not None
    assert (scheduler.allowed_tenants, scheduler.public_base_url) == (frozenset(), "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENTRA_CLIENT_SECRET", "@Microsoft.KeyVault(VaultName=v;SecretName=entra-client-secret)"),
        ("ENTRA_CLIENT_CERTIFICATE_PATH", "/mounts/certificates/app.pem"),
    ],
)
def test_the_command_of_an_operator_needs_no_credential_of_the_app(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    """Azure lists settings without the secret; the app's files are elsewhere."""
    for each, given in (GIVEN | BY_IDENTITY | {"ENTRA_CLIENT_SECRET": "", name: value}).items():
        monkeypatch.setenv(each, given)

    operator = operator_services()

    assert operator.vault is not None
    assert operator.allowed_tenants == {GIVEN["ENTRA_TENANT_ID"].lower()}
    assert capsys.readouterr().err == ""


def test_a_process_logs_at_its_start_what_is_wrong_with_its_settings(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in (GIVEN | {"ALLOWED_TENANT_IDS": "contoso.onmicrosoft.com"}).items():
        monkeypatch.setenv(name, value)
    inspect.unwrap(services)()

    assert "operator_error {" in caplog.text
    assert '"setting": "ALLOWED_TENANT_IDS"' in caplog.text


def test_a_process_has_one_set_of_services() -> None:
    assert services() is services()


def test_building_nothing_loads_nothing() -> None:
    code = "import sys; from shared.bootstrap import services; services(); print('azure.core' in sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.strip() == "False"
