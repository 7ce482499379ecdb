import logging
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.api import consent, settings
from shared.api.pages.other_account import other_account_page
from shared.api.request import Response
from shared.consent.cookie import NAME
from shared.consent.flow import ConsentFlow, FlowSecret
from shared.consent.other_account import Confirmation, delete_abandoned
from shared.deliveries.status import DeliveryStatus
from shared.errors import TransientError
from shared.settings.tenant import Account
from tests.api_client import (
    Window,
    a_request,
    call,
    content,
    decide,
    enable,
    finish,
    form_token,
    open_start_link,
    read_settings,
)
from tests.builders import enabled_services
from tests.fakes import CONTOSO, NOON, FakeServices, MemoryDeliveries, MemoryFlows, MemoryVault

REPORTS = Account("reports-object-id", CONTOSO, "reports@contoso.com")
TOKENS = f"smtp-{CONTOSO}-1"
UNAVAILABLE = TransientError("storage_unavailable", service="tables")


@pytest.fixture
def ports() -> FakeServices:
    found = FakeServices()
    found.authorizer.account = REPORTS
    return found


def open_confirmation(ports: FakeServices, **members: Any) -> tuple[Window, Response]:
    """Sign in as reports@ for a consent started by Ada; return the page."""
    window = open_start_link(enable(ports, "reports@contoso.com", **members), ports)
    page = finish(window, ports)
    assert page.status == 200
    return window, page


def flow_state(ports: FakeServices, window: Window) -> tuple[str, str | None, str | None]:
    found = content(call(consent.read_flow, ports, route={"flow_id": window.flow_id}))
    return found["status"], found["stage"], found["problem"]["code"] if found["problem"] else None


def problem_of(reply: Response) -> str | None:
    found = re.search(r"problem=(\w+)", reply.headers["Location"])
    return found[1] if found else None


def test_another_account_sees_the_requester_and_the_permissions(ports: FakeServices) -> None:
    ports.authorizer.granted = frozenset({"Mail.Send", "Mail.ReadWrite"})
    _, page = open_confirmation(ports, largeFileAttachments=True)

    text = page.body.decode()
    assert "<dt>Requested by</dt><dd><bdi>ada@contoso.com</bdi></dd>" in text
    assert "<dt>You signed in as</dt><dd><bdi>reports@contoso.com</bdi></dd>" in text
    assert "<dt>From address</dt><dd><bdi>reports@contoso.com</bdi></dd>" in text
    assert re.findall(r"<li>([\w.]+):", text) == ["Mail.ReadWrite", "Mail.Send"]
    assert re.findall(r'name="decision" value="(\w+)"', text) == ["continue", "refuse"]


def test_until_it_continues_no_settings_name_its_tokens(ports: FakeServices) -> None:
    window, _ = open_confirmation(ports)

    stored = ports.settings.load(CONTOSO)
    assert list(ports.vault.secrets) == [TOKENS]
    assert (stored.consent, stored.sender) == (None, None)
    assert flow_state(ports, window) == ("pending", "other_account", None)


def test_continue_completes_the_consent(ports: FakeServices) -> None:
    window, page = open_confirmation(ports)
    ports.system.pass_time(timedelta(minutes=1))

    reply = decide(window, ports, "continue", form_token(page))

    assert reply.status == 303
    assert reply.headers["Location"].endswith(f"result?flow={window.flow_id}")
    assert reply.headers["Set-Cookie"].startswith(f"{NAME}=; ")
    assert flow_state(ports, window) == ("completed", None, None)
    view = read_settings(ports)
    assert (view["consentedBy"], view["consentedAt"]) == ("reports@contoso.com", "2026-11-23T12:01:00Z")
    assert ports.settings.load(CONTOSO).consent.secret_name == TOKENS  # type: ignore[union-attr]


def test_continue_releases_the_waiting_mail(ports: FakeServices) -> None:
    looked_for: list[DeliveryStatus] = []

    class Log(MemoryDeliveries):
        def list_pending(self, tenant_id: str, statuses: Any, limit: int) -> Any:
            looked_for.extend(statuses)
            return super().list_pending(tenant_id, statuses, limit)

    ports.deliveries = Log()
    window, page = open_confirmation(ports)
    assert looked_for == []

    decide(window, ports, "continue", form_token(page))

    assert DeliveryStatus.WAITING_FOR_CONSENT in looked_for


