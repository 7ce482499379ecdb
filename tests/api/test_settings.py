from datetime import timedelta
from typing import Any

import pytest

from shared.api import settings as settings_api
from shared.caller import Caller
from shared.deliveries.status import DeliveryStatus
from shared.errors import (
    ConflictError,
    InvalidInputError,
    PreconditionFailedError,
    TransientError,
)
from shared.settings.sending_switch import SendingPause
from shared.settings.tenant import ActiveProblem, Status, TenantSettings
from tests.api_client import call, complete_consent, content, enable, open_start_link, read_settings
from tests.builders import a_consent, enabled_services, some_settings
from tests.fakes import CONTOSO, FABRIKAM, NOON, FakeServices

EMPTY: dict[str, Any] = {
    "provider": "Office365",
    "status": "not_configured",
    "authorization": "delegated",
    "fromEmailAddress": None,
    "delegatedMailbox": False,
    "singleSenderIdentity": {"enabled": True, "locked": True},
    "largeFileAttachments": {"enabled": False, "locked": False},
    "permissions": [],
    "consentedBy": None,
    "consentedAt": None,
    "tokenRefreshedAt": None,
    "pendingConsent": None,
    "waitingMails": 0,
    "sendingPaused": None,
    "problem": None,
}


@pytest.fixture
def ports() -> FakeServices:
    return FakeServices()


def test_a_tenant_that_never_came_before_is_not_configured(ports: FakeServices) -> None:
    view = read_settings(ports)

    assert view.items() >= EMPTY.items()
    assert view["actions"]["enable"] is True
    assert view["actions"]["reset"] is False


def test_after_consent_the_page_shows_who_sends_and_who_consented(ports: FakeServices) -> None:
    complete_consent(ports)

    view = read_settings(ports)

    assert view["status"] == "enabled"
    assert view["fromEmailAddress"] == "ada@contoso.com"
    assert view["consentedBy"] == view["consentStartedBy"] == "ada@contoso.com"
    assert view["permissions"] == ["Mail.Send"]
    assert view["consentedAt"] == view["tokenRefreshedAt"] == "2026-11-23T12:00:00Z"
    assert view["actions"]["reset"] is True
    assert view["actions"]["enable"] is False


def test_a_pause_of_sending_is_shown_with_its_reason(ports: FakeServices) -> None:
    ports.pause_store.save(SendingPause(NOON, "installing version 1.4"))

    assert read_settings(ports)["sendingPaused"] == {
        "since": "2026-11-23T12:00:00Z",
        "reason": "installing version 1.4",
    }


def test_single_sender_identity_is_on_and_locked_in_every_state(ports: FakeServices) -> None:
    before = read_settings(ports)["singleSenderIdentity"]
    complete_consent(ports)

    assert before == read_settings(ports)["singleSenderIdentity"] == {"enabled": True, "locked": True}


def test_a_pending_consent_is_shown_until_it_expires(ports: FakeServices) -> None:
    window = enable(ports, "reports@contoso.com")

    pending = read_settings(ports)["pendingConsent"]
    ports.system.pass_time(timedelta(minutes=10))

    assert pending == {
        "flowId": window.flow_id,
        "fromEmailAddress": "reports@contoso.com",
        "largeFileAttachments": False,
        "expiresAt": "2026-11-23T12:10:00Z",
    }
    assert read_settings(ports)["pendingConsent"] is None


def test_the_problem_of_a_lost_consent_names_who_must_act(ports: FakeServices) -> None:
    facts = {"account": "ada@contoso.com", "error": "AADSTS50173"}
    problem = ActiveProblem("consent_lost", NOON, facts, "correlation-1")
    ports.settings.save(some_settings(status=Status.RECONNECT_NEEDED, problem=problem))

    view = read_settings(ports)

    assert view["status"] == "reconnect_needed"
    assert view["problem"]["code"] == "consent_lost"
    assert view["problem"]["whoActs"] == "workspace_admin"
    assert "ada@contoso.com" in view["problem"]["detail"]
    assert view["problem"]["since"] == "2026-11-23T12:00:00Z"
    assert view["problem"]["correlationId"] == "correlation-1"
    assert view["actions"]["enable"] is True


