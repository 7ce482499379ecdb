import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from shared.api import consent, settings
from shared.consent.cookie import NAME
from shared.consent.flow import TIME_TO_CONSENT, ConsentFlow, FlowSecret, FlowStage
from shared.consent.ports import AuthFlow, TokenResponse
from shared.errors import (
    ConfigurationError,
    ConsentRequiredError,
    InvalidInputError,
    PreconditionFailedError,
    TransientError,
)
from shared.settings.sender import sender_of
from shared.settings.tenant import Account, TenantSettings
from tests.api_client import (
    Window,
    a_request,
    call,
    complete_consent,
    content,
    decide,
    enable,
    finish,
    form_token,
    open_start_link,
    post_ticket,
    read_settings,
)
from tests.builders import enabled_services
from tests.fakes import CONTOSO, FABRIKAM, FakeEntra, FakeServices, MemoryFlows, MemorySettings


@pytest.fixture
def ports() -> FakeServices:
    return FakeServices()


def flow_result(ports: FakeServices, window: Window) -> tuple[str, str | None]:
    """Return the status and the problem of the flow as the API shows them."""
    reply = call(consent.read_flow, ports, route={"flow_id": window.flow_id})
    found = content(reply)
    return found["status"], found["problem"]["code"] if found["problem"] else None


def refusal(ports: FakeServices, window: Window, **reply: str) -> str:
    """Return the problem of a refused callback."""
    found = finish(window, ports, **reply)
    assert found.status == 303
    return parse_qs(urlsplit(found.headers["Location"]).query)["problem"][0]


def test_a_consent_ends_in_stored_tokens_and_settings_that_name_them(ports: FakeServices) -> None:
    window = open_start_link(enable(ports), ports)

    reply = finish(window, ports, code="the-code")

    kept = ports.settings.load(CONTOSO).consent
    assert kept is not None
    assert kept.secret_name == f"smtp-{CONTOSO}-1"
    assert ports.vault.secrets == {f"smtp-{CONTOSO}-1": "tokens-of-the-code"}
    assert flow_result(ports, window) == ("completed", None)
    assert reply.status == 303
    assert reply.headers["Location"].endswith(f"/api/consent/result?flow={window.flow_id}")


def test_the_browser_is_sent_on_without_code_or_state_in_the_address(ports: FakeServices) -> None:
    window = open_start_link(enable(ports), ports)

    location = finish(window, ports, code="the-code").headers["Location"]

    assert "the-code" not in location
    assert window.state not in location


def test_a_reloaded_callback_shows_the_result_and_redeems_nothing(ports: FakeServices) -> None:
    window = complete_consent(ports)
    ports.authorizer.fail.append(AssertionError("the code was redeemed twice"))

    reply = finish(window, ports)

    assert reply.headers["Location"].endswith(f"flow={window.flow_id}")
    assert flow_result(ports, window) == ("completed", None)


@pytest.mark.parametrize("state", ["", "nonsense", "00000000-0000-4000-8000-000000000099.secret"])
def test_a_callback_of_no_consent_of_the_app_is_refused(ports: FakeServices, state: str) -> None:
    window = replace(open_start_link(enable(ports), ports), state=state)

    assert refusal(ports, window) == "consent_not_found"


def test_a_guessed_state_is_refused_and_changes_nothing(ports: FakeServices) -> None:
    window = open_start_link(enable(ports), ports)

    assert refusal(ports, replace(window, state=f"{window.flow_id}.guess")) == "consent_reply_invalid"
    assert ports.vault.secrets == {}
    finish(window, ports)
    assert flow_result(ports, window) == ("completed", None)


def test_a_callback_before_the_link_was_opened_is_refused(ports: FakeServices) -> None:
    link = enable(ports)

    assert refusal(ports, replace(link, state=f"{link.flow_id}.x", cookie="x")) == "consent_reply_invalid"


def test_the_state_of_another_flow_does_not_finish_this_one(ports: FakeServices) -> None:
    old = open_start_link(enable(ports), ports)
    new = open_start_link(enable(ports), ports)
    crossed = replace(new, state=f"{new.flow_id}.{old.state.partition('.')[2]}")

    assert refusal(ports, crossed) == "consent_reply_invalid"


