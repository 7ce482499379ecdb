import json
from typing import Any

import pytest

from shared.api import consent
from shared.consent.errors import EntraUnavailableError
from shared.errors import (
    ConfigurationError,
    ConsentRequiredError,
    OutcomeUnknownError,
    RejectedError,
)
from shared.settings.sending_switch import SendingPause
from shared.settings.tenant import ActiveProblem, Authorization, RequestedSender, Status
from tests.api_client import call, content
from tests.builders import a_consent, enabled_services, list_senders
from tests.fakes import CONTOSO, NOON, FakeServices

LOST = ConsentRequiredError("consent_lost", account="ada@contoso.com", error="AADSTS50173")
LARGE = {
    "sender": RequestedSender("ada@contoso.com", large_file_attachments=True),
    "consent": a_consent(scopes=frozenset({"Mail.Send", "Mail.ReadWrite"})),
}


def checks(ports: FakeServices, body: object = None) -> dict[str, dict[str, Any]]:
    view = content(call(consent.check, ports, body))
    assert view["checkedAt"] == "2026-11-23T12:00:00Z"
    return {check["name"]: check for check in view["checks"]}


def outcomes(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: check["status"] for name, check in found.items()}


def test_a_healthy_consent_passes_what_can_be_seen_without_a_mail() -> None:
    found = checks(enabled_services(**LARGE))

    assert outcomes(found) == {
        "consent": "ok",
        "permissions": "ok",
        "token": "ok",
        "mailbox": "ok",
        "send_as": "skipped",
    }
    assert {check["whoActs"] for check in found.values()} == {"nobody"}


def test_with_mail_send_only_the_mailbox_cannot_be_checked() -> None:
    found = checks(enabled_services())

    assert found["mailbox"]["status"] == "skipped"
    assert "test mail" in found["mailbox"]["detail"]


def test_a_test_mail_is_sent_to_the_admin_only_on_request() -> None:
    ports = enabled_services(sender=RequestedSender("finance@contoso.com"))

    checks(ports)
    assert ports.transport.sent == []
    found = checks(ports, {"sendTestMail": True})

    [(_, sender, body)] = ports.transport.sent
    message = json.loads(body)["message"]
    assert found["send_as"]["status"] == "ok"
    assert sender.address == "finance@contoso.com"
    assert message["from"] == {"emailAddress": {"address": "finance@contoso.com"}}
    assert message["toRecipients"] == [{"emailAddress": {"address": "ada@contoso.com"}}]


def test_the_accounts_own_address_needs_no_from() -> None:
    ports = enabled_services()

    checks(ports, {"sendTestMail": True})

    assert "from" not in json.loads(ports.transport.sent[0][2])["message"]


def test_the_error_for_a_missing_send_as_right_names_who_grants_it() -> None:
    ports = enabled_services(sender=RequestedSender("finance@contoso.com"))
    ports.transport.fail.append(
        RejectedError("send_as_denied", account="ada@contoso.com", address="finance@contoso.com")
    )

    found = checks(ports, {"sendTestMail": True})["send_as"]

    assert (found["status"], found["whoActs"]) == ("failed", "microsoft365_admin")
    assert "finance@contoso.com" in found["detail"]
    assert found["problem"]["code"] == "send_as_denied"


def test_the_error_for_an_unresponsive_mailbox_states_what_to_do() -> None:
    ports = enabled_services(**LARGE)
    ports.transport.fail.append(
        RejectedError(
            "mailbox_not_found", graph_code="MailboxNotEnabledForRESTAPI", address="ada@contoso.com"
        )
    )

    assert checks(ports)["mailbox"]["problem"]["code"] == "mailbox_not_found"


def test_without_a_consent_everything_else_is_skipped() -> None:
    found = checks(FakeServices())

    assert outcomes(found) == {
        "consent": "failed",
        "permissions": "skipped",
        "token": "skipped",
        "mailbox": "skipped",
        "send_as": "skipped",
    }
    assert found["consent"]["problem"]["code"] == "consent_missing"


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (LOST, Status.RECONNECT_NEEDED),
        (ConfigurationError("client_credential_refused", error="AADSTS7000222"), Status.OPERATOR_ERROR),
        (EntraUnavailableError(), Status.ENABLED),
    ],
)
def test_a_token_that_can_not_be_fetched_is_noted_like_anywhere_else(
    failure: Exception, status: Status
) -> None:
    ports = enabled_services()
    ports.authorizer.fail.append(failure)

    found = checks(ports)

    assert (found["token"]["status"], found["mailbox"]["status"]) == ("failed", "skipped")
    assert ports.settings.load(CONTOSO).status is status


def test_what_works_again_is_noticed() -> None:
    problem = ActiveProblem("client_credential_refused", NOON, {"error": "AADSTS7000222"})
    ports = enabled_services(status=Status.OPERATOR_ERROR, problem=problem)

    found = checks(ports)

    assert found["consent"]["problem"]["code"] == "client_credential_refused"
    assert found["token"]["status"] == "ok"
    assert ports.settings.load(CONTOSO).status is Status.ENABLED


