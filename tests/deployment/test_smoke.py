"""The smoke test against servers that respond as apps, proxies and hosts."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import azure.functions as func
import pytest

from infra.hooks.smoke import main
from shared.api.routes import get_health
from shared.version import VERSION
from tests.deployment.pins import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUICKLY = ["--wait", "0.4", "--pause", "0.05"]
ALIVE = json.dumps({"status": "alive", "version": VERSION}).encode()


@dataclass
class Response:
    """One response; the last one of a list is repeated."""

    status: int = 200
    body: bytes = ALIVE
    headers: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def app(*replies: Response) -> Iterator[tuple[str, list[str]]]:
    """Serve the replies; return the address and the requested paths."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reply = replies[min(len(paths), len(replies) - 1)]
            paths.append(self.path)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            """Log nothing to the output of the test."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", paths
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def no_proxy_or_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.delenv("PUBLIC_BASE_URL", raising=False)


def test_the_running_version_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with app(Response()) as (url, paths):
        code = main([url, "--strict", *QUICKLY])

    assert (code, paths) == (0, ["/api/health"])
    assert f"{url}/api/health: version {VERSION} is running." in capsys.readouterr().out


def test_an_address_that_ends_with_a_slash_is_the_same_address() -> None:
    with app(Response()) as (url, paths):
        assert main([f"{url}/", "--strict", *QUICKLY]) == 0

    assert paths == ["/api/health"]


def test_an_app_that_is_starting_is_called_until_it_responds() -> None:
    with app(Response(503, b""), Response(404, b"no functions yet"), Response()) as (url, paths):
        code = main([url, "--strict", "--wait", "10", "--pause", "0.01"])

    assert (code, len(paths)) == (0, 3)


def test_the_version_before_is_waited_out() -> None:
    old = Response(body=b'{"status": "alive", "version": "0.0.9"}')
    with app(old, old, Response()) as (url, paths):
        code = main([url, "--strict", "--wait", "10", "--pause", "0.01"])

    assert (code, len(paths)) == (0, 3)


FAILURES = {
    "HTTP 503": Response(503, b"Function host is not running."),
    "HTTP 404": Response(404, b""),
    "HTTP 401": Response(401, b'{"version": "0.1.0"}'),
    "HTTP 500": Response(500, b"\x00\xff"),
    "version 0.0.9 is running, expected": Response(body=b'{"status": "alive", "version": "0.0.9"}'),
    "version 5 is running, expected": Response(body=b'{"version": 5}'),
}
NO_VERSION = {
    "broken json": Response(body=b'{"status": "ali'),
    "empty": Response(body=b""),
    "html": Response(body=b"<!doctype html><title>Sign in</title>"),
    "list": Response(body=b"[]"),
    "null": Response(body=b"null"),
    "no version": Response(body=b'{"status": "alive"}'),
    "not utf-8": Response(body=b'{"version": "\xff"}'),
    "endless": Response(body=b" " * 200_000),
}


@pytest.mark.parametrize("says", FAILURES)
def test_a_failure_is_named_and_ends_a_strict_call_with_1(
    says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with app(FAILURES[says]) as (url, paths):
        code = main([url, "--strict", *QUICKLY])

    assert code == 1
    assert len(paths) > 1
    assert says in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize("reply", NO_VERSION.values(), ids=NO_VERSION.keys())
def test_a_response_without_a_version_is_a_failure(
    reply: Response, capsys: pytest.CaptureFixture[str]
) -> None:
    with app(reply) as (url, _):
        code = main([url, "--strict", *QUICKLY])

    assert code == 1
    assert "the response contains no version" in capsys.readouterr().out.splitlines()[-1]


def test_a_redirect_to_a_sign_in_page_is_a_failure() -> None:
    page = Response(body=b"<!doctype html>")
    with app(Response(302, b"", {"Location": "/sign-in"}), page) as (url, paths):
        code = main([url, "--strict", *QUICKLY])

    assert code == 1
    assert paths[1] == "/sign-in"


def test_a_host_that_refuses_the_connection_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        code = main([f"http://127.0.0.1:{closed.getsockname()[1]}", "--strict", *QUICKLY])

    assert code == 1
    assert "no response: [Errno" in capsys.readouterr().out


def test_a_host_that_never_responds_is_a_failure_after_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code = main([f"http://127.0.0.1:{silent.getsockname()[1]}", "--strict", *QUICKLY])

    assert code == 1
    assert "timed out" in capsys.readouterr().out


@pytest.mark.parametrize("url", ["", "func-mailer.azurewebsites.net", "file:///etc/passwd", "https://"])
def test_an_invalid_address_is_not_called(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([url, "--strict", *QUICKLY]) == 1
    assert "The app was not called: PUBLIC_BASE_URL is" in capsys.readouterr().out


def test_the_summary_of_the_job_names_the_running_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    with app(Response(body=b'{"version": "0.0.9"}')) as (url, _):
        failed = main([url, "--strict", *QUICKLY])
    with app(Response()) as (url, _):
        passed = main([url, "--strict", *QUICKLY])

    before, after = (tmp_path / "summary.md").read_text("utf-8").splitlines()
    assert (failed, passed) == (1, 0)
    assert "version 0.0.9 is running, expected" in before
    assert f"version {VERSION} is running." in after


def test_a_summary_that_cannot_be_written_changes_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "missing" / "summary.md"))
    with app(Response()) as (url, _):
        assert main([url, "--strict", *QUICKLY]) == 0


@pytest.mark.parametrize(
    "reply", [*FAILURES.values(), *NO_VERSION.values()], ids=[*FAILURES.keys(), *NO_VERSION.keys()]
)
def test_the_hook_prints_a_failure_and_ends_with_0(
    reply: Response, capsys: pytest.CaptureFixture[str]
) -> None:
    with app(reply) as (url, _):
        assert main([url, *QUICKLY]) == 0

    assert "docs/operations/first-deployment.md" in capsys.readouterr().out


def test_the_hook_takes_the_address_that_azd_passes() -> None:
    with app(Response()) as (url, paths):
        done = subprocess.run(
            [sys.executable, "-S", "-m", "infra.hooks.smoke", *QUICKLY],
            cwd=ROOT,
            env={"PUBLIC_BASE_URL": url},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    assert (done.returncode, done.stderr, paths) == (0, "", ["/api/health"])
    assert f"version {VERSION} is running" in done.stdout


def test_the_health_of_this_app_is_what_the_call_expects() -> None:
    request = func.HttpRequest(method="GET", url="https://app/api/health", headers={}, body=b"")
    response = get_health(request)

    with app(Response(response.status_code, response.get_body(), dict(response.headers))) as (url, _):
        assert main([url, "--strict", *QUICKLY]) == 0
