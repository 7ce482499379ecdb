import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from shared.config import AppConfig
from shared.storage_names import API_VERSION, CONTAINERS, QUEUES, TABLES
from tests.emulator_tests.functions_host import NEVER, SAMPLE_APP, own_host_only
from tests.local_stack.clients import wait_for
from tests.local_stack.host_process import REPOSITORY
from tests.local_stack.loopback import loopback_session
from tests.local_stack.managed_identity import TOKEN_EXCHANGE
from tests.local_stack.microsoft365.contoso import ADA, CLIENT_ID, CONTOSO
from tests.local_stack.processes import Child, ChildFailedError
from tests.local_stack.running import DESCRIPTION_FILE, NOT_RUNNING
from tests.local_stack.stack import LocalStack

pytestmark = pytest.mark.stack

SAMPLE_SETTINGS = {
    "WORK_QUEUE": "work",
    "BYTES_QUEUE": "bytes",
    "RESULTS_QUEUE": "results",
    "TICKS_QUEUE": "ticks",
    "TICK_SCHEDULE": NEVER,
}
COMMAND = [sys.executable, "-m", "tests.local_stack"]


def get(stack: LocalStack, url: str, token: str = "") -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with loopback_session(stack.authority.bundle) as session:
        return session.get(url, headers=headers, timeout=10)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_app_responds_at_the_address_that_its_settings_name(stack: LocalStack) -> None:
    response = get(stack, f"{stack.environment()['PUBLIC_BASE_URL']}/api/health")

    assert response.status_code == 200


def test_the_app_accepts_the_tokens_of_the_local_entra(stack: LocalStack) -> None:
    settings = f"{stack.api_url}/api/tenant-settings/smtp"

    assert get(stack, settings).status_code == 401
    assert get(stack, settings, stack.microsoft365.api_token(ADA)).status_code == 200


def test_the_settings_are_a_valid_configuration_of_the_app(stack: LocalStack) -> None:
    config = AppConfig.from_env(stack.environment())

    assert config.entra_tenant_id == CONTOSO
    assert config.frontend_origins == (stack.frontend_origin,)


def test_the_storage_of_a_deployment_is_there(stack: LocalStack) -> None:
    text = stack.azurite.connection_string
    with (
        QueueServiceClient.from_connection_string(text, api_version=API_VERSION) as queues,
        BlobServiceClient.from_connection_string(text, api_version=API_VERSION) as blobs,
        TableServiceClient.from_connection_string(text) as tables,
    ):
        assert {queue.name for queue in queues.list_queues()} >= set(QUEUES)
        assert {container.name for container in blobs.list_containers()} >= set(CONTAINERS)
        assert {table.name for table in tables.list_tables()} >= set(TABLES)


def test_entra_accepts_a_managed_identity_token_instead_of_the_secret(stack: LocalStack) -> None:
    assertion = stack.identity.token(TOKEN_EXCHANGE, stack.identity.user_assigned)
    form = {
        "client_id": CLIENT_ID,
        "client_assertion": assertion,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "grant_type": "client_credentials",
        "scope": "https://graph.microsoft.com/.default",
    }
    stack.microsoft365.grant_consent("*@contoso.com", "Mail.Send")
    try:
        responses = [
            requests.post(
                f"{stack.entra_url}/{CONTOSO}/oauth2/v2.0/token",
                data=form | {"client_assertion": each},
                verify=str(stack.authority.bundle),
                timeout=10,
            )
            for each in (assertion, stack.identity.token(TOKEN_EXCHANGE, stack.identity.system_assigned))
        ]
    finally:
        stack.microsoft365.revoke_consent("*@contoso.com")

    assert responses[0].status_code == 200, responses[0].text
    assert responses[1].json()["error_codes"] == [700213]


def test_a_second_host_runs_beside_the_first_and_a_killed_one_is_replaced() -> None:
    with LocalStack(app_directory=SAMPLE_APP, settings=SAMPLE_SETTINGS) as stack:
        first = stack.hosts[0]
        second = stack.start_host()
        assert second.port != first.port

        second.kill()
        assert not second.running
        assert get(stack, f"{stack.api_url}/api/only-get").text == "ok"

        first.kill()
        with pytest.raises(requests.ConnectionError):
            get(stack, f"{stack.api_url}/api/only-get")
        stack.start_host()
        assert get(stack, f"{stack.api_url}/api/only-get").text == "ok"
        assert len(stack.hosts) == 3
        pids = [stack.azurite.pid, *(host.pid for host in stack.hosts)]

    assert not any(is_running(pid) for pid in pids)