@pytest.mark.parametrize(
    ("cookies", "code"),
    [
        ("", "consent_cookie_missing"),
        ("other=1", "consent_cookie_missing"),
        (f"{NAME}=another-browsers-cookie", "consent_wrong_browser"),
        (f"{NAME}=", "consent_wrong_browser"),
        (f"{NAME}=planted; {NAME}=RIGHT", "consent_cookie_ambiguous"),
        (f"{NAME}=RIGHT,{NAME}=RIGHT", "consent_cookie_ambiguous"),
        (f"a=1;\u2000{NAME}=RIGHT", "consent_cookie_missing"),
    ],
)
def test_a_consent_is_finished_only_in_the_browser_that_opened_its_link(
    ports: FakeServices, cookies: str, code: str
) -> None:
    window = open_start_link(enable(ports), ports)
    error = replace(window.callback_request(), headers={"cookie": cookies.replace("RIGHT", window.cookie)})

    reply = consent.finish(error, ports)

    assert parse_qs(urlsplit(reply.headers["Location"]).query)["problem"] == [code]
    assert "Set-Cookie" not in reply.headers
    assert ports.vault.secrets == {}
    assert flow_result(ports, window) == ("pending", None)


def test_after_ten_minutes_a_missing_cookie_is_no_sign_of_blocked_cookies(ports: FakeServices) -> None:
    window = open_start_link(enable(ports), ports)
    ports.system.pass_time(timedelta(minutes=10))

    finish(replace(window, cookie=""), ports)

    assert flow_result(ports, window) == ("expired", "consent_expired")


@pytest.mark.parametrize("reply", [{}, {"error": "access_denied", "code": ""}])
def test_the_cookie_is_removed_once_it_was_used(ports: FakeServices, reply: dict[str, str]) -> None:
    window = open_start_link(enable(ports), ports)

    cookie = finish(window, ports, **reply).headers["Set-Cookie"]

    assert cookie == (
        "__Secure-consent=; Domain=mailer.contoso.com; Path=/api/consent; Secure; HttpOnly; SameSite=None; "
        "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
    )
    assert "Set-Cookie" not in finish(window, ports, **reply).headers


def test_an_expired_consent_does_not_remove_the_cookie_of_a_newer_one(ports: FakeServices) -> None:
    """That consent may be another tenant's; anyone can send a callback."""
    window = open_start_link(enable(ports), ports)
    ports.system.pass_time(timedelta(minutes=10))

    reply = finish(replace(window, cookie="of-a-newer-consent"), ports)

    assert flow_result(ports, window) == ("expired", "consent_expired")
    assert "Set-Cookie" not in reply.headers


def test_of_two_callbacks_at_once_one_is_taken(ports: FakeServices) -> None:
    window = open_start_link(enable(ports), ports)

    class ConsumedFlows(MemoryFlows):
        def consume_secret(self, secret: FlowSecret) -> bool:
            return False

    ports.flows = ConsumedFlows(ports.flows.flows, ports.flows.secrets)

    assert refusal(ports, window) == "consent_link_used"
    assert ports.vault.secrets == {}


def test_the_secrets_of_a_flow_are_gone_before_its_code_is_redeemed(ports: FakeServices) -> None:
    window = open_start_link(enable(ports), ports)
    left: list[int] = []

    class RecordingEntra(FakeEntra):
        def redeem(self, tenant_id: str, auth_flow: AuthFlow, reply: Mapping[str, str]) -> TokenResponse:
            left.append(len(ports.flows.secrets))
            return super().redeem(tenant_id, auth_flow, reply)

    ports.authorizer = RecordingEntra(ports.system, requested_scopes=ports.authorizer.requested_scopes)
    finish(window, ports)

    assert left == [0]


def test_the_cookie_outlives_the_flow_so_that_a_late_person_sees_its_end(ports: FakeServices) -> None:
    started = enable(ports)
    cookie = post_ticket(started, ports).headers["Set-Cookie"]
    seconds = int(cookie.rpartition("Max-Age=")[2])

    assert timedelta(seconds=seconds) > TIME_TO_CONSENT + timedelta(hours=1)


def test_an_expired_consent_is_not_completed(ports: FakeServices) -> None:
    window = open_start_link(enable(ports), ports)
    ports.system.pass_time(timedelta(minutes=10))

    finish(window, ports)

    assert flow_result(ports, window) == ("expired", "consent_expired")
    assert read_settings(ports)["status"] == "not_configured"
    assert ports.vault.secrets == {}


