"""The contract of the delivery log, in memory and in Azure."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.data.tables import TableClient

from shared.adapters import delivery_list, finished_rows
from shared.adapters.delivery_table import TableDeliveryLog
from shared.deliveries.delivery import Delivery
from shared.deliveries.event import DeliveryEvent
from shared.deliveries.notify import NotifyingDeliveryLog
from shared.deliveries.outcome_report import Outcome
from shared.deliveries.ports import DeliveryLog, DeliveryQuery
from shared.deliveries.recipient_summary import RecipientSummary
from shared.deliveries.status import FINAL, PENDING, DeliveryStatus
from shared.errors import ConfigurationError, TransientError
from shared.problems import FieldError
from shared.settings.tenant import ActiveProblem
from shared.storage_names import DELIVERIES
from tests.fakes import NOON, FakeSystem, MemoryDeliveries

if TYPE_CHECKING:
    from azure.data.tables import TableServiceClient

WAITING = DeliveryStatus.WAITING_FOR_CONSENT


class UnreachableQueues:
    """Queues that accept nothing, so that every outcome stays unreported."""

    def put(self, queue: str, text: bytes) -> None:
        raise TransientError("storage_unavailable", service="queues")


@pytest.fixture(params=["memory", "azure", "telling"])
def log(request: pytest.FixtureRequest) -> DeliveryLog:
    if request.param == "memory":
        return MemoryDeliveries()
    if request.param == "telling":
        offered = lambda: frozenset({"mail-outcomes"})  # noqa: E731 - one word
        return NotifyingDeliveryLog(MemoryDeliveries(), UnreachableQueues(), offered, FakeSystem())
    tables: TableServiceClient = request.getfixturevalue("table_clients")
    return TableDeliveryLog(tables)


@pytest.fixture
def tenant() -> str:
    return str(uuid.uuid4())


def a_delivery(tenant: str, message_id: str = "m-1", **changes: Any) -> Delivery:
    row = Delivery(tenant, message_id, DeliveryStatus.SENDING, NOON, NOON, NOON, fingerprint="f")
    return replace(row, **changes)


def ids(log: DeliveryLog, query: DeliveryQuery) -> list[str]:
    return [row.message_id for row in log.list(query).deliveries]


def delete_index_row(tables: TableServiceClient, tenant: str, which: str) -> None:
    """Delete a tenant's index row, found by a filter on its key."""
    with tables.get_table_client(DELIVERIES) as table:
        (place,) = table.query_entities(f"PartitionKey eq @tenant and {which}", parameters={"tenant": tenant})
        table.delete_entity(place)


def test_a_row_is_read_as_it_was_written(log: DeliveryLog, tenant: str) -> None:
    whole = a_delivery(
        tenant,
        "sales-weekly:2026-11-23T06:00Z:emea",
        status=DeliveryStatus.DEFERRED,
        recipients=RecipientSummary(1, 2, 3, ("contoso.com", "größe.example")),
        from_address="ada@contoso.com",
        correlation_id="run-1",
        attempt=3,
        claimed_by="q-1",
        claim_ends_at=NOON + timedelta(minutes=11),
        next_attempt_at=NOON + timedelta(seconds=2.128),
        problem=ActiveProblem("attachment_not_found", NOON, {"blob": "a.pdf"}, "g-1"),
        fields=(FieldError("to.0", "is wrong"),),
        history=(
            DeliveryEvent(NOON, DeliveryStatus.SENDING),
            DeliveryEvent(NOON, DeliveryStatus.DEFERRED, "c", "r"),
        ),
    )
    added = log.add(whole)
    found = log.find(tenant, whole.message_id)

    assert added is not None
    assert found == added
    assert replace(added, etag=None, stored_status=None) == whole