def test_a_surplus_permission_is_a_warning_and_sending_continues() -> None:
    ports = enabled_services()
    ports.authorizer.also_granted = frozenset({"Mail.ReadWrite", "User.Read"})

    found = checks(ports, {"sendTestMail": True})

    assert (found["permissions"]["status"], found["permissions"]["whoActs"]) == (
        "warning",
        "microsoft365_admin",
    )
    assert found["permissions"]["problem"]["code"] == "permission_surplus"
    assert "Mail.ReadWrite, User.Read" in found["permissions"]["detail"]
    assert "Permissions" in found["permissions"]["detail"]
    assert found["send_as"]["status"] == "ok"
    assert ports.settings.load(CONTOSO).status is Status.ENABLED


def test_the_warning_ends_once_the_permission_is_revoked() -> None:
    ports = enabled_services()
    ports.authorizer.also_granted = frozenset({"Mail.ReadWrite"})
    checks(ports)
    ports.authorizer.also_granted = frozenset()

    assert checks(ports)["permissions"]["status"] == "ok"


def test_a_surplus_permission_is_never_requested_by_a_refresh() -> None:
    ports = enabled_services()
    ports.authorizer.also_granted = frozenset({"Mail.ReadWrite"})

    checks(ports)
    checks(ports)

    assert set(ports.authorizer.refreshed_for) == {("Mail.Send",)}


def application_services(**changes: Any) -> FakeServices:
    """Build services that send large files with application permission."""
    ports = enabled_services(
        sender=RequestedSender("ada@contoso.com", True, Authorization.APPLICATION),
        consent=a_consent(
            account=None, secret_name=None, consented_by="", scopes=frozenset({"Mail.Send", "Mail.ReadWrite"})
        ),
        **changes,
    )
    list_senders(ports, "ada@contoso.com")
    return ports


def test_where_exchange_decides_the_mailbox_check_replaces_the_permission() -> None:
    ports = application_services()
    ports.authorizer.roles = frozenset()

    found = checks(ports)

    assert found["permissions"]["status"] == "skipped"
    assert "Exchange decides" in found["permissions"]["detail"]
    assert "granted" not in found["permissions"]["detail"]
    assert found["mailbox"]["status"] == "ok"
    assert ports.transport.calls == ["find"]


def test_where_exchange_refuses_the_mailbox_check_fails() -> None:
    ports = application_services()
    ports.authorizer.roles = frozenset()
    ports.transport.fail.append(
        RejectedError("access_denied", graph_code="ErrorAccessDenied", address="ada@contoso.com")
    )

    assert checks(ports)["mailbox"]["problem"]["code"] == "access_denied"


def test_a_revoked_role_is_missing_at_the_next_check() -> None:
    ports = application_services()
    ports.authorizer.roles = frozenset({"Mail.Send"})

    found = checks(ports)["permissions"]

    assert (found["status"], found["problem"]["code"]) == ("failed", "permission_not_granted")
    assert "Mail.ReadWrite is missing" in found["detail"]


def test_an_unlisted_sender_fails_and_its_mailbox_is_not_checked() -> None:
    ports = application_services()
    ports.authorizer.roles = frozenset({"Mail.Send", "Mail.ReadWrite"})
    list_senders(ports)

    found = checks(ports, {"sendTestMail": True})

    assert outcomes(found) == {
        "consent": "failed",
        "permissions": "ok",
        "token": "ok",
        "mailbox": "skipped",
        "send_as": "skipped",
    }
    assert found["consent"]["problem"]["code"] == "application_sender_not_allowed"
    assert ports.transport.calls == []


def test_with_application_permission_only_who_set_it_up_is_named() -> None:
    detail = checks(application_services())["consent"]["detail"]

    assert "ada@contoso.com set up" in detail
    assert "consented" not in detail


def test_a_permission_that_is_needed_and_missing_is_named() -> None:
    ports = enabled_services(sender=RequestedSender("finance@contoso.com"))

    found = checks(ports)["permissions"]

    assert (found["status"], found["whoActs"]) == ("failed", "microsoft365_admin")
    assert "Mail.Send.Shared" in found["detail"]


def test_no_test_mail_is_sent_while_sending_is_paused() -> None:
    ports = enabled_services()
    ports.pause_store.save(SendingPause(NOON))

    found = checks(ports, {"sendTestMail": True})

    assert found["token"]["status"] == "ok"
    assert (found["send_as"]["status"], ports.transport.sent) == ("skipped", [])
    assert "paused" in found["send_as"]["detail"]


def test_a_test_mail_without_a_response_is_traced_as_it_saves_no_copy() -> None:
    ports = enabled_services()
    ports.transport.fail = [OutcomeUnknownError("outcome_unknown")]

    found = checks(ports, {"sendTestMail": True})

    assert found["send_as"]["status"] == "failed"
    assert "No copy of this mail is saved: use the message trace." in found["send_as"]["detail"]
