"""The ingestion endpoint accepts .NET telemetry with the right identity."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import requests

from tests.local_stack.application_insights import ApplicationInsights, Envelope
from tests.local_stack.serving import serve
from tests.local_stack.telemetry_sender import send_traces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local_stack.fixtures import ServedIdentity

CONNECTION = "APPLICATIONINSIGHTS_CONNECTION_STRING"
AUTHENTICATION = "APPLICATIONINSIGHTS_AUTHENTICATION_STRING"


@dataclass(frozen=True)
class Component:
    """The served endpoint, with the settings of an app that sends to it."""

    insights: ApplicationInsights
    settings: dict[str, str]
    url: str

    def texts(self) -> list[str]:
        return [envelope.data["message"] for envelope in self.insights.envelopes("MessageData")]


@pytest.fixture
def component(managed_identity: ServedIdentity, monkeypatch: pytest.MonkeyPatch) -> Iterator[Component]:
    for name, value in managed_identity.settings.items():
        monkeypatch.setenv(name, value)
    identity = managed_identity.identity
    insights = ApplicationInsights(identity, identity.user_assigned)
    with serve(insights.app()) as server:
        yield Component(insights, insights.settings(server.url), server.url)


def test_every_line_that_is_sent_with_a_token_arrives_whole(component: Component) -> None:
    texts = [f'mail_accepted {{"message_id": "m-{number}"}}' for number in range(2000)]
    texts += ["two\nlines", "a line\u2028separator", "ü{}"]

    response = send_traces(component.settings, texts, "deliver_mail")

    assert response.json() == {"itemsReceived": 2003, "itemsAccepted": 2003, "errors": []}
    assert Counter(component.texts()) == Counter(texts)
    assert {each.operation for each in component.insights.envelopes("MessageData")} == {"deliver_mail"}
    assert (component.insights.authorized, component.insights.refused) == (1, [])


def test_without_a_token_nothing_is_accepted(component: Component) -> None:
    response = send_traces({CONNECTION: component.settings[CONNECTION]}, ["lost"], "deliver_mail")

    assert (response.status_code, response.json()["itemsAccepted"]) == (401, 0)
    assert (component.texts(), component.insights.refused) == ([], [401])


def test_an_identity_without_the_role_may_not_publish(component: Component) -> None:
    component.insights._publisher = component.insights._identity.system_assigned

    response = send_traces(component.settings, ["lost"], "deliver_mail")

    assert response.status_code == 403
    assert component.texts() == []


def test_a_token_for_another_service_is_refused(
    component: Component, managed_identity: ServedIdentity
) -> None:
    identity = managed_identity.identity
    token = identity.token("https://storage.azure.com", identity.user_assigned)

    response = requests.post(
        f"{component.url}/v2.1/track",
        data=b"{}",
        headers={"Authorization": f"Bearer {token}"},
        timeout=5,
    )

    assert response.status_code == 401


def test_telemetry_of_another_component_is_separated(component: Component) -> None:
    other = component.settings[CONNECTION].replace(component.insights.instrumentation_key, "another-key")

    response = send_traces(component.settings | {CONNECTION: other}, ["foreign"], "deliver_mail")

    assert (response.status_code, response.json()["itemsAccepted"]) == (206, 0)
    assert component.texts() == []


def test_the_host_gets_the_component_and_an_inactive_live_stream(component: Component) -> None:
    key = component.insights.instrumentation_key

    component_id = requests.get(f"{component.url}/api/profiles/{key}/appId", timeout=5)
    unknown = requests.get(f"{component.url}/api/profiles/another/appId", timeout=5)
    live = requests.post(f"{component.url}/QuickPulseService.svc/ping?ikey={key}", timeout=5)

    assert (component_id.status_code, unknown.status_code) == (200, 404)
    assert live.headers["x-ms-qps-subscribed"] == "false"


def test_a_list_of_envelopes_is_read_like_lines(component: Component) -> None:
    identity = component.insights._identity
    token = identity.token("https://monitor.azure.com", identity.user_assigned)
    item = {
        "iKey": component.insights.instrumentation_key,
        "tags": {"ai.operation.name": "deliver_mail"},
        "data": {"baseType": "RequestData", "baseData": {"name": "deliver_mail", "success": True}},
    }

    response = requests.post(
        f"{component.url}/v2.1/track",
        json=[item, item],
        headers={"Authorization": f"Bearer {token}"},
        timeout=5,
    )

    assert response.json()["itemsAccepted"] == 2
    assert component.insights.envelopes("RequestData") == 2 * [
        Envelope("RequestData", {"name": "deliver_mail", "success": True}, "deliver_mail")
    ]
