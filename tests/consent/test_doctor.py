import json
from typing import Any

import pytest

from shared.consent import journey as consent
from shared.errors import ConfigurationError, ConsentRequiredError, RejectedError, TransientError
from shared.settings.tenant import StandingProblem, Status, Wanted
from tests.builders import a_consent, enabled_services
from tests.calls import call, content
from tests.fakes import CONTOSO, NOON, FakeServices

LOST = ConsentRequiredError("consent_lost", account="ada@contoso.com", error="AADSTS50173")
LARGE = {
    "sender": Wanted("ada@contoso.com", large_file_attachments=True),
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


def test_with_mail_send_alone_the_mailbox_can_not_be_looked_into() -> None:
    found = checks(enabled_services())

    assert found["mailbox"]["status"] == "skipped"
    assert "test mail" in found["mailbox"]["detail"]


def test_a_test_mail_goes_to_the_admin_only_when_asked_for() -> None:
    ports = enabled_services(sender=Wanted("finance@contoso.com"))

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


def test_a_missing_send_as_right_says_who_grants_it() -> None:
    ports = enabled_services(sender=Wanted("finance@contoso.com"))
    ports.transport.fail.append(
        RejectedError("send_as_denied", account="ada@contoso.com", address="finance@contoso.com")
    )

    found = checks(ports, {"sendTestMail": True})["send_as"]

    assert (found["status"], found["whoActs"]) == ("failed", "microsoft365_admin")
    assert "finance@contoso.com" in found["detail"]
    assert found["problem"]["code"] == "send_as_denied"


def test_a_mailbox_that_does_not_answer_says_what_to_do() -> None:
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
        (TransientError("entra_unavailable"), Status.ENABLED),
    ],
)
def test_a_token_that_can_not_be_had_is_noted_like_anywhere_else(failure: Exception, status: Status) -> None:
    ports = enabled_services()
    ports.authorizer.fail.append(failure)

    found = checks(ports)

    assert (found["token"]["status"], found["mailbox"]["status"]) == ("failed", "skipped")
    assert ports.settings.load(CONTOSO).status is status


def test_what_works_again_is_noticed() -> None:
    problem = StandingProblem("client_credential_refused", NOON, {"error": "AADSTS7000222"})
    ports = enabled_services(status=Status.OPERATOR_ERROR, problem=problem)

    found = checks(ports)

    assert found["consent"]["problem"]["code"] == "client_credential_refused"
    assert found["token"]["status"] == "ok"
    assert ports.settings.load(CONTOSO).status is Status.ENABLED


def test_a_permission_that_is_needed_and_missing_is_named() -> None:
    ports = enabled_services(sender=Wanted("finance@contoso.com"))

    found = checks(ports)["permissions"]

    assert (found["status"], found["whoActs"]) == ("failed", "microsoft365_admin")
    assert "Mail.Send.Shared" in found["detail"]
