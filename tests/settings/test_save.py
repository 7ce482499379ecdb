"""Save: a new address or large files; the old settings work until consent."""

from datetime import timedelta
from typing import Any

import pytest

from shared.api import settings as settings_api
from shared.errors import ConflictError, InvalidInputError, PreconditionFailedError
from shared.settings.tenant import ActiveProblem, RequestedSender, Status, TenantSettings
from tests.api_client import Window, call, content, finish, open_start_link, read_settings
from tests.builders import enabled_services
from tests.fakes import CONTOSO, NOON, FakeServices

LARGE = RequestedSender("ada@contoso.com", large_file_attachments=True)


@pytest.fixture
def ports() -> FakeServices:
    return enabled_services()


def save(
    ports: FakeServices, address: str = "ada@contoso.com", *, large: bool = False, **parts: Any
) -> Window:
    """Press Save where a consent is needed."""
    body = {"fromEmailAddress": address, "largeFileAttachments": large}
    reply = call(settings_api.save, ports, body, **parts)
    assert reply.status == 202
    started = content(reply)
    return Window(started["flowId"], started["startUrl"])


def test_the_new_address_holds_only_after_consent(ports: FakeServices) -> None:
    window = save(ports, "reports@contoso.com")

    before = read_settings(ports)
    finish(open_start_link(window, ports), ports)
    after = read_settings(ports)

    assert (before["status"], before["fromEmailAddress"]) == ("enabled", "ada@contoso.com")
    assert before["pendingConsent"]["fromEmailAddress"] == "reports@contoso.com"
    assert (after["status"], after["fromEmailAddress"]) == ("enabled", "reports@contoso.com")
    assert after["pendingConsent"] is None


@pytest.mark.parametrize("ending", ["declined", "expired", "failed"])
def test_if_the_consent_fails_the_old_address_continues_sending(ports: FakeServices, ending: str) -> None:
    window = open_start_link(save(ports, "reports@contoso.com", large=True), ports)

    if ending == "expired":
        ports.system.pass_time(timedelta(minutes=10))
    finish(
        window,
        ports,
        **({"code": "", "error": "access_denied"} if ending == "declined" else {}),
        **({"code": "", "error": "server_error"} if ending == "failed" else {}),
    )

    settings = ports.settings.load(CONTOSO)
    assert (settings.status, settings.sender) == (Status.ENABLED, RequestedSender("ada@contoso.com"))
    assert settings.pending is None
    assert ports.tokens.get(CONTOSO, settings.consent) == "access-1"  # type: ignore[arg-type]


def test_large_files_are_requested_and_then_locked(ports: FakeServices) -> None:
    finish(open_start_link(save(ports, large=True), ports), ports)

    assert ports.authorizer.requested_scopes == [("Mail.Send", "Mail.ReadWrite")]
    assert read_settings(ports)["largeFileAttachments"] == {"enabled": True, "locked": True}
    assert read_settings(ports)["permissions"] == ["Mail.ReadWrite", "Mail.Send"]


def test_large_files_stay_enabled_until_a_reset(ports: FakeServices) -> None:
    finish(open_start_link(save(ports, large=True), ports), ports)

    with pytest.raises(ConflictError) as refused:
        save(ports, "reports@contoso.com", large=False)

    assert refused.value.code == "large_file_attachments_locked"
    call(settings_api.reset_settings, ports)
    assert read_settings(ports)["largeFileAttachments"] == {"enabled": False, "locked": False}


def test_enabling_again_does_not_unlock_large_files() -> None:
    problem = ActiveProblem("consent_lost", NOON, {"account": "a", "error": "e"})
    ports = enabled_services(status=Status.RECONNECT_NEEDED, problem=problem, sender=LARGE)

    with pytest.raises(ConflictError) as refused:
        call(settings_api.enable, ports, {"fromEmailAddress": "ada@contoso.com"})

    assert refused.value.code == "large_file_attachments_locked"
    assert (
        call(
            settings_api.enable, ports, {"fromEmailAddress": "ada@contoso.com", "largeFileAttachments": True}
        ).status
        == 202
    )


