"""Outages of vault and identity endpoint: they only delay mails.

Each outage starts with hosts without a token. It is shorter than the ten minutes that `test_outages.py`
simulates, and long enough for several attempts of every mail.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tests.faults.campaign import Campaign, Scenario
from tests.local_stack.browser_client import BrowserClient
from tests.local_stack.clients import wait_for
from tests.local_stack.faults import Fault
from tests.local_stack.microsoft365.contoso import ADA

if TYPE_CHECKING:
    from collections.abc import Iterable

OUTAGE_SECONDS = 15.0
ALWAYS = 1_000_000
#: The events behind the alerts of severity 1.
CRITICAL_EVENTS = ("consent_lost {", "operator_error {", "mail_waiting_for_operator {", "mail_poisoned {")
#: The problem says that the consent was interrupted and must be repeated.
INTERRUPTED = "consent_interrupted"


def inject_outage(campaign: Campaign, part: str, fault: Fault, *, consent: bool = True) -> None:
    """Make a service of the stack fail, and check the effects.

    With `consent` an admin also consents again during the outage.
    """
    stack = campaign.stack
    faults = stack.key_vault.faults if part == "vault" else stack.identity.faults
    known = len(_log(campaign))
    faults.add(replace(fault, times=ALWAYS))
    try:
        campaign.restart()
        until = time.monotonic() + OUTAGE_SECONDS
        if consent:
            _consent_meanwhile(campaign)
        time.sleep(max(0.0, until - time.monotonic()))
    finally:
        faults.clear()
    for text in _log(campaign)[known:]:
        if text.startswith(CRITICAL_EVENTS):
            campaign.report_violation(text)
    _check_status(campaign)


def _consent_meanwhile(campaign: Campaign) -> None:
    """Consent again, which fails, and check the problem."""
    large = campaign.admin.settings()["largeFileAttachments"]["enabled"]
    wanted = {"fromEmailAddress": ADA, "largeFileAttachments": large, "askAgain": True}
    started = campaign.admin.call("PUT", "tenant-settings/smtp", wanted).json()
    BrowserClient(campaign.stack.authority.ca_file).consent(started["startUrl"], ADA)
    flow = campaign.admin.read(f"consent/{started['flowId']}")
    code = (flow["problem"] or {}).get("code")
    if (flow["status"], code) != ("failed", INTERRUPTED):
        campaign.report_violation(f"the consent ended as {flow['status']}, {code}")


def _check_status(campaign: Campaign) -> None:
    settings = campaign.admin.settings()
    if settings["status"] != "enabled":
        campaign.report_violation(f"the tenant became {settings['status']}")


def _log(campaign: Campaign) -> list[str]:
    """Read the app's log without lines that a killed host left incomplete."""

    def read() -> list[str] | None:
        lines: Iterable[str] = campaign.stack.log_records.read_text("utf-8").splitlines()
        return [json.loads(line)["text"] for line in lines if line.endswith("}")]

    return wait_for(read, "the log")


def refused(code: str) -> str:
    """Return the body of an error response of the vault."""
    return json.dumps({"error": {"code": code, "message": "Not now."}})


def _outage(name: str, part: str, fault: Fault, *, consent: bool = True) -> Scenario:
    inject = partial(inject_outage, part=part, fault=fault, consent=consent)
    return Scenario(name, inject, all_accepted=True)


def brief_outage_scenarios() -> list[Scenario]:
    """Return the scenarios of every test run."""
    return [
        _outage("identity endpoint unavailable", "identity", Fault(500, body="")),
        _outage("Key Vault unavailable", "vault", Fault(503)),
    ]


def outage_scenarios() -> list[Scenario]:
    """Return a scenario for each way in which the two services fail."""
    identity = {
        "drops connections": Fault(0),
        "is busy": Fault(429, retry_after="60"),
        "sends no JSON": Fault(200, body="<html>", content_type="text/html"),
        "responds with dates": Fault(
            200, body='{"access_token": "t", "expires_on": "11/30/2026 10:00:00 AM"}'
        ),
    }
    vault = {
        "drops connections": Fault(0),
        "is busy": Fault(429, retry_after="60"),
        "is busy, without Retry-After": Fault(429, body=refused("Throttled")),
        "carries out and does not respond": Fault(0, carried_out=True),
        "responds with a page": Fault(200, body="<html>", content_type="text/html"),
        "responds with a 404 of a proxy": Fault(404, body="<html>", content_type="text/html"),
    }
    return [
        *brief_outage_scenarios(),
        *(_outage(f"identity {words}", "identity", fault) for words, fault in identity.items()),
        *(_outage(f"vault {words}", "vault", fault) for words, fault in vault.items()),
        *(
            _outage(f"{part} hangs", part, Fault(200, delay=12.0), consent=False)
            for part in ("identity", "vault")
        ),
    ]
