"""The operator's commands that pause and resume sending."""

from __future__ import annotations

import io
import logging
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.deliveries.delivery import CLAIM_DURATION, Delivery
from shared.deliveries.status import DeliveryStatus
from shared.errors import TransientError
from shared.mail.message import parse_mail_request
from shared.operate.__main__ import main
from shared.sending.attempt import first_row
from shared.sending.deliver import deliver
from shared.sending.maintenance import release_all
from shared.settings.sending_switch import SendingPause
from tests.builders import a_message, enabled_services
from tests.fakes import CLIENT_ID, CONTOSO, NOON, FakeServices

if TYPE_CHECKING:
    from collections.abc import Iterator

MAIL = a_message(messageId="m-1")


@pytest.fixture
def services() -> FakeServices:
    return enabled_services()


def operate(services: FakeServices, *arguments: str) -> int:
    def sleep(seconds: float) -> None:
        services.system.pass_time(timedelta(seconds=seconds))

    return main(list(arguments), services, sleep)


def claim(services: FakeServices, message_id: str = "m-1") -> Delivery:
    """Add the row of a mail that a worker is sending."""
    now = services.system.now()
    request = parse_mail_request(a_message(messageId=message_id))
    row = services.deliveries.add(first_row(request, now).with_claim("q-1", now))
    assert row is not None
    return row


def test_pause_stores_the_switch_with_its_reason(
    services: FakeServices, capsys: pytest.CaptureFixture[str]
) -> None:
    assert operate(services, "pause", "--reason", "installing version 1.4") == 0

    assert services.pause_store.pause == SendingPause(NOON, "installing version 1.4", CLIENT_ID)
    assert "paused since 2026-11-23 12:00:00 UTC: installing version 1.4" in capsys.readouterr().out


def test_a_reason_that_the_output_can_not_show_is_no_failure(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="cp1252"))

    assert operate(services, "pause", "--reason", "konserwacja za\u0142\u0105cznik\u00f3w") == 0
    assert b"za\\u0142\\u0105cznik\xf3w" in written.getvalue()


def test_a_second_pause_reports_the_start_of_the_first(
    services: FakeServices, capsys: pytest.CaptureFixture[str]
) -> None:
    operate(services, "pause")
    services.system.pass_time(timedelta(hours=1))
    operate(services, "pause", "--reason", "again")

    assert capsys.readouterr().out.count("Sending is paused since 2026-11-23 12:00:00 UTC\n") == 2


def test_resume_where_nothing_is_paused_changes_nothing(services: FakeServices) -> None:
    assert operate(services, "resume") == 0

    assert services.pause_store.load() is None


def test_resume_ends_the_pause_and_mails_are_sent(services: FakeServices) -> None:
    operate(services, "pause")
    deliver(MAIL, "q-1", services)
    assert operate(services, "resume") == 0
    services.system.pass_time(services.outbox.messages[0][1])
    deliver(services.outbox.messages[0][0], "q-2", services)

    assert services.deliveries.rows[CONTOSO, "m-1"].status is DeliveryStatus.ACCEPTED


@pytest.mark.parametrize("minutes", ["0", "-1", "1.5", "1441", "9999999999999", "\u0661"])
def test_wait_refuses_a_time_that_is_no_wait(
    services: FakeServices, minutes: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        operate(services, "wait", "--minutes", minutes)

    assert "use a whole number of minutes from 1 to 1440" in capsys.readouterr().err


@pytest.mark.parametrize("reason", ["two\nlines", "x" * 201, "\x1b[31mred"])
def test_a_reason_is_one_printable_line(services: FakeServices, reason: str) -> None:
    with pytest.raises(SystemExit):
        operate(services, "pause", "--reason", reason)

    assert services.pause_store.pause is None


def test_wait_ends_well_once_no_worker_holds_a_mail(
    services: FakeServices, capsys: pytest.CaptureFixture[str]
) -> None:
    operate(services, "pause")
    row = claim(services)
    find = services.deliveries.pending
    looks: list[str] = []

    def done_after_three_checks(*arguments: object) -> Iterator[Delivery]:
        looks.append("look")
        if len(looks) == 3:
            services.deliveries.save(row.transition(DeliveryStatus.ACCEPTED, services.system.now()))
        return find(*arguments)  # type: ignore[arg-type]

    services.deliveries.pending = done_after_three_checks  # type: ignore[method-assign,assignment]
    assert operate(services, "wait") == 0

    assert len(looks) == 3
    out = capsys.readouterr().out
    assert out.count("1 being sent; the last claim ends at 2026-11-23 12:11:00 UTC.") == 1
    assert out.endswith("No mail is being sent.\n")


def test_wait_gives_every_process_time_to_read_the_switch(services: FakeServices) -> None:
    operate(services, "pause")
    assert operate(services, "wait") == 0

    assert services.system.now() - NOON > timedelta(seconds=10)


def test_wait_for_a_worker_that_was_killed_ends_with_its_claim(services: FakeServices) -> None:
    operate(services, "pause")
    claim(services)
    assert operate(services, "wait") == 0

    assert CLAIM_DURATION <= services.system.now() - NOON < CLAIM_DURATION + timedelta(seconds=30)


def test_wait_sees_a_mail_that_is_sent_while_its_tenant_is_reset(
    services: FakeServices, capsys: pytest.CaptureFixture[str]
) -> None:
    claim(services)
    services.settings.remove(CONTOSO)
    operate(services, "pause")

    assert operate(services, "wait", "--minutes", "2") == 1
    assert "1 still being sent:\n  m-1 (tenant" in capsys.readouterr().out


def test_wait_names_what_is_still_being_sent_when_its_time_is_over(
    services: FakeServices, capsys: pytest.CaptureFixture[str]
) -> None:
    operate(services, "pause")
    claim(services)
    assert operate(services, "wait", "--minutes", "2") == 1

    assert f"m-1 (tenant {CONTOSO}), claimed until 2026-11-23 12:11:00 UTC" in capsys.readouterr().out


def test_wait_fails_where_sending_is_not_paused_or_is_resumed_meanwhile(services: FakeServices) -> None:
    assert operate(services, "wait") == 1

    operate(services, "pause")
    claim(services)

    def resumed_meanwhile(*_: object) -> int:
        services.pause_store.remove()
        return 0

    services.deliveries.count = resumed_meanwhile  # type: ignore[method-assign,assignment]
    assert operate(services, "wait") == 1


def test_status_counts_mails_by_state_and_separates_crashed_claims(
    services: FakeServices, capsys: pytest.CaptureFixture[str]
) -> None:
    claim(services, "dead")
    services.system.pass_time(CLAIM_DURATION)
    claim(services, "alive")
    released = claim(services, "released")
    services.deliveries.save(released.transition(DeliveryStatus.SENDING, NOON))
    for number in range(3):
        services.deliveries.add(
            Delivery(CONTOSO, f"w-{number}", DeliveryStatus.WAITING_FOR_CONSENT, NOON, NOON, NOON)
        )
    assert operate(services, "status") == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "Sending is not paused.",
        "sending: 1",
        "interrupted: 1 (their workers ended; Azure redelivers the messages)",
    ]
    assert "waiting_for_consent: 3" in lines
    operate(services, "pause")
    capsys.readouterr()
    operate(services, "status")
    assert "Sending is paused since" in capsys.readouterr().out