def test_an_unchanged_save_needs_no_consent(ports: FakeServices) -> None:
    body = {"fromEmailAddress": "ada@CONTOSO.com", "largeFileAttachments": False}

    reply = call(settings_api.save, ports, body)

    assert reply.status == 202
    assert content(reply) == dict.fromkeys(("flowId", "startUrl", "statusUrl", "expiresAt"))
    assert read_settings(ports)["pendingConsent"] is None
    assert reply.headers["ETag"] == call(settings_api.read, ports).headers["ETag"]


def test_an_unchanged_save_ends_a_consent_that_would_change_it(ports: FakeServices) -> None:
    window = open_start_link(save(ports, "reports@contoso.com"), ports)

    call(settings_api.save, ports, {"fromEmailAddress": "ada@contoso.com", "largeFileAttachments": False})
    finish(window, ports)

    assert read_settings(ports)["fromEmailAddress"] == "ada@contoso.com"
    assert read_settings(ports)["pendingConsent"] is None


def test_an_unchanged_save_requests_consent_again_on_demand(ports: FakeServices) -> None:
    body = {"fromEmailAddress": "ada@contoso.com", "largeFileAttachments": False, "askAgain": True}

    assert call(settings_api.save, ports, body).status == 202


@pytest.mark.parametrize("status", [Status.RECONNECT_NEEDED, Status.OPERATOR_ERROR])
def test_while_sending_fails_save_requests_consent_again(status: Status) -> None:
    ports = enabled_services(status=status, problem=ActiveProblem("key_vault_denied", NOON))

    finish(open_start_link(save(ports), ports), ports)

    assert read_settings(ports)["status"] == "enabled"


def test_nothing_is_saved_where_nothing_is_configured() -> None:
    with pytest.raises(ConflictError) as refused:
        save(FakeServices())
    assert refused.value.code == "not_configured"


def test_the_new_address_is_checked(ports: FakeServices) -> None:
    with pytest.raises(InvalidInputError) as refused:
        save(ports, "nobody")
    assert refused.value.code == "invalid_from_email_address"
    assert ports.settings.load(CONTOSO).pending is None


def test_of_two_admins_who_save_at_once_the_later_one_gets_a_conflict(ports: FakeServices) -> None:
    seen = call(settings_api.read, ports).headers["ETag"]
    save(ports, "first@contoso.com", headers={"if-match": seen})

    with pytest.raises(PreconditionFailedError):
        save(ports, "second@contoso.com", headers={"if-match": seen})
    assert read_settings(ports)["pendingConsent"]["fromEmailAddress"] == "first@contoso.com"


def test_a_refreshed_token_is_no_reason_to_refuse_an_admin(ports: FakeServices) -> None:
    seen = call(settings_api.read, ports).headers["ETag"]
    settings = ports.settings.load(CONTOSO)
    ports.settings.save(type(settings)(**{**_members(settings), "recoverable_until": NOON}))

    save(ports, "new@contoso.com", headers={"if-match": seen})

    assert read_settings(ports)["pendingConsent"]["fromEmailAddress"] == "new@contoso.com"


def _members(settings: TenantSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in TenantSettings.__slots__}


def test_recoverable_deleted_tokens_are_shown_with_their_purge_date(ports: FakeServices) -> None:
    ports.vault.recoverable_until = NOON + timedelta(days=90)
    finish(open_start_link(save(ports, "new@contoso.com"), ports), ports)

    assert read_settings(ports)["tokensRecoverableUntil"] == "2027-02-21T12:00:00Z"
    call(settings_api.reset_settings, ports)
    assert read_settings(ports)["tokensRecoverableUntil"] == "2027-02-21T12:00:00Z"
    ports.system.pass_time(timedelta(days=90))
    assert read_settings(ports)["tokensRecoverableUntil"] is None
