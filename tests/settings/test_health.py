import json
import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.errors import ConfigurationError, ConsentRequiredError, TransientError
from shared.settings.sender import apply_sender_list
from shared.settings.tenant import ActiveProblem, SenderRefusal, Status
from shared.settings.update import probe_now, record_sender_accepted, record_sender_failure
from tests.builders import a_consent, enabled_services
from tests.fakes import CONTOSO, NOON


def test_a_refused_token_is_stored_as_a_lost_consent(caplog: pytest.LogCaptureFixture) -> None:
    ports = enabled_services()
    refused = ConsentRequiredError(
        "consent_lost", request_id="trace-1", account="ada@contoso.com", error="AADSTS50173"
    )

    with caplog.at_level(logging.INFO):
        record_sender_failure(ports.settings, CONTOSO, 1, refused, ports.system)

    kept = ports.settings.load(CONTOSO)
    facts = {"account": "ada@contoso.com", "error": "AADSTS50173"}
    assert kept.status is Status.RECONNECT_NEEDED
    assert kept.problem == ActiveProblem("consent_lost", NOON, facts, "trace-1")
    assert caplog.records[-1].levelno == logging.ERROR
    event, _, fields = caplog.messages[-1].partition(" ")
    assert event == "consent_lost"
    assert json.loads(fields) == {"problem": "consent_lost", "request_id": "trace-1", "tenant_id": CONTOSO}


def test_a_refused_client_secret_is_an_operator_error_and_needs_no_consent() -> None:
    ports = enabled_services()
    refused = ConfigurationError("client_credential_refused", error="AADSTS7000222")

    record_sender_failure(ports.settings, CONTOSO, 1, refused, ports.system)

    assert ports.settings.load(CONTOSO).status is Status.OPERATOR_ERROR


def test_a_result_for_an_older_consent_changes_nothing() -> None:
    ports = enabled_services()
    before = ports.settings.load(CONTOSO)
    refused = ConsentRequiredError("consent_lost", account="ada@contoso.com", error="AADSTS50173")

    record_sender_failure(ports.settings, CONTOSO, 0, refused, ports.system)

    assert ports.settings.load(CONTOSO) == before


def test_the_end_of_a_refusal_that_cannot_be_stored_is_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = enabled_services()
    unavailable = TransientError("storage_unavailable", service="tables")
    monkeypatch.setattr(ports.settings, "load", lambda _: _raise(unavailable))

    assert not record_sender_accepted(ports.settings, CONTOSO, 1)

    logged = [json.loads(message.partition(" ")[2]) for message in caplog.messages]
    assert logged == [
        {"operation": "end_refusal", "problem": "storage_unavailable", "tenant_id": CONTOSO},
    ]


def test_an_unlisted_sender_is_logged_as_an_operator_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ports = enabled_services(consent=a_consent(account=None, secret_name=None))
    before = ports.settings.load(CONTOSO)
    with caplog.at_level(logging.INFO):
        listed = apply_sender_list(before, ["ada@contoso.com"], ports.settings, ports.system)
        assert (listed, caplog.messages) == (before, [])
        unlisted = apply_sender_list(before, [], ports.settings, ports.system)

    assert unlisted == ports.settings.load(CONTOSO)
    assert unlisted.status is Status.OPERATOR_ERROR
    assert unlisted.problem is not None
    assert (unlisted.problem.code, unlisted.problem.since) == ("application_sender_not_allowed", NOON)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    event, _, fields = record.getMessage().partition(" ")
    assert event == "operator_error"
    assert json.loads(fields) == {"problem": "application_sender_not_allowed", "tenant_id": CONTOSO}


def test_a_list_change_that_cannot_be_stored_is_shown_and_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = enabled_services(consent=a_consent(account=None, secret_name=None))
    before = ports.settings.load(CONTOSO)
    unavailable = TransientError("storage_unavailable", service="tables")
    monkeypatch.setattr(ports.settings, "load", lambda _: _raise(unavailable))

    after = apply_sender_list(before, [], ports.settings, ports.system)

    assert after.problem is not None
    assert (after.status, after.problem.since) == (Status.OPERATOR_ERROR, NOON)
    assert json.loads(caplog.messages[-1].partition(" ")[2]) == {
        "operation": "apply_sender_list",
        "problem": "storage_unavailable",
        "tenant_id": CONTOSO,
    }


@pytest.mark.parametrize("status", [Status.SENDER_REFUSED, Status.ENABLED])
def test_an_admin_triggers_a_probe_only_if_the_sender_is_refused(status: Status) -> None:
    ports = enabled_services()
    known = ports.settings.load(CONTOSO)
    refusal = SenderRefusal(NOON, "m-1")
    ports.settings.save(replace(known, status=status, refusal=refusal))
    ports.system.pass_time(timedelta(minutes=1))

    probe_now(ports.settings, CONTOSO, "test-mail:1", ports.system)

    probe = replace(refusal, probe_message_id="test-mail:1", probed_at=ports.system.now(), probe_count=1)
    assert ports.settings.load(CONTOSO).refusal == (probe if status is Status.SENDER_REFUSED else refusal)


def _raise(error: Exception) -> None:
    raise error
