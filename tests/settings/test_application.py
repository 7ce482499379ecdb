"""The operator's list of senders for the app's own permission."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.api import settings as settings_api
from shared.api.test_mail import send_test_mail
from shared.deliveries.status import DeliveryStatus
from shared.errors import ConfigurationError, ConflictError, TransientError
from shared.sending.deliver import deliver
from shared.sending.maintenance import release_all
from shared.settings.sender import is_listed, with_sender_list
from shared.settings.tenant import ActiveProblem, Authorization, RequestedSender, Status, TenantSettings
from tests.api_client import call, content, read_settings
from tests.builders import a_consent, a_message, enabled_services, list_senders, some_settings
from tests.fakes import CONTOSO, NOON, FakeServices, MemorySettings

REPORTS = "reports@contoso.com"
APPLICATION = RequestedSender(REPORTS, authorization=Authorization.APPLICATION)
BY_THE_APP: dict[str, Any] = {
    "sender": APPLICATION,
    "consent": a_consent(account=None, secret_name=None, consented_by="", granted=frozenset({"Mail.Send"})),
}
MAIL = "sales-weekly:2026-11-23T06:00Z:emea"


@pytest.fixture
def ports() -> FakeServices:
    """Build services that send as reports@ with application permission."""
    ports = enabled_services(**BY_THE_APP)
    list_senders(ports, REPORTS)
    return ports


def status_of(ports: FakeServices) -> DeliveryStatus:
    row = ports.deliveries.find(CONTOSO, MAIL)
    assert row is not None
    return row.status


# Which spellings are one address


@pytest.mark.parametrize(
    ("listed", "requested"),
    [
        ("reports@contoso.com", "REPORTS@Contoso.COM"),
        ("Reports@contoso.com", "reports@contoso.com"),
        ("reports@bücher.de", "reports@xn--bcher-kva.de"),
        ("reports@xn--bcher-kva.de", "reports@BÜCHER.de"),
        ("bu\u0308ro@contoso.com", "b\u00fcro@contoso.com"),
    ],
)
def test_an_address_is_listed_in_every_form_of_writing(listed: str, requested: str) -> None:
    assert is_listed(requested, [listed])


@pytest.mark.parametrize(
    "requested",
    [
        "reports+cfo@contoso.com",
        "reports@contoso.com.fabrikam.com",
        "report@contoso.com",
        "xreports@contoso.com",
        "reports@sub.contoso.com",
        "@contoso.com",
        "\uff52eports@contoso.com",
        "r\u0435ports@contoso.com",
        "",
    ],
)
def test_an_address_that_only_looks_similar_is_not_listed(requested: str) -> None:
    assert not is_listed(requested, [REPORTS])


def test_letters_outside_ascii_are_not_folded_into_others() -> None:
    assert not is_listed("strasse@contoso.com", ["stra\u00dfe@contoso.com"])


# Enable and Save


def enable_application(ports: FakeServices, address: str) -> Any:
    return call(settings_api.enable, ports, {"fromEmailAddress": address, "authorization": "application"})


@pytest.mark.parametrize("senders", [(), ("reports@contoso.com",)])
def test_enable_of_an_address_that_is_not_listed_is_refused(senders: tuple[str, ...]) -> None:
    ports = FakeServices()
    list_senders(ports, *senders)

    with pytest.raises(ConflictError) as refused:
        enable_application(ports, "ada@contoso.com")

    assert refused.value.code == "application_sender_not_allowed"
    assert ports.settings.load(CONTOSO) == TenantSettings(CONTOSO)
    assert ports.flows.flows == {}


def test_enable_of_a_listed_address_starts_the_consent() -> None:
    ports = FakeServices()
    list_senders(ports, REPORTS)

    assert enable_application(ports, "Reports@CONTOSO.com").status == 202


def test_without_a_list_a_user_can_still_consent() -> None:
    assert call(settings_api.enable, FakeServices(), {"fromEmailAddress": REPORTS}).status == 202


def test_save_takes_no_other_address_that_is_not_listed(ports: FakeServices) -> None:
    with pytest.raises(ConflictError) as refused:
        call(settings_api.save, ports, {"fromEmailAddress": "ada@contoso.com", "largeFileAttachments": False})

    assert refused.value.code == "application_sender_not_allowed"
    assert ports.settings.load(CONTOSO).pending is None


def test_save_of_unchanged_settings_is_refused_once_it_is_not_listed(ports: FakeServices) -> None:
    list_senders(ports)

    with pytest.raises(ConflictError):
        call(settings_api.save, ports, {"fromEmailAddress": REPORTS, "largeFileAttachments": False})


@pytest.mark.parametrize("senders", [(), (REPORTS,)])
def test_the_settings_show_whether_application_permission_is_available(senders: tuple[str, ...]) -> None:
    ports = FakeServices()
    list_senders(ports, *senders)

    assert read_settings(ports)["applicationAvailable"] is bool(senders)


# An enabled sender that is taken off the list


def test_a_sender_that_is_taken_off_the_list_stops_and_its_mail_waits(
    ports: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    list_senders(ports, "other@contoso.com")

    deliver(a_message(), "q-1", ports)

    settings = ports.settings.load(CONTOSO)
    assert status_of(ports) is DeliveryStatus.WAITING_FOR_OPERATOR
    assert (settings.status, settings.problem and settings.problem.code) == (
        Status.OPERATOR_ERROR,
        "application_sender_not_allowed",
    )
    assert ports.transport.calls == []
    assert ports.authorizer.refreshed == []
    assert "operator_error" in caplog.text


def test_the_page_shows_an_unlisted_sender_before_any_mail_is_sent(ports: FakeServices) -> None:
    list_senders(ports)

    view = read_settings(ports)

    assert (view["status"], view["problem"]["whoActs"]) == ("operator_error", "operator")
    assert view["problem"]["code"] == "application_sender_not_allowed"
    assert view["actions"]["sendTestMail"] is False


def test_the_timer_notices_it_before_a_report_does(ports: FakeServices) -> None:
    list_senders(ports)

    release_all(ports)

    assert ports.settings.load(CONTOSO).status is Status.OPERATOR_ERROR


def test_a_new_token_does_not_put_an_unlisted_sender_to_work_again(ports: FakeServices) -> None:
    list_senders(ports)
    deliver(a_message(), "q-1", ports)

    ports.tokens.get(CONTOSO, ports.settings.load(CONTOSO).consent, fresh=True)  # type: ignore[arg-type]
    release_all(ports)

    assert ports.settings.load(CONTOSO).status is Status.OPERATOR_ERROR
    assert status_of(ports) is DeliveryStatus.WAITING_FOR_OPERATOR
    assert ports.outbox.messages == []


def test_a_sender_that_is_listed_again_continues_and_its_mail_is_released(ports: FakeServices) -> None:
    list_senders(ports)
    deliver(a_message(), "q-1", ports)
    list_senders(ports, REPORTS)

    release_all(ports)

    assert ports.settings.load(CONTOSO).status is Status.ENABLED
    [(note, _)] = ports.outbox.messages
    deliver(note, "q-2", ports)
    assert status_of(ports) is DeliveryStatus.ACCEPTED


def test_an_admin_may_choose_a_users_permission_at_once(ports: FakeServices) -> None:
    list_senders(ports)

    reply = call(settings_api.enable, ports, {"fromEmailAddress": REPORTS})

    assert reply.status == 202


def test_no_test_mail_is_queued_for_a_sender_that_is_not_listed(ports: FakeServices) -> None:
    list_senders(ports)

    with pytest.raises(ConfigurationError) as refused:
        call(send_test_mail, ports)

    assert refused.value.code == "application_sender_not_allowed"
    assert ports.outbox.messages == []


def test_what_can_not_be_stored_stops_the_mail_anyway(
    ports: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    class UnavailableSettings(MemorySettings):
        def save(self, settings: TenantSettings) -> TenantSettings:
            raise TransientError("storage_unavailable", service="tables")

    ports.settings = UnavailableSettings(ports.settings.rows)
    list_senders(ports)

    deliver(a_message(), "q-1", ports)

    assert status_of(ports) is DeliveryStatus.WAITING_FOR_OPERATOR
    assert "apply_sender_list" in caplog.text


def test_a_user_who_consented_needs_no_list() -> None:
    ports = enabled_services()

    deliver(a_message(), "q-1", ports)

    assert status_of(ports) is DeliveryStatus.ACCEPTED


def test_a_lost_consent_and_another_operator_error_are_not_changed() -> None:
    lost = ActiveProblem("consent_lost", NOON, {"account": "the app", "error": "AADSTS700016"})
    refused = ActiveProblem("client_credential_refused", NOON, {"error": "AADSTS7000222"})

    for status, problem in ((Status.RECONNECT_NEEDED, lost), (Status.OPERATOR_ERROR, refused)):
        settings = some_settings(**BY_THE_APP, status=status, problem=problem)
        assert with_sender_list(settings, [], NOON) == settings


def test_the_page_shows_since_when_the_sender_is_not_listed(ports: FakeServices) -> None:
    list_senders(ports)
    release_all(ports)
    ports.system.pass_time(timedelta(hours=1))
    release_all(ports)

    assert read_settings(ports)["problem"]["since"] == "2026-11-23T12:00:00Z"


# What stays at Microsoft after a Reset


def remaining_after_reset(ports: FakeServices) -> Any:
    return read_settings(ports)["remainsAfterReset"]


def test_before_a_reset_the_remaining_user_consent_is_listed() -> None:
    granted = frozenset({"Mail.Send", "Mail.ReadWrite"})
    found = remaining_after_reset(enabled_services(consent=a_consent(granted=granted)))

    assert found["permissions"] == ["Mail.ReadWrite", "Mail.Send"]
    assert "ada@contoso.com granted the app (Mail.ReadWrite, Mail.Send)" in found["detail"]
    assert found["whoActs"] == "microsoft365_admin"


def test_before_a_reset_remaining_application_permissions_are_listed(ports: FakeServices) -> None:
    found = remaining_after_reset(ports)

    assert found["permissions"] == ["Mail.Send"]
    assert "every mailbox" in found["detail"]


def test_before_a_reset_remaining_exchange_assignments_are_listed(ports: FakeServices) -> None:
    stored = ports.settings.load(CONTOSO)
    assert stored.consent is not None
    ports.settings.save(replace(stored, consent=replace(stored.consent, granted=frozenset())))

    found = remaining_after_reset(ports)

    assert found["permissions"] == []
    assert "Remove-ManagementRoleAssignment" in found["detail"]


def test_without_a_configuration_nothing_is_listed_as_remaining() -> None:
    assert remaining_after_reset(FakeServices()) is None


def test_reset_returns_204_even_if_something_remains(ports: FakeServices) -> None:
    reply = call(settings_api.reset_settings, ports)

    assert (reply.status, reply.body) == (204, b"")


def test_requested_scopes_in_old_rows_do_not_count_as_granted() -> None:
    ports = enabled_services(**{**BY_THE_APP, "consent": a_consent(account=None, granted=None)})
    list_senders(ports, REPORTS)

    before = read_settings(ports)
    ports.tokens.get(CONTOSO, ports.settings.load(CONTOSO).consent, fresh=True)  # type: ignore[arg-type]
    after = read_settings(ports)

    assert (before["permissions"], before["exchangeDecides"]) == ([], False)
    assert after["permissions"] == ["Mail.Send"]


def test_a_row_of_an_earlier_version_drops_permissions_never_requested() -> None:
    granted = frozenset({"Mail.Send", "Mail.ReadWrite"})
    ports = enabled_services(consent=a_consent(scopes=granted))

    ports.tokens.get(CONTOSO, a_consent(scopes=granted))

    consent = ports.settings.load(CONTOSO).consent
    assert consent is not None
    assert (consent.scopes, consent.granted) == (frozenset({"Mail.Send"}), granted)


def test_a_response_that_names_no_scope_changes_nothing_that_is_known() -> None:
    ports = enabled_services(consent=a_consent(scopes=frozenset(), granted=frozenset({"Mail.Send"})))

    ports.tokens.get(CONTOSO, a_consent(scopes=frozenset()))

    assert content(call(settings_api.read, ports))["surplusPermissions"] == []
    assert ports.settings.load(CONTOSO).consent.granted == {"Mail.Send"}  # type: ignore[union-attr]