def test_a_shared_mailbox_is_shown_with_the_account_that_sends_for_it() -> None:
    settings = some_settings()
    assert settings.sender is not None
    ports = enabled_services(sender=type(settings.sender)("finance@contoso.com"))

    view = read_settings(ports)

    assert view["delegatedMailbox"] is True
    assert view["fromEmailAddress"] == "finance@contoso.com"
    assert view["consentedBy"] == "ada@contoso.com"


def test_enable_returns_the_start_link_and_the_status_address(ports: FakeServices) -> None:
    reply = call(settings_api.enable, ports, {"fromEmailAddress": "ada@contoso.com"})

    started = content(reply)
    flow = f"https://mailer.contoso.com/api/consent/{started['flowId']}"
    assert reply.status == 202
    assert started["statusUrl"] == flow
    assert started["startUrl"].startswith(f"{flow}/start#ticket=")
    assert started["expiresAt"] == "2026-11-23T12:10:00Z"


@pytest.mark.parametrize(
    "address",
    ["", "ada", "ada@", "@contoso.com", "ada@contoso", "a b@contoso.com", "ada@contoso.com, b@contoso.com"],
)
def test_enable_needs_one_full_address(ports: FakeServices, address: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        call(settings_api.enable, ports, {"fromEmailAddress": address})

    assert refused.value.code == "invalid_from_email_address"
    assert [field.field for field in refused.value.fields] == ["fromEmailAddress"]
    assert ports.settings.load(CONTOSO) == TenantSettings(CONTOSO)


def test_blanks_around_the_address_are_forgiven(ports: FakeServices) -> None:
    enable(ports, " ada@CONTOSO.com ")

    assert read_settings(ports)["pendingConsent"]["fromEmailAddress"] == "ada@contoso.com"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "(whole body)"),
        (b"nonsense", "(whole body)"),
        (b"[]", "(whole body)"),
        (b"{}", "fromEmailAddress"),
        (b'{"fromEmailAddress": 7}', "fromEmailAddress"),
        (b'{"fromEmailAddress": "ada@contoso.com", "tenantId": "x"}', "tenantId"),
        (b'{"fromEmailAddress": "ada@contoso.com", "authorization": "magic"}', "authorization"),
    ],
)
def test_an_invalid_body_names_the_field(ports: FakeServices, body: bytes, field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        call(settings_api.enable, ports, body)

    assert refused.value.code == "invalid_request"
    assert [found.field for found in refused.value.fields] == [field]


def test_enable_is_refused_where_sending_works() -> None:
    ports = enabled_services()

    with pytest.raises(ConflictError) as refused:
        call(settings_api.enable, ports, {"fromEmailAddress": "new@contoso.com"})

    assert refused.value.code == "already_enabled"
    assert ports.settings.load(CONTOSO).pending is None


@pytest.mark.parametrize("status", [Status.RECONNECT_NEEDED, Status.OPERATOR_ERROR])
def test_enable_works_where_sending_does_not(status: Status) -> None:
    ports = enabled_services(
        status=status, problem=ActiveProblem("key_vault_denied", NOON), consent=a_consent()
    )

    complete_consent(ports)

    assert read_settings(ports)["status"] == "enabled"
    assert read_settings(ports)["problem"] is None


def test_a_caller_reaches_only_the_settings_of_their_own_tenant(ports: FakeServices) -> None:
    complete_consent(ports)

    stranger = Caller(FABRIKAM, "mallory-object-id", "mallory@fabrikam.com")
    call(settings_api.reset_settings, ports, caller=stranger)

    assert read_settings(ports, stranger)["status"] == "not_configured"
    assert read_settings(ports)["status"] == "enabled"


def test_reset_removes_address_tokens_and_problem(ports: FakeServices) -> None:
    complete_consent(ports)

    reply = call(settings_api.reset_settings, ports)

    assert (reply.status, reply.body) == (204, b"")
    assert read_settings(ports).items() >= EMPTY.items()
    assert ports.vault.secrets == {}


def test_reset_of_nothing_is_fine(ports: FakeServices) -> None:
    assert call(settings_api.reset_settings, ports).status == 204


def test_a_reset_with_a_lost_response_is_done_and_leaves_no_tokens(ports: FakeServices) -> None:
    complete_consent(ports)
    seen = call(settings_api.read, ports).headers["ETag"]
    ports.settings.lost = [PreconditionFailedError("settings_changed")]

    reply = call(settings_api.reset_settings, ports, headers={"if-match": seen})

    assert reply.status == 204
    assert read_settings(ports)["status"] == "not_configured"
    assert ports.vault.secrets == {}


def test_a_consent_starts_although_the_response_to_its_write_was_lost(ports: FakeServices) -> None:
    seen = call(settings_api.read, ports).headers["ETag"]
    ports.settings.lost = [PreconditionFailedError("settings_changed")]

    body = {"fromEmailAddress": "ada@contoso.com"}
    reply = call(settings_api.enable, ports, body, headers={"if-match": seen})

    assert reply.status == 202
    assert read_settings(ports)["pendingConsent"]["flowId"] == content(reply)["flowId"]


def test_after_reset_everything_can_be_configured_again_at_once(ports: FakeServices) -> None:
    complete_consent(ports)
    call(settings_api.reset_settings, ports)

    complete_consent(ports, "new@contoso.com")

    assert read_settings(ports)["fromEmailAddress"] == "new@contoso.com"


def test_reset_ends_a_pending_consent(ports: FakeServices) -> None:
    enable(ports)

    call(settings_api.reset_settings, ports)

    assert read_settings(ports)["pendingConsent"] is None


def test_reset_holds_even_while_the_vault_is_unavailable(
    ports: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    complete_consent(ports)
    ports.vault.fail.append(TransientError("key_vault_unavailable"))

    reply = call(settings_api.reset_settings, ports)

    assert reply.status == 204
    assert read_settings(ports)["status"] == "not_configured"
    assert read_settings(ports)["tokensLeftBehind"] is True
    assert "tokens_left_behind" in caplog.text


def test_after_a_reset_that_went_well_nothing_is_left_behind(ports: FakeServices) -> None:
    complete_consent(ports)

    call(settings_api.reset_settings, ports)

    assert read_settings(ports)["tokensLeftBehind"] is False
    assert read_settings(ports)["tokensRecoverableUntil"] is None


def test_a_changed_page_gets_a_conflict_before_it_overwrites(ports: FakeServices) -> None:
    seen = call(settings_api.read, ports).headers["ETag"]
    complete_consent(ports)

    with pytest.raises(PreconditionFailedError) as refused:
        call(settings_api.reset_settings, ports, headers={"if-match": seen})

    assert refused.value.code == "settings_changed"
    assert read_settings(ports)["status"] == "enabled"


@pytest.mark.parametrize("form", ["{}", "*", '"other", {}', "W/{}", 'W/"other",W/{}'])
def test_a_page_that_saw_the_present_settings_may_change_them(ports: FakeServices, form: str) -> None:
    complete_consent(ports)
    seen = call(settings_api.read, ports).headers["ETag"]

    reply = call(settings_api.reset_settings, ports, headers={"if-match": form.format(seen)})

    assert reply.status == 204


def test_of_two_admins_who_enable_at_once_the_later_one_gets_a_conflict(ports: FakeServices) -> None:
    seen = call(settings_api.read, ports).headers["ETag"]
    body = {"fromEmailAddress": "ada@contoso.com"}
    call(settings_api.enable, ports, body, headers={"if-match": seen})

    with pytest.raises(PreconditionFailedError):
        call(settings_api.enable, ports, body, headers={"if-match": seen})


def test_waiting_mail_is_counted(ports: FakeServices) -> None:
    counted: list[set[DeliveryStatus]] = []

    class Log(type(ports.deliveries)):  # type: ignore[misc]
        def count(self, tenant_id: str, statuses: object) -> int:
            counted.append(set(statuses))  # type: ignore[call-overload]
            return 3

    ports.deliveries = Log()

    assert read_settings(ports)["waitingMails"] == 3
    assert counted == [{status for status in DeliveryStatus if status.startswith("waiting_for_")}]


def test_a_flow_that_was_opened_shows_its_address_as_the_hint(ports: FakeServices) -> None:
    open_start_link(enable(ports), ports)

    assert ports.authorizer.requested_scopes == [("Mail.Send",)]