@own_host_only
def test_a_start_that_fails_leaves_nothing_running() -> None:
    stack = LocalStack(app_directory=SAMPLE_APP, settings=SAMPLE_SETTINGS | {"AzureWebJobsStorage": ""})

    with pytest.raises(ChildFailedError, match="The setting AzureWebJobsStorage is missing"), stack:
        pass

    assert not is_running(stack.azurite.pid)
    assert not stack.directory.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_started_stack_prints_its_addresses_and_ends_cleanly(
    number: signal.Signals, tmp_path: Path
) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    started = Child(
        [*COMMAND, "start"], tmp_path / "start.log", directory=REPOSITORY, environment=environment
    )
    started.wait_for_lines(r"Inbox +(https://127\.0\.0\.1:\d+)/", 1, 60)
    sent = subprocess.run(
        [*COMMAND, "mail", "--to", "cfo@contoso.com"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    os.kill(started.pid, number)

    assert started.stop(seconds=30) == 0
    assert re.fullmatch(r"by-hand:[0-9a-f-]{36}\n", sent.stdout)
    assert started.log().endswith("Stopping.\n")
    assert list(tmp_path.glob("mailer-stack-*")) == list(tmp_path.glob("azurite-*")) == []


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=30
    )


def test_a_script_gets_all_that_a_schedulers_developer_needs(tmp_path: Path) -> None:
    output = tmp_path / "stack.json"
    with output.open("w") as written:
        started = subprocess.Popen(
            [*COMMAND, "start", "--json", "--consented", "--fault", "recipient-refused"],
            cwd=REPOSITORY,
            stdout=written,
            stderr=subprocess.DEVNULL,
        )
        try:
            text = wait_for(lambda: output.read_text() or None, "the description")
            stack = json.loads(text)
            admin = command("token", "admin").stdout.strip()
            scheduler = command("token", "scheduler").stdout.strip()
            exports = command("environment").stdout
            faults = command("fault", "throttled", "--times", "2").stdout
            with loopback_session(stack["caFile"]) as session:
                api = f"{stack['apiUrl']}/api/tenant-settings/smtp"
                status = session.get(api, headers=bearer(admin), timeout=10).json()["status"]
                files = f"{stack['blobEndpoint']}/{stack['container']}?restype=container&comp=list"
                headers = bearer(scheduler) | {"x-ms-version": "2024-11-04"}
                listed = session.get(files, headers=headers, timeout=10).status_code
        finally:
            started.terminate()
            ended = started.wait(timeout=30)

    assert (status, listed, ended) == ("enabled", 200, 0)
    assert faults == "faults that wait: 2\n"
    assert text.count("\n") == 1
    assert f"export MAIL_QUEUE_ENDPOINT={stack['queueEndpoint']}\n" in exports
    assert stack["schedulerEnvironment"]["MAIL_TENANT_ID"] == stack["tenantId"] == CONTOSO
    assert not DESCRIPTION_FILE.exists()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("arguments", [["fault"], ["start", "--fault"]])
def test_the_faults_are_listed_with_the_responses_of_microsoft(arguments: list[str]) -> None:
    listed = command(*arguments)

    assert listed.returncode == 0
    assert re.search(r"^  throttled +sendMail +429 ApplicationThrottled", listed.stdout, re.MULTILINE)


@pytest.mark.parametrize("arguments", [["fault", "fire"], ["start", "--fault", "fire"]])
def test_an_unknown_fault_is_named_and_the_known_ones_are_listed(arguments: list[str]) -> None:
    refused = command(*arguments)

    assert refused.returncode == 2
    assert refused.stderr.startswith("There is no fault fire.\n")
    assert "recipient-refused" in refused.stderr


@pytest.mark.parametrize("arguments", [["token", "admin"], ["fault", "timeout"]])
def test_a_command_for_a_running_stack_reports_that_none_runs(arguments: list[str]) -> None:
    refused = command(*arguments)

    assert (refused.returncode, refused.stderr) == (1, f"{NOT_RUNNING}\n")


def test_a_mail_without_a_stack_is_one_sentence() -> None:
    refused = subprocess.run(
        [*COMMAND, "mail", "--to", "cfo@contoso.com"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert refused.returncode == 1
    assert refused.stderr == "No local stack is running: start one with `make start`.\n"


@pytest.mark.parametrize("command", ["start", "mail", "environment", "token", "fault", "demo", "host"])
def test_every_command_has_a_help(command: str) -> None:
    shown = subprocess.run(
        [*COMMAND, command, "--help"], cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=30
    )

    assert shown.stdout.startswith(f"usage: python -m tests.local_stack {command}")