@pytest.mark.parametrize(
    ("ahead", "last_minute"), [(timedelta(minutes=-5), 15), (timedelta(0), 10), (timedelta(minutes=5), 5)]
)
def test_the_time_to_consent_varies_by_the_clock_difference_of_two_hosts(
    ahead: timedelta, last_minute: int
) -> None:
    ends = []
    for passed in (timedelta(minutes=last_minute, seconds=-1), timedelta(minutes=last_minute)):
        ports = FakeServices()
        window = open_start_link(enable(ports), ports)
        ports.system.pass_time(passed)
        # Another host handles the callback.
        ports.system.set_clock(ahead)
        finish(window, ports)
        ends.append(flow_result(ports, window)[0])

    assert ends == ["completed", "expired"]


def test_a_consent_expires_in_every_stage(ports: FakeServices) -> None:
    window = open_start_link(enable(ports), ports)
    flow = ports.flows.flows[window.flow_id]
    # The row was not written when the link was opened.
    ports.flows.save(replace(flow, stage=FlowStage.LINK_NOT_OPENED))
    ports.system.pass_time(timedelta(minutes=10))
    before = flow_result(ports, window)

    finish(window, ports)

    assert flow_result(ports, window) == before == ("expired", "consent_link_expired")


def test_a_consent_with_a_closed_window_expires_and_is_reported(ports: FakeServices) -> None:
    window = open_start_link(enable(ports), ports)
    ports.system.pass_time(timedelta(minutes=10))

    assert flow_result(ports, window) == ("expired", "consent_expired")


@pytest.mark.parametrize("description", ["", "AADSTS65004: User declined to consent."])
def test_a_declined_consent_leaves_the_old_sender(description: str) -> None:
    ports = enabled_services()
    window = open_start_link(_save(ports), ports)

    finish(
        window,
        ports,
        code="",
        error="access_denied",
        error_subcode="cancel",
        error_description=description.replace(" ", "+"),
    )

    assert flow_result(ports, window) == ("declined", "consent_declined")
    assert read_settings(ports)["fromEmailAddress"] == "ada@contoso.com"
    assert read_settings(ports)["pendingConsent"] is None
    assert ports.vault.secrets == {f"smtp-{CONTOSO}-1": "tokens"}


def _save(ports: FakeServices) -> Window:
    """Begin a consent while another one sends."""
    enabled = ports.settings.load(CONTOSO)
    ports.settings.rows[CONTOSO] = replace(enabled, status=type(enabled.status)("reconnect_needed"))
    link = enable(ports, "new@contoso.com")
    begun = ports.settings.load(CONTOSO)
    ports.settings.rows[CONTOSO] = replace(begun, status=enabled.status)
    return link


@pytest.mark.parametrize(
    ("error", "shown_error"),
    [
        ("server_error", "server_error"),
        ("<script>alert(1)</script>", "an error that is not documented"),
    ],
)
def test_an_error_of_microsoft_is_shown_only_if_it_is_a_documented_one(
    ports: FakeServices, error: str, shown_error: str
) -> None:
    window = open_start_link(enable(ports), ports)

    finish(window, ports, code="", error=error.replace("<", "%3C"))

    assert flow_result(ports, window) == ("failed", "consent_failed")
    flow = ports.flows.flow(window.flow_id)
    assert flow is not None
    assert flow.problem is not None
    assert flow.problem.params["error"] == shown_error


def test_an_error_beside_a_code_is_an_error(ports: FakeServices) -> None:
    window = open_start_link(enable(ports), ports)

    finish(window, ports, code="the-code", error="access_denied")

    assert flow_result(ports, window) == ("declined", "consent_declined")


def test_an_account_of_another_organisation_is_refused(ports: FakeServices) -> None:
    window = open_start_link(enable(ports), ports)
    ports.authorizer.claims = {"tid": FABRIKAM}

    finish(window, ports)

    assert flow_result(ports, window) == ("failed", "consent_wrong_tenant")
    assert ports.vault.secrets == {}


def test_fewer_permissions_than_requested_are_no_consent(ports: FakeServices) -> None:
    window = open_start_link(enable(ports), ports)
    ports.authorizer.granted = frozenset({"User.Read"})

    finish(window, ports)

    assert flow_result(ports, window) == ("failed", "permission_not_granted")
    flow = ports.flows.flow(window.flow_id)
    assert flow is not None
    assert flow.problem is not None
    assert flow.problem.params == {"missing": "Mail.Send"}


