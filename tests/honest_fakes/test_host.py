import base64
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueClient

from tests.local_stack.azurite import Azurite
from tests.local_stack.certificates import LocalAuthority
from tests.local_stack.host_process import REPOSITORY, HostPlan, HostProcess, host_command
from tests.local_stack.processes import ChildFailedError

SAMPLE_APP = Path(__file__).parent / "sample_app"
PAGE = "https://page.example"
WAIT_SECONDS = 15.0
NEVER = "0 0 0 29 2 *"

pytestmark = pytest.mark.stack


def wait_for[T](probe: Callable[[], T | None]) -> T:
    """Return what a probe finds, as soon as it finds something."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        found = probe()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"Nothing came within {WAIT_SECONDS:.0f} s.")


class SampleHost:
    """The sample app in a host of its own, with queues of its own."""

    def __init__(
        self,
        azurite: Azurite,
        authority: LocalAuthority,
        log_file: Path,
        *,
        schedule: str = NEVER,
        lease: int = 600,
        queue: str = "",
    ) -> None:
        self._connection_string = azurite.connection_string
        self.queue = queue or f"work-{uuid.uuid4().hex[:8]}"
        plan = HostPlan(SAMPLE_APP, 0, cors=(PAGE,), authority=authority, lease=lease)
        settings = {
            "AzureWebJobsStorage": azurite.connection_string,
            "WORK_QUEUE": self.queue,
            "TICK_SCHEDULE": schedule,
        }
        self.child = HostProcess(plan, settings, log_file).wait()
        self.url: str = self.child.wait_for_lines(r"^Listening on (\S+)", 1, 1)[0]
        self._ca_file = str(authority.ca_file)

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        return requests.request(
            method,
            f"{self.url}/{path}",
            timeout=10,
            allow_redirects=False,
            verify=self._ca_file,
            **options,
        )

    def send(self, body: str, *, encode: bool = True) -> None:
        text = base64.b64encode(body.encode()).decode() if encode else body
        with QueueClient.from_connection_string(self._connection_string, self.queue) as queue:
            try:
                queue.send_message(text)
            except ResourceNotFoundError:
                queue.create_queue()
                queue.send_message(text)

    def receive(self, name: str, *, decode: bool = True) -> str:
        """Wait for one message and take it."""

        def probe() -> str | None:
            with QueueClient.from_connection_string(self._connection_string, name) as queue:
                try:
                    message = queue.receive_message()
                except ResourceNotFoundError:
                    return None
                if message is None:
                    return None
                queue.delete_message(message)
            return base64.b64decode(message.content).decode() if decode else str(message.content)

        return wait_for(probe)


@pytest.fixture(scope="module")
def host(
    azurite: Azurite, local_authority: LocalAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SampleHost]:
    running = SampleHost(azurite, local_authority, tmp_path_factory.mktemp("host") / "host.log")
    yield running
    running.child.stop()


def test_a_function_gets_a_request_as_the_real_host_describes_it(host: SampleHost) -> None:
    answer = host.call("POST", "api/ECHO/7/a/b?x=1&x=2&empty=", data="text", headers={"X-Custom": "Value"})

    seen = answer.json()
    assert answer.headers["Content-Type"] == "application/json"
    assert (seen["method"], seen["body"]) == ("POST", "text")
    assert seen["url"] == f"{host.url}/api/ECHO/7/a/b?x=1&x=2&empty="
    assert seen["query"] == {"x": "1,2"}
    assert seen["route"] == {"id": "7", "rest": "a/b"}
    assert seen["headers"]["x-custom"] == "Value"


def test_a_chunked_body_arrives_empty(host: SampleHost) -> None:
    answer = host.call("POST", "api/echo/7", data=iter([b"te", b"xt"]))

    assert answer.json()["body"] == ""


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "api/only-get"), ("GET", "api/echo/seven"), ("GET", "api/nothing"), ("GET", "only-get")],
    ids=["wrong verb", "broken constraint", "no such route", "no prefix"],
)
def test_what_fits_no_route_is_404_and_never_405(host: SampleHost, method: str, path: str) -> None:
    assert host.call(method, path).status_code == 404


def test_an_exception_is_500_without_a_word_and_its_traceback_is_logged(host: SampleHost) -> None:
    answer = host.call("GET", "api/fail")

    assert (answer.status_code, answer.text) == (500, "")
    wait_for(lambda: "RuntimeError: a defect" in host.child.log())


def test_cookies_in_plain_headers_survive_with_their_attributes(host: SampleHost) -> None:
    answer = host.call("GET", "api/cookies")

    assert answer.status_code == 302
    assert answer.headers["Location"] == "https://elsewhere.example/"
    assert answer.raw.headers.getlist("Set-Cookie") == [
        "__Host-flow=a%2Bb%2Fc%3D; path=/; secure; samesite=none; httponly",
        "plain=1; expires=Thu, 01 Jan 1970 00:00:00 GMT; max-age=0; path=/; samesite=lax",
    ]


def test_the_headers_of_host_json_are_on_every_answer(host: SampleHost) -> None:
    for path in ("api/only-get", "api/fail", "api/nothing"):
        assert host.call("GET", path).headers["X-Content-Type-Options"] == "nosniff"


def test_hsts_is_sent_for_real_names_and_never_for_loopback(host: SampleHost) -> None:
    named = host.call("GET", "api/only-get", headers={"Host": "mailer.example"})

    assert named.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert "Strict-Transport-Security" not in host.call("GET", "api/only-get").headers


def test_a_preflight_of_a_listed_origin_allows_what_it_asks_for(host: SampleHost) -> None:
    answer = host.call(
        "OPTIONS",
        "api/only-get",
        headers={
            "Origin": PAGE,
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "authorization,if-match",
        },
    )

    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert answer.headers["Access-Control-Allow-Methods"] == "PUT"
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization,if-match"
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("origin", ["https://other.example", "https://page.example.evil.example", "null"])
def test_other_origins_are_not_allowed_to_read(host: SampleHost, origin: str) -> None:
    answer = host.call("GET", "api/only-get", headers={"Origin": origin})

    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_an_invocation_beyond_the_function_timeout_fails(host: SampleHost) -> None:
    answer = host.call("GET", "api/slow")

    assert (answer.status_code, answer.text) == (500, "")
    assert "Timeout value of 2.0 s exceeded by 'Functions.slow'" in host.child.log()


def test_log_lines_carry_the_invocation_and_obey_the_levels_of_host_json(host: SampleHost) -> None:
    invocation_id = host.call("GET", "api/quiet").text

    lines = wait_for(lambda: [line for line in host.child.log().splitlines() if invocation_id in line][2:])
    log = host.child.log()
    assert f'[{invocation_id}] ERROR Function.quiet.User: loud enough {{"mail": "m-1"}}' in log
    assert f"Executed 'Functions.quiet' (Succeeded, Id={invocation_id}" in lines[-1]
    assert "too quiet" not in log


def test_the_hosts_own_storage_calls_are_not_in_its_log(host: SampleHost) -> None:
    host.send("quiet call")
    host.receive("work-results")

    assert "Request URL" not in host.child.log()


def test_a_message_runs_the_function_and_its_output_reaches_the_queue(host: SampleHost) -> None:
    host.send("mail")

    assert host.receive("work-results") == "mail, try 1"


def test_a_failing_message_is_tried_again_later_and_then_poisoned(host: SampleHost) -> None:
    host.send("fail")

    assert host.receive(f"{host.queue}-poison") == "fail"
    assert len(re.findall("RuntimeError: asked to fail", host.child.log())) == 2


def test_a_message_that_is_no_base64_is_poisoned_unseen(host: SampleHost) -> None:
    host.send("no base64!", encode=False)

    assert host.receive(f"{host.queue}-poison", decode=False) == "no base64!"
    assert "working on no base64!" not in host.child.log()


def test_a_json_array_becomes_one_message_for_each_item(host: SampleHost) -> None:
    host.call("POST", "api/split", data='[{"n": 1}, {"n": 2}]')

    assert sorted(host.receive("split-results") for _ in range(2)) == ['{\n  "n": 1\n}', '{\n  "n": 2\n}']


def test_a_timer_runs_on_demand(host: SampleHost) -> None:
    assert host.call("POST", "admin/functions/tick", json={"input": ""}).status_code == 202

    assert host.receive("tick-results") == "past due: False"


@pytest.mark.parametrize(
    ("name", "body", "status"), [("nobody", '{"input": ""}', 404), ("tick", "", 400), ("echo", "{}", 501)]
)
def test_a_wrong_call_by_hand_is_refused(host: SampleHost, name: str, body: str, status: int) -> None:
    assert host.call("POST", f"admin/functions/{name}", data=body).status_code == status


def test_a_timer_runs_by_its_schedule(
    azurite: Azurite, local_authority: LocalAuthority, tmp_path: Path
) -> None:
    host = SampleHost(azurite, local_authority, tmp_path / "host.log", schedule="*/1 * * * * *")
    try:
        host.child.wait_for_lines("(Executed 'Functions.tick' .Succeeded)", 2, WAIT_SECONDS)
    finally:
        host.child.stop()


def test_a_stop_lets_running_work_finish(
    azurite: Azurite, local_authority: LocalAuthority, tmp_path: Path
) -> None:
    host = SampleHost(azurite, local_authority, tmp_path / "host.log")
    try:
        host.send("wait")
        host.child.wait_for_lines("(working on wait)", 1, WAIT_SECONDS)
    finally:
        status = host.child.stop()

    assert status == 0
    assert "Executed 'Functions.work' (Succeeded" in host.child.log()
    assert host.child.log().endswith("Stopped\n")
    assert host.receive("work-results") == "wait, try 1"


def test_a_message_of_a_killed_host_comes_back_after_its_lease(
    azurite: Azurite, local_authority: LocalAuthority, tmp_path: Path
) -> None:
    killed = SampleHost(azurite, local_authority, tmp_path / "killed.log", lease=2)
    try:
        killed.send("wait")
        killed.child.wait_for_lines("(working on wait)", 1, WAIT_SECONDS)
    finally:
        killed.child.kill()

    second = SampleHost(azurite, local_authority, tmp_path / "second.log", queue=killed.queue)
    try:
        assert second.receive("work-results") == "wait, try 2"
    finally:
        second.child.stop()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"AzureWebJobsStorage": "UseDevelopmentStorage=true"}, "The setting WORK_QUEUE is missing"),
        ({"WORK_QUEUE": "work", "TICK_SCHEDULE": NEVER}, "The setting AzureWebJobsStorage is missing"),
        (
            {
                "WORK_QUEUE": "work",
                "TICK_SCHEDULE": NEVER,
                "AzureWebJobsStorage__queueServiceUri": "https://q.example",
            },
            "identity-based connection, which this host doesn't cover",
        ),
    ],
    ids=["missing setting", "missing connection", "identity"],
)
def test_a_host_that_cannot_work_says_so_in_one_sentence(
    settings: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(ChildFailedError, match=sentence) as failed:
        HostProcess(HostPlan(SAMPLE_APP, 0), settings, tmp_path / "host.log").wait()

    assert "Traceback" not in str(failed.value)


def test_a_broken_app_is_told_with_the_runtimes_traceback(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    (tmp_path / "function_app.py").write_text("import no_such_module\n")

    with pytest.raises(ChildFailedError, match="No module named 'no_such_module'"):
        HostProcess(HostPlan(tmp_path, 0), {}, tmp_path / "host.log").wait()


def test_core_tools_are_used_where_they_are_installed(local_authority: LocalAuthority) -> None:
    plan = HostPlan(SAMPLE_APP, 7071, cors=(PAGE, "https://b.example"), authority=local_authority)

    command = host_command(plan, "/usr/bin/func")

    assert command.directory == SAMPLE_APP
    assert command.arguments == (
        *("/usr/bin/func", "start", "--port", "7071"),
        *("--cors", f"{PAGE},https://b.example"),
        *("--useHttps", "--cert", str(local_authority.pfx_file), "--password", "local"),
    )


def test_the_command_line_runs_only_the_host() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "tests.local_stack", "host", "--help"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout

    for option in ("--port", "--cors", "--tls-cert", "--tls-key", "settings of the environment"):
        assert option in shown