def test_a_row_that_is_too_long_is_written_without_what_matters_least(
    table_clients: TableServiceClient, tenant: str
) -> None:
    log = TableDeliveryLog(table_clients)
    step = DeliveryEvent(NOON, DeliveryStatus.DEFERRED, "graph_unavailable", "g" * 100)
    longest = a_delivery(
        tenant,
        status=DeliveryStatus.ACCEPTED,
        recipients=RecipientSummary(50, 0, 0, ("\U0001f600" * 120,) * 50),
        problem=ActiveProblem("attachment_not_found", NOON, {"blob": "\0" * 8000}),
        fields=(FieldError("\0" * 200, "is wrong"),) * 21,
        history=(step,) * 40,
        warnings=(ActiveProblem("content_id_missing", NOON, {"content_ids": "\0" * 1000}),),
        unreported_outcomes=tuple(
            Outcome(number, "q" * 63, DeliveryStatus.INVALID, NOON) for number in range(1, 20)
        ),
    )
    log.add(longest)
    found = log.find(tenant, "m-1")

    assert found
    assert (found.status, found.history) == (longest.status, (step,) * 10)
    assert found.unreported_outcomes == longest.unreported_outcomes[-1:]
    assert log.save(found)


def test_a_mail_has_one_row(log: DeliveryLog, tenant: str) -> None:
    assert log.add(a_delivery(tenant))
    assert log.add(a_delivery(tenant, attempt=2)) is None
    assert log.find(tenant, "m-1").attempt == 1  # type: ignore[union-attr]


def test_an_unknown_mail_has_no_row(log: DeliveryLog, tenant: str) -> None:
    assert log.find(tenant, "m-1") is None


def test_of_two_that_change_a_row_at_once_one_gets_a_conflict(log: DeliveryLog, tenant: str) -> None:
    first = log.add(a_delivery(tenant))
    assert first is not None
    second = log.save(replace(first, attempt=2))

    assert second is not None
    assert log.save(replace(first, attempt=3)) is None
    assert log.save(replace(second, attempt=4)) is not None


def test_a_row_that_was_never_written_is_not_changed(log: DeliveryLog, tenant: str) -> None:
    assert log.save(a_delivery(tenant, etag='W/"never"')) is None


def test_pages_are_sorted_newest_first_and_continue_without_gap(log: DeliveryLog, tenant: str) -> None:
    for number in range(5):
        log.add(a_delivery(tenant, f"m-{number}", queued_at=NOON + timedelta(microseconds=number)))

    first = log.list(DeliveryQuery(tenant, limit=2))
    second = log.list(DeliveryQuery(tenant, limit=2, continuation=first.continuation))
    third = log.list(DeliveryQuery(tenant, limit=2, continuation=second.continuation))

    assert [row.message_id for page in (first, second, third) for row in page.deliveries] == [
        "m-4",
        "m-3",
        "m-2",
        "m-1",
        "m-0",
    ]
    assert third.continuation is None


def test_a_full_last_page_has_no_next(log: DeliveryLog, tenant: str) -> None:
    log.add(a_delivery(tenant, "m-1"))
    log.add(a_delivery(tenant, "m-2"))

    assert log.list(DeliveryQuery(tenant, limit=2)).continuation is None


def test_a_list_is_chosen_by_status_and_time(log: DeliveryLog, tenant: str) -> None:
    for number in range(4):
        log.add(a_delivery(tenant, f"m-{number}", queued_at=NOON + timedelta(hours=number)))
    log.add(a_delivery(tenant, "waiting", status=WAITING, queued_at=NOON - timedelta(hours=1)))

    assert ids(log, DeliveryQuery(tenant, status=WAITING)) == ["waiting"]
    assert ids(log, DeliveryQuery(tenant, since=NOON + timedelta(hours=1))) == ["m-3", "m-2", "m-1"]
    assert ids(log, DeliveryQuery(tenant, until=NOON + timedelta(hours=1))) == ["m-0", "waiting"]
    window = DeliveryQuery(tenant, since=NOON + timedelta(hours=1), until=NOON + timedelta(hours=2))
    assert ids(log, window) == ["m-1"]
    for year in (1, 1900, 1969):
        long_ago = datetime(year, 1, 1, tzinfo=timezone(timedelta(hours=14)))
        assert len(ids(log, DeliveryQuery(tenant, since=long_ago))) == 5
        assert ids(log, DeliveryQuery(tenant, until=long_ago)) == []
    assert len(ids(log, DeliveryQuery(tenant, until=datetime(9999, 12, 31, tzinfo=UTC)))) == 5


