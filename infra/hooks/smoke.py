"""Check the version of the running app until it is the deployed one.

azd runs this after `azd deploy`. It prints a failure and ends with 0; with `--strict`, as in the GitHub
workflow, it ends with 1, and the job's summary names the version that is running.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from infra.hooks.reporting import report, run_step
from shared.version import VERSION

#: A cold start after a deployment takes seconds; a role that is not effective yet, minutes.
WAIT_SECONDS = 300.0
PAUSE_SECONDS = 10.0
TIMEOUT_SECONDS = 15.0
MAX_BYTES = 65_536
MAX_VERSION_LENGTH = 100

HELP = '"Check a deployment" in docs/operations/first-deployment.md says what to look at.'


@dataclass(frozen=True)
class Outcome:
    """The result of the last request to the app."""

    succeeded: bool
    text: str


def request_version(url: str, expected: str, timeout: float = TIMEOUT_SECONDS) -> Outcome:
    """Request the version once; a failure becomes the text."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:  # noqa: S310 - main() checks the scheme
            body = json.loads(response.read(MAX_BYTES))
        version = str(body["version"])[:MAX_VERSION_LENGTH]
    except urllib.error.HTTPError as error:
        error.close()
        return Outcome(succeeded=False, text=f"HTTP {error.code}")
    except (OSError, HTTPException) as error:
        return Outcome(succeeded=False, text=f"no response: {getattr(error, 'reason', error)}")
    except (ValueError, TypeError, LookupError):
        return Outcome(
            succeeded=False, text="the response contains no version; it may come from another server"
        )
    if version != expected:
        return Outcome(succeeded=False, text=f"version {version} is running, expected {expected}")
    return Outcome(succeeded=True, text=f"version {version} is running")


def wait_for(url: str, expected: str, *, seconds: float, pause: float) -> Outcome:
    """Repeat the request until the version is right or the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        outcome = request_version(url, expected, max(1.0, min(TIMEOUT_SECONDS, deadline - time.monotonic())))
        if outcome.succeeded or time.monotonic() + pause > deadline:
            return outcome
        report(f"{url}: {outcome.text}. Retrying.\n")
        time.sleep(pause)


def check(base_url: str, expected: str, *, seconds: float, pause: float) -> Outcome:
    """Wait for the version at a URL, which may be missing or invalid."""
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        named = base_url or "missing; azd sets it when it provisions"
        return Outcome(succeeded=False, text=f"The app was not called: PUBLIC_BASE_URL is {named}")
    url = f"{base_url.rstrip('/')}/api/health"
    outcome = wait_for(url, expected, seconds=seconds, pause=pause)
    return Outcome(outcome.succeeded, f"{url}: {outcome.text}")


def add_to_summary(text: str) -> None:
    """Show a text in the summary of a GitHub job."""
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(text)


def main(arguments: list[str]) -> int:
    """Return the exit code: 0, or 1 with `--strict` after a failed check."""
    parser = argparse.ArgumentParser(description="Check that the deployed version is running.")
    parser.add_argument("url", nargs="?", default=os.environ.get("PUBLIC_BASE_URL", ""))
    parser.add_argument(
        "--strict", action="store_true", help="exit with 1 unless the deployed version is running"
    )
    parser.add_argument("--expect", default=VERSION, metavar="VERSION")
    parser.add_argument("--wait", type=float, default=WAIT_SECONDS, metavar="SECONDS")
    parser.add_argument("--pause", type=float, default=PAUSE_SECONDS, metavar="SECONDS")
    given = parser.parse_args(arguments)
    succeeded = []

    def step() -> None:
        outcome = check(given.url, given.expect, seconds=given.wait, pause=given.pause)
        succeeded.append(outcome.succeeded)
        text = f"{outcome.text}.\n" if outcome.succeeded else f"{outcome.text}. {HELP}\n"
        report(text)
        if given.strict:
            add_to_summary(text)

    run_step("The check of the deployment", step)
    return 1 if given.strict and succeeded != [True] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
