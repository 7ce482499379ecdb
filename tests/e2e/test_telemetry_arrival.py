"""Every event reaches Application Insights under load with a token.

Only Core Tools export telemetry, so the first test needs them (`make core-tools`). The second sends the log
of the local host as the host's SDK does, so that load, endpoint and comparison are tested without Core Tools.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from shared.telemetry import Event
from tests.emulator_tests.functions_host import own_host_only
from tests.local_stack.application_insights import ApplicationInsights
from tests.local_stack.browser_client import BrowserClient
from tests.local_stack.clients import Admin, Scheduler, wait_for
from tests.local_stack.host_process import CORE_TOOLS
from tests.local_stack.microsoft365.contoso import ADA, CONTOSO
from tests.local_stack.serving import serve
from tests.local_stack.stack import QUICK, LocalStack
from tests.local_stack.telemetry_sender import send_traces

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]

CONSENTS = 3
CALLS = 60
MAILS = 40
#: The SDK sends what it has every half a minute.
EXPORT_SECONDS = 150.0
#: As the local host prints a record, or as Core Tools do, with the time before it.
PRINTED = re.compile(
    rf"^(?: {{6}}|\[[^\]]+\] )((?:{'|'.join(event.value for event in Event)}) {{.*}})\s*$", re.MULTILINE
)


@dataclass(frozen=True)
class MonitoredStack:
    """A stack whose app sends its telemetry to a local component."""

    stack: LocalStack
    insights: ApplicationInsights
    settings: dict[str, str]

    def logged_events(self) -> Counter[str]:
        """Count each event that the app logged, as its host shows it."""
        return Counter(PRINTED.findall(self.stack.host_log()))

    def received_events(self) -> Counter[str]:
        """Count each event that the component has."""
        names = {event.value for event in Event}
        texts = [envelope.data["message"] for envelope in self.insights.envelopes("MessageData")]
        return Counter(text for text in texts if text.partition(" ")[0] in names)

    def requests(self) -> Counter[str]:
        """Count the requests in the component by function name."""
        return Counter(envelope.operation for envelope in self.insights.envelopes("RequestData"))


@pytest.fixture
def monitored() -> Iterator[MonitoredStack]:
    with LocalStack(with_host=False, settings=QUICK) as stack:
        insights = ApplicationInsights(stack.identity, stack.identity.user_assigned)
        with serve(insights.app()) as server:
            settings = insights.settings(server.url)
            stack.start_host(settings=settings)
            yield MonitoredStack(stack, insights, settings)


def apply_load(stack: LocalStack) -> None:
    """Consent several times, then send mails while calls fail."""
    admin = Admin(stack.api_url, stack.microsoft365.api_token(ADA), stack.authority.ca_file)
    scheduler = Scheduler(stack.azurite.connection_string, CONTOSO)
    names = [f"watched:{number}" for number in range(MAILS)]
    with closing(admin), closing(scheduler):
        for _ in range(CONSENTS):
            admin.call("POST", "tenant-settings/smtp/reset")
            started = admin.call("POST", "tenant-settings/smtp/enable", {"fromEmailAddress": ADA}).json()
            BrowserClient(stack.authority.ca_file).consent(started["startUrl"], ADA)
        for name in names:
            body = {"contentType": "text", "content": "Up 4 %."}
            scheduler.queue(name, to=["cfo@contoso.com"], subject=name, body=body)
        with ThreadPoolExecutor(8) as pool:
            paths = [f"deliveries/missing:{number}" for number in range(CALLS)]
            assert {each.status_code for each in pool.map(lambda path: admin.call("GET", path), paths)} == {
                404
            }
        # Until the host takes a message, a call for its delivery fails too, and would be counted.
        wait_for(lambda: len(stack.microsoft365.mails()) >= MAILS or None, "every mail at Microsoft Graph")
        for name in names:
            admin.delivery(name, "accepted")


def check_logged_events(events: Counter[str]) -> None:
    """Compare the logged events with the load."""
    kinds = Counter(text.partition(" ")[0] for text in events.elements())
    assert kinds["mail_accepted"] == MAILS
    assert kinds["request_failed"] == CALLS
    assert kinds["consent_started"] == kinds["consent_completed"] == CONSENTS


@pytest.mark.skipif(CORE_TOOLS is None, reason="Core Tools (func) alone export telemetry; not installed.")
def test_all_events_and_requests_arrive_under_load_with_an_identity_token(monitored: MonitoredStack) -> None:
    apply_load(monitored.stack)
    deadline = time.monotonic() + EXPORT_SECONDS
    while monitored.received_events() != monitored.logged_events() and time.monotonic() < deadline:
        time.sleep(1.0)

    missing, foreign = (
        monitored.logged_events() - monitored.received_events(),
        monitored.received_events() - monitored.logged_events(),
    )
    check_logged_events(monitored.logged_events())
    assert (missing, foreign) == (Counter(), Counter())
    assert monitored.insights.refused == []
    assert monitored.insights.authorized > 0
    # The alerts on functions read these rows.
    wait_for(
        lambda: monitored.requests()["deliver_mail"] >= MAILS or None, "the requests of the queue function"
    )
    assert monitored.requests()["get_delivery"] >= CALLS


@own_host_only
def test_the_comparison_finds_every_event_that_did_not_arrive(
    monitored: MonitoredStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in monitored.stack.environment().items():
        if name.startswith("IDENTITY_"):
            monkeypatch.setenv(name, value)
    apply_load(monitored.stack)
    logged = list(monitored.logged_events().elements())

    check_logged_events(monitored.logged_events())
    assert send_traces(monitored.settings, logged[1:], "deliver_mail").status_code == 200
    assert monitored.logged_events() - monitored.received_events() == Counter(logged[:1])
    assert send_traces(monitored.settings, logged[:1], "deliver_mail").status_code == 200
    assert monitored.logged_events() == monitored.received_events()
    assert monitored.insights.refused == []
