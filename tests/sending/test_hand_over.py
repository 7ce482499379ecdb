"""Only a mail that is being sent to Graph is uncertain."""

from __future__ import annotations

import base64
import json
import random
import string
import threading
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.deliveries.delivery import CLAIM_DURATION, Delivery
from shared.deliveries.requeue import requeue_message
from shared.deliveries.status import DeliveryStatus
from shared.deliveries.uncertain_send import HandOver
from shared.errors import ConfigurationError, OutcomeUnknownError, TokenRefusedError, TransientError
from shared.mail.message import MAX_MESSAGE_BYTES, parse_mail_request
from shared.mail_queue import fits_queue
from shared.sending.attempt import first_row
from shared.sending.deliver import deliver
from shared.sending.poison import record_poisoned
from shared.sending.unrecorded import RepeatedMail, parse_unrecorded, repeated_message, write_repeated
from shared.settings.sending_switch import SendingPause
from tests.builders import a_file, a_message, enabled_services, large_file_services
from tests.fakes import CONTOSO, NOON, FakeServices
from tests.faults.fault_run import Killed

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.settings.tenant import TenantSettings

MAIL = a_message(messageId="m-1")
UNAVAILABLE = TransientError("storage_unavailable", service="tables")


@pytest.fixture
def services() -> FakeServices:
    return enabled_services()


def row(services: FakeServices) -> Delivery:
    return services.deliveries.rows[CONTOSO, "m-1"]


def claimed_row(queue_id: str = "q-1", *, handed_over: bool) -> Delivery:
    """Build the row of a worker that was killed."""
    claimed = first_row(parse_mail_request(MAIL), NOON).with_claim(queue_id, NOON, "claim-1")
    return replace(claimed, hand_over=HandOver(NOON, 1)) if handed_over else claimed


class Failing:
    """Failing calls of a port, before or after they are carried out.

    `times` None is permanent.
    """

    def __init__(
        self,
        port: Any,
        name: str,
        *,
        times: int | None = None,
        carried_out: bool = False,
        error: BaseException = UNAVAILABLE,
    ) -> None:
        self._port, self._name, self._inner = port, name, getattr(port, name)
        self._left, self._carried_out, self._error = times, carried_out, error
        setattr(port, name, self)

    def __call__(self, *args: Any) -> Any:
        if self._left == 0:
            return self._inner(*args)
        if self._left is not None:
            self._left -= 1
        if self._carried_out:
            self._inner(*args)
        raise self._error

    def end(self) -> None:
        """Remove the faults."""
        setattr(self._port, self._name, self._inner)


def end(services: FakeServices) -> tuple[DeliveryStatus, int]:
    """Return the mail's status, and how often it was sent."""
    return row(services).status, len(services.transport.sent)


def continue_in_another_process(services: FakeServices) -> None:
    """Drop the state that is only in the memory of the process."""
    services.claims = type(services.claims)()


def redeliver(services: FakeServices, queue_id: str) -> None:
    """Work on the only message in the queue at its time."""
    ((text, delay),) = services.outbox.messages
    services.outbox.messages.clear()
    services.system.pass_time(delay)
    deliver(text, queue_id, services)


def test_the_row_states_when_and_with_which_consent_a_mail_is_handed_over(services: FakeServices) -> None:
    rows: list[Delivery] = []
    send = services.transport.send_mail

    def look(*args: Any) -> str:
        rows.append(row(services))
        return send(*args)

    services.transport.send_mail = look  # type: ignore[method-assign,assignment]
    deliver(MAIL, "q-1", services)

    assert [found.hand_over for found in rows] == [HandOver(NOON, 1)]
    assert row(services).hand_over is None
    assert row(services).claim_id is None


def test_a_claim_of_an_older_version_over_this_one_makes_a_send_uncertain(
    services: FakeServices,
) -> None:
    """An older version preserves members that it does not know."""
    known = claimed_row(handed_over=False)
    services.deliveries.add(replace(known, claimed_by="q-2", claim_ends_at=NOON + 2 * CLAIM_DURATION))
    deliver(MAIL, "q-2", services)

    assert row(services).status is DeliveryStatus.UNKNOWN
    assert not services.transport.sent


@pytest.mark.parametrize("queue_id", ["q-1", "q-2"])
def test_a_worker_crash_before_the_hand_over_makes_no_send_uncertain(
    services: FakeServices, queue_id: str
) -> None:
    services.deliveries.add(claimed_row(handed_over=False))
    services.system.pass_time(CLAIM_DURATION)
    deliver(MAIL, queue_id, services)

    assert end(services) == (DeliveryStatus.ACCEPTED, 1)


