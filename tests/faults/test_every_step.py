"""A crash or an outage at every step of a delivery, and at any two.

After each run the invariants hold: no mail is lost, none is sent twice unless its row says unknown,
or that it was refused and may have been accepted before, its files are complete, and no draft remains.
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from shared.deliveries.status import DeliveryStatus
from shared.settings.sender import sender_of
from tests.builders import a_file, a_message, enabled_services, large_file_services
from tests.fakes import CONTOSO
from tests.faults.fault_run import FaultKind, FaultRun

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.fakes import FakeServices

LARGE = os.urandom(6_000_000)
MEDIUM = os.urandom(2_900_000)


def small(*, look_up: bool = True) -> tuple[FakeServices, bytes]:
    services = large_file_services() if look_up else enabled_services()
    return services, a_message(messageId="m-1")


def waiting() -> tuple[FakeServices, bytes]:
    """Return a mail that waits for its slot behind another one."""
    services, mail = small()
    services.configure(mailbox_messages_per_minute=1)
    sender = sender_of(services.settings.load(CONTOSO))
    assert services.new_throttle().for_sender(sender).wait_for_slot(None, first=False)
    return services, mail


def draft() -> tuple[FakeServices, bytes]:
    services = large_file_services(large=LARGE, medium=MEDIUM)
    return services, a_message(messageId="m-1", attachments=[a_file("medium"), a_file("large")])


def without_room_for_the_key(services: FakeServices, mail: bytes) -> tuple[FakeServices, bytes]:
    services.transport.room_for_key = False
    return services, mail


def steps_of(services: FakeServices, mail: bytes) -> list[str]:
    run = FaultRun(services, {})
    run.put(mail)
    run.run()
    return run.injector.seen


def run_with_faults(services: FakeServices, mail: bytes, faults: Mapping[int, FaultKind]) -> FaultRun:
    run = FaultRun(services, faults)
    run.put(mail)
    run.run()
    run.run_timer_for_a_day()
    return run


def assert_sent_exactly_once(run: FaultRun) -> None:
    (row,) = run.rows
    assert row.status is DeliveryStatus.ACCEPTED, (run.injector.faults, row)
    assert row.uncertain_send is None
    assert len(run.sent) == 1, run.injector.faults
    assert_no_leftovers(run)


def assert_no_duplicate(run: FaultRun) -> None:
    assert_accepted_or_unknown(run)
    assert_no_leftovers(run)


def assert_accepted_or_unknown(run: FaultRun) -> None:
    (row,) = run.rows
    assert row.status in {DeliveryStatus.ACCEPTED, DeliveryStatus.UNKNOWN}, (run.injector.faults, row)
    refused = [warning.code for warning in row.warnings] == ["maybe_accepted"]
    if row.status is DeliveryStatus.ACCEPTED and not refused:
        assert len(run.sent) == 1, run.injector.faults
    assert len(run.sent) <= 1 + refused, run.injector.faults


def assert_no_leftovers(run: FaultRun) -> None:
    assert not run.services.transport.drafts, run.injector.faults
    for mail in run.sent:
        assert [content for _, content in mail.files] in ([], [MEDIUM, LARGE]), run.injector.faults
    if all(row.status is DeliveryStatus.ACCEPTED for row in run.rows):
        assert not run.services.drafts.kept


@pytest.mark.parametrize("fault", FaultKind)
def test_a_small_searchable_mail_is_sent_once_whichever_step_fails(fault: FaultKind) -> None:
    for step in range(len(steps_of(*small()))):
        assert_sent_exactly_once(run_with_faults(*small(), {step: fault}))


@pytest.mark.parametrize("fault", FaultKind)
def test_a_mail_that_waits_for_its_slot_is_sent_once_whichever_step_fails(fault: FaultKind) -> None:
    seen = steps_of(*waiting())
    assert {"schedules.load", "schedules.save"} <= set(seen)
    for step in range(len(seen)):
        assert_sent_exactly_once(run_with_faults(*waiting(), {step: fault}))


@pytest.mark.parametrize("fault", FaultKind)
def test_a_small_mail_that_cannot_is_never_sent_twice(fault: FaultKind) -> None:
    for step in range(len(steps_of(*small(look_up=False)))):
        assert_no_duplicate(run_with_faults(*small(look_up=False), {step: fault}))


@pytest.mark.parametrize("fault", FaultKind)
def test_a_small_mail_without_key_is_never_sent_twice(
    fault: FaultKind,
) -> None:
    for step in range(len(steps_of(*without_room_for_the_key(*small())))):
        assert_no_duplicate(run_with_faults(*without_room_for_the_key(*small()), {step: fault}))


@pytest.mark.parametrize("fault", FaultKind)
def test_a_large_mail_without_key_is_never_sent_twice(
    fault: FaultKind,
) -> None:
    for step in range(len(steps_of(*without_room_for_the_key(*draft())))):
        run = run_with_faults(*without_room_for_the_key(*draft()), {step: fault})
        assert_accepted_or_unknown(run)
        # If the response to its creation was lost, the app does not know the draft, which has no file yet. A
        # draft of an unknown outcome remains for the person who checks the mailbox.
        if run.rows[0].status is DeliveryStatus.ACCEPTED:
            assert all(not mail.files for mail in run.services.transport.drafts)


@pytest.mark.parametrize("fault", FaultKind)
def test_a_large_mail_is_sent_once_and_complete_whichever_step_fails(fault: FaultKind) -> None:
    for step in range(len(steps_of(*draft()))):
        assert_sent_exactly_once(run_with_faults(*draft(), {step: fault}))


def test_a_small_mail_survives_any_two_faults() -> None:
    for first, second in itertools.combinations(range(len(steps_of(*small())) + 4), 2):
        for kinds in itertools.product(FaultKind, FaultKind):
            assert_sent_exactly_once(
                run_with_faults(*small(), dict(zip((first, second), kinds, strict=True)))
            )


def test_a_small_mail_without_look_up_survives_any_two_faults() -> None:
    for first, second in itertools.combinations(range(len(steps_of(*small(look_up=False))) + 4), 2):
        for kinds in itertools.product(FaultKind, FaultKind):
            faults = dict(zip((first, second), kinds, strict=True))
            assert_no_duplicate(run_with_faults(*small(look_up=False), faults))


FAULTS = st.dictionaries(st.integers(0, 60), st.sampled_from(FaultKind), max_size=6)


@hypothesis_settings(max_examples=150)
@given(FAULTS)
def test_a_large_mail_survives_any_sequence_of_faults(faults: dict[int, FaultKind]) -> None:
    assert_sent_exactly_once(run_with_faults(*draft(), faults))


@hypothesis_settings(max_examples=150)
@given(FAULTS, st.booleans())
def test_the_same_mail_queued_three_times_is_sent_once(
    faults: dict[int, FaultKind],
    look_up: bool,  # noqa: FBT001
) -> None:
    services, mail = small(look_up=look_up)
    run = FaultRun(services, faults)
    for _ in range(3):
        run.put(mail)
    run.run()
    run.run_timer_for_a_day()

    if look_up:
        assert_sent_exactly_once(run)
    else:
        assert_no_duplicate(run)