def test_refuse_deletes_the_tokens_at_once(ports: FakeServices) -> None:
    window, page = open_confirmation(ports)

    reply = decide(window, ports, "refuse", form_token(page))

    assert ports.vault.secrets == {}
    assert ports.vault.deleted == [TOKENS]
    assert flow_state(ports, window) == ("declined", None, "consent_refused")
    assert read_settings(ports)["pendingConsent"] is None
    assert reply.headers["Set-Cookie"].startswith(f"{NAME}=; ")
    detail = content(call(consent.read_flow, ports, route={"flow_id": window.flow_id}))["problem"]["detail"]
    assert "The account is reports@contoso.com." in detail


def test_a_person_who_declines_reads_that_the_grant_remains_at_microsoft(ports: FakeServices) -> None:
    window, page = open_confirmation(ports)
    decide(window, ports, "refuse", form_token(page))

    text = consent.result(a_request(query={"flow": window.flow_id}), ports).body.decode()

    assert "its tokens are deleted" in text
    assert "The permissions that it granted at Microsoft remain" in text
    assert "@contoso.com" not in text


@pytest.mark.parametrize(
    "account",
    [
        Account("another-object-id", CONTOSO, "ada@contoso.com"),
        Account("ADA-OBJECT-ID", CONTOSO, "ada@contoso.com"),
    ],
)
def test_an_account_is_identified_by_its_ids_and_never_by_its_name(
    ports: FakeServices, account: Account
) -> None:
    ports.authorizer.account = account

    assert finish(open_start_link(enable(ports), ports), ports).status == 200


def test_the_own_account_of_the_admin_needs_no_confirmation(ports: FakeServices) -> None:
    ports.authorizer.account = Account("ada-object-id", CONTOSO, "renamed@contoso.com")

    window = open_start_link(enable(ports, "finance@contoso.com"), ports)

    assert finish(window, ports).status == 303
    assert flow_state(ports, window) == ("completed", None, None)


def test_what_sends_continues_sending_until_the_other_account_continues() -> None:
    ports = enabled_services()
    ports.authorizer.account = REPORTS
    body = {"fromEmailAddress": "reports@contoso.com", "largeFileAttachments": False}
    started = content(call(settings.save, ports, body))
    window = open_start_link(Window(started["flowId"], started["startUrl"]), ports)

    page = finish(window, ports)
    assert read_settings(ports)["fromEmailAddress"] == "ada@contoso.com"

    decide(window, ports, "continue", form_token(page))
    assert read_settings(ports)["fromEmailAddress"] == "reports@contoso.com"
    assert ports.vault.deleted == [TOKENS]


# The form


@pytest.mark.parametrize(
    ("cookies", "problem"),
    [
        ("", "consent_cookie_missing"),
        (f"{NAME}=guess", "consent_wrong_browser"),
        (f"{NAME}=RIGHT; {NAME}=RIGHT", "consent_cookie_ambiguous"),
    ],
)
def test_the_form_needs_the_browsers_cookie(ports: FakeServices, cookies: str, problem: str) -> None:
    window, page = open_confirmation(ports)

    sent = cookies.replace("RIGHT", window.cookie)
    reply = decide(window, ports, "continue", form_token(page), cookies=sent)

    assert problem_of(reply) == problem
    assert flow_state(ports, window) == ("pending", "other_account", None)


@pytest.mark.parametrize("token", ["", "guess", "COOKIE", "STATE"])
def test_the_form_needs_a_token_that_only_the_page_has(ports: FakeServices, token: str) -> None:
    window, page = open_confirmation(ports)
    known = token.replace("COOKIE", window.cookie).replace("STATE", window.state)

    assert problem_of(decide(window, ports, "continue", known)) == "consent_form_invalid"
    assert flow_state(ports, window) == ("pending", "other_account", None)

    decide(window, ports, "continue", form_token(page))
    assert flow_state(ports, window)[0] == "completed"


