"""Uncertain sends are looked up if possible, and never simply repeated."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.deliveries.requeue import requeue_message
from shared.deliveries.status import DeliveryStatus
from shared.deliveries.uncertain_send import UncertainSend
from shared.errors import (
    ConsentRequiredError,
    NothingSentError,
    OutcomeUnknownError,
    SenderRefusedError,
    TransientError,
)
from shared.mail.message import parse_mail_request
from shared.sending.attempt import first_row
from shared.sending.backoff_and_deadline import MAX_RETRY_AGE
from shared.sending.deliver import deliver
from shared.sending.draft_state import Draft
from shared.sending.errors import ThrottledError
from shared.sending.ports import FoundMail
from shared.sending.reconcile import (
    RECONCILE_WINDOW,
    contains_sent_mail,
    next_check,
    search_key,
    search_mailbox,
)
from shared.settings.sender import sender_of
from shared.settings.tenant import Account, RequestedSender, Status
from tests.builders import a_consent, a_message, enabled_services, large_file_services, some_settings
from tests.fakes import CONTOSO, NOON, FakeServices, MemorySettings

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery

MAIL = a_message(messageId="m-1")


@pytest.fixture
def services() -> FakeServices:
    return large_file_services()


def row(services: FakeServices) -> Delivery:
    found = services.deliveries.find(CONTOSO, "m-1")
    assert found is not None
    return found


def redeliver(services: FakeServices) -> None:
    """Let the delay pass and deliver the mail again."""
    message, delay = services.outbox.messages.pop()
    services.system.pass_time(delay)
    deliver(message, "q-again", services)


def deliver_until_final(services: FakeServices) -> None:
    for _ in range(20):
        if row(services).status.final:
            return
        redeliver(services)
    raise AssertionError


def lose_response(services: FakeServices, *, accepted: bool) -> None:
    failure: dict[str, list[Exception | None]] = {"send_mail": [OutcomeUnknownError("outcome_unknown")]}
    if accepted:
        services.transport.after = failure
    else:
        services.transport.fail_at = failure
    deliver(MAIL, "q-1", services)


@given(st.timedeltas(timedelta(0), timedelta(days=1)))
def test_searches_get_less_frequent_and_end_with_a_known_outcome(
    passed: timedelta,
) -> None:
    look = next_check(NOON, NOON + passed)

    assert look >= NOON + passed
    if passed < RECONCILE_WINDOW:
        assert look <= NOON + RECONCILE_WINDOW
    assert look > NOON + passed


@pytest.mark.parametrize(
    ("passed", "look"),
    [
        (0, 15),
        (14, 29),
        (15, 30),
        (16, 32),
        (100, 200),
        (150, 300),
        (160, 300),
        (299, 300),
        (300, 600),
        (400, 800),
    ],
)
def test_each_search_waits_twice_as_long_as_the_one_before(passed: int, look: int) -> None:
    """In seconds since the lost response; the search ends after five minutes."""
    assert next_check(NOON, NOON + timedelta(seconds=passed)) == NOON + timedelta(seconds=look)


@pytest.mark.parametrize(("seconds", "sent"), [(299, 0), (300, 1)])
def test_a_mail_missing_in_the_mailbox_after_five_minutes_was_not_accepted(
    services: FakeServices, seconds: int, sent: int
) -> None:
    lose_response(services, accepted=False)
    services.deliveries.save(replace(row(services), next_attempt_at=NOON))
    services.system.pass_time(timedelta(seconds=seconds))
    deliver(requeue_message(CONTOSO, "m-1"), "q-2", services)

    assert len(services.transport.sent) == sent


@pytest.mark.parametrize(
    ("earlier", "findable"),
    [(timedelta(0), False), (timedelta(minutes=15), False), (timedelta(minutes=16), True)],
)
def test_a_mail_that_began_when_the_consent_came_may_be_in_another_mailbox(
    services: FakeServices,
    earlier: timedelta,
    findable: bool,  # noqa: FBT001
) -> None:
    request = parse_mail_request(MAIL)
    sender = sender_of(services.settings.load(CONTOSO), ())
    sender = replace(sender, consent=replace(sender.consent, consented_at=NOON - earlier))
    delivery = replace(first_row(request, NOON), uncertain_send=UncertainSend(NOON, worker_began_at=NOON))

    assert (search_key(request, sender, delivery) is not None) is findable


def test_a_submitted_draft_still_a_draft_after_five_minutes_was_not_sent(
    services: FakeServices,
) -> None:
    class MailboxWithTheDraft:
        def call(self, _call: object) -> list[FoundMail]:
            return [FoundMail("d-1", is_draft=True)]

    draft = Draft(owner="me", content_hash="s", draft_id="d-1", submitted=True)
    services.system.pass_time(RECONCILE_WINDOW)

    mailbox: Any = MailboxWithTheDraft()
    assert not contains_sent_mail(search_mailbox("key", UncertainSend(NOON, 1), draft, mailbox, services))


def test_a_mail_that_was_sent_is_found_by_its_key_and_not_sent_again(services: FakeServices) -> None:
    lose_response(services, accepted=True)
    assert (row(services).status, row(services).uncertain_send) == (
        DeliveryStatus.VERIFYING,
        UncertainSend(NOON, 1),
    )

    redeliver(services)

    assert (row(services).status, row(services).uncertain_send) == (DeliveryStatus.ACCEPTED, None)
    assert len(services.transport.sent) == 1
    assert services.system.now() == NOON + timedelta(seconds=15)
    assert services.requests.load(CONTOSO, "m-1") is None


def test_a_mail_that_was_not_sent_is_sent_again_once_that_is_sure(services: FakeServices) -> None:
    lose_response(services, accepted=False)
    deliver_until_final(services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert len(services.transport.sent) == 1
    assert services.system.now() >= NOON + RECONCILE_WINDOW


def test_a_mail_still_in_drafts_is_on_its_way_and_waited_for(services: FakeServices) -> None:
    lose_response(services, accepted=True)
    (copy,) = services.transport.mails.values()
    copy.is_draft = True
    redeliver(services)
    assert row(services).status is DeliveryStatus.VERIFYING

    copy.is_draft = False
    deliver_until_final(services)

    assert len(services.transport.sent) == 1


def test_after_a_worker_crash_the_next_worker_searches_first(services: FakeServices) -> None:
    deliver(MAIL, "q-1", services)
    sent = row(services)
    held = replace(sent, status=DeliveryStatus.SENDING).with_claim("q-1", NOON)
    assert services.deliveries.save(held)
    deliver(MAIL, "q-1", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert len(services.transport.sent) == 1


def test_an_uncertain_send_outlives_a_lost_consent(services: FakeServices) -> None:
    lose_response(services, accepted=True)
    services.transport.fail_at = {"find": [ConsentRequiredError("consent_lost", account="a", error="e")]}
    redeliver(services)
    assert row(services).status is DeliveryStatus.WAITING_FOR_CONSENT
    assert row(services).uncertain_send == UncertainSend(NOON, 1)

    settings = services.settings.load(CONTOSO)
    services.settings.save(replace(settings, status=Status.ENABLED, problem=None))
    deliver(requeue_message(CONTOSO, "m-1"), "q-2", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert len(services.transport.sent) == 1


def refused_search() -> SenderRefusedError:
    return SenderRefusedError("access_denied", graph_code="ErrorAccessDenied", address="a")


def test_an_uncertain_mail_in_an_unreadable_mailbox_is_searched_to_its_end(
    services: FakeServices,
) -> None:
    lose_response(services, accepted=True)
    services.system.chance = 1.0
    services.transport.fail_at = {"find": [refused_search()] * 400}
    while not row(services).status.final:
        redeliver(services)

    assert row(services).status is DeliveryStatus.UNKNOWN
    assert row(services).problem.code == "outcome_unknown"  # type: ignore[union-attr]
    assert services.system.now() > NOON + MAX_RETRY_AGE
    assert len(services.transport.sent) == 1


@pytest.mark.parametrize("hours", [1, 20])
def test_an_uncertain_mail_is_found_once_the_permission_applies_again(
    services: FakeServices, hours: int
) -> None:
    lose_response(services, accepted=True)
    services.system.chance = 1.0
    services.transport.fail_at = {"find": [refused_search()] * 400}
    while services.system.now() < NOON + timedelta(hours=hours):
        redeliver(services)
    assert row(services).problem.code == "access_denied"  # type: ignore[union-attr]
    services.transport.fail_at = {}

    redeliver(services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert len(services.transport.sent) == 1


def test_an_uncertain_mail_waits_while_graph_is_unavailable(services: FakeServices) -> None:
    lose_response(services, accepted=True)
    services.transport.fail_at = {"find": [TransientError("graph_unavailable")]}
    redeliver(services)
    assert row(services).status is DeliveryStatus.DEFERRED

    deliver_until_final(services)

    assert len(services.transport.sent) == 1


def test_an_uncertain_mail_past_its_deadline_is_still_searched(services: FakeServices) -> None:
    services.transport.after = {"send_mail": [OutcomeUnknownError("outcome_unknown")]}
    deliver(a_message(messageId="m-1", expiresAt="2026-11-23T12:00:05Z"), "q-1", services)
    redeliver(services)

    assert row(services).status is DeliveryStatus.ACCEPTED


def test_throttling_during_a_search_after_expiry_does_not_end_the_search(services: FakeServices) -> None:
    services.transport.after = {"send_mail": [OutcomeUnknownError("outcome_unknown")]}
    throttled = ThrottledError(retry_after=timedelta(hours=30), address="a")
    services.transport.fail_at = {"find": [throttled]}
    deliver(a_message(messageId="m-1", expiresAt="2026-11-23T12:00:05Z"), "q-1", services)
    redeliver(services)
    assert row(services).status is DeliveryStatus.VERIFYING

    deliver_until_final(services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert len(services.transport.sent) == 1


def test_settings_that_cannot_be_read_after_the_mail_expired_end_no_look(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.transport.after = {"send_mail": [OutcomeUnknownError("outcome_unknown")]}
    deliver(a_message(messageId="m-1", expiresAt="2026-11-23T12:00:05Z"), "q-1", services)
    with monkeypatch.context() as unavailable:
        unavailable.setattr(MemorySettings, "load", _unavailable)
        redeliver(services)
    assert row(services).status is DeliveryStatus.VERIFYING

    redeliver(services)

    assert row(services).status is DeliveryStatus.ACCEPTED


def test_the_last_attempt_of_a_day_is_searched_on_the_next_day_too(services: FakeServices) -> None:
    services.transport.fail_at = {"send_mail": [NothingSentError("graph_unavailable")]}
    deliver(MAIL, "q-1", services)
    services.deliveries.save(
        replace(row(services), trying_since=NOON - MAX_RETRY_AGE + timedelta(seconds=20))
    )
    services.transport.after = {"send_mail": [OutcomeUnknownError("outcome_unknown")]}
    redeliver(services)
    deliver_until_final(services)

    assert services.system.now() > NOON + timedelta(seconds=20)
    assert row(services).status is DeliveryStatus.ACCEPTED


def _unavailable(*_: object) -> None:
    raise TransientError("storage_unavailable", service="tables")


def test_a_mail_that_was_not_sent_in_time_expires_once_that_is_sure(services: FakeServices) -> None:
    services.transport.fail_at = {"send_mail": [OutcomeUnknownError("outcome_unknown")]}
    deliver(a_message(messageId="m-1", expiresAt="2026-11-23T12:00:05Z"), "q-1", services)
    deliver_until_final(services)

    assert row(services).status is DeliveryStatus.EXPIRED
    assert not services.transport.sent


@pytest.mark.parametrize(
    ("services", "changes"),
    [
        (enabled_services(), {}),
        (large_file_services(), {"saveToSentItems": False}),
    ],
    ids=["without the permission to look", "without a copy to look for"],
)
def test_without_a_possible_search_the_outcome_is_unknown(
    services: FakeServices, changes: dict[str, Any]
) -> None:
    services.transport.after = {"send_mail": [OutcomeUnknownError("outcome_unknown")]}
    deliver(a_message(messageId="m-1", **changes), "q-1", services)

    assert row(services).status is DeliveryStatus.UNKNOWN
    assert not services.outbox.messages
    assert services.requests.load(CONTOSO, "m-1")


def test_another_mailbox_is_no_evidence_about_a_mail_from_the_first(services: FakeServices) -> None:
    lose_response(services, accepted=True)
    newer = a_consent(scopes=frozenset({"Mail.Send", "Mail.ReadWrite"}), version=2)
    services.settings.save(some_settings(consent=newer, etag=services.settings.load(CONTOSO).etag))
    deliver_until_final(services)

    assert row(services).status is DeliveryStatus.UNKNOWN
    assert len(services.transport.sent) == 1


def test_a_deployment_can_configure_to_resend_what_cannot_be_searched() -> None:
    services = enabled_services()
    services.configure(on_unknown_outcome="resend")
    lose_response(services, accepted=False)
    assert (row(services).status, row(services).uncertain_send) == (DeliveryStatus.DEFERRED, None)

    redeliver(services)

    assert row(services).status is DeliveryStatus.ACCEPTED


def test_a_worker_crash_before_a_sender_is_known_leaves_an_uncertain_send() -> None:
    services = FakeServices()
    request = parse_mail_request(MAIL)
    services.deliveries.add(first_row(request, NOON).with_claim("q-1", NOON))
    deliver(MAIL, "q-1", services)

    assert row(services).status is DeliveryStatus.WAITING_FOR_CONSENT
    assert row(services).uncertain_send == UncertainSend(NOON, worker_began_at=NOON)


def test_a_requeue_message_without_its_mail_is_not_passed_over_in_silence(services: FakeServices) -> None:
    services.transport.fail_at = {"send_mail": [NothingSentError("graph_unavailable")]}
    deliver(MAIL, "q-1", services)
    services.requests.kept.clear()
    redeliver(services)

    assert row(services).status is DeliveryStatus.EXPIRED
    assert row(services).problem.code == "request_not_kept"  # type: ignore[union-attr]


def test_a_requeue_message_about_a_mail_that_is_done_changes_nothing(services: FakeServices) -> None:
    deliver(MAIL, "q-1", services)
    deliver(requeue_message(CONTOSO, "m-1"), "q-2", services)
    deliver(requeue_message(CONTOSO, "never-heard-of"), "q-3", services)

    assert row(services).status is DeliveryStatus.ACCEPTED


def test_a_lost_request_of_an_uncertain_mail_stays_uncertain(services: FakeServices) -> None:
    lose_response(services, accepted=True)
    services.requests.kept.clear()
    redeliver(services)

    assert row(services).status is DeliveryStatus.UNKNOWN


def move_to_bob(services: FakeServices) -> None:
    """Have the admin consent for another mailbox, which lacks the mail."""
    bob = Account("bob-object-id", CONTOSO, "bob@contoso.com")
    consent = a_consent(
        version=2,
        account=bob,
        scopes=frozenset({"Mail.Send", "Mail.ReadWrite"}),
        consented_at=services.system.now(),
    )
    settings = services.settings.load(CONTOSO)
    services.settings.save(replace(settings, consent=consent, sender=RequestedSender("bob@contoso.com")))
    services.transport.mails.clear()


def test_a_mail_whose_mailbox_changed_after_a_crash_cannot_be_searched(
    services: FakeServices,
) -> None:
    services.transport.after = {"send_mail": [Killed()]}  # type: ignore[list-item]
    with pytest.raises(Killed):
        deliver(MAIL, "q-1", services)
    services.system.pass_time(timedelta(minutes=1))
    move_to_bob(services)
    services.system.pass_time(timedelta(minutes=9))
    deliver(MAIL, "q-1", services)

    assert row(services).status is DeliveryStatus.UNKNOWN
    assert len(services.transport.sent) == 1


def test_a_mail_that_can_no_longer_be_searched_ends_at_once(services: FakeServices) -> None:
    lose_response(services, accepted=True)
    move_to_bob(services)
    redeliver(services)

    assert row(services).status is DeliveryStatus.UNKNOWN


def test_a_mail_that_can_no_longer_be_searched_is_resent_if_so_configured(
    services: FakeServices,
) -> None:
    services.configure(on_unknown_outcome="resend")
    lose_response(services, accepted=False)
    move_to_bob(services)
    deliver_until_final(services)

    assert row(services).status is DeliveryStatus.ACCEPTED


def test_a_mail_that_stays_in_drafts_for_long_is_never_sent_again(services: FakeServices) -> None:
    lose_response(services, accepted=True)
    (copy,) = services.transport.mails.values()
    copy.is_draft = True
    for _ in range(8):
        redeliver(services)
    assert row(services).status is DeliveryStatus.VERIFYING
    assert services.system.now() > NOON + RECONCILE_WINDOW

    copy.is_draft = False
    deliver_until_final(services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert len(services.transport.sent) == 1


class Killed(BaseException):
    """The worker process was killed."""