def test_a_mail_whose_place_in_the_list_is_out_of_date_is_not_counted(
    services: FakeServices, capsys: pytest.CaptureFixture[str]
) -> None:
    row = claim(services)
    services.deliveries.save(row.transition(DeliveryStatus.ACCEPTED, NOON))
    services.deliveries.aside[CONTOSO, "m-1"] = row
    operate(services, "status")

    assert "sending: 0" in capsys.readouterr().out


def test_storage_that_does_not_respond_is_reported_in_a_sentence(
    services: FakeServices, capsys: pytest.CaptureFixture[str]
) -> None:
    services.pause_store.fail = [TransientError("storage_unavailable", service="tables")]

    assert operate(services, "status") == 1
    assert "Azure Storage (tables) did not answer" in capsys.readouterr().err


def test_each_change_is_an_audit_event_in_the_apps_log(
    services: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    operate(services, "pause")
    services.system.pass_time(timedelta(seconds=1))
    operate(services, "resume")
    with caplog.at_level(logging.WARNING):
        release_all(services)
        release_all(services)

    events = [line for line in caplog.messages if line.startswith("operator_action {")]
    assert [("pause_sending" in line, "resume_sending" in line) for line in events] == [
        (True, False),
        (False, True),
    ]
    assert all('"oid": "operator-object-id"' in line for line in events)


OTHER = "99999999-2222-4333-8444-555555555555"


@pytest.mark.parametrize("command", ["pause", "resume"])
@pytest.mark.parametrize("own", [CLIENT_ID, None])
def test_the_pause_of_another_installation_is_not_changed(
    services: FakeServices, command: str, own: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = SendingPause(NOON, "theirs", OTHER)
    services.pause_store.save(theirs)
    services.installation = own

    assert main([command], services) == 1
    error = capsys.readouterr().err
    assert OTHER in error
    assert (own or "unknown") in error
    assert services.pause_store.pause == theirs
    assert services.operator_log.actions == []


def test_status_and_wait_report_the_pause_of_another_installation(
    services: FakeServices, capsys: pytest.CaptureFixture[str]
) -> None:
    services.pause_store.save(SendingPause(NOON, "theirs", OTHER))

    assert main(["status"], services) == 0
    assert main(["wait"], services, services.system.sleep) == 1
    told = capsys.readouterr().out
    assert told.count(f"is paused (app registration {OTHER})") == 2
    assert told.count("Sending is not paused.") == 2


def test_a_pause_without_a_mark_is_adopted_by_the_next_command_that_pauses(services: FakeServices) -> None:
    services.pause_store.save(SendingPause(NOON))

    assert main(["pause"], services) == 0
    assert services.pause_store.pause == SendingPause(NOON, installation=CLIENT_ID)


def test_a_pause_without_a_mark_is_resumed_as_before(services: FakeServices) -> None:
    services.pause_store.save(SendingPause(NOON))

    assert main(["resume"], services) == 0
    assert services.pause_store.pause is None


def test_without_a_client_id_all_installations_of_the_account_are_paused(
    services: FakeServices, capsys: pytest.CaptureFixture[str]
) -> None:
    services.installation = None

    assert main(["pause"], services) == 0
    assert "every installation on this storage account" in capsys.readouterr().out
    assert services.pause_store.pause == SendingPause(NOON)