@pytest.mark.parametrize("decision", ["", "Continue", "yes"])
def test_the_form_knows_two_decisions(ports: FakeServices, decision: str) -> None:
    window, page = open_confirmation(ports)

    assert problem_of(decide(window, ports, decision, form_token(page))) == "consent_form_invalid"
    assert flow_state(ports, window) == ("pending", "other_account", None)


def test_a_second_click_is_shown_how_it_ended(ports: FakeServices) -> None:
    window, page = open_confirmation(ports)
    decide(window, ports, "refuse", form_token(page))

    reply = decide(window, ports, "continue", form_token(page))

    assert reply.headers["Location"].endswith(f"flow={window.flow_id}")
    assert "Set-Cookie" not in reply.headers
    assert flow_state(ports, window)[0] == "declined"


def test_of_two_clicks_at_once_one_counts(ports: FakeServices) -> None:
    window, page = open_confirmation(ports)

    class ConsumedFlows(MemoryFlows):
        def consume_secret(self, secret: FlowSecret) -> bool:
            return False

    ports.flows = ConsumedFlows(ports.flows.flows, ports.flows.secrets)

    assert problem_of(decide(window, ports, "continue", form_token(page))) == "consent_form_invalid"
    assert ports.settings.load(CONTOSO).consent is None


def test_before_the_account_signed_in_there_is_nothing_to_decide(ports: FakeServices) -> None:
    window = open_start_link(enable(ports), ports)

    assert problem_of(decide(window, ports, "continue", "")) == "consent_form_invalid"
    unknown = replace(window, flow_id="00000000-0000-4000-8000-999999999999")
    assert problem_of(decide(unknown, ports, "continue", "t")) == "consent_not_found"


def test_a_reload_shows_the_page_again_with_a_token_of_its_own(ports: FakeServices) -> None:
    window, page = open_confirmation(ports)
    ports.authorizer.fail.append(AssertionError("the code was redeemed twice"))

    again = finish(window, ports)

    assert again.status == 200
    assert problem_of(decide(window, ports, "continue", form_token(page))) == "consent_form_invalid"
    ports.authorizer.fail.clear()
    decide(window, ports, "continue", form_token(again))
    assert flow_state(ports, window)[0] == "completed"


@pytest.mark.parametrize("code", ["", "another-code"])
def test_only_the_same_callback_shows_the_page_again(ports: FakeServices, code: str) -> None:
    window, _ = open_confirmation(ports)

    assert problem_of(finish(window, ports, code=code)) == "consent_reply_invalid"


def test_of_two_reloads_at_once_one_gets_the_page(ports: FakeServices) -> None:
    window, _ = open_confirmation(ports)

    class ConsumedFlows(MemoryFlows):
        def replace_secret(self, secret: FlowSecret) -> bool:
            return False

    ports.flows = ConsumedFlows(ports.flows.flows, ports.flows.secrets)

    assert problem_of(finish(window, ports)) == "consent_link_used"


def test_a_planted_cookie_and_a_known_state_complete_nothing(ports: FakeServices) -> None:
    """The starter of a flow knows its state and cookie, and can plant both."""
    attacker = open_start_link(enable(ports, "reports@contoso.com"), ports)
    victims_page = finish(attacker, ports)

    attempts = [
        finish(attacker, ports, code="guess"),
        finish(attacker, ports, code="", error="access_denied"),
        decide(attacker, ports, "continue", attacker.state),
        decide(attacker, ports, "continue", attacker.cookie),
    ]

    assert [reply.status for reply in attempts] == [303] * 4
    assert not [reply for reply in attempts if reply.body]
    assert ports.settings.load(CONTOSO).consent is None
    assert "ada@contoso.com" in victims_page.body.decode()
    decide(attacker, ports, "refuse", form_token(victims_page))
    assert ports.vault.secrets == {}


# What comes in between


@pytest.mark.parametrize("decision", ["continue", "refuse"])
def test_after_the_flow_expired_the_form_only_deletes_the_tokens(ports: FakeServices, decision: str) -> None:
    window, page = open_confirmation(ports)
    ports.system.pass_time(timedelta(minutes=10))

    decide(window, ports, decision, form_token(page), cookies="")

    assert flow_state(ports, window) == ("expired", None, "consent_not_continued")
    assert ports.vault.secrets == {}
    assert read_settings(ports)["status"] == "not_configured"


