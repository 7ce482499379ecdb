"""The start of a Functions host and its errors for an app that fails."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.emulator_tests.functions_host import (
    ALLOWED_ORIGIN,
    NEVER,
    SAMPLE_APP,
    Setup,
    own_host_only,
    sample_host,
)
from tests.local_stack.host.options import Waits
from tests.local_stack.host_process import (
    MASTER_KEY,
    REPOSITORY,
    HostPlan,
    HostProcess,
    free_port,
    host_command,
)
from tests.local_stack.processes import ChildFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.emulator_tests.functions_host import SampleHost
    from tests.local_stack.azurite import Azurite
    from tests.local_stack.certificates import LocalAuthority

pytestmark = pytest.mark.stack

HOST_JSON = """{
  "version": "2.0",
  "logging": { "logLevel": { "default": "Warning" } },
  "extensionBundle": { "id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)" }
}"""
TWICE = """
import azure.functions as func
app = func.FunctionApp()
@app.function_name("same")
@app.route(route="one")
def one(req: func.HttpRequest) -> str: return "1"
@app.function_name("same")
@app.route(route="two")
def two(req: func.HttpRequest) -> str: return "2"
"""
BROKEN = {"a syntax error": "def", "a missing module": "import no_such_module", "a name twice": TWICE}
CONSOLE = {"logging__logLevel__Host.Function.Console": "Information"}


@pytest.fixture(scope="module")
def plain_host(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleHost]:
    with sample_host(azurite, tmp_path_factory.mktemp("plain")) as running:
        yield running


def broken_app(directory: Path, source: str) -> Path:
    """Write an app that cannot be loaded."""
    app = directory / "app"
    app.mkdir()
    (app / "host.json").write_text(HOST_JSON)
    (app / "function_app.py").write_text(source)
    return app


@pytest.mark.parametrize("source", BROKEN.values(), ids=BROKEN)
def test_an_app_that_cannot_be_loaded_leaves_a_host_without_functions(
    azurite: Azurite, tmp_path: Path, source: str
) -> None:
    with sample_host(azurite, tmp_path, Setup(app=broken_app(tmp_path, source))) as host:
        responses = [host.request("GET", f"/api/{route}").status for route in ("one", "two", "health")]
        log = host.log()

    assert responses == [404, 404, 404]
    assert "No job functions found." in log
    assert "Traceback" not in log


@own_host_only
def test_the_trace_of_a_failed_start_is_shown_if_host_json_enables_it(
    azurite: Azurite, tmp_path: Path
) -> None:
    app = broken_app(tmp_path, BROKEN["a missing module"])
    with sample_host(azurite, tmp_path, Setup(app=app, host_json=CONSOLE)) as host:
        status = host.admin("GET", "host/status").json()
        functions = host.admin("GET", "functions").json()
        log = host.log()

    assert "info: Host.Function.Console[0]" in log
    assert "No module named 'no_such_module'" in log
    assert "No module named 'no_such_module'" in status["errors"][0]
    assert functions == []


def test_a_function_whose_setting_is_missing_is_left_out_and_others_run(
    azurite: Azurite, tmp_path: Path
) -> None:
    with sample_host(azurite, tmp_path, Setup(schedule="")) as host:
        response = host.request("GET", "/api/only-get").status
        started = host.admin("POST", "functions/tick", b'{"input": ""}').status
        log = host.log()

    assert (response, started) == (200, 404)
    assert "The 'tick' function is in error" in log


def test_a_route_under_admin_is_refused(plain_host: SampleHost) -> None:
    assert plain_host.request("GET", "/api/admin/hidden").status == 404
    assert plain_host.admin("GET", "functions/hidden").status == 404

    names = {each["name"] for each in plain_host.admin("GET", "functions").json()}
    assert "echo" in names
    assert "hidden" not in names


def test_a_disabled_function_runs_only_on_a_manual_call(azurite: Azurite, tmp_path: Path) -> None:
    disabled = {f"AzureWebJobs.{name}.Disabled": "true" for name in ("only_get", "tick")}
    with sample_host(azurite, tmp_path, Setup(schedule="*/1 * * * * *", settings=disabled)) as host:
        response = host.request("GET", "/api/only-get").status
        shown = {each["name"]: each["isDisabled"] for each in host.admin("GET", "functions").json()}
        assert host.receive_raw("ticks") == []
        assert host.admin("POST", "functions/tick", b'{"input": ""}').status == 202
        assert len(host.results(1, "ticks")) == 1

    assert response == 404
    assert (shown["only_get"], shown["any_method"]) == (True, False)


def test_the_home_page_can_be_switched_off(azurite: Azurite, tmp_path: Path) -> None:
    with sample_host(azurite, tmp_path, Setup(settings={"AzureWebJobsDisableHomepage": "true"})) as host:
        response = host.request("GET", "/")

    assert (response.status, response.body) == (204, b"")


def test_a_smaller_body_limit_is_applied(azurite: Azurite, tmp_path: Path) -> None:
    setup = Setup(settings={"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "1048576"})
    with sample_host(azurite, tmp_path, setup) as host:
        fits = host.request("POST", "/api/echo", body=b"x" * 1_048_576)
        beyond = host.request("POST", "/api/echo", body=b"x" * 1_048_577)
        elsewhere = host.request("POST", "/api/nowhere", body=b"x" * 1_048_577)
        log = host.log()

    assert (fits.status, fits.json()["length"]) == (200, 1_048_576)
    assert (beyond.status, beyond.body) == (500, b"")
    assert beyond.header("Connection") == "close"
    assert elsewhere.status == 404
    assert log.count("Executed 'Functions.echo'") == 1


def test_hsts_is_sent_for_real_names_over_https_and_never_for_loopback(
    azurite: Azurite, local_authority: LocalAuthority, tmp_path: Path
) -> None:
    with sample_host(azurite, tmp_path, Setup(authority=local_authority)) as host:
        named = host.request("GET", "/api/only-get", [("Host", "mailer.example")])
        loopback = host.request("GET", "/api/only-get")
        seen = host.request("GET", "/api/echo", [("Host", "mailer.example")]).json()

    assert named.header("Strict-Transport-Security") == "max-age=31536000"
    assert loopback.header("Strict-Transport-Security") is None
    assert seen["url"] == "https://mailer.example/api/echo"


def test_of_several_origins_each_may_read_and_the_response_varies(azurite: Azurite, tmp_path: Path) -> None:
    origins = ("https://a.example", "https://b.example")
    with sample_host(azurite, tmp_path, Setup(origins=origins)) as host:
        response = host.request("GET", "/api/only-get", [("Origin", "https://b.example")])
        other = host.request("GET", "/api/only-get", [("Origin", "https://b.example.evil.example")])

    assert response.header("Access-Control-Allow-Origin") == "https://b.example"
    assert response.header("Vary") == "Origin"
    assert response.header("Access-Control-Allow-Credentials") is None
    assert other.header("Access-Control-Allow-Origin") is None


def test_a_cookie_names_every_host_but_localhost_as_azure_does(plain_host: SampleHost) -> None:
    named = [("Host", "mailer.azurewebsites.net:443")]
    response = plain_host.request("POST", "/api/cookies", named, b"__Host-a=1; Path=/; Secure")

    assert response.header("Set-Cookie") == "__Host-a=1; domain=mailer.azurewebsites.net; path=/; secure"


@own_host_only
@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "The setting AzureWebJobsStorage is missing"),
        (
            {"AzureWebJobsStorage__queueServiceUri": "https://q.example"},
            "identity-based connection, which this host doesn't cover",
        ),
    ],
    ids=["missing connection", "identity"],
)
def test_a_host_that_cannot_start_reports_it_in_one_sentence(
    settings: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    names = {"WORK_QUEUE": "work", "BYTES_QUEUE": "bytes", "RESULTS_QUEUE": "results", "TICKS_QUEUE": "ticks"}
    plan = HostPlan(SAMPLE_APP, free_port())

    with pytest.raises(ChildFailedError, match=sentence) as failed:
        HostProcess(plan, names | {"TICK_SCHEDULE": NEVER} | settings, tmp_path / "host.log").wait()

    assert "Traceback" not in str(failed.value)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /api/only-get HTTP/1.1\r\n\r\n", 400),
        (b"GET /api/only-get HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /api/only-get HTTP/1.1\r\nHost: a\r\nX Y: 1\r\n\r\n", 400),
        (b"POST /api/echo HTTP/1.1\r\nHost: a\r\nContent-Length: two\r\n\r\n", 400),
        (b"POST /api/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"\x00\x01\r\n\r\n", 400),
    ],
    ids=["no host", "two hosts", "header name", "length", "chunk", "no HTTP"],
)
def test_what_is_no_request_is_refused_without_a_body(
    plain_host: SampleHost, head: bytes, status: int
) -> None:
    with socket.create_connection(("127.0.0.1", plain_host.port), 10) as connection:
        connection.sendall(head)
        received = b"".join(iter(lambda: connection.recv(65536), b""))

    assert received.startswith(b"HTTP/1.1 %d" % status)
    assert received.endswith(b"\r\n\r\n")
    assert b"nosniff" not in received


def test_core_tools_are_used_where_they_are_installed(local_authority: LocalAuthority) -> None:
    plan = HostPlan(SAMPLE_APP, 7071, cors=(ALLOWED_ORIGIN, "https://b.example"), authority=local_authority)

    command = host_command(plan, "/usr/bin/func")

    assert command.directory == SAMPLE_APP
    assert command.arguments == (
        *("/usr/bin/func", "start", "--port", "7071"),
        *("--cors", f"{ALLOWED_ORIGIN},https://b.example"),
        *("--useHttps", "--cert", str(local_authority.pfx_file), "--password", "local"),
    )


def test_our_own_host_gets_the_waits_that_differ(tmp_path: Path) -> None:
    usual = host_command(HostPlan(tmp_path, 7071), None).arguments
    shorter = host_command(HostPlan(tmp_path, 7071, waits=Waits(lease=5, queue_stop=0.5)), None).arguments

    assert usual[-2:] == ("--master-key", MASTER_KEY)
    assert shorter[len(usual) :] == ("--lease-seconds", "5", "--queue-stop-seconds", "0.5")


def test_the_command_line_runs_only_the_host() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "tests.local_stack", "host", "--help"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout

    for option in ("--port", "--cors", "--tls-cert", "--tls-key", "settings of the environment", "--lease"):
        assert option in shown