def test_a_mail_that_another_worker_may_still_hand_over_is_waited_for(services: FakeServices) -> None:
    services.deliveries.add(claimed_row(handed_over=False))
    deliver(MAIL, "q-2", services)

    assert services.outbox.messages == [(MAIL, timedelta(seconds=30))]
    assert not services.transport.sent


def test_a_worker_crash_at_the_hand_over_keeps_the_consent_for_the_search(
    services: FakeServices,
) -> None:
    services.deliveries.add(claimed_row(handed_over=True))
    deliver(MAIL, "q-1", services)

    assert row(services).status is DeliveryStatus.UNKNOWN
    assert row(services).uncertain_send
    assert row(services).uncertain_send.consent_version == 1  # type: ignore[union-attr]
    assert not services.transport.sent


@pytest.mark.parametrize("known_as_unused", [False, True])
def test_a_mail_in_hand_over_whose_request_is_gone_is_not_sent_again(
    services: FakeServices,
    known_as_unused: bool,  # noqa: FBT001
) -> None:
    services.deliveries.add(claimed_row(handed_over=True))
    message = requeue_message(CONTOSO, "m-1")
    if known_as_unused:
        mail = RepeatedMail(tenant_id=CONTOSO, message_id="m-1", unused_claims=("claim-1",))
        message = write_repeated(mail)
    deliver(message, "q-1", services)
    assert row(services).status is (DeliveryStatus.EXPIRED if known_as_unused else DeliveryStatus.UNKNOWN)

    deliver(MAIL, "q-2", services)
    assert len(services.transport.sent) == (1 if known_as_unused else 0)


def test_a_requeue_message_without_request_leaves_a_mail_to_its_worker(
    services: FakeServices,
) -> None:
    services.deliveries.add(claimed_row(handed_over=True))
    deliver(requeue_message(CONTOSO, "m-1"), "q-2", services)

    assert row(services).claimed_by == "q-1"
    assert services.outbox.messages == [(requeue_message(CONTOSO, "m-1"), CLAIM_DURATION)]


def test_a_poisoned_mail_whose_worker_handed_nothing_over_is_not_uncertain(services: FakeServices) -> None:
    services.deliveries.add(claimed_row(handed_over=False))
    services.system.pass_time(CLAIM_DURATION)
    record_poisoned(MAIL, "p-1", services)

    assert (row(services).status, row(services).uncertain_send) == (DeliveryStatus.WAITING_FOR_OPERATOR, None)


def test_a_mail_claimed_during_a_pause_waits_and_is_not_uncertain(
    services: FakeServices,
) -> None:
    services.deliveries.add(claimed_row(handed_over=False))
    services.pause_store.save(SendingPause(NOON))
    deliver(MAIL, "q-1", services)

    assert (row(services).status, row(services).uncertain_send) == (DeliveryStatus.DEFERRED, None)


def test_sending_that_is_paused_while_a_mail_waits_for_its_turn_stops_it(services: FakeServices) -> None:
    get = services.tokens.get

    def pausing(*args: Any, **options: Any) -> str:
        services.pause_store.save(SendingPause(NOON))
        services.system.pass_time(timedelta(seconds=10))
        return get(*args, **options)

    services.tokens.get = pausing  # type: ignore[method-assign]
    deliver(MAIL, "q-1", services)

    assert not services.transport.sent
    assert row(services).paused_since


def test_sending_that_is_paused_while_the_claim_is_written_stops_it(services: FakeServices) -> None:
    add = services.deliveries.add

    def pausing(delivery: Delivery) -> Delivery | None:
        services.pause_store.save(SendingPause(NOON))
        services.system.pass_time(timedelta(seconds=20))
        return add(delivery)

    services.deliveries.add = pausing  # type: ignore[method-assign]
    deliver(MAIL, "q-1", services)

    assert not services.transport.sent
    assert (row(services).status, row(services).uncertain_send) == (DeliveryStatus.DEFERRED, None)


