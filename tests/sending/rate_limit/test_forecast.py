"""The visible schedule: predicted times and a mailbox's backlog."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.api import settings as settings_journey
from shared.api.deliveries import list_deliveries, read_delivery
from shared.deliveries.delivery import Delivery
from shared.deliveries.forecast import Forecast
from shared.deliveries.slot import Slot
from shared.deliveries.status import DeliveryStatus
from shared.errors import TransientError
from shared.sending.deliver import deliver
from shared.sending.errors import ThrottledError
from shared.sending.rate_limit.forecast import forecast
from shared.sending.rate_limit.schedule import WINDOW, Schedule, schedule_key
from shared.settings.sender import sender_of
from shared.settings.sending_switch import SendingPause
from shared.settings.tenant import Account, RequestedSender, Status
from tests.api_client import a_request
from tests.builders import ADMIN, a_consent, a_message, enabled_services, some_settings
from tests.fakes import CLIENT_ID, CONTOSO, NOON, FakeServices

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
UNAVAILABLE = TransientError("storage_unavailable", service="tables")


@pytest.fixture
def services() -> FakeServices:
    """Contoso's mailbox sends two mails a minute."""
    return with_pace(enabled_services(), 2)


def with_pace(services: FakeServices, pace: int) -> FakeServices:
    services.configure(mailbox_messages_per_minute=pace)
    return services


def send(services: FakeServices, *names: str, **changes: Any) -> None:
    for name in names:
        deliver(a_message(messageId=name, **changes), f"q-{name}", services)


def redeliver(services: FakeServices) -> None:
    """Deliver the next message of the queue when it is due."""
    services.outbox.messages.sort(key=lambda message: message[1])
    text, delay = services.outbox.messages.pop(0)
    services.system.pass_time(delay)
    services.outbox.messages = [(each, wait - delay) for each, wait in services.outbox.messages]
    deliver(text, "q-again", services)


def listed(services: FakeServices) -> dict[str, dict[str, Any]]:
    """List the mails as the API shows them, by id."""
    found = json.loads(list_deliveries(a_request(), ADMIN, services).body)["deliveries"]
    return {mail["messageId"]: mail for mail in found}


def forecasts(services: FakeServices) -> dict[str, tuple[Any, Any, Any]]:
    return {
        name: (mail["predictedAt"], mail["mailsBefore"], mail["likelyToExpireAt"])
        for name, mail in listed(services).items()
    }


def backlog(services: FakeServices) -> Any:
    reply = settings_journey.read(a_request(), ADMIN, services)
    assert reply.status == 200
    return json.loads(reply.body)["backlog"]


def row(services: FakeServices, name: str) -> Delivery:
    return services.deliveries.rows[CONTOSO, name]


def line(services: FakeServices) -> Schedule:
    """Return the stored schedule."""
    [found] = services.schedules.rows.values()
    return found


def change_line(services: FakeServices, **changes: Any) -> None:
    [key] = services.schedules.rows
    services.schedules.rows[key] = replace(services.schedules.rows[key], **changes)


NOTHING = (None, None, None)


def test_a_waiting_mail_shows_its_predicted_time_and_place_in_the_line(services: FakeServices) -> None:
    send(services, "m-1", "m-2", "m-3", "m-4", "m-5")

    shown = forecasts(services)
    [one] = [json.loads(read_delivery(a_request(route={"message_id": "m-5"}), ADMIN, services).body)]

    assert shown["m-1"] == shown["m-2"] == NOTHING
    assert shown["m-3"] == ("2026-11-23T12:01:00.500000Z", 0, None)
    assert shown["m-4"][1:] == (1, None)
    assert shown["m-5"] == ("2026-11-23T12:02:01Z", 2, None)
    assert (one["predictedAt"], one["mailsBefore"]) == shown["m-5"][:2]


@pytest.mark.parametrize("pace", [2, 10])
def test_the_count_falls_to_nothing_as_the_mails_before_are_sent(services: FakeServices, pace: int) -> None:
    with_pace(services, pace)
    send(services, *(f"m-{number:02}" for number in range(40)))
    differences = []
    while services.outbox.messages:
        before = len(services.outbox.messages) - 1
        differences.append(forecasts(services)["m-39"][1] - before)
        redeliver(services)

    assert set(differences) == {0}
    assert len(services.transport.sent) == 40