def test_what_microsoft_grants_beyond_the_request_is_shown_and_not_used(ports: FakeServices) -> None:
    window = open_start_link(enable(ports), ports)
    ports.authorizer.granted = frozenset({"Mail.Send", "Mail.ReadWrite", "User.Read"})

    finish(window, ports)

    view = read_settings(ports)
    assert (view["status"], view["permissions"]) == ("enabled", ["Mail.Send"])
    assert view["surplusPermissions"] == ["Mail.ReadWrite", "User.Read"]
    assert not sender_of(ports.settings.load(CONTOSO)).may_draft


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (ConsentRequiredError("consent_failed", error="AADSTS70000"), "consent_failed"),
        (ConfigurationError("client_credential_refused", error="AADSTS7000215"), "client_credential_refused"),
        (InvalidInputError("consent_reply_invalid"), "consent_reply_invalid"),
    ],
)
def test_a_code_that_is_refused_ends_the_consent_with_its_reason(
    ports: FakeServices, failure: Exception, code: str
) -> None:
    window = open_start_link(enable(ports), ports)
    ports.authorizer.fail.append(failure)

    finish(window, ports)

    assert flow_result(ports, window) == ("failed", code)
    assert read_settings(ports)["status"] == "not_configured"
    assert read_settings(ports)["pendingConsent"] is None


def test_while_the_vault_is_unavailable_no_settings_name_missing_tokens(
    ports: FakeServices,
) -> None:
    window = open_start_link(enable(ports), ports)
    ports.vault.fail.append(TransientError("key_vault_unavailable"))

    finish(window, ports)

    assert flow_result(ports, window)[0] == "failed"
    assert ports.settings.load(CONTOSO).consent is None


def test_a_callback_after_a_reset_changes_nothing(ports: FakeServices) -> None:
    window = open_start_link(enable(ports), ports)
    call(settings.reset_settings, ports)

    finish(window, ports)

    assert flow_result(ports, window) == ("failed", "consent_superseded")
    assert read_settings(ports)["status"] == "not_configured"
    assert ports.vault.secrets == {}


def test_a_callback_after_a_newer_consent_was_begun_changes_nothing(ports: FakeServices) -> None:
    old = open_start_link(enable(ports, "old@contoso.com"), ports)
    new = open_start_link(enable(ports, "ada@contoso.com"), ports)

    finish(old, ports)
    assert flow_result(ports, old) == ("failed", "consent_superseded")

    finish(new, ports)
    assert read_settings(ports)["fromEmailAddress"] == "ada@contoso.com"


def test_a_reset_while_the_code_is_redeemed_leaves_no_tokens(ports: FakeServices) -> None:
    window = open_start_link(enable(ports), ports)

    class ResettingEntra(FakeEntra):
        def redeem(self, tenant_id: str, auth_flow: AuthFlow, reply: Mapping[str, str]) -> TokenResponse:
            call(settings.reset_settings, ports)
            return super().redeem(tenant_id, auth_flow, reply)

    ports.authorizer = ResettingEntra(ports.system, requested_scopes=ports.authorizer.requested_scopes)
    finish(window, ports)

    assert flow_result(ports, window) == ("failed", "consent_superseded")
    assert ports.vault.secrets == {}


def test_the_tokens_that_a_new_consent_replaces_are_deleted() -> None:
    ports = enabled_services()
    window = open_start_link(_save(ports), ports)

    finish(window, ports)

    assert list(ports.vault.secrets) == [f"smtp-{CONTOSO}-2"]
    assert ports.vault.deleted == [f"smtp-{CONTOSO}-1"]


def test_replaced_tokens_that_can_not_be_deleted_do_not_spoil_the_consent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ports = enabled_services()
    window = open_start_link(_save(ports), ports)

    class UndeletableVault(type(ports.vault)):  # type: ignore[misc]
        def delete(self, name: str) -> None:
            raise TransientError("key_vault_unavailable")

    ports.vault = UndeletableVault(ports.vault.secrets)
    with caplog.at_level(logging.INFO):
        finish(window, ports)

    assert flow_result(ports, window) == ("completed", None)
    assert "tokens_left_behind" in caplog.text


def test_a_form_is_read_as_a_browser_posts_it(ports: FakeServices) -> None:
    window = open_start_link(enable(ports), ports)
    body = f"code=a%2Bb+c&state={window.state}&state=second&session_state=x".encode()
    posted = a_request(body, headers={"cookie": f"other=1; {NAME}={window.cookie}; x=y"})

    consent.finish(posted, ports)

    assert ports.vault.secrets == {f"smtp-{CONTOSO}-1": "tokens-of-a+b c"}


UNAVAILABLE = TransientError("storage_unavailable", service="tables")