def test_an_unreleased_claim_in_a_pause_makes_no_send_uncertain(
    services: FakeServices,
) -> None:
    add = services.deliveries.add

    def pausing(delivery: Delivery) -> Delivery | None:
        services.pause_store.save(SendingPause(NOON))
        services.system.pass_time(timedelta(seconds=20))
        return add(delivery)

    services.deliveries.add = pausing  # type: ignore[method-assign]
    Failing(services.deliveries, "save", times=1)
    deliver(MAIL, "q-1", services)

    assert not services.transport.sent
    assert (row(services).status, row(services).uncertain_send) == (DeliveryStatus.DEFERRED, None)

    services.pause_store.remove()
    redeliver(services, "q-2")
    assert row(services).status is DeliveryStatus.ACCEPTED


@pytest.mark.parametrize("seconds", [4, 12, 59])
@pytest.mark.parametrize("fate", ["not carried out", "carried out"])
@pytest.mark.parametrize("name", ["add", "save"])
def test_tables_that_are_unavailable_for_less_than_a_minute_change_no_end(
    services: FakeServices, name: str, fate: str, seconds: int
) -> None:
    port, inner = services.deliveries, getattr(services.deliveries, name)

    def unavailable(delivery: Delivery) -> Delivery | None:
        if services.system.now() < NOON + timedelta(seconds=seconds):
            if fate == "carried out":
                inner(delivery)
            raise UNAVAILABLE
        found: Delivery | None = inner(delivery)
        return found

    setattr(port, name, unavailable)
    deliver(MAIL, "q-1", services)

    if services.outbox.messages:
        redeliver(services, "q-2")
    assert end(services) == (DeliveryStatus.ACCEPTED, 1)


@pytest.mark.parametrize("fate", ["not carried out", "carried out"])
def test_a_claim_without_a_response_is_not_uncertain_for_another_process(
    services: FakeServices, fate: str
) -> None:
    outage = Failing(services.deliveries, "add", carried_out=fate == "carried out")
    deliver(MAIL, "q-1", services)
    outage.end()
    assert not services.transport.sent

    # Nothing but the message tells the next process.
    continue_in_another_process(services)
    redeliver(services, "q-2")

    assert end(services) == (DeliveryStatus.ACCEPTED, 1)


@pytest.mark.parametrize("fate", ["not carried out", "carried out"])
def test_a_claim_of_a_retry_without_a_response_makes_no_send_uncertain(
    services: FakeServices, fate: str
) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    deliver(MAIL, "q-1", services)
    save = services.deliveries.save

    def lose_response(delivery: Delivery) -> Delivery | None:
        if delivery.hand_over is None:
            return save(delivery)
        if fate == "carried out":
            save(delivery)
        raise UNAVAILABLE

    services.deliveries.save = lose_response  # type: ignore[method-assign]
    redeliver(services, "q-2")
    services.deliveries.save = save  # type: ignore[method-assign]
    assert not services.transport.sent
    continue_in_another_process(services)
    redeliver(services, "q-3")

    assert end(services) == (DeliveryStatus.ACCEPTED, 1)


def test_a_claim_without_response_is_kept_while_the_queue_is_unavailable(
    services: FakeServices,
) -> None:
    tables = Failing(services.deliveries, "add", carried_out=True)
    queue = Failing(services.outbox, "put")
    with pytest.raises(TransientError):
        deliver(MAIL, "q-1", services)
    tables.end()
    queue.end()

    deliver(MAIL, "q-1", services)

    assert end(services) == (DeliveryStatus.ACCEPTED, 1)


@pytest.mark.parametrize("step", ["add", "save"])
def test_one_process_corrects_another_after_a_table_and_queue_outage(
    services: FakeServices, step: str
) -> None:
    tables = Failing(services.deliveries, "save")
    claims = Failing(services.deliveries, "add", carried_out=True) if step == "add" else None
    queue = Failing(services.outbox, "put")
    with pytest.raises(TransientError):
        deliver(MAIL, "q-1", services)
    tables.end()
    if claims:
        claims.end()

    mine, services.claims = services.claims, type(services.claims)()
    queue.end()
    deliver(MAIL, "q-1", services)
    assert row(services).status is DeliveryStatus.UNKNOWN

    services.claims = mine
    failing = Failing(services.outbox, "put", times=1)
    deliver(a_message(messageId="m-2"), "q-2", services)
    assert not services.outbox.messages
    failing.end()
    deliver(a_message(messageId="m-3"), "q-3", services)
    deliver(a_message(messageId="m-4"), "q-4", services)
    redeliver(services, "q-5")

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert len(services.transport.sent) == 4


def test_a_message_without_new_facts_is_not_queued_a_second_time(services: FakeServices) -> None:
    settings = Failing(services.settings, "check_owner")
    queue = Failing(services.outbox, "put")
    with pytest.raises(TransientError):
        deliver(MAIL, "q-1", services)
    settings.end()
    queue.end()
    deliver(a_message(messageId="m-2"), "q-2", services)

    assert not services.outbox.messages