def test_a_prioritized_mail_moves_predicted_times_without_changing_rows(
    services: FakeServices,
) -> None:
    send(services, *(f"m-{number}" for number in range(9)))
    before = listed(services)["m-8"]
    send(services, "test-mail:1")

    after = listed(services)["m-8"]

    assert after["nextAttemptAt"] == before["nextAttemptAt"]
    assert datetime.fromisoformat(after["predictedAt"]) - datetime.fromisoformat(
        before["predictedAt"]
    ) == timedelta(seconds=30.25)
    assert after["mailsBefore"] == before["mailsBefore"] + 1


def test_no_mail_is_predicted_within_a_pause_from_microsoft_365(services: FakeServices) -> None:
    send(services, "m-1", "m-2", "m-3")
    change_line(services, paused_until=NOON + 5 * MINUTE)

    assert forecasts(services)["m-3"] == ("2026-11-23T12:05:00Z", 0, None)


def test_a_list_without_waiting_mails_reads_neither_settings_nor_schedule(services: FakeServices) -> None:
    send(services, "m-1")
    reads = services.schedules.reads

    listed(services)

    assert services.schedules.reads == reads


def test_a_list_of_any_length_costs_one_read_of_the_schedule(services: FakeServices) -> None:
    send(services, *(f"m-{number}" for number in range(30)))
    reads = services.schedules.reads

    assert sum(mail != NOTHING for mail in forecasts(services).values()) == 28
    assert services.schedules.reads == reads + 1


