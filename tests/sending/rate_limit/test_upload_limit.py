"""When large files may be uploaded."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.deliveries.status import DeliveryStatus
from shared.errors import TransientError
from shared.sending.deliver import deliver
from shared.sending.rate_limit.schedule import Schedule
from shared.sending.rate_limit.upload_limit import LIMIT_BYTES, MAX_START_DELAY, SPAN, reserve_upload
from shared.sending.upload import CHUNK_BYTES
from tests.builders import a_file, a_message, large_file_services
from tests.fakes import CONTOSO, NOON, FakeServices

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery

MB = 1_000_000
SECOND = timedelta(seconds=1)
LARGE = bytes(3 * CHUNK_BYTES + 1)


def upload_starts(sizes: list[int], now: datetime = NOON) -> list[float]:
    """Reserve files in order and return the seconds until each starts."""
    schedule, found = Schedule(), []
    for size in sizes:
        schedule, at = reserve_upload(schedule, size, now, None)
        found.append((at - NOON).total_seconds())
    return found


def test_uploads_within_the_limit_start_at_once_and_others_after_the_span() -> None:
    assert upload_starts([100 * MB, 50 * MB, 50 * MB]) == [0, 0, SPAN.total_seconds()]


def test_uploads_start_in_order_of_arrival_so_that_none_waits_for_ever() -> None:
    assert upload_starts([100 * MB, 140 * MB, 10 * MB]) == [0, SPAN.total_seconds(), SPAN.total_seconds()]


def test_a_file_above_the_limit_gets_a_whole_period() -> None:
    assert upload_starts([10 * MB, 400 * MB, 1]) == [0, SPAN.total_seconds(), 2 * SPAN.total_seconds()]


def test_uploads_in_five_minutes_stay_in_the_limit_and_the_row_stays_small() -> None:
    schedule, now, log = Schedule(), NOON, []
    for number in range(500):
        now += SECOND * (number % 7)
        size = (number * 7919 % 60 + 3) * MB
        schedule, at = reserve_upload(schedule, size, now, None)
        log.append((at, size))
        assert len(schedule.uploads) <= 40

    assert [at for at, _ in log] == sorted(at for at, _ in log)
    for first, _ in log:
        assert sum(size for at, size in log if first <= at < first + MAX_START_DELAY) <= LIMIT_BYTES


def test_uploads_of_the_same_ten_seconds_share_an_entry_of_the_row() -> None:
    start = (int(NOON.timestamp()) // 10) * 10
    schedule = Schedule()
    for second in (0, 4, 9.9, 10, 12):
        schedule, _ = reserve_upload(schedule, MB, NOON + second * SECOND, None)

    assert schedule.uploads == ((start, 3 * MB), (start + 10, 2 * MB))


def test_the_limit_is_150_mb_in_five_minutes_as_graph_documents() -> None:
    schedule, _ = reserve_upload(Schedule(), 1, NOON, None)

    assert reserve_upload(schedule, 149_999_999, NOON, None)[1] == NOON
    assert reserve_upload(schedule, 150_000_000, NOON, None)[1] - NOON >= timedelta(minutes=5)


def test_an_upload_that_may_begin_at_the_deadline_is_reserved() -> None:
    schedule, _ = reserve_upload(Schedule(), LIMIT_BYTES, NOON, None)

    assert reserve_upload(schedule, MB, NOON, NOON + SPAN)[0] != schedule
    assert reserve_upload(schedule, MB, NOON, NOON + SPAN - SECOND)[0] == schedule


def test_a_mail_whose_time_ends_before_reserves_nothing() -> None:
    schedule, _ = reserve_upload(Schedule(), LIMIT_BYTES, NOON, None)
    again, at = reserve_upload(schedule, 5 * MB, NOON, NOON + SECOND)

    assert at == NOON + SPAN
    assert again == schedule


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> FakeServices:
    monkeypatch.setattr("shared.sending.rate_limit.upload_limit.LIMIT_BYTES", 2 * len(LARGE))
    return large_file_services(large=LARGE)


def a_mail(name: str, files: int, **changes: Any) -> bytes:
    return a_message(messageId=name, attachments=[a_file("large")] * files, **changes)


def row(services: FakeServices, name: str) -> Delivery:
    return services.deliveries.rows[CONTOSO, name]


def redeliver(services: FakeServices) -> None:
    """Deliver the next message of the queue when it is due."""
    text, delay = services.outbox.messages.pop(0)
    services.system.pass_time(delay)
    deliver(text, "q-again", services)


def uploaded(services: FakeServices) -> int:
    return services.transport.calls.count("open_upload")


def test_a_mail_whose_file_exceeds_the_limit_waits_and_uses_no_attempt(
    services: FakeServices,
) -> None:
    deliver(a_mail("m-1", 3), "q-1", services)

    waiting = row(services, "m-1")
    assert uploaded(services) == 2
    assert (waiting.status, waiting.attempt) == (DeliveryStatus.DEFERRED, 0)
    assert waiting.next_attempt_at == NOON + SPAN
    redeliver(services)
    assert (row(services, "m-1").status, row(services, "m-1").attempt) == (DeliveryStatus.ACCEPTED, 1)
    assert uploaded(services) == 3
    assert services.transport.calls.count("create_draft") == 1


def test_the_bytes_of_all_hosts_count_together(services: FakeServices) -> None:
    deliver(a_mail("m-1", 2), "q-1", services)
    services.throttle = services.new_throttle()
    deliver(a_mail("m-2", 1), "q-2", services)

    assert row(services, "m-1").status is DeliveryStatus.ACCEPTED
    assert row(services, "m-2").next_attempt_at == NOON + SPAN


def test_a_file_whose_time_was_missed_gets_another_one(services: FakeServices) -> None:
    deliver(a_mail("m-1", 3), "q-1", services)
    services.system.pass_time(timedelta(hours=1))
    (schedule,) = services.schedules.rows.values()
    redeliver(services)
    (after,) = services.schedules.rows.values()

    assert row(services, "m-1").status is DeliveryStatus.ACCEPTED
    assert after.uploads[-1][0] > schedule.uploads[-1][0]


def test_a_continued_upload_counts_only_the_rest(services: FakeServices) -> None:
    services.transport.fail_at = {"put_chunk": [None, TransientError("graph_unavailable")]}
    deliver(a_mail("m-1", 1), "q-1", services)
    (schedule,) = services.schedules.rows.values()
    redeliver(services)
    (after,) = services.schedules.rows.values()

    assert row(services, "m-1").status is DeliveryStatus.ACCEPTED
    counted = [sum(size for _, size in each.uploads) for each in (schedule, after)]
    assert counted == [len(LARGE), 2 * len(LARGE) - CHUNK_BYTES]


def test_mail_without_a_large_file_reserves_nothing(services: FakeServices) -> None:
    deliver(a_message(messageId="m-1"), "q-1", services)

    assert services.schedules.writes == 0


def test_an_upload_returns_soon_while_too_many_processes_change_the_row(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services.schedules, "save", lambda *_: None)
    deliver(a_mail("m-1", 1), "q-1", services)

    assert uploaded(services) == 0
    assert row(services, "m-1").status is DeliveryStatus.DEFERRED


def test_an_upload_that_may_begin_soon_is_waited_for(services: FakeServices) -> None:
    deliver(a_mail("m-1", 2), "q-1", services)
    services.system.pass_time(SPAN - 5 * SECOND)
    deliver(a_mail("m-2", 1), "q-2", services)

    assert row(services, "m-2").status is DeliveryStatus.ACCEPTED
