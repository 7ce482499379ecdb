import json
import re
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.api import consent
from shared.api.pages.result import result_page
from shared.consent.flow import ConsentFlow, FlowSecret, FlowStage, FlowStatus
from shared.errors import ConfigurationError
from shared.problems import Actor, Problem, explain
from shared.settings.tenant import Account
from tests.api_client import a_request, call, complete_consent, content, enable, finish, open_start_link
from tests.fakes import CONTOSO, NOON, FakeServices, MemoryFlows

A_FLOW = ConsentFlow("flow", CONTOSO, "ada-id", "ada@contoso.com", NOON, status=FlowStatus.COMPLETED)


def page(ports: FakeServices, **query: str) -> str:
    reply = consent.result(a_request(query=query), ports)
    assert reply.status == 200
    return reply.body.decode()


def test_the_page_says_that_the_consent_is_complete() -> None:
    ports = FakeServices()
    window = complete_consent(ports)

    text = page(ports, flow=window.flow_id)

    assert "<h1>Consent complete</h1>" in text
    assert f'{{"flowId": "{window.flow_id}", "outcome": "completed"}}' in text


def test_the_page_says_that_the_consent_was_declined() -> None:
    ports = FakeServices()
    window = open_start_link(enable(ports), ports)
    finish(window, ports, code="", error="access_denied")

    text = page(ports, flow=window.flow_id)

    assert "<h1>Consent declined</h1>" in text
    assert explain("consent_declined").detail.split(".")[0] in text


def test_the_page_says_that_the_consent_expired() -> None:
    ports = FakeServices()
    window = open_start_link(enable(ports), ports)
    ports.system.pass_time(timedelta(hours=1))

    assert "<h1>Consent expired</h1>" in page(ports, flow=window.flow_id)


def test_a_problem_without_a_flow_is_explained_if_it_is_one_of_the_app() -> None:
    assert explain("consent_wrong_browser").detail in page(FakeServices(), problem="consent_wrong_browser")


@pytest.mark.parametrize("text", ["", "<script>alert(1)</script>", "setting_missing"])
def test_nothing_that_came_in_the_address_is_repeated(text: str) -> None:
    shown = page(FakeServices(), problem=text, flow=text)

    assert "alert" not in shown
    assert explain("consent_not_found").detail in shown


def test_the_browser_runs_only_the_script_of_the_page_and_loads_nothing() -> None:
    reply = result_page(A_FLOW, None, "the-nonce")

    policy = reply.headers["Content-Security-Policy"]
    assert policy == (
        "default-src 'none'; script-src 'nonce-the-nonce'; style-src 'nonce-the-nonce'; img-src data:; "
        "connect-src 'none'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert set(re.findall(r"<(?:script|style)[^>]* nonce=\"([^\"]*)\"", reply.body.decode())) == {"the-nonce"}
    assert "http" not in reply.body.decode().replace("http-equiv", "")


def test_each_page_gets_a_nonce_of_its_own() -> None:
    ports = FakeServices()
    nonces = {re.search(r'nonce="([^"]*)"', page(ports)).group(1) for _ in range(2)}  # type: ignore[union-attr]

    assert len(nonces) == 2


def test_a_problem_is_shown_as_text_and_never_as_markup() -> None:
    problem = Problem("a_code", "Title", "</script><b>bold</b>", Actor.NOBODY)

    text = result_page(
        replace(A_FLOW, flow_id="</script>", status=FlowStatus.FAILED), problem, "n"
    ).body.decode()

    assert "&lt;b&gt;bold" in text
    news = re.search(r'id="news"[^>]*>(.*?)</script>', text)
    assert news is not None
    assert json.loads(news.group(1)) == {"flowId": "</script>", "outcome": "failed"}


def test_personal_details_are_shown_only_on_the_settings_page() -> None:
    ports = FakeServices()
    window = open_start_link(enable(ports), ports)
    ports.authorizer.account = Account("eve-object-id", CONTOSO, "eve@contoso.com")
    finish(window, ports)

    text = page(ports, flow=window.flow_id)
    told = content(call(consent.read_flow, ports, route={"flow_id": window.flow_id}))

    assert "@contoso.com" not in text
    assert "Another account signed in. The Tenant Settings page says more." in text
    assert "eve@contoso.com" in told["problem"]["detail"]


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        (FlowStage.LINK_NOT_OPENED, "has not been opened yet"),
        (FlowStage.AT_MICROSOFT, "being checked"),
        (FlowStage.CONFIRMING, "up to two minutes"),
        (FlowStage.OTHER_ACCOUNT, "has not yet pressed Continue or Refuse"),
    ],
)
def test_an_unfinished_consent_shows_what_it_waits_for(stage: FlowStage, told: str) -> None:
    text = result_page(replace(A_FLOW, status=FlowStatus.PENDING, stage=stage), None, "n").body.decode()

    assert "<h1>Not finished yet</h1>" in text
    assert told in text


def test_where_the_operator_must_act_no_retry_is_suggested() -> None:
    ports = FakeServices()
    window = open_start_link(enable(ports), ports)

    class Denied(MemoryFlows):
        def consume_secret(self, secret: FlowSecret) -> bool:
            raise ConfigurationError("storage_denied", service="tables")

    ports.flows = Denied(ports.flows.flows, ports.flows.secrets)

    location = finish(window, ports).headers["Location"]

    assert location.endswith("problem=consent_unavailable")
    assert explain("consent_unavailable").detail in page(ports, problem="consent_unavailable")


def test_no_browser_requests_an_icon_that_the_policy_forbids() -> None:
    reply = result_page(A_FLOW, None, "the-nonce")

    assert b'<link rel="icon" href="data:,">' in reply.body
    assert "img-src data:;" in reply.headers["Content-Security-Policy"]
