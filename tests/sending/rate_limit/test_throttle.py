"""How a process follows the schedules of its mailboxes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.deliveries.requeue import next_attempt_message
from shared.deliveries.slot import Slot
from shared.deliveries.status import DeliveryStatus
from shared.errors import ConfigurationError, NothingSentError, RejectedError, TransientError
from shared.sending.deliver import deliver
from shared.sending.errors import LaterSlotError, SendingLimitError, ThrottledError
from shared.sending.rate_limit.concurrency import MAX_CONCURRENT
from shared.sending.rate_limit.mailbox_schedule import MailboxSchedule
from shared.sending.rate_limit.schedule import WINDOW, Schedule
from shared.sending.rate_limit.slots import reserve
from shared.settings.sender import sender_of
from shared.time_limit import limit_invocation
from tests.builders import a_message, enabled_services, some_settings
from tests.fakes import CONTOSO, FABRIKAM, NOON, FakeServices

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery
    from shared.sending.rate_limit.throttle import Throttle

SECOND = timedelta(seconds=1)
ADA = sender_of(some_settings())


@pytest.fixture
def services() -> FakeServices:
    return enabled_services()


def throttled(seconds: float | None) -> ThrottledError:
    wait = None if seconds is None else timedelta(seconds=seconds)
    return ThrottledError(retry_after=wait, address="a")


def refuse(throttle: Throttle, error: Exception) -> None:
    with pytest.raises(type(error)), throttle.for_sender(ADA).request():
        raise error


def row(services: FakeServices, name: str) -> Delivery:
    return services.deliveries.rows[CONTOSO, name]


def set_pace(services: FakeServices, pace: int = 30) -> None:
    services.configure(mailbox_messages_per_minute=pace)


def send(services: FakeServices, *names: str) -> None:
    for name in names:
        deliver(a_message(messageId=name), f"q-{name}", services)


def redeliver(services: FakeServices) -> None:
    """Deliver the next message of the queue when it is due."""
    services.outbox.messages.sort(key=lambda message: message[1])
    text, delay = services.outbox.messages.pop(0)
    services.system.pass_time(delay)
    services.outbox.messages = [(each, wait - delay) for each, wait in services.outbox.messages]
    deliver(text, "q-again", services)


def test_an_unlimited_mailbox_costs_one_read_in_two_seconds_and_no_write(
    services: FakeServices,
) -> None:
    send(services, *(f"m-{number}" for number in range(5)))
    services.system.pass_time(2 * SECOND)
    send(services, "m-5")

    assert (services.schedules.reads, services.schedules.writes) == (2, 0)
    assert len(services.transport.sent) == 6


def test_a_pause_holds_for_every_process(services: FakeServices) -> None:
    refuse(services.throttle, throttled(30))
    services.throttle = services.new_throttle()
    send(services, "m-1")

    assert not services.transport.sent
    assert row(services, "m-1").status is DeliveryStatus.DEFERRED
    assert row(services, "m-1").attempt == 0


@pytest.mark.parametrize(
    "error",
    [
        TransientError("graph_unavailable", retry_after=timedelta(minutes=1)),
        RejectedError("mailbox_full", address="a"),
    ],
)
def test_only_a_refusal_for_the_rate_pauses_a_mailbox(services: FakeServices, error: Exception) -> None:
    refuse(services.throttle, error)

    services.throttle.for_sender(ADA).check_pause()
    assert services.schedules.writes == 0


def test_a_pause_belongs_to_the_account_mailbox_not_to_the_from_address(
    services: FakeServices,
) -> None:
    refuse(services.throttle, throttled(10))

    with pytest.raises(TransientError) as raised:
        services.throttle.for_sender(replace(ADA, from_field="finance@contoso.com")).check_pause()
    assert raised.value.retry_after == 10 * SECOND
    services.throttle.for_sender(replace(ADA, account="uma@contoso.com")).check_pause()
    services.throttle.for_sender(replace(ADA, mailbox="users/ada@contoso.com")).check_pause()


def test_a_mail_beyond_the_pace_waits_in_the_queue_and_is_written_once(
    services: FakeServices,
) -> None:
    set_pace(services, 1)
    send(services, "m-1", "m-2")

    waiting = row(services, "m-2")
    assert waiting.next_attempt_at == NOON + 60.5 * SECOND
    assert services.outbox.messages == [(next_attempt_message(waiting, waiting.slot), 55.4 * SECOND)]
    assert [step.status for step in waiting.history] == [DeliveryStatus.DEFERRED]

    redeliver(services)
    assert row(services, "m-2").status is DeliveryStatus.ACCEPTED
    assert services.system.now() == NOON + 60.5 * SECOND
    assert row(services, "m-2").attempt == 1


def test_mails_are_sent_in_order_of_arrival_and_a_test_mail_goes_first(
    services: FakeServices,
) -> None:
    set_pace(services, 2)
    send(services, "m-1", "m-2", "m-3", "m-4", "test-mail:1")
    while services.outbox.messages:
        redeliver(services)

    left = sorted(services.deliveries.rows.values(), key=lambda mail: mail.updated_at)
    assert [mail.message_id for mail in left] == ["m-1", "m-2", "test-mail:1", "m-3", "m-4"]


def test_a_refused_mail_has_the_next_slot_and_no_growing_wait(services: FakeServices) -> None:
    services.transport.fail = [throttled(20), throttled(20)]
    send(services, "m-1")

    for attempt in (1, 2):
        found = row(services, "m-1")
        assert found.attempt == attempt
        assert found.next_attempt_at
        assert 20 * SECOND <= found.next_attempt_at - found.history[0].at <= 70 * attempt * SECOND
        redeliver(services)
    assert row(services, "m-1").status is DeliveryStatus.ACCEPTED


def pause(services: FakeServices, seconds: float) -> None:
    """Have Graph refuse a request outside the line, which is delayed."""
    refuse(services.throttle, throttled(seconds))


def test_a_mail_whose_line_was_delayed_is_requeued_without_further_cost(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_pace(services, 1)
    send(services, "m-1", "m-2")
    pause(services, 30)
    before = services.outbox.messages[0][0]
    schedule_reads = services.schedules.reads
    with monkeypatch.context() as patched:
        for port in ("deliveries", "requests"):
            patched.setattr(services, port, None)
        redeliver(services)

    assert services.outbox.messages == [(before, 30 * SECOND)]
    assert services.schedules.reads == schedule_reads
    redeliver(services)
    assert row(services, "m-2").status is DeliveryStatus.ACCEPTED
    assert services.system.now() == NOON + 90.5 * SECOND


def test_a_mail_that_comes_much_later_than_its_row_says_updates_the_row(
    services: FakeServices,
) -> None:
    set_pace(services, 1)
    send(services, "m-1", "m-2")
    pause(services, 600)
    redeliver(services)

    assert row(services, "m-2").next_attempt_at == NOON + 660.5 * SECOND


def test_a_process_that_does_not_know_the_line_reads_the_row_of_the_mail(services: FakeServices) -> None:
    set_pace(services, 1)
    send(services, "m-1", "m-2")
    pause(services, 30)
    services.throttle = services.new_throttle()
    redeliver(services)

    assert row(services, "m-2").next_attempt_at == NOON + 90.5 * SECOND


def test_a_mail_that_comes_long_after_its_slot_gets_another_one(services: FakeServices) -> None:
    set_pace(services, 1)
    send(services, "m-1", "m-2", "m-3")
    services.system.pass_time(timedelta(hours=1))
    texts = [text for text, _ in services.outbox.messages]
    services.outbox.messages.clear()
    for text in texts:
        deliver(text, "q-late", services)

    assert len(services.transport.sent) == 2
    assert len(services.outbox.messages) == 1


def test_a_mail_with_a_slot_after_its_deadline_is_tried_before_and_expires(
    services: FakeServices,
) -> None:
    set_pace(services, 1)
    send(services, "m-1", "m-2", "m-3")
    deliver(a_message(messageId="m-4", expiresAt="2026-11-23T12:02:30Z"), "q-4", services)

    assert row(services, "m-4").status is DeliveryStatus.DEFERRED
    assert row(services, "m-4").next_attempt_at == NOON + 90 * SECOND
    text, delay = services.outbox.messages[-1]
    services.system.pass_time(delay)
    deliver(text, "q-4b", services)
    assert row(services, "m-4").status is DeliveryStatus.EXPIRED


def test_a_new_mail_whose_time_ends_before_its_slot_expires_at_once(services: FakeServices) -> None:
    set_pace(services, 1)
    send(services, "m-1")
    deliver(a_message(messageId="m-2", expiresAt="2026-11-23T12:00:30Z"), "q-2", services)

    assert row(services, "m-2").status is DeliveryStatus.EXPIRED
    assert not services.outbox.messages


def test_mails_that_expire_before_the_line_ends_delay_no_other_mail(services: FakeServices) -> None:
    set_pace(services, 1)
    send(services, "m-1")
    for number in range(10):
        name = f"short-{number}"
        deliver(a_message(messageId=name, expiresAt="2026-11-23T12:01:30Z"), f"q-{name}", services)
    send(services, "m-2")

    assert row(services, "short-0").slot is not None
    assert row(services, "short-9").slot is None
    assert row(services, "m-2").next_attempt_at == NOON + 121 * SECOND


def test_a_mail_with_a_slot_shortly_before_its_deadline_keeps_it(services: FakeServices) -> None:
    set_pace(services, 1)
    send(services, "m-1")
    deliver(a_message(messageId="m-2", expiresAt="2026-11-23T12:01:10Z"), "q-2", services)
    redeliver(services)

    assert row(services, "m-2").status is DeliveryStatus.ACCEPTED


def test_a_mail_that_was_queued_twice_waits_once(services: FakeServices) -> None:
    set_pace(services, 1)
    send(services, "m-1", "m-2")
    deliver(a_message(messageId="m-2"), "q-other", services)

    assert len(services.outbox.messages) == 2
    assert row(services, "m-2").next_attempt_at == NOON + 60.5 * SECOND


@pytest.mark.parametrize(
    "error",
    [
        TransientError("storage_unavailable", service="tables"),
        ConfigurationError("storage_incomplete", service="tables"),
    ],
)
def test_without_the_table_each_process_keeps_the_pace(services: FakeServices, error: Exception) -> None:
    set_pace(services, 1)
    services.schedules.fail = [error] * 20
    send(services, "m-1", "m-2")

    assert len(services.transport.sent) == 1
    assert row(services, "m-2").next_attempt_at == NOON + 60.5 * SECOND


def test_a_mail_returns_soon_while_too_many_processes_change_the_row(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_pace(services)
    monkeypatch.setattr(services.schedules, "save", lambda *_: None)
    send(services, "m-1")

    assert not services.transport.sent
    assert row(services, "m-1").status is DeliveryStatus.DEFERRED
    refuse(services.throttle, throttled(2))
    services.transport.fail = []


def test_two_processes_never_have_the_same_slot(services: FakeServices) -> None:
    set_pace(services, 1)
    first, second = services.throttle, services.new_throttle()
    for throttle in (first, second):
        throttle.for_sender(ADA).check_pause()
    assert first.for_sender(ADA).wait_for_slot(None, first=False) is not None
    with pytest.raises(LaterSlotError) as later:
        second.for_sender(ADA).wait_for_slot(None, first=False)

    assert later.value.wait >= 60 * SECOND


def test_processes_store_their_accepted_mails_while_the_pace_is_learned(services: FakeServices) -> None:
    other = services.new_throttle()
    for _ in range(24):
        other.for_sender(ADA).record_accepted()
    for _ in range(13):
        services.throttle.for_sender(ADA).record_accepted()
    refuse(services.throttle, throttled(30))
    with pytest.raises(LaterSlotError):
        other.for_sender(ADA).wait_for_slot(None, first=False)

    (schedule,) = services.schedules.rows.values()
    assert schedule.pace == 37
    assert services.system.now() - NOON == 5 * SECOND


@pytest.mark.parametrize(("retry_after", "waited"), [(30, 30), (1e9, 600)])
def test_a_refusal_is_stored_at_once_while_the_pace_is_learned(
    services: FakeServices, retry_after: float, waited: int
) -> None:
    services.transport.fail = [throttled(retry_after)]
    send(services, "m-1")

    found = row(services, "m-1")
    assert (services.system.slept, found.slot) == ([], None)
    assert found.next_attempt_at == NOON + waited * SECOND
    redeliver(services)
    assert row(services, "m-1").status is DeliveryStatus.ACCEPTED


def test_a_slot_before_the_line_is_void_once_a_pause_covers_it(services: FakeServices) -> None:
    set_pace(services, 1)
    throttle = services.throttle
    send(services, "m-1")
    with pytest.raises(LaterSlotError):
        throttle.for_sender(ADA).wait_for_slot(None, first=False)
    with pytest.raises(LaterSlotError) as early:
        throttle.for_sender(ADA).wait_for_slot(None, first=True)
    refuse(throttle, throttled(300))
    with pytest.raises(LaterSlotError) as late:
        throttle.for_sender(ADA).wait_for_slot(early.value.slot, first=True)

    assert late.value.wait >= 300 * SECOND


def test_a_clock_that_is_wrong_changes_no_slot(services: FakeServices) -> None:
    set_pace(services, 1)
    send(services, "m-1")
    services.system.set_clock(timedelta(hours=5))
    services.throttle = services.new_throttle()
    send(services, "m-2")

    found = row(services, "m-2")
    assert found.next_attempt_at
    assert found.next_attempt_at - services.system.now() == 60.5 * SECOND


def test_a_clock_set_back_after_a_pause_was_read_does_not_extend_the_pause(
    services: FakeServices,
) -> None:
    services.system.set_clock(timedelta(hours=5))
    refuse(services.throttle, throttled(30))
    services.system.set_clock(timedelta(hours=-5))
    services.system.pass_time(31 * SECOND)

    services.throttle.for_sender(ADA).check_pause()


def test_a_slot_of_another_mailbox_is_void(services: FakeServices) -> None:
    set_pace(services, 1)
    other = sender_of(replace(some_settings(), tenant_id=FABRIKAM))
    mine = services.throttle.for_sender(ADA).wait_for_slot(None, first=False)
    theirs = services.throttle.for_sender(other).wait_for_slot(None, first=False)
    services.system.pass_time(4 * SECOND)

    assert services.throttle.for_sender(ADA).wait_for_slot(mine, first=False) == mine
    with pytest.raises(LaterSlotError):
        services.throttle.for_sender(ADA).wait_for_slot(theirs, first=False)


def test_a_mail_whose_mailbox_has_changed_takes_no_place_of_the_old_one(services: FakeServices) -> None:
    set_pace(services, 1)
    mailbox_schedule = services.throttle.for_sender(ADA).schedule
    far = Slot(NOON + timedelta(hours=5), mailbox=mailbox_schedule._key[:8])

    slot = services.throttle.for_sender(ADA).wait_for_slot(far, first=False)

    assert slot is not None
    assert slot.at == NOON


@pytest.mark.parametrize("behind", [timedelta(0), timedelta(minutes=20)])
def test_whether_a_mails_time_ends_before_the_line_is_judged_by_one_clock(
    services: FakeServices, behind: timedelta
) -> None:
    set_pace(services, 1)
    services.system.set_clock(-behind)
    services.throttle.for_sender(ADA).wait_for_slot(None, first=False)
    services.system.pass_time(55 * SECOND)
    now = services.system.now()

    with pytest.raises(LaterSlotError) as later:
        services.throttle.for_sender(ADA).wait_for_slot(None, first=False, deadline=now + 5 * SECOND)
    assert later.value.slot is None
    assert (
        services.throttle.for_sender(ADA).wait_for_slot(None, first=False, deadline=now + 6 * SECOND)
        is not None
    )


def test_a_line_that_never_moves_on_ends_the_wait(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MailboxSchedule, "is_learning", True)
    monkeypatch.setattr(Schedule, "is_unlimited", lambda *_: False)

    with pytest.raises(TransientError) as raised:
        services.throttle.for_sender(ADA).wait_for_slot(None, first=False)
    assert raised.value.code == "mailbox_paused"


def test_concurrent_requests_grow_to_four_while_mails_wait_without_refusal(
    services: FakeServices,
) -> None:
    throttle, sender = services.throttle, ADA
    concurrency = throttle.for_sender(sender).concurrency
    concurrency.active = 5
    limits = []
    for _ in range(5):
        with throttle.for_sender(sender).request():
            pass
        limits.append(concurrency.limit)

    assert limits == [2, 3, 4, 4, 4]


def test_the_concurrency_is_not_raised_while_hosts_share_it(services: FakeServices) -> None:
    refuse(services.throttle, throttled(2))
    concurrency = services.throttle.for_sender(ADA).concurrency
    concurrency.active = 5
    with services.throttle.for_sender(ADA).request():
        pass

    assert concurrency.limit == 1


def test_a_request_that_another_thread_added_meanwhile_is_not_added_twice(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    throttle = services.throttle.for_sender(ADA)
    mailbox_schedule, concurrency = throttle.schedule, throttle.concurrency
    concurrency.active = 5

    def raised(_: MailboxSchedule) -> bool:
        concurrency.limit = MAX_CONCURRENT
        return True

    monkeypatch.setattr(MailboxSchedule, "may_increase_limit", raised)
    with services.throttle.for_sender(ADA).request():
        pass

    assert concurrency.limit == MAX_CONCURRENT
    assert mailbox_schedule.current == Schedule()


def test_one_write_reserves_for_every_thread_that_waits(services: FakeServices) -> None:
    set_pace(services)
    mailbox_schedule = services.throttle.for_sender(ADA).schedule
    mailbox_schedule._needing_slot = {0}
    first, second = mailbox_schedule.take(first=False), mailbox_schedule.take(first=False)

    assert first.at < second.at
    assert services.schedules.writes == 1


def test_a_reserved_slot_that_no_thread_took_in_time_is_dropped(services: FakeServices) -> None:
    set_pace(services)
    mailbox_schedule = services.throttle.for_sender(ADA).schedule
    mailbox_schedule._needing_slot = {0}
    mailbox_schedule.take(first=False)
    services.system.pass_time(timedelta(hours=1))

    assert mailbox_schedule.take(first=False).at == NOON + timedelta(hours=1)


def test_a_mail_that_was_sent_waits_for_no_other_thread_to_widen(services: FakeServices) -> None:
    mailbox_schedule = services.throttle.for_sender(ADA).schedule
    with mailbox_schedule._row:
        assert not mailbox_schedule.may_increase_limit()


def test_waiting_for_the_write_of_another_thread_ends_with_the_attempt(services: FakeServices) -> None:
    mailbox_schedule = services.throttle.for_sender(ADA).schedule
    with limit_invocation(services.system, timedelta(milliseconds=20)), mailbox_schedule._row:
        with pytest.raises(NothingSentError):
            services.throttle.for_sender(ADA).wait_for_slot(None, first=False)
        refuse(services.throttle, throttled(30))


def test_times_that_cannot_be_true_begin_a_new_line(services: FakeServices) -> None:
    set_pace(services, 1)
    mailbox_schedule = services.throttle.for_sender(ADA).schedule
    for wrong in (
        Schedule(end=NOON + timedelta(days=3)),
        Schedule(paused_until=NOON + timedelta(hours=3)),
        Schedule(inserted_at=NOON + timedelta(days=3)),
        Schedule(uploads=((int(NOON.timestamp()) + 3 * 86_400, 1),)),
        Schedule(learning_since=NOON + timedelta(days=1)),
        Schedule(sharing_until=NOON + timedelta(days=1)),
        Schedule(refusals_count_from=NOON + timedelta(days=3)),
    ):
        services.schedules.rows[mailbox_schedule._key] = replace(wrong, line=7, pace=40, etag="wrong")
        found = services.new_throttle().for_sender(ADA).schedule.read()

        assert found == Schedule(line=8, pace=40, etag="wrong")


def test_a_mail_submitted_again_after_its_request_was_lost_is_stored_again(services: FakeServices) -> None:
    set_pace(services, 1)
    send(services, "m-1", "m-2")
    services.requests.remove(CONTOSO, "m-2")
    redeliver(services)
    assert row(services, "m-2").status is DeliveryStatus.EXPIRED

    send(services, "m-3", "m-2")
    assert row(services, "m-2").status is DeliveryStatus.DEFERRED
    assert services.requests.load(CONTOSO, "m-2") is not None


def test_a_refused_mail_without_a_slot_is_retried_after_the_time_of_graph(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.transport.fail = [throttled(20)]
    monkeypatch.setattr(services.schedules, "save", lambda *_: None)
    before = services.system.now()
    send(services, "m-1")

    found = row(services, "m-1")
    assert found.attempt == 1
    assert found.slot is None
    assert found.next_attempt_at
    assert found.next_attempt_at - before >= 20 * SECOND


def test_a_mailbox_over_its_quota_is_probed_and_keeps_its_pace(
    services: FakeServices,
) -> None:
    services.transport.fail = [SendingLimitError(address="a")] * 3
    send(services, "m-1", "m-2")
    redeliver(services)
    redeliver(services)

    (schedule,) = services.schedules.rows.values()
    assert (schedule.pace, schedule.learning_since) == (0, None)
    assert schedule.paused_until == services.system.now() + timedelta(minutes=10)


@pytest.mark.parametrize(("before", "limit"), [(20, 5), (60, 30)])
def test_a_lower_limit_applies_to_waiting_mails_and_keeps_their_order(
    services: FakeServices, before: int, limit: int
) -> None:
    set_pace(services, before)
    names = [f"m-{number:03}" for number in range(4 * before)]
    send(services, *names)
    set_pace(services, limit)
    services.throttle = services.new_throttle()
    changed_at = services.system.now()
    while services.outbox.messages:
        redeliver(services)

    left = sorted(services.deliveries.rows.values(), key=lambda mail: mail.updated_at)
    assert [mail.message_id for mail in left] == names
    times = [mail.updated_at for mail in left if mail.updated_at > changed_at]
    assert len(times) == 3 * before
    assert all(
        later - first >= timedelta(seconds=60) for first, later in zip(times, times[limit:], strict=False)
    )
    assert times[-1] - changed_at <= timedelta(minutes=3 * before / limit + 1)


def test_a_higher_limit_leaves_the_mails_that_wait_their_slots(services: FakeServices) -> None:
    set_pace(services, 2)
    send(services, *(f"m-{number}" for number in range(6)))
    before = row(services, "m-5").next_attempt_at
    set_pace(services, 60)
    services.throttle = services.new_throttle()
    send(services, "m-6")
    while services.outbox.messages:
        redeliver(services)

    assert row(services, "m-5").updated_at == before
    assert row(services, "m-6").updated_at > row(services, "m-5").updated_at


def test_a_limit_below_the_learned_pace_begins_a_new_line(services: FakeServices) -> None:
    learned = Schedule(pace=60, end=NOON + timedelta(minutes=2), line=3)

    assert learned.exceeds(30, NOON)
    assert not learned.exceeds(60, NOON)
    assert not learned.exceeds(0, NOON)
    assert not learned.exceeds(30, NOON + timedelta(minutes=3))
    assert Schedule(step=timedelta(seconds=0.5), end=NOON + SECOND).exceeds(30, NOON)
    after, slots = reserve(learned, 3, NOON, 30)
    assert after.line == 4
    assert [after.due(slot) - NOON for slot in slots] == [WINDOW / 30 * number for number in (1, 2, 3)]
