"""The runbook's script that retries mails after a long outage."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests.local_stack.host_process import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RUNBOOK = (REPOSITORY / "docs" / "operations" / "outages.md").read_text("utf-8")
PAGES = {"": (["sales:1", "sales:2"], "a+b/="), "a+b/=": (["sales:3"], None)}
PROGRAMS = ("bash", "curl", "jq")


@contextmanager
def deliveries(retried: list[tuple[str, dict[str, str]]]) -> Iterator[str]:
    """Serve the list of expired deliveries and record each retry request."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            retried.append((self.path, body))
            ids, token = PAGES[body.get("continuationToken", "")]
            results = [
                {"messageId": each, "retried": each != "sales:2", "problem": {"detail": "It was not kept."}}
                for each in ids
            ]
            self._respond({"results": results, "continuationToken": token})

        def _respond(self, body: dict[str, Any]) -> None:
            assert self.headers["Authorization"] == "Bearer an-admin"
            text = json.dumps(body).encode()
            self.send_response(202)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.skipif(not all(map(shutil.which, PROGRAMS)), reason="The script needs bash, curl and jq.")
def test_the_script_retries_every_page_once_and_lists_failed_retries(tmp_path: Path) -> None:
    section = RUNBOOK.partition("## When Microsoft 365 is not available for a day\n")[2]
    (script,) = re.findall(r"^```bash\n(.*?)^```", section.partition("\n## ")[0], re.MULTILINE | re.DOTALL)
    sleep = tmp_path / "sleep"
    sleep.write_text("#!/bin/sh\n")
    sleep.chmod(0o755)
    retried: list[tuple[str, dict[str, str]]] = []
    with deliveries(retried) as url:
        given = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PUBLIC_BASE_URL": url, "token": "an-admin"}
        no_proxy = {"no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
        done = subprocess.run(
            ["/bin/bash", "-eu", "-c", script],
            env=os.environ | given | no_proxy,
            check=True,
            timeout=60,
            capture_output=True,
            text=True,
        )

    period = {"status": "expired", "since": "2026-11-24T00:00:00Z"}
    path = "/api/deliveries/retry"
    assert retried == [(path, period), (path, {**period, "continuationToken": "a+b/="})]
    assert done.stdout == "sales:2: It was not kept.\n"