def test_a_reload_after_the_flow_expired_deletes_the_tokens(ports: FakeServices) -> None:
    window, _ = open_confirmation(ports)
    ports.system.pass_time(timedelta(minutes=10))

    finish(window, ports)

    assert flow_state(ports, window) == ("expired", None, "consent_not_continued")
    assert ports.vault.secrets == {}


def test_a_page_that_is_left_is_given_up_when_the_flow_expires(
    ports: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    window, page = open_confirmation(ports)
    ports.system.pass_time(timedelta(minutes=10))
    delete_abandoned(ports)
    assert list(ports.vault.secrets) == [TOKENS]

    ports.system.pass_time(timedelta(seconds=1))
    delete_abandoned(ports)

    assert ports.vault.secrets == {}
    assert "consent_not_continued" in caplog.text
    assert flow_state(ports, window) == ("expired", None, "consent_not_continued")
    decide(window, ports, "continue", form_token(page))
    assert read_settings(ports)["status"] == "not_configured"


def test_deleting_abandoned_consents_ends_in_time_if_the_vault_hangs(
    ports: FakeServices,
) -> None:
    window, _ = open_confirmation(ports)
    secret = ports.flows.secrets[window.flow_id]
    for number in range(20):
        ports.flows.secrets[f"flow-{number}"] = replace(secret, flow_id=f"flow-{number}")
    ports.system.pass_time(timedelta(minutes=11))
    begun = ports.system.steady()

    def time_out() -> None:
        ports.system.pass_time(timedelta(seconds=33))
        raise TransientError("key_vault_unavailable")

    ports.vault._fail = time_out  # type: ignore[method-assign]
    delete_abandoned(ports)

    assert timedelta(minutes=4) <= ports.system.steady() - begun < timedelta(minutes=5)


def test_an_abandoned_consent_that_names_no_account_is_forgotten(ports: FakeServices) -> None:
    window, _ = open_confirmation(ports)
    secret = ports.flows.secrets[window.flow_id]
    assert secret.consent
    ports.flows.secrets[window.flow_id] = replace(secret, consent=replace(secret.consent, account=None))
    ports.system.pass_time(timedelta(minutes=11))
    delete_abandoned(ports)

    assert ports.flows.secrets == {}


def test_the_abandoned_consent_of_another_installation_stays(ports: FakeServices) -> None:
    window, _ = open_confirmation(ports)
    ports.system.pass_time(timedelta(minutes=11))
    ports.settings.foreign = {CONTOSO}
    delete_abandoned(ports)

    assert list(ports.flows.secrets) == [window.flow_id]
    assert list(ports.vault.secrets) == [TOKENS]


def test_the_timer_takes_no_secret_that_the_person_used(ports: FakeServices) -> None:
    open_confirmation(ports)
    ports.system.pass_time(timedelta(minutes=11))

    class ConsumedFlows(MemoryFlows):
        def consume_secret(self, secret: FlowSecret) -> bool:
            return False

    ports.flows = ConsumedFlows(ports.flows.flows, ports.flows.secrets)
    delete_abandoned(ports)

    assert list(ports.vault.secrets) == [TOKENS]


def test_one_abandoned_consent_stops_no_other_deletion(ports: FakeServices) -> None:
    first, _ = open_confirmation(ports)
    stranger = replace(ports.flows.secrets[first.flow_id], flow_id="another")
    ports.flows.secrets = {"another": stranger, first.flow_id: ports.flows.secrets[first.flow_id]}
    ports.system.pass_time(timedelta(minutes=11))

    class FailingFlows(MemoryFlows):
        def consume_secret(self, secret: FlowSecret) -> bool:
            if secret.flow_id == "another":
                raise UNAVAILABLE
            return super().consume_secret(secret)

    ports.flows = FailingFlows(ports.flows.flows, ports.flows.secrets)
    delete_abandoned(ports)

    assert ports.vault.secrets == {}


@pytest.mark.parametrize("newer", ["reset", "consent"])
def test_something_newer_deletes_the_tokens_at_once(ports: FakeServices, newer: str) -> None:
    window, page = open_confirmation(ports)

    if newer == "reset":
        call(settings.reset_settings, ports)
    else:
        enable(ports, "reports@contoso.com")

    assert ports.vault.secrets == {}
    decide(window, ports, "continue", form_token(page))
    assert flow_state(ports, window) == ("failed", None, "consent_superseded")


def test_a_reset_while_the_tokens_are_written_leaves_none(ports: FakeServices) -> None:
    class ResettingVault(MemoryVault):
        def write(self, name: str, tokens: str, *, new: bool = False) -> None:
            super().write(name, tokens)
            call(settings.reset_settings, ports)

    ports.vault = ResettingVault()
    window = open_start_link(enable(ports, "reports@contoso.com"), ports)

    assert finish(window, ports).status == 303

    assert ports.vault.secrets == {}
    assert ports.flows.secrets == {}
    assert flow_state(ports, window) == ("failed", None, "consent_superseded")


def test_a_confirmation_that_cannot_be_stored_leaves_no_tokens(ports: FakeServices) -> None:
    class FailingFlows(MemoryFlows):
        def replace_secret(self, secret: FlowSecret) -> bool:
            if secret.consent:
                raise UNAVAILABLE
            return super().replace_secret(secret)

    ports.flows = FailingFlows()
    window = open_start_link(enable(ports, "reports@contoso.com"), ports)

    assert finish(window, ports).status == 303

    assert ports.vault.secrets == {}
    assert flow_state(ports, window) == ("failed", None, "consent_interrupted")


def test_secrets_that_are_there_already_are_not_written_over(ports: FakeServices) -> None:
    class ConsumedFlows(MemoryFlows):
        def replace_secret(self, secret: FlowSecret) -> bool:
            return False if secret.consent else super().replace_secret(secret)

    ports.flows = ConsumedFlows()
    window = open_start_link(enable(ports, "reports@contoso.com"), ports)

    finish(window, ports)

    assert ports.vault.secrets == {}
    assert flow_state(ports, window) == ("failed", None, "consent_superseded")


def test_tokens_that_can_not_be_deleted_now_are_reported(
    ports: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    window, page = open_confirmation(ports)
    ports.vault.fail.append(TransientError("key_vault_unavailable"))

    with caplog.at_level(logging.WARNING):
        decide(window, ports, "refuse", form_token(page))

    assert "tokens_left_behind" in caplog.text
    assert flow_state(ports, window)[0] == "declined"


# The page


def confirmation(**changes: str) -> Confirmation:
    known = Confirmation(
        "00000000-0000-4000-8000-0000000000f1",
        "the-token",
        requester="ada@contoso.com",
        account="reports@contoso.com",
        from_address="reports@contoso.com",
        scopes=frozenset({"Mail.Send", "Mail.Send.Shared", "Other.Scope"}),
        expires_at=NOON + timedelta(minutes=10),
    )
    return replace(known, **changes)  # type: ignore[arg-type]


def test_the_page_has_no_script_and_its_form_stays_with_the_app() -> None:
    reply = other_account_page(confirmation(), "https://mailer.contoso.com", "the-nonce")

    text, policy = reply.body.decode(), reply.headers["Content-Security-Policy"]
    assert "<script" not in text
    assert "form-action 'self'; frame-ancestors 'none'" in policy
    form = "https://mailer.contoso.com/api/consent/00000000-0000-4000-8000-0000000000f1/decision"
    assert f'<form method="post" action="{form}">' in text
    assert "Decide before 12:10 UTC" in text


def test_what_the_page_shows_is_text_and_never_markup() -> None:
    hostile = confirmation(requester='"><script>alert(1)</script>', account="<b>", from_address="</dd>")

    text = other_account_page(hostile, "https://mailer.contoso.com", "n").body.decode()

    assert "<script>" not in text
    assert "&lt;b&gt;" in text
    assert "&lt;/dd&gt;" in text


def test_a_permission_that_is_unknown_to_the_app_is_shown_by_its_name() -> None:
    text = other_account_page(confirmation(), "https://mailer.contoso.com", "n").body.decode()

    assert "<li>Other.Scope</li>" in text


def test_the_flow_of_an_earlier_version_has_not_been_opened() -> None:
    flow = ConsentFlow("f", CONTOSO, "ada-object-id", "ada@contoso.com", NOON)

    assert flow.expired_code == "consent_link_expired"