@pytest.mark.parametrize("error", [PreconditionFailedError("settings_changed"), UNAVAILABLE], ids=str)
def test_a_consent_with_stored_settings_completes_without_the_response(
    ports: FakeServices, error: Exception
) -> None:
    window = open_start_link(enable(ports), ports)
    # The SDK repeats a write without a response, and then gets a conflict.
    ports.settings.lost = [error]

    finish(window, ports)

    kept = ports.settings.load(CONTOSO).consent
    assert kept is not None
    assert flow_result(ports, window) == ("completed", None)
    assert ports.tokens.get(CONTOSO, kept) == "access-1"


def test_a_consent_whose_settings_can_not_be_written_is_none(ports: FakeServices) -> None:
    class UnwritableSettings(MemorySettings):
        def save(self, settings: TenantSettings) -> TenantSettings:
            raise UNAVAILABLE

    window = open_start_link(enable(ports), ports)
    there = ports.settings
    ports.settings = UnwritableSettings(there.rows)

    assert refusal(ports, window) == "consent_interrupted"

    ports.settings = there
    assert read_settings(ports)["status"] == "not_configured"


def test_while_storage_is_unavailable_the_tokens_of_a_consent_are_kept(ports: FakeServices) -> None:
    class FailingSettings(MemorySettings):
        """Fails at every call after the next write."""

        def load(self, tenant_id: str) -> TenantSettings:
            if not self.lost:
                raise UNAVAILABLE
            return super().load(tenant_id)

    window = open_start_link(enable(ports), ports)
    there = ports.settings
    ports.settings = FailingSettings(there.rows, [UNAVAILABLE])

    assert refusal(ports, window) == "consent_interrupted"

    ports.settings = there
    assert read_settings(ports)["status"] == "enabled"
    assert flow_result(ports, window) == ("completed", None)
    assert list(ports.vault.secrets) == [f"smtp-{CONTOSO}-1"]


def test_a_completed_consent_does_not_depend_on_its_flows_row(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class FailingFlows(MemoryFlows):
        def save(self, flow: ConsentFlow) -> None:
            raise UNAVAILABLE

    ports = enabled_services()
    window = open_start_link(_save(ports), ports)
    ports.flows = FailingFlows(ports.flows.flows, ports.flows.secrets)

    finish(window, ports)
    ports.system.pass_time(timedelta(minutes=11))

    assert flow_result(ports, window) == ("completed", None)
    assert ports.vault.deleted == [f"smtp-{CONTOSO}-1"]
    assert "storage_unavailable" in caplog.text


def test_the_log_names_who_started_a_consent_and_who_gave_it(
    ports: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    window = open_start_link(enable(ports, "reports@contoso.com"), ports)
    ports.authorizer.account = Account("reports-object-id", CONTOSO, "reports@contoso.com")

    with caplog.at_level(logging.INFO):
        decide(window, ports, "continue", form_token(finish(window, ports)))

    event = next(line for line in caplog.messages if line.startswith("consent_completed "))
    fields = json.loads(event.partition(" ")[2])
    assert (fields["started_by"], fields["consented_by"]) == ("ada-object-id", "reports-object-id")
    assert "@" not in event


@pytest.mark.parametrize("newer", ["reset", "consent", "save of what holds"])
def test_a_superseded_consent_reports_this_and_keeps_no_secrets(newer: str) -> None:
    ports = enabled_services()
    window = open_start_link(_save(ports), ports)

    if newer == "reset":
        call(settings.reset_settings, ports)
    elif newer == "consent":
        _save(ports)
    else:
        body = {"fromEmailAddress": "ada@contoso.com", "largeFileAttachments": False}
        assert content(call(settings.save, ports, body))["flowId"] is None
    ports.system.pass_time(timedelta(minutes=11))

    assert flow_result(ports, window) == ("failed", "consent_superseded")
    assert window.flow_id not in ports.flows.secrets


def test_a_reset_succeeds_although_the_secrets_of_a_replaced_flow_remain(
    ports: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    class FailingFlows(MemoryFlows):
        def consume_secret(self, secret: FlowSecret) -> bool:
            raise UNAVAILABLE

    window = open_start_link(enable(ports), ports)
    ports.flows = FailingFlows(ports.flows.flows, ports.flows.secrets)

    assert call(settings.reset_settings, ports).status == 204

    assert flow_result(ports, window) == ("failed", "consent_superseded")
    assert "forget_flow" in caplog.text