def test_an_unreadable_schedule_leaves_lists_and_settings_without_forecast(
    services: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    send(services, "m-1", "m-2", "m-3")
    services.schedules.fail = [UNAVAILABLE, UNAVAILABLE]

    assert forecasts(services)["m-3"] == NOTHING
    assert backlog(services) is None
    assert [line.partition(" ")[0] for line in caplog.messages if "forecast" in line] == [
        "request_failed",
        "request_failed",
    ]


def test_nothing_is_predicted_for_a_slot_of_an_earlier_line_or_in_the_past(
    services: FakeServices,
) -> None:
    send(services, "m-1", "m-2", "m-3", "m-4")
    change_line(services, line=7)
    of_an_earlier_line = forecasts(services)["m-4"]
    change_line(services, line=0)
    services.system.pass_time(70 * SECOND)

    assert of_an_earlier_line == NOTHING
    assert forecasts(services)["m-3"] == NOTHING
    assert forecasts(services)["m-4"][1] == 0


def test_nothing_is_predicted_while_hosts_learn_the_pace(services: FakeServices) -> None:
    send(services, "m-1", "m-2", "m-3")
    change_line(services, learning_since=NOON)

    assert forecasts(services)["m-3"] == NOTHING
    assert backlog(services) is None


def test_nothing_is_predicted_for_slots_that_a_lower_limit_invalidates(services: FakeServices) -> None:
    send(services, "m-1", "m-2", "m-3")
    with_pace(services, 1)

    assert forecasts(services)["m-3"] == NOTHING
    assert backlog(services) is None


def test_nothing_is_predicted_where_no_pace_limits_the_mailbox_any_more(services: FakeServices) -> None:
    send(services, "m-1", "m-2", "m-3")
    with_pace(services, 0)

    assert forecasts(services)["m-3"] == NOTHING
    assert backlog(services) is None


def test_nothing_is_predicted_while_a_person_must_act(services: FakeServices) -> None:
    send(services, "m-1", "m-2", "m-3")
    settings = services.settings.rows[CONTOSO]
    services.settings.rows[CONTOSO] = replace(settings, status=Status.SENDER_REFUSED)
    refused = forecasts(services)["m-3"]
    services.settings.rows[CONTOSO] = settings
    services.pause_store.save(SendingPause(NOON))
    services.system.pass_time(20 * SECOND)

    assert refused == NOTHING
    assert forecasts(services)["m-3"] == NOTHING
    assert backlog(services) is None


def test_a_slot_counts_for_its_mailbox_with_any_from_address(
    services: FakeServices,
) -> None:
    send(services, "m-1", "m-2", "m-3")
    etag = services.settings.rows[CONTOSO].etag
    board = RequestedSender("board@contoso.com")
    services.settings.rows[CONTOSO] = some_settings(sender=board, etag=etag)
    of_the_same_account = forecasts(services)["m-3"]
    uma = Account("uma-object-id", CONTOSO, "uma@contoso.com")
    services.settings.rows[CONTOSO] = some_settings(consent=a_consent(account=uma), etag=etag)
    send(services, "m-4", "m-5", "m-6")

    assert of_the_same_account[1:] == (0, None)
    assert forecasts(services)["m-3"] == NOTHING
    assert forecasts(services)["m-6"][1:] == (0, None)


def test_a_mail_with_a_slot_after_its_expiry_shows_the_expected_expiry(
    services: FakeServices,
) -> None:
    send(services, *(f"m-{number}" for number in range(6)))
    send(services, "late", expiresAt="2026-11-23T12:02:30Z")
    send(services, "in-time", expiresAt="2026-11-23T13:00:00Z")

    assert row(services, "late").slot is None
    assert forecasts(services)["late"] == (None, None, "2026-11-23T12:02:30Z")
    assert forecasts(services)["in-time"][2] is None


def test_a_mail_whose_slot_moves_past_its_expiry_shows_the_expected_expiry(
    services: FakeServices,
) -> None:
    send(services, "m-1", "m-2", "m-3", "m-4")
    send(services, "m-5", expiresAt="2026-11-23T12:03:00Z")
    before = forecasts(services)["m-5"]
    change_line(services, shift=2 * MINUTE)

    assert before == ("2026-11-23T12:02:01Z", 2, None)
    at, count, expires = forecasts(services)["m-5"]
    assert (at, expires) == ("2026-11-23T12:04:01Z", "2026-11-23T12:03:00Z")
    assert count >= 2


def test_a_throttled_mail_that_is_too_late_for_its_slot_is_shown_as_late(services: FakeServices) -> None:
    with_pace(services, 0)
    services.transport.fail = [ThrottledError(retry_after=5 * MINUTE, address="a")]
    send(services, "m-1", expiresAt="2026-11-23T12:03:00Z")
    # It has no slot before the pace is learned, but the pause ends after its time.
    services.system.pass_time(10 * SECOND)

    assert forecasts(services)["m-1"] == (None, None, "2026-11-23T12:03:00Z")


def test_the_settings_show_how_many_mails_wait_and_until_when(services: FakeServices) -> None:
    before = backlog(services)
    send(services, "m-1", "m-2", "m-3", "m-4")

    assert before is None
    assert backlog(services) == {"mails": 2, "emptyAt": "2026-11-23T12:02:01Z"}


def test_the_settings_show_no_backlog_once_it_is_sent(services: FakeServices) -> None:
    send(services, *(f"m-{number}" for number in range(8)))
    while services.outbox.messages:
        redeliver(services)
    services.system.pass_time(31 * SECOND)

    assert backlog(services) is None


def test_with_a_learned_pace_the_number_of_mails_is_shown_too(services: FakeServices) -> None:
    with_pace(services, 0)
    key = schedule_key(sender_of(some_settings()), CLIENT_ID)
    busy = Schedule(pace=30, first=NOON, end=NOON + MINUTE, refusals_count_from=NOON + 5 * MINUTE)
    services.schedules.save(key, busy)
    send(services, "m-1", "m-2")

    step = WINDOW / 30
    assert forecasts(services)["m-1"][1:] == (29, None)
    assert forecasts(services)["m-2"][1:] == (30, None)
    empty_at = NOON + MINUTE + 2 * step
    assert backlog(services) == {"mails": 31, "emptyAt": empty_at.isoformat().replace("+00:00", "Z")}


def test_a_mail_that_waits_for_a_pause_without_a_slot_has_no_prediction() -> None:
    mail = Delivery(CONTOSO, "m-1", DeliveryStatus.DEFERRED, NOON, NOON, NOON, attempts_end_at=NOON + MINUTE)

    assert forecast(mail, Schedule(paused_until=NOON + SECOND), NOON, 2) == Forecast()
    late = forecast(mail, Schedule(paused_until=NOON + 2 * MINUTE), NOON, 2)
    assert late == Forecast(ends_before=NOON + MINUTE)


def test_a_time_is_shown_without_a_number_while_no_pace_is_known() -> None:
    paused = Schedule(end=NOON + MINUTE, paused_until=NOON + MINUTE)
    mail = Delivery(CONTOSO, "m-1", DeliveryStatus.DEFERRED, NOON, NOON, NOON, slot=Slot(NOON + 30 * SECOND))

    assert forecast(mail, paused, NOON, 0) == Forecast(NOON + MINUTE)