def test_another_process_resolves_the_uncertainty_about_an_unused_claim(services: FakeServices) -> None:
    outage = Failing(services.deliveries, "add", carried_out=True)
    deliver(MAIL, "q-1", services)
    outage.end()
    message = services.outbox.messages.pop()
    # The queue shows the first message again, to a process that knows nothing of the first.
    continue_in_another_process(services)
    deliver(MAIL, "q-1", services)
    assert row(services).status is DeliveryStatus.UNKNOWN

    deliver(message[0], "q-2", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert row(services).uncertain_send is None
    assert len(services.transport.sent) == 1


def test_a_redelivered_message_does_not_interrupt_its_mail_in_progress(
    services: FakeServices,
) -> None:
    send = services.transport.send_mail

    def redelivered(*args: Any) -> str:
        # This thread has the only turn.
        services.throttle = services.new_throttle()
        deliver(MAIL, "q-1", services)
        return send(*args)

    services.transport.send_mail = redelivered  # type: ignore[method-assign,assignment]
    deliver(MAIL, "q-1", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert services.outbox.messages == [(MAIL, timedelta(seconds=30))]
    assert len(services.transport.sent) == 1


def test_a_mail_taken_over_before_the_hand_over_is_not_sent(
    services: FakeServices,
) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    deliver(MAIL, "q-1", services)
    services.system.pass_time(timedelta(minutes=1))
    get = services.tokens.get

    def claimed_by_another(*args: Any, **options: Any) -> str:
        held = row(services)
        services.deliveries.save(replace(held, claimed_by="q-3", claim_id="claim-3"))
        return get(*args, **options)

    services.tokens.get = claimed_by_another  # type: ignore[method-assign]
    deliver(requeue_message(CONTOSO, "m-1"), "q-2", services)

    assert not services.transport.sent
    assert row(services).claimed_by == "q-3"


def test_an_attempt_that_took_too_long_hands_nothing_over(services: FakeServices) -> None:
    get = services.tokens.get

    def slow(*args: Any, **options: Any) -> str:
        services.system.pass_time(timedelta(minutes=7))
        return get(*args, **options)

    services.tokens.get = slow  # type: ignore[method-assign]
    deliver(MAIL, "q-1", services)

    assert not services.transport.sent
    assert (row(services).status, row(services).uncertain_send) == (DeliveryStatus.DEFERRED, None)


def test_an_accepted_mail_is_recorded_from_the_queue_after_an_outage(services: FakeServices) -> None:
    outage = Failing(services.deliveries, "save")
    deliver(MAIL, "q-1", services)
    assert row(services).status is DeliveryStatus.SENDING
    redeliver(services, "q-2")
    outage.end()
    redeliver(services, "q-3")

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert row(services).history[-1].request_id == "graph-request-1"
    assert row(services).from_address == "ada@contoso.com"
    assert len(services.transport.sent) == 1


def test_an_acceptance_is_remembered_even_if_the_queue_is_unavailable(
    services: FakeServices,
) -> None:
    tables = Failing(services.deliveries, "save")
    queue = Failing(services.outbox, "put")
    with pytest.raises(TransientError):
        deliver(MAIL, "q-1", services)
    tables.end()
    queue.end()
    deliver(MAIL, "q-1", services)

    assert end(services) == (DeliveryStatus.ACCEPTED, 1)


def test_an_acceptance_overrides_the_conclusion_of_another_process(
    services: FakeServices,
) -> None:
    send = services.transport.send_mail

    def redelivered_elsewhere(*args: Any) -> str:
        services.throttle = services.new_throttle()
        request_id = send(*args)
        mine, services.claims = services.claims, type(services.claims)()
        deliver(MAIL, "q-1", services)
        services.claims = mine
        assert row(services).status is DeliveryStatus.UNKNOWN
        return request_id

    services.transport.send_mail = redelivered_elsewhere  # type: ignore[method-assign,assignment]
    deliver(MAIL, "q-1", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert row(services).uncertain_send is None


def test_that_a_mail_was_accepted_is_written_once(services: FakeServices) -> None:
    outage = Failing(services.deliveries, "save")
    deliver(MAIL, "q-1", services)
    outage.end()
    ((message, _),) = services.outbox.messages
    deliver(message, "q-2", services)
    written = row(services)
    deliver(message, "q-3", services)
    del services.deliveries.rows[CONTOSO, "m-1"]
    deliver(message, "q-4", services)

    assert written.status is DeliveryStatus.ACCEPTED
    assert not services.deliveries.rows


def test_a_row_that_changes_while_an_acceptance_is_recorded_is_read_again(services: FakeServices) -> None:
    save, lost = services.deliveries.save, [True, True]

    def claimed_by_another(delivery: Delivery) -> Delivery | None:
        return None if delivery.status is DeliveryStatus.ACCEPTED and lost and lost.pop() else save(delivery)

    services.deliveries.save = claimed_by_another  # type: ignore[method-assign]
    deliver(MAIL, "q-1", services)

    assert row(services).status is DeliveryStatus.ACCEPTED


def test_stored_content_that_cannot_be_removed_does_not_change_acceptance(
    services: FakeServices,
) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    deliver(MAIL, "q-1", services)
    Failing(services.requests, "remove", error=TransientError("storage_unavailable", service="blobs"))
    redeliver(services, "q-2")

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert not services.outbox.messages


def test_a_refusal_that_cannot_be_recorded_restarts_the_mail(services: FakeServices) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    outage = Failing(services.deliveries, "save")
    deliver(MAIL, "q-1", services)
    outage.end()
    continue_in_another_process(services)
    redeliver(services, "q-2")

    assert end(services) == (DeliveryStatus.ACCEPTED, 1)


def test_an_unknown_outcome_that_cannot_be_recorded_stays_unknown(
    services: FakeServices,
) -> None:
    services.transport.after = {"send_mail": [OutcomeUnknownError("outcome_unknown")]}
    outage = Failing(services.deliveries, "save")
    deliver(MAIL, "q-1", services)
    outage.end()
    redeliver(services, "q-2")
    assert row(services).status is DeliveryStatus.SENDING
    services.system.pass_time(CLAIM_DURATION)
    redeliver(services, "q-3")

    assert row(services).status is DeliveryStatus.UNKNOWN
    assert len(services.transport.sent) == 1


def test_an_outcome_is_written_again_after_a_write_without_response(services: FakeServices) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    send, save = services.transport.send_mail, services.deliveries.save

    def noted(*args: Any) -> str:
        save(replace(row(services), without_key=True))
        return send(*args)

    services.transport.send_mail = noted  # type: ignore[method-assign,assignment]
    deliver(MAIL, "q-1", services)

    assert row(services).status is DeliveryStatus.DEFERRED


@pytest.mark.parametrize("sign", ["x", "<", "&", "\ufffe", "\uffff"])
def test_the_longest_mail_is_requeued_with_all_known_facts(services: FakeServices, sign: str) -> None:
    mail = a_message(messageId="m-1", body={"contentType": "text", "content": ""})
    content = sign * ((MAX_MESSAGE_BYTES - len(mail)) // len(sign.encode()))
    mail = mail.replace(b'"content": ""', f'"content": "{content}"'.encode())
    outage = Failing(services.deliveries, "add", carried_out=True)
    deliver(mail, "q-1", services)
    outage.end()
    assert services.requests.kept == {}
    continue_in_another_process(services)
    redeliver(services, "q-2")

    assert row(services).status is DeliveryStatus.ACCEPTED


def test_the_longest_mail_under_a_used_id_replaces_no_stored_request(services: FakeServices) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    deliver(MAIL, "q-1", services)
    other = a_message(messageId="m-1", body={"contentType": "text", "content": "x" * 48_900})
    services.outbox.messages.clear()
    outage = Failing(services.deliveries, "add")
    deliver(other, "q-2", services)
    outage.end()
    assert services.requests.load(CONTOSO, "m-1") == MAIL
    redeliver(services, "q-3")

    assert services.requests.load(CONTOSO, "m-1") == MAIL
    assert row(services).conflict_at is not None


@pytest.mark.parametrize("noncharacters", [0, 1700, 10_000])
def test_a_message_has_room_for_the_longest_mail_after_any_outage(noncharacters: int) -> None:
    # Random text can hardly be compressed.
    signs = random.Random(1).choices(string.ascii_letters + string.digits + "+/<&>", k=48_700)
    content = "\uffff" * noncharacters + "".join(signs)[3 * noncharacters :]
    body = json.dumps({"contentType": "text", "content": content}, ensure_ascii=False)
    text = a_message(messageId="m-1", body=0).replace(b'"body": 0', f'"body": {body}'.encode())
    parse_mail_request(text)  # a valid mail
    claims = frozenset(str(uuid.uuid4()) for _ in range(5000))
    message = repeated_message(claimed_row(handed_over=False), text, claims)

    assert fits_queue(message)
    repeated = parse_unrecorded(message)
    assert isinstance(repeated, RepeatedMail)
    assert len(repeated.unused_claims) == 300


def test_the_request_of_an_earlier_version_is_found_where_it_was_stored(
    services: FakeServices,
) -> None:
    services.deliveries.add(claimed_row(handed_over=True))
    services.requests.save(CONTOSO, "m-1", MAIL)
    message = RepeatedMail(tenant_id=CONTOSO, message_id="m-1", unused_claims=("claim-1",))
    deliver(write_repeated(message), "q-2", services)

    assert end(services) == (DeliveryStatus.ACCEPTED, 1)


@pytest.mark.parametrize("raw", [MAIL, base64.b64encode(MAIL)])
def test_what_a_process_knows_of_a_message_holds_in_the_poison_queue(
    services: FakeServices, raw: bytes
) -> None:
    tables, queue = Failing(services.deliveries, "save"), Failing(services.outbox, "put")
    with pytest.raises(TransientError):
        deliver(raw, "q-1", services)
    tables.end()
    queue.end()
    record_poisoned(MAIL, "p-1", services)

    assert end(services) == (DeliveryStatus.ACCEPTED, 1)
    assert services.claims.take_unqueued() == {}


def test_an_unused_claim_stays_known_while_another_worker_holds_the_mail(
    services: FakeServices,
) -> None:
    outage = Failing(services.deliveries, "add")
    deliver(MAIL, "q-1", services)
    outage.end()
    ((message, _),) = services.outbox.messages
    services.outbox.messages.clear()
    services.deliveries.add(claimed_row("q-9", handed_over=True))
    deliver(message, "q-2", services)

    assert services.outbox.messages == [(message, timedelta(seconds=30))]


def large() -> tuple[FakeServices, bytes]:
    services = large_file_services(large=bytes(3_100_000))
    return services, a_message(messageId="m-1", attachments=[a_file("large")])


def kill_at(services: FakeServices, name: str) -> Callable[[], None]:
    return Failing(services.transport, name, error=Killed()).end


@pytest.mark.parametrize("step", ["create_draft", "open_upload", "put_chunk"])
def test_a_worker_crash_while_building_a_draft_makes_no_send_uncertain(step: str) -> None:
    services, mail = large()
    end = kill_at(services, step)
    with pytest.raises(Killed):
        deliver(mail, "q-1", services)
    end()
    deliver(mail, "q-1", services)

    # At once, without looking for it during five minutes.
    assert row(services).status is DeliveryStatus.ACCEPTED
    assert services.system.now() == NOON


def test_a_worker_crash_while_sending_a_draft_leaves_it_for_verification() -> None:
    services, mail = large()
    end = kill_at(services, "send_draft")
    with pytest.raises(Killed):
        deliver(mail, "q-1", services)
    end()
    deliver(mail, "q-1", services)

    assert row(services).status is DeliveryStatus.VERIFYING


def test_two_workers_that_have_the_same_new_mail_send_it_once(services: FakeServices) -> None:
    send, second = services.transport.send_mail, threading.Event()

    def both(*args: Any) -> str:
        if not second.is_set():
            second.set()
            services.throttle = services.new_throttle()
            deliver(MAIL, "q-2", services)
        return send(*args)

    services.transport.send_mail = both  # type: ignore[method-assign,assignment]
    deliver(MAIL, "q-1", services)

    assert len(services.transport.sent) == 1
    assert services.outbox.messages == [(MAIL, timedelta(seconds=30))]


def test_a_host_suspended_after_its_claim_does_not_hand_over_later(
    services: FakeServices,
) -> None:
    put_off = claimed_row("q-0", handed_over=False).transition(
        DeliveryStatus.DEFERRED, NOON, next_attempt_at=NOON
    )
    services.deliveries.add(put_off)
    load = services.settings.load

    def suspended(tenant_id: str) -> TenantSettings:
        services.settings.load = load  # type: ignore[method-assign]
        services.system.set_clock(timedelta(minutes=10))
        return load(tenant_id)

    claim = services.deliveries.save

    def claimed(delivery: Delivery) -> Delivery | None:
        services.settings.load = suspended  # type: ignore[method-assign]
        services.deliveries.save = claim  # type: ignore[method-assign]
        return claim(delivery)

    services.deliveries.save = claimed  # type: ignore[method-assign]
    deliver(MAIL, "q-1", services)

    assert not services.transport.sent
    assert row(services).status is DeliveryStatus.DEFERRED


@pytest.mark.parametrize("clock", ["suspended", "set back meanwhile"])
def test_a_host_that_wakes_between_claim_and_hand_over_sends_nothing(
    services: FakeServices, clock: str
) -> None:
    add = services.deliveries.add

    def slowly(delivery: Delivery) -> Delivery | None:
        added = add(delivery)
        if clock == "suspended":
            # The time that a process measures stands still while its machine is suspended.
            services.system.set_clock(timedelta(minutes=12))
        else:
            services.system.pass_time(timedelta(minutes=12))
            services.system.set_clock(timedelta(hours=-1))
        return added

    services.deliveries.add = slowly  # type: ignore[method-assign]
    deliver(MAIL, "q-1", services)

    assert not services.transport.sent
    assert row(services).status is DeliveryStatus.DEFERRED


def test_a_host_resumed_after_its_mail_was_taken_over_does_not_send_it(
    services: FakeServices,
) -> None:
    get = services.tokens.get

    def suspended(*arguments: Any, **options: Any) -> str:
        services.tokens.get = get  # type: ignore[method-assign]
        token = get(*arguments, **options)
        services.system.set_clock(timedelta(minutes=12))
        deliver(MAIL, "q-1", services)
        return token

    services.tokens.get = suspended  # type: ignore[method-assign]
    deliver(MAIL, "q-1", services)

    assert len(services.transport.sent) == 1
    assert row(services).status is DeliveryStatus.ACCEPTED


def test_the_claim_of_another_installation_is_not_changed(
    services: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    claimed = replace(claimed_row(handed_over=True), installation="another-client")
    services.deliveries.add(claimed)
    services.system.pass_time(CLAIM_DURATION * 2)
    deliver(MAIL, "q-2", services)

    assert row(services).claimed_by == "q-1"
    assert not services.transport.sent
    assert services.outbox.messages == [(MAIL, timedelta(minutes=5))]
    assert '"problem": "other_installation"' in caplog.text
    assert '"theirs": "another-client"' in caplog.text


def test_a_claim_carries_the_mark_of_its_installation(services: FakeServices) -> None:
    deliver(MAIL, "q-1", services)

    assert row(services).installation == services.installation


@pytest.mark.parametrize("poisoned", [False, True])
def test_the_mail_of_a_tenant_of_another_installation_is_requeued(
    services: FakeServices,
    poisoned: bool,  # noqa: FBT001
    caplog: pytest.LogCaptureFixture,
) -> None:
    services.settings.foreign.add(CONTOSO)
    (record_poisoned if poisoned else deliver)(MAIL, "q-1", services)

    assert [text for text, _ in services.outbox.messages] == [MAIL]
    assert services.deliveries.rows == {}
    assert not services.transport.calls
    assert "operator_error {" in caplog.text


def test_mail_stays_queued_while_the_owner_of_its_tenant_is_unknown(services: FakeServices) -> None:
    def unavailable(_: str) -> None:
        raise TransientError("storage_unavailable", service="tables")

    services.settings.check_owner = unavailable  # type: ignore[method-assign, assignment]
    deliver(MAIL, "q-1", services)

    assert services.deliveries.rows == {}
    assert [text for text, _ in services.outbox.messages] == [MAIL]


def test_while_a_setting_is_wrong_a_mail_is_recorded_and_waits(services: FakeServices) -> None:
    def broken(_: str) -> object:
        raise ConfigurationError("setting_missing", setting="ENTRA_CLIENT_ID")

    services.settings.check_owner = broken  # type: ignore[method-assign, assignment]
    services.settings.load = broken  # type: ignore[method-assign, assignment]
    deliver(MAIL, "q-1", services)

    assert row(services).status is DeliveryStatus.WAITING_FOR_OPERATOR


@pytest.mark.parametrize("claim_id", ["claim-of-another", None])
def test_a_refusal_is_not_written_over_a_claim_that_another_worker_took(
    services: FakeServices, claim_id: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    send, save = services.transport.send_mail, services.deliveries.save

    def claimed_by_another(*args: Any) -> str:
        save(replace(row(services), claim_id=claim_id, claimed_by="q-9"))
        return send(*args)

    services.transport.send_mail = claimed_by_another  # type: ignore[method-assign,assignment]
    deliver(MAIL, "q-1", services)

    assert row(services).claimed_by == "q-9"
    assert "mail_conflict {" in caplog.text


def test_a_refusal_that_cannot_be_written_is_logged_and_not_repeated(
    services: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    services.transport.fail = [TransientError("graph_unavailable")]
    services.deliveries.save = lambda _: None  # type: ignore[method-assign,assignment]
    deliver(MAIL, "q-1", services)

    assert "mail_conflict {" in caplog.text


def test_an_acceptance_waits_for_a_version_that_can_read_the_row(services: FakeServices) -> None:
    outage = Failing(services.deliveries, "save")
    deliver(MAIL, "q-1", services)
    outage.end()
    known = row(services)
    services.deliveries.rows[CONTOSO, "m-1"] = replace(known, status=DeliveryStatus.OTHER_VERSION)
    redeliver(services, "q-2")
    assert services.outbox.messages[0][0].startswith(b'{"accepted":')
    services.deliveries.rows[CONTOSO, "m-1"] = known
    redeliver(services, "q-3")

    assert row(services).status is DeliveryStatus.ACCEPTED


def test_a_version_that_cannot_read_a_row_does_not_repeat_the_write(services: FakeServices) -> None:
    outage = Failing(services.deliveries, "save")
    deliver(MAIL, "q-1", services)
    outage.end()
    services.deliveries.rows[CONTOSO, "m-1"] = replace(row(services), status=DeliveryStatus.OTHER_VERSION)
    services.system.slept.clear()
    redeliver(services, "q-2")

    assert services.system.slept == []
    assert services.outbox.messages[0][0].startswith(b'{"accepted":')


@pytest.mark.parametrize("clock", ["set back", "stopped"])
def test_a_claim_that_took_long_by_one_clock_has_the_switch_read_again(
    services: FakeServices, clock: str
) -> None:
    add = services.deliveries.add

    def slowly(delivery: Delivery) -> Delivery | None:
        services.pause_store.save(SendingPause(NOON))
        if clock == "set back":
            services.system.pass_time(timedelta(seconds=20))
            services.system.set_clock(timedelta(hours=-1))
        else:
            services.system.set_clock(timedelta(seconds=20))
        return add(delivery)

    services.deliveries.add = slowly  # type: ignore[method-assign]
    deliver(MAIL, "q-1", services)

    assert not services.transport.sent
    assert row(services).paused_since


def test_a_worker_crash_after_a_token_refusal_makes_no_send_uncertain(
    services: FakeServices,
) -> None:
    services.transport.fail = [TokenRefusedError("token_refused", error="e")]
    get = services.tokens.get

    def killed(*args: Any, refused: str | None = None, **options: Any) -> str:
        if refused:
            raise Killed
        return get(*args, refused=refused, **options)

    services.tokens.get = killed  # type: ignore[method-assign]
    with pytest.raises(Killed):
        deliver(MAIL, "q-1", services)
    services.tokens.get = get  # type: ignore[method-assign]
    assert row(services).hand_over is None
    continue_in_another_process(services)
    deliver(MAIL, "q-1", services)

    assert end(services) == (DeliveryStatus.ACCEPTED, 1)


def test_with_a_new_token_the_hand_over_is_recorded_again(services: FakeServices) -> None:
    services.transport.fail = [TokenRefusedError("token_refused", error="e")]
    seen: list[HandOver | None] = []
    send = services.transport.send_mail

    def look(*args: Any) -> str:
        seen.append(row(services).hand_over)
        return send(*args)

    services.transport.send_mail = look  # type: ignore[method-assign,assignment]
    deliver(MAIL, "q-1", services)

    assert seen == [HandOver(NOON, 1), HandOver(NOON, 1)]
    assert end(services) == (DeliveryStatus.ACCEPTED, 1)


def test_a_mail_taken_over_during_a_token_refusal_is_not_sent(
    services: FakeServices,
) -> None:
    services.transport.fail = [TokenRefusedError("token_refused", error="e")]
    send = services.transport.send_mail

    def claimed_by_another(*args: Any) -> str:
        services.transport.send_mail = send  # type: ignore[method-assign]
        services.deliveries.save(replace(row(services), claim_id="claim-of-another", claimed_by="q-9"))
        return send(*args)

    services.transport.send_mail = claimed_by_another  # type: ignore[method-assign,assignment]
    deliver(MAIL, "q-1", services)

    assert row(services).claimed_by == "q-9"
    assert not services.transport.sent