def test_pages_of_pending_mails_continue_without_gap(log: DeliveryLog, tenant: str) -> None:
    for number in range(3):
        log.add(a_delivery(tenant, f"w-{number}", status=WAITING, queued_at=NOON + timedelta(hours=number)))
    log.add(a_delivery(tenant, "sent", status=DeliveryStatus.ACCEPTED))

    first = log.list(DeliveryQuery(tenant, status=WAITING, limit=2))
    second = log.list(DeliveryQuery(tenant, status=WAITING, limit=2, continuation=first.continuation))

    assert [row.message_id for page in (first, second) for row in page.deliveries] == ["w-2", "w-1", "w-0"]
    assert second.continuation is None


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Count the calls of the table service that read rows."""
    made: list[str] = []
    send = RequestsTransport.send

    def count_call(transport: RequestsTransport, request: Any, **options: Any) -> Any:
        if request.method == "GET":
            made.append(request.url)
        return send(transport, request, **options)

    monkeypatch.setattr(RequestsTransport, "send", count_call)
    return made


def test_a_rare_state_is_searched_for_in_a_limited_number_of_rows(
    table_clients: TableServiceClient, tenant: str, monkeypatch: pytest.MonkeyPatch, calls: list[str]
) -> None:
    monkeypatch.setattr(delivery_list, "_ROWS_IN_A_CALL", 2)
    log = TableDeliveryLog(table_clients)
    for number in range(14):
        moment = NOON + timedelta(minutes=number)
        status = DeliveryStatus.REJECTED if number < 3 else DeliveryStatus.ACCEPTED
        log.add(a_delivery(tenant, f"m-{number:02}", status=status, queued_at=moment))
    calls.clear()

    empty = log.list(DeliveryQuery(tenant, status=DeliveryStatus.REJECTED, limit=2))
    assert (len(calls), empty.deliveries) == (5, ())

    found, page = [], empty
    while page.continuation is not None:
        query = DeliveryQuery(tenant, status=DeliveryStatus.REJECTED, limit=2, continuation=page.continuation)
        page = log.list(query)
        found += [row.message_id for row in page.deliveries]
    assert found == ["m-02", "m-01", "m-00"]


def test_a_pending_state_is_listed_without_reading_what_is_done(
    table_clients: TableServiceClient, tenant: str, monkeypatch: pytest.MonkeyPatch, calls: list[str]
) -> None:
    log = TableDeliveryLog(table_clients)
    log.add(a_delivery(tenant, "waits", status=WAITING))
    for number in range(3):
        moment = NOON + timedelta(minutes=number)
        log.add(a_delivery(tenant, f"m-{number}", status=DeliveryStatus.ACCEPTED, queued_at=moment))
    monkeypatch.setattr(delivery_list, "_rows", None)
    calls.clear()

    assert ids(log, DeliveryQuery(tenant, status=WAITING)) == ["waits"]
    assert len(calls) == 1


def test_a_large_backlog_is_listed_from_the_rows_in_time(
    table_clients: TableServiceClient, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_list, "_MAX_PENDING", 1)
    log = TableDeliveryLog(table_clients)
    for number in range(3):
        log.add(a_delivery(tenant, f"w-{number}", status=WAITING, queued_at=NOON + timedelta(hours=number)))

    assert ids(log, DeliveryQuery(tenant, status=WAITING, limit=2)) == ["w-2", "w-1"]


def test_a_list_shows_a_row_as_it_is_now_and_no_other_tenants(log: DeliveryLog, tenant: str) -> None:
    added = log.add(a_delivery(tenant, history=(DeliveryEvent(NOON, DeliveryStatus.SENDING),)))
    assert added is not None
    log.save(replace(added, status=DeliveryStatus.ACCEPTED))
    log.add(a_delivery(str(uuid.uuid4()), "foreign"))

    (listed,) = log.list(DeliveryQuery(tenant)).deliveries

    assert (listed.message_id, listed.status, listed.history) == ("m-1", DeliveryStatus.ACCEPTED, ())


def test_mails_are_counted_by_status(log: DeliveryLog, tenant: str) -> None:
    for number in range(3):
        log.add(a_delivery(tenant, f"w-{number}", status=WAITING))
    log.add(a_delivery(tenant, "o", status=DeliveryStatus.WAITING_FOR_OPERATOR))
    log.add(a_delivery(tenant, "s"))

    assert log.count(tenant, [WAITING]) == 3
    assert log.count(tenant, [WAITING, DeliveryStatus.WAITING_FOR_OPERATOR]) == 4
    assert log.count(str(uuid.uuid4()), [WAITING]) == 0


def test_the_longest_waiting_come_first(log: DeliveryLog, tenant: str) -> None:
    for number in (2, 0, 1):
        log.add(a_delivery(tenant, f"w-{number}", status=WAITING, queued_at=NOON + timedelta(minutes=number)))
    log.add(a_delivery(tenant, "d", status=DeliveryStatus.DEFERRED))

    assert [row.message_id for row in log.list_pending(tenant, [WAITING], 2)] == ["w-0", "w-1"]
    assert len(log.list_pending(tenant, [WAITING, DeliveryStatus.DEFERRED], 9)) == 4
    assert log.list_pending(str(uuid.uuid4()), [WAITING], 9) == ()
    assert [row.message_id for row in log.pending(tenant, [WAITING])] == ["w-0", "w-1", "w-2"]


def test_a_mail_that_continues_is_no_longer_pending(log: DeliveryLog, tenant: str) -> None:
    added = log.add(a_delivery(tenant, status=WAITING))
    assert added
    deferred = log.save(replace(added, status=DeliveryStatus.DEFERRED))
    assert deferred
    assert log.count(tenant, [WAITING]) == 0
    assert log.count(tenant, [DeliveryStatus.DEFERRED]) == 1

    found = log.find(tenant, "m-1")
    assert found
    sending = log.save(replace(found, status=DeliveryStatus.SENDING))
    assert sending
    assert log.count(tenant, [DeliveryStatus.DEFERRED]) == 0
    assert log.save(replace(sending, status=WAITING))
    assert log.count(tenant, [WAITING]) == 1


def test_a_mail_without_an_outcome_queue_leaves_pending_after_notification(
    log: DeliveryLog, tenant: str
) -> None:
    with_queue = log.add(a_delivery(tenant, outcome_queue="mail-outcomes"))
    assert with_queue
    ended = log.save(with_queue.transition(DeliveryStatus.REJECTED, NOON))
    assert ended
    corrected = log.save(replace(ended, outcome_queue=None).transition(DeliveryStatus.INVALID, NOON))
    assert corrected
    assert log.save(replace(corrected, unreported_outcomes=()))

    assert log.list_pending(tenant, FINAL, 10) == ()


def test_a_mail_with_an_unreported_outcome_stays_pending(log: DeliveryLog, tenant: str) -> None:
    added = log.add(a_delivery(tenant, outcome_queue="mail-outcomes"))
    assert added
    ended = log.save(added.transition(DeliveryStatus.ACCEPTED, NOON))
    assert ended
    assert [row.message_id for row in log.list_pending(tenant, FINAL, 9)] == ["m-1"]
    assert log.list_pending(tenant, PENDING, 9) == ()
    assert log.find(tenant, "m-1") == ended

    told = log.save(replace(ended, unreported_outcomes=()))

    assert told
    assert log.list_pending(tenant, FINAL, 9) == ()
    noted = log.save(told.with_conflict(NOON, "other"))
    assert noted
    assert (noted.unreported_outcomes, noted.outcome_count) == ((), 1)


def an_old_mail(log: DeliveryLog, tenant: str, message_id: str, **changes: Any) -> Delivery:
    day_ago = NOON - timedelta(days=1)
    old = {"status": DeliveryStatus.ACCEPTED, "queued_at": day_ago, "updated_at": day_ago, **changes}
    added = log.add(a_delivery(tenant, message_id, **old))
    assert added
    return added


def test_old_finished_mails_can_be_removed(log: DeliveryLog, tenant: str) -> None:
    for message_id in ("old", "older"):
        an_old_mail(log, tenant, message_id)
    an_old_mail(log, tenant, "new", queued_at=NOON, updated_at=NOON)
    an_old_mail(log, tenant, "ended late", updated_at=NOON)
    an_old_mail(log, tenant, "waiting", status=WAITING)

    page = log.finished_before(tenant, NOON, None)
    assert sorted(row.message_id for row in page.deliveries) == ["old", "older"]
    assert page.continuation is None
    assert log.remove_finished(page.deliveries) == 2

    assert log.find(tenant, "old") is None
    assert set(ids(log, DeliveryQuery(tenant))) == {"new", "ended late", "waiting"}
    assert log.finished_before(tenant, NOON, None).deliveries == ()


def test_old_mails_with_unreported_outcomes_are_removed_completely(log: DeliveryLog, tenant: str) -> None:
    day_ago = NOON - timedelta(days=1)
    asked = {"outcome_queue": "mail-outcomes"}
    for number in range(40):
        finished = a_delivery(tenant, f"m-{number}", queued_at=day_ago, **asked)
        saved = log.add(finished.transition(DeliveryStatus.INVALID, day_ago))
        if number % 2:
            assert saved
            assert log.save(replace(saved, unreported_outcomes=()))
    an_old_mail(log, tenant, "waiting", status=WAITING)
    assert len(log.list_pending(tenant, FINAL, 99)) == 20

    page = log.finished_before(tenant, NOON, None)
    assert log.remove_finished(page.deliveries) == 40

    assert log.list_pending(tenant, FINAL, 99) == ()
    assert ids(log, DeliveryQuery(tenant)) == ["waiting"]
    assert [row.message_id for row in log.pending(tenant, PENDING)] == ["waiting"]


def test_a_mail_that_is_reported_after_it_was_listed_is_not_removed(log: DeliveryLog, tenant: str) -> None:
    day_ago = NOON - timedelta(days=1)
    finished = a_delivery(tenant, queued_at=day_ago, outcome_queue="mail-outcomes")
    saved = log.add(finished.transition(DeliveryStatus.INVALID, day_ago))
    page = log.finished_before(tenant, NOON, None)
    assert saved
    assert log.save(replace(saved, unreported_outcomes=()))

    assert log.remove_finished(page.deliveries) == 0
    assert ids(log, DeliveryQuery(tenant)) == ["m-1"]


def test_a_mail_that_changes_after_it_was_listed_is_not_removed(log: DeliveryLog, tenant: str) -> None:
    rows = [an_old_mail(log, tenant, name) for name in ("m-1", "m-2", "m-3")]
    page = log.finished_before(tenant, NOON, None)
    assert log.save(replace(rows[1], status=DeliveryStatus.DEFERRED))

    assert log.remove_finished(page.deliveries) == 2
    assert ids(log, DeliveryQuery(tenant)) == ["m-2"]


def test_where_every_mail_changed_none_is_removed(log: DeliveryLog, tenant: str) -> None:
    row = an_old_mail(log, tenant, "m-1")
    page = log.finished_before(tenant, NOON, None)
    assert log.save(replace(row, status=DeliveryStatus.DEFERRED))

    assert log.remove_finished(page.deliveries) == 0
    assert ids(log, DeliveryQuery(tenant)) == ["m-1"]


def test_the_tenants_with_mails_are_listed_once_each(log: DeliveryLog) -> None:
    first, second = sorted(str(uuid.uuid4()) for _ in range(2))
    for tenant in (first, second):
        an_old_mail(log, tenant, "m-1")

    assert log.next_tenant(f"{first[:-1]}") == first
    found = log.next_tenant(first)
    while found is not None and found < second:
        found = log.next_tenant(found)
    assert found == second
    assert log.next_tenant("g") is None


def test_how_far_the_removal_came_is_stored_and_is_no_tenant(log: DeliveryLog, tenant: str) -> None:
    log.save_removal_place(tenant, "!0001!m-1")
    assert log.removal_place() == (tenant, "!0001!m-1")
    log.save_removal_place("", None)
    assert log.removal_place() == ("", None)
    assert log.next_tenant("g") is None


def test_a_hundred_mails_are_removed_in_two_calls_and_none_is_read_for_it(
    table_clients: TableServiceClient, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = TableDeliveryLog(table_clients)
    for number in range(100):
        an_old_mail(log, tenant, f"m-{number}")
    calls: list[int] = []
    send = TableClient.submit_transaction

    def count_call(table: TableClient, rows: list[Any]) -> Any:
        calls.append(len(rows))
        return send(table, rows)

    monkeypatch.setattr(TableClient, "submit_transaction", count_call)

    page = log.finished_before(tenant, NOON, None)
    assert log.remove_finished(page.deliveries) == 100

    assert calls == [100, 100]
    assert log.count_all(tenant) == 0


def test_a_page_of_old_mails_is_limited_and_the_next_one_continues(
    table_clients: TableServiceClient, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finished_rows, "_PAGE", 2)
    log = TableDeliveryLog(table_clients)
    for name, hours in (("m-1", 1), ("m-2", 2), ("m-3", 3)):
        an_old_mail(log, tenant, name, queued_at=NOON - timedelta(days=1, hours=hours))

    first = log.finished_before(tenant, NOON, None)
    second = log.finished_before(tenant, NOON, first.continuation)

    assert [row.message_id for row in first.deliveries] == ["m-1", "m-2"]
    assert [row.message_id for row in second.deliveries] == ["m-3"]
    assert second.continuation is None


@pytest.mark.parametrize("lost", ["RowKey eq 'm-1'", "RowKey lt '-'"])
def test_a_mail_with_a_missing_row_does_not_prevent_removal_of_others(
    table_clients: TableServiceClient, tenant: str, lost: str
) -> None:
    log = TableDeliveryLog(table_clients)
    an_old_mail(log, tenant, "m-1")
    page = log.finished_before(tenant, NOON, None)
    delete_index_row(table_clients, tenant, lost)
    for name in ("m-2", "m-3"):
        an_old_mail(log, tenant, name)
    others = [row for row in log.finished_before(tenant, NOON, None).deliveries if row.message_id != "m-1"]

    assert log.remove_finished([*page.deliveries, *others]) == 3
    assert log.count_all(tenant) == 0


def test_a_table_that_is_missing_is_not_taken_for_mails_that_are_gone(
    table_clients: TableServiceClient, tenant: str
) -> None:
    log = TableDeliveryLog(table_clients)
    old = a_delivery(tenant, status=DeliveryStatus.ACCEPTED, etag='W/"1"')
    log._table = table_clients.get_table_client("NoSuchTable")
    with pytest.raises(ConfigurationError, match="storage_incomplete"):
        log.remove_finished([old])


def test_a_write_that_the_log_refuses_is_no_conflict(table_clients: TableServiceClient, tenant: str) -> None:
    log = TableDeliveryLog(table_clients)
    far_too_long = a_delivery(tenant, correlation_id="x" * 70_000)

    with pytest.raises(HttpResponseError):
        log.add(far_too_long)


def test_a_delivery_whose_pending_row_is_missing_can_still_be_saved(
    table_clients: TableServiceClient, tenant: str
) -> None:
    log = TableDeliveryLog(table_clients)
    added = log.add(a_delivery(tenant, status=WAITING))
    assert added
    delete_index_row(table_clients, tenant, "RowKey ge '~'")

    sending = log.save(replace(added, status=DeliveryStatus.SENDING))

    assert sending
    assert log.find(tenant, "m-1").status is DeliveryStatus.SENDING  # type: ignore[union-attr]
    assert log.save(replace(added, status=DeliveryStatus.ACCEPTED)) is None


def test_a_mail_that_was_set_aside_leaves_nothing_behind(log: DeliveryLog, tenant: str) -> None:
    added = log.add(a_delivery(tenant, status=WAITING))
    assert added
    rejected = log.save(replace(added, status=DeliveryStatus.REJECTED))
    assert rejected
    page = log.finished_before(tenant, NOON + timedelta(days=1), None)
    assert log.remove_finished(page.deliveries) == 1

    assert log.count(tenant, [WAITING]) == 0
    assert ids(log, DeliveryQuery(tenant)) == []


def test_mails_of_a_tenant_can_be_counted_and_removed_in_every_state(log: DeliveryLog, tenant: str) -> None:
    other = str(uuid.uuid4())
    statuses = list(DeliveryStatus)
    for number in range(60):
        log.add(a_delivery(tenant, f"m-{number}", status=statuses[number % len(statuses)]))
    log.add(a_delivery(other))
    assert (log.count_all(tenant), log.count_all(other)) == (60, 1)

    log.remove_all(tenant)
    log.remove_all(tenant)

    assert (log.count_all(tenant), log.count_all(other)) == (0, 1)
    assert log.count(tenant, statuses) == 0
    assert ids(log, DeliveryQuery(tenant)) == []
