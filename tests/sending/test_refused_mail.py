"""Mails that Graph refused and may have sent are looked up first.

Through the real adapter, against the local Microsoft 365.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.adapters.graph import GraphMailTransport
from shared.api.delivery_models import delivery_view
from shared.deliveries.status import DeliveryStatus
from shared.errors import NothingSentError, TransientError
from shared.sending.backoff_and_deadline import MAX_RETRY_AGE
from shared.sending.deliver import deliver
from shared.sending.maintenance import release_all
from shared.sending.reconcile import FIRST_CHECK, RECONCILE_WINDOW
from shared.settings.tenant import Account, RequestedSender
from tests.builders import (
    a_consent,
    a_file,
    a_message,
    enabled_services,
    large_file_services,
    list_senders,
    some_settings,
)
from tests.exchange_online import ExchangeOnline
from tests.fakes import CONTOSO, NOON, FakeServices
from tests.local_stack.microsoft365 import FAULT_EFFECTS, Effect
from tests.local_stack.microsoft365.contoso import ADA
from tests.local_stack.microsoft365.contoso import CONTOSO as MICROSOFT_CONTOSO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.deliveries.delivery import Delivery

PDF = b"%PDF-1.7 small"
LARGE = os.urandom(3_300_000)
MEDIUM = os.urandom(2_900_000)
ROUTES: dict[str, list[str]] = {"small": [], "draft": ["medium", "medium2"], "upload": ["small", "large"]}
OPERATION = {"small": "sendMail", "draft": "send", "upload": "send"}
REFUSALS = sorted(
    name
    for name in FAULT_EFFECTS
    if name.endswith("but accepted") and FAULT_EFFECTS[name].status in {429, 503}
)
REFUSED = Effect(503, "ErrorServerBusy")


@dataclass
class Stand:
    """A sending tenant with Microsoft 365 behind the real adapter.

    Their clocks move together.
    """

    services: FakeServices
    exchange: ExchangeOnline
    scopes: tuple[str, ...] = ("Mail.Send", "Mail.ReadWrite")

    def send(self, route: str = "small", **changes: Any) -> None:
        files = [a_file(name) for name in ROUTES[route]]
        mail = a_message(messageId="m-1", attachments=files, **changes)
        deliver(mail, "q-1", self.services)

    def again(self) -> timedelta:
        """Let the wait pass and have the mail tried again."""
        message, delay = self.services.outbox.messages.pop()
        self.pass_time(delay)
        deliver(message, "q-again", self.services)
        return delay

    def pass_time(self, by: timedelta) -> None:
        self.services.system.pass_time(by)
        self.exchange.system.clock.advance(by)

    def age(self, by: timedelta) -> None:
        """Move the start of the attempts back, to shorten a test of a day."""
        aged = replace(self.row, trying_since=self.row.trying_since - by)
        assert self.services.deliveries.save(aged)

    def to_the_end(self, most: int = 40) -> None:
        for _ in range(most):
            if self.row.status.final:
                return
            self.again()
        raise AssertionError(self.row.status)

    def asked(self, operation: str) -> int:
        return self.exchange.asked.count(operation)

    def fault(self, operation: str, effect: Effect | str, times: int = 1) -> None:
        self.exchange.system.faults.add(operation, effect, times=times)

    @property
    def row(self) -> Delivery:
        found = self.services.deliveries.find(CONTOSO, "m-1")
        assert found is not None
        return found

    @property
    def sent(self) -> int:
        return len(self.exchange.system.mails())

    @property
    def unsent_drafts(self) -> int:
        return sum(draft.arrives is None for draft in self.exchange.system.drafts(ADA))


def _connect(services: FakeServices, exchange: ExchangeOnline, transport: GraphMailTransport) -> None:
    services.transport = transport  # type: ignore[assignment]
    services.configure(allowed_tenant_ids=frozenset({CONTOSO}))
    services.files.blobs = {
        f"{CONTOSO}/small": PDF,
        f"{CONTOSO}/medium": MEDIUM,
        f"{CONTOSO}/medium2": MEDIUM,
        f"{CONTOSO}/large": LARGE,
    }


def _token(services: FakeServices, exchange: ExchangeOnline, *scopes: str) -> None:
    services.tokens.get = lambda *_, **__: exchange.token(*scopes)  # type: ignore[method-assign]


@pytest.fixture(params=["delegated", "application"])
def stand(request: pytest.FixtureRequest, exchange: ExchangeOnline) -> Iterator[Stand]:
    """Provide sending with Mail.ReadWrite, delegated and application."""
    services = large_file_services()
    with closing(GraphMailTransport(exchange.graph)) as transport:
        _connect(services, exchange, transport)
        _token(services, exchange)
        if request.param == "application":
            _send_as_the_app(services, exchange)
        yield Stand(services, exchange)


def _send_as_the_app(services: FakeServices, exchange: ExchangeOnline) -> None:
    list_senders(services, ADA)
    known = services.settings.load(CONTOSO)
    scopes = frozenset({"Mail.Send", "Mail.ReadWrite"})
    consent = a_consent(account=None, secret_name=None, scopes=scopes)
    services.settings.save(replace(known, consent=consent))
    issue = exchange.system.app_only_token
    roles = ("Mail.Send", "Mail.ReadWrite")
    services.tokens.get = lambda *_, **__: issue(MICROSOFT_CONTOSO, *roles)  # type: ignore[method-assign]


@pytest.fixture
def ada(exchange: ExchangeOnline) -> Iterator[Stand]:
    """Sending with Mail.ReadWrite by Ada's permission."""
    services = large_file_services()
    with closing(GraphMailTransport(exchange.graph)) as transport:
        _connect(services, exchange, transport)
        _token(services, exchange)
        yield Stand(services, exchange)


@pytest.fixture
def blind(exchange: ExchangeOnline) -> Iterator[Stand]:
    """Sending without Mail.ReadWrite."""
    services = enabled_services()
    with closing(GraphMailTransport(exchange.graph)) as transport:
        _connect(services, exchange, transport)
        _token(services, exchange, "Mail.Send")
        yield Stand(services, exchange)


@pytest.mark.parametrize("lag", [0.0, 120.0])
@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("route", ROUTES)
def test_a_refused_mail_that_was_sent_is_not_sent_again(
    stand: Stand, route: str, refusal: str, lag: float
) -> None:
    stand.exchange.system.behaviour.sent_items_lag = lag
    stand.fault(OPERATION[route], refusal)
    stand.send(route)
    assert (stand.row.status, stand.sent) == (DeliveryStatus.DEFERRED, 1)

    stand.to_the_end()

    assert (stand.row.status, stand.sent) == (DeliveryStatus.ACCEPTED, 1)
    assert stand.row.uncertain_send is None
    assert not any(step.maybe_sent for step in stand.row.history)
    assert not stand.row.warnings


def test_the_refusals_that_are_tried_are_there() -> None:
    assert len(REFUSALS) == 5


@pytest.mark.parametrize(
    "effect",
    [
        Effect(408, "UnknownError", accepted=True),
        Effect(409, "Conflict", accepted=True),
        Effect(412, "ErrorIrresolvableConflict", accepted=True),
        Effect(423, body="html", accepted=True),
        Effect(509, body="empty", accepted=True),
        Effect(503, "ErrorMailboxStoreUnavailable", accepted=True),
        Effect(400, "ErrorConnectionFailed", accepted=True),
        Effect(400, "ErrorSomethingNew", accepted=True),
        Effect(418, body="html", accepted=True),
    ],
)
@pytest.mark.parametrize("route", ["small", "draft"])
def test_any_refusal_that_proves_nothing_is_followed_by_a_look(
    ada: Stand, route: str, effect: Effect
) -> None:
    ada.fault(OPERATION[route], effect)
    ada.send(route)
    ada.to_the_end()

    assert (ada.row.status, ada.sent) == (DeliveryStatus.ACCEPTED, 1)


@pytest.mark.parametrize("code", ["ErrorItemNotFound", "UnknownError"])
def test_a_404_of_a_draft_on_its_way_does_not_mean_that_it_is_gone(ada: Stand, code: str) -> None:
    ada.exchange.system.behaviour.sent_items_lag = 120
    ada.exchange.system.behaviour.replica_lag = 0
    ada.fault("send", Effect(404, code, accepted=True))
    ada.send("draft")
    assert ada.row.problem.code == "draft_lost"  # type: ignore[union-attr]
    ada.to_the_end()

    assert (ada.row.status, ada.sent) == (DeliveryStatus.ACCEPTED, 1)
    assert ada.asked("createDraft") == 1


@pytest.mark.parametrize("route", ["draft", "upload"])
def test_replica_lag_delays_a_draft_and_creates_no_second_one(ada: Stand, route: str) -> None:
    ada.exchange.system.behaviour.replica_lag = 3
    ada.send(route)
    ada.to_the_end()

    assert (ada.row.status, ada.sent) == (DeliveryStatus.ACCEPTED, 1)
    assert ada.asked("createDraft") == 1
    assert ada.asked("createUploadSession") <= 2
    assert ada.unsent_drafts == 0


@pytest.mark.parametrize("folder", ["drafts", "outbox"])
@pytest.mark.parametrize("route", ["small", "draft"])
def test_after_504_the_mail_is_searched_in_drafts_and_the_outbox_too(
    ada: Stand, route: str, folder: Any
) -> None:
    ada.exchange.system.behaviour.sent_items_lag = 120
    ada.exchange.system.behaviour.transit_folder = folder
    ada.fault(OPERATION[route], "timeout but accepted")
    ada.send(route)
    ada.to_the_end()

    assert (ada.row.status, ada.sent) == (DeliveryStatus.ACCEPTED, 1)


def test_an_unknown_end_names_the_three_places_of_the_copy(blind: Stand) -> None:
    blind.fault("sendMail", "timeout but accepted")
    blind.send()

    problem = blind.row.problem
    assert problem is not None
    assert blind.row.status is DeliveryStatus.UNKNOWN
    assert all(place in problem.problem.detail for place in ("Sent Items", "Drafts", "Outbox"))


@pytest.mark.parametrize("folder", ["drafts", "outbox"])
def test_a_mail_found_in_drafts_or_the_outbox_is_searched_again(ada: Stand, folder: Any) -> None:
    ada.exchange.system.behaviour.sent_items_lag = 3600
    ada.exchange.system.behaviour.transit_folder = folder
    ada.fault("sendMail", "busy page but accepted")
    ada.send()
    ada.again()
    assert ada.row.status is DeliveryStatus.VERIFYING
    assert ada.row.problem.code == "outcome_unknown"  # type: ignore[union-attr]

    ada.to_the_end()

    assert (ada.row.status, ada.sent) == (DeliveryStatus.ACCEPTED, 1)


@pytest.mark.parametrize("fault", ["busy but accepted", "timeout but accepted"])
def test_a_copy_that_left_drafts_and_appears_late_is_awaited(ada: Stand, fault: str) -> None:
    ada.exchange.system.behaviour.sent_items_lag = 3600
    ada.fault("sendMail", fault)
    ada.send()
    for _ in range(8):
        ada.again()
    look = ada.services.transport.find
    ada.services.transport.find = lambda *_: ()  # type: ignore[method-assign]
    ada.again()
    assert ada.row.status is DeliveryStatus.VERIFYING
    ada.services.transport.find = look  # type: ignore[method-assign]

    ada.to_the_end()

    assert (ada.row.status, ada.sent) == (DeliveryStatus.ACCEPTED, 1)


def test_a_mail_seen_in_drafts_and_removed_there_is_not_sent_again(ada: Stand) -> None:
    ada.exchange.system.behaviour.sent_items_lag = 2 * MAX_RETRY_AGE.total_seconds()
    ada.fault("sendMail", "busy but accepted")
    ada.send()
    ada.again()
    ada.services.transport.find = lambda *_: ()  # type: ignore[method-assign]
    ada.to_the_end()

    assert (ada.row.status, ada.asked("sendMail")) == (DeliveryStatus.UNKNOWN, 1)


@pytest.mark.parametrize(
    "answer",
    [Effect(403, "Forbidden"), Effect(400, "ErrorInvalidRequest")],
    ids=lambda effect: effect.code,
)
def test_a_refused_search_neither_ends_a_refused_mail_nor_prevents_sending(
    ada: Stand, answer: Effect
) -> None:
    ada.fault("sendMail", REFUSED)
    ada.fault("lookup", answer, times=0)
    ada.send()
    ada.to_the_end()

    assert (ada.row.status, ada.sent) == (DeliveryStatus.ACCEPTED, 1)
    assert ada.services.system.now() < NOON + timedelta(hours=1)
    assert any(step.maybe_sent for step in ada.row.history)


@pytest.mark.parametrize("code", ["ErrorInvalidIdMalformed", "ErrorInvalidMailboxItemId"])
def test_a_draft_whose_id_the_mailbox_does_not_accept_is_recreated(ada: Stand, code: str) -> None:
    ada.fault("send", Effect(400, code))
    ada.send("draft")
    ada.to_the_end()

    assert (ada.row.status, ada.sent, ada.unsent_drafts) == (DeliveryStatus.ACCEPTED, 1, 0)
    assert ada.services.system.now() < NOON + timedelta(hours=1)


@pytest.mark.parametrize(("route", "calls"), [("small", 1), ("draft", 4), ("upload", 6)])
def test_a_mail_without_a_refusal_is_not_searched(ada: Stand, route: str, calls: int) -> None:
    ada.send(route)

    assert ada.asked("lookup") == (0 if route == "small" else 1)
    assert len(ada.exchange.asked) == calls + (route != "small")


@pytest.mark.parametrize("route", ROUTES)
def test_each_refusal_costs_one_search_and_no_other_call(ada: Stand, route: str) -> None:
    ada.fault(OPERATION[route], "throttled", times=20)
    ada.send(route)
    first = len(ada.exchange.asked)
    for _ in range(20):
        ada.again()

    assert (ada.row.status, ada.sent) == (DeliveryStatus.ACCEPTED, 1)
    assert len(ada.exchange.asked) - first == 2 * 20
    assert ada.asked(OPERATION[route]) == 21


@pytest.mark.parametrize(("route", "least"), [("small", FIRST_CHECK), ("upload", RECONCILE_WINDOW)])
def test_the_search_is_made_as_soon_as_it_is_conclusive(ada: Stand, route: str, least: timedelta) -> None:
    ada.fault(OPERATION[route], "throttled")
    ada.send(route)

    assert ada.row.next_attempt_at == NOON + least


def test_the_search_waits_for_retry_after_of_graph(ada: Stand) -> None:
    ada.fault("sendMail", replace(FAULT_EFFECTS["throttled but accepted"], retry_after="600"))
    ada.send()
    message, _ = ada.services.outbox.messages.pop()
    ada.pass_time(timedelta(seconds=590))
    assert ada.row.next_attempt_at == NOON + timedelta(seconds=600)
    ada.services.deliveries.save(replace(ada.row, next_attempt_at=NOON))
    deliver(message, "q-early", ada.services)
    assert (ada.asked("lookup"), ada.row.problem.code) == (0, "mailbox_paused")  # type: ignore[union-attr]

    ada.again()

    assert (ada.asked("lookup"), ada.row.status, ada.sent) == (1, DeliveryStatus.ACCEPTED, 1)


def test_a_refused_search_is_repeated_before_the_mail_is_resent(ada: Stand) -> None:
    ada.fault("sendMail", "busy but accepted")
    ada.fault("lookup", REFUSED, times=3)
    ada.send()
    ada.to_the_end()

    assert (ada.row.status, ada.sent) == (DeliveryStatus.ACCEPTED, 1)


@pytest.mark.parametrize(
    "effect",
    [
        Effect(403, "ErrorAccessDenied"),
        Effect(404, "ErrorItemNotFound"),
        Effect(400, "ErrorInvalidRecipients"),
        Effect(connection="refused"),
    ],
)
def test_a_refusal_before_anything_was_submitted_needs_no_look(ada: Stand, effect: Effect) -> None:
    if effect.connection == "refused":
        ada.services.transport = _Unreachable(ada.services.transport)  # type: ignore[assignment]
    else:
        ada.fault("sendMail", effect)
    ada.send()
    assert ada.row.status is DeliveryStatus.DEFERRED
    ada.to_the_end()

    assert (ada.row.status, ada.sent, ada.asked("lookup")) == (DeliveryStatus.ACCEPTED, 1, 0)


class _Unreachable:
    """Graph whose first connection fails."""

    def __init__(self, inner: Any) -> None:
        self._inner, self._failed = inner, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def send_mail(self, *args: Any) -> str:
        if not self._failed:
            self._failed = True
            raise NothingSentError("graph_unavailable")
        sent: str = self._inner.send_mail(*args)
        return sent


def test_a_404_of_the_mailbox_on_send_mail_is_no_lost_draft(ada: Stand) -> None:
    ada.fault("sendMail", Effect(404, "ErrorItemNotFound"))
    ada.send()
    assert ada.row.problem.code == "mailbox_not_found"  # type: ignore[union-attr]
    ada.to_the_end()

    assert (ada.row.status, ada.sent) == (DeliveryStatus.ACCEPTED, 1)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_without_search_permission_the_mail_is_resent_with_a_warning(blind: Stand, refusal: str) -> None:
    blind.fault("sendMail", refusal)
    blind.send()
    assert blind.row.status is DeliveryStatus.DEFERRED
    blind.to_the_end()

    assert (blind.row.status, blind.sent) == (DeliveryStatus.ACCEPTED, 2)
    shown = delivery_view(blind.row).model_dump(mode="json", by_alias=True)["history"]
    told = [(step["status"], step["maybeAccepted"]) for step in shown if step["code"] != "mailbox_paused"]
    assert told[:2] == [("sending", False), ("deferred", True)]
    assert told[-1] == ("accepted", False)
    assert sum(step["maybeAccepted"] for step in shown) == 1
    assert [warning.code for warning in blind.row.warnings] == ["maybe_accepted"]


def test_an_outage_without_search_permission_ends_no_mail_as_unknown(blind: Stand) -> None:
    blind.fault("sendMail", REFUSED, times=0)
    blind.send()
    blind.age(timedelta(hours=20))
    blind.to_the_end(80)

    assert blind.row.status is DeliveryStatus.EXPIRED


def test_a_mail_without_a_copy_cannot_be_searched(ada: Stand) -> None:
    ada.fault("sendMail", "busy but accepted")
    ada.send(saveToSentItems=False)
    ada.to_the_end()

    assert (ada.row.status, ada.sent) == (DeliveryStatus.ACCEPTED, 2)
    assert [step.maybe_sent for step in ada.row.history] == [False, True, False, False]


def test_a_draft_leaves_a_copy_even_if_the_mail_requests_none(ada: Stand) -> None:
    ada.fault("send", "busy but accepted")
    ada.send("draft", saveToSentItems=False)
    ada.to_the_end()

    assert (ada.row.status, ada.sent) == (DeliveryStatus.ACCEPTED, 1)


def test_a_draft_without_a_copy_with_a_lost_response_is_searched_too(ada: Stand) -> None:
    ada.fault("send", "timeout but accepted")
    ada.send("draft", saveToSentItems=False)
    assert ada.row.status is DeliveryStatus.VERIFYING
    ada.to_the_end()

    assert (ada.row.status, ada.sent) == (DeliveryStatus.ACCEPTED, 1)


def test_a_mailbox_without_room_for_the_mail_key_cannot_be_searched(ada: Stand) -> None:
    ada.exchange.system.directory.change_user(ADA, room_for_named_properties=False)
    ada.exchange.system.faults.add("sendMail", "busy but accepted", nth=2)
    ada.send()
    ada.to_the_end()

    assert (ada.row.status, ada.sent) == (DeliveryStatus.ACCEPTED, 2)
    assert any(step.maybe_sent for step in ada.row.history)


@pytest.mark.parametrize("lag", [0.0, 120.0])
@pytest.mark.parametrize("effect", ["busy but accepted", Effect(404, "ErrorItemNotFound", accepted=True)])
def test_a_draft_without_a_mail_key_is_searched_by_its_id(
    ada: Stand, effect: Effect | str, lag: float
) -> None:
    ada.exchange.system.directory.change_user(ADA, room_for_named_properties=False)
    ada.exchange.system.behaviour.sent_items_lag = lag
    ada.fault("send", effect)
    ada.send("draft")
    ada.to_the_end()

    assert (ada.row.status, ada.sent) == (DeliveryStatus.ACCEPTED, 1)


def test_a_draft_without_a_mail_key_that_is_gone_is_recreated(ada: Stand) -> None:
    ada.exchange.system.directory.change_user(ADA, room_for_named_properties=False)
    ada.fault("send", REFUSED)
    ada.send("draft")
    ada.exchange.system.mailboxes.forget()
    ada.to_the_end()

    assert (ada.row.status, ada.sent, ada.asked("createDraft")) == (DeliveryStatus.ACCEPTED, 1, 3)


def test_a_failed_search_for_a_draft_without_a_mail_key_is_repeated(ada: Stand) -> None:
    ada.exchange.system.directory.change_user(ADA, room_for_named_properties=False)
    ada.fault("send", "busy but accepted")
    ada.fault("getMessage", REFUSED, times=2)
    ada.send("draft")
    ada.to_the_end()

    assert (ada.row.status, ada.sent) == (DeliveryStatus.ACCEPTED, 1)


def test_a_mail_refused_shortly_before_its_deadline_is_searched(ada: Stand) -> None:
    ada.fault("sendMail", "busy but accepted")
    ada.send(expiresAt="2026-11-23T12:00:05Z")
    assert ada.row.status is DeliveryStatus.VERIFYING
    ada.to_the_end()

    assert (ada.row.status, ada.sent) == (DeliveryStatus.ACCEPTED, 1)


@pytest.mark.parametrize("route", ROUTES)
def test_a_mail_refused_at_its_last_moment_expires_after_a_look(ada: Stand, route: str) -> None:
    ada.fault(OPERATION[route], REFUSED)
    ada.send(route, expiresAt="2026-11-23T12:00:05Z")
    ada.to_the_end()

    assert (ada.row.status, ada.sent) == (DeliveryStatus.EXPIRED, 0)
    assert ada.unsent_drafts == 0


@pytest.mark.parametrize("route", ["small", "draft"])
def test_a_mail_refused_for_a_day_expires_after_an_empty_search(ada: Stand, route: str) -> None:
    ada.fault(OPERATION[route], REFUSED, times=0)
    ada.send(route)
    ada.age(timedelta(hours=20))
    ada.to_the_end(80)

    assert (ada.row.status, ada.sent) == (DeliveryStatus.EXPIRED, 0)
    assert ada.services.system.now() < NOON + timedelta(hours=4, minutes=10)


def test_a_mail_that_could_not_be_searched_is_never_reported_as_unsent(ada: Stand) -> None:
    ada.fault("sendMail", "busy but accepted")
    ada.fault("lookup", REFUSED, times=0)
    ada.send()
    ada.age(timedelta(hours=44))
    ada.to_the_end(80)

    assert ada.row.status is DeliveryStatus.UNKNOWN


@pytest.mark.parametrize("code", ["ErrorAccessDenied", "ErrorInvalidUser"])
def test_a_refused_mail_is_searched_until_the_mailbox_is_readable_again(ada: Stand, code: str) -> None:
    ada.fault("sendMail", "busy but accepted")
    ada.fault("lookup", Effect(403, code), times=20)
    ada.send()
    ada.to_the_end()

    assert (ada.row.status, ada.sent) == (DeliveryStatus.ACCEPTED, 1)
    assert ada.services.system.now() > NOON + timedelta(hours=1)


def test_a_mail_seen_in_drafts_is_searched_while_the_mailbox_is_unreadable(ada: Stand) -> None:
    ada.exchange.system.behaviour.sent_items_lag = 3600
    ada.fault("sendMail", "busy but accepted")
    ada.send()
    ada.again()
    ada.fault("lookup", "access denied", times=12)
    ada.to_the_end()

    assert (ada.row.status, ada.sent) == (DeliveryStatus.ACCEPTED, 1)


def test_only_the_retry_limit_ends_the_search_in_an_unreadable_mailbox(ada: Stand) -> None:
    ada.fault("sendMail", "busy but accepted")
    ada.fault("lookup", "access denied", times=0)
    ada.send()
    ada.age(timedelta(hours=44))
    ada.to_the_end(80)

    assert (ada.row.status, ada.sent) == (DeliveryStatus.UNKNOWN, 1)
    assert ada.services.system.now() > NOON + timedelta(hours=3, minutes=50)


def test_a_new_consent_for_the_same_mailbox_does_not_end_the_look(ada: Stand) -> None:
    ada.fault("sendMail", "busy but accepted")
    ada.send()
    known = ada.services.settings.load(CONTOSO)
    scopes = frozenset({"Mail.Send", "Mail.ReadWrite"})
    ada.services.settings.save(replace(known, consent=a_consent(version=2, scopes=scopes)))
    ada.to_the_end()

    assert (ada.row.status, ada.sent) == (DeliveryStatus.ACCEPTED, 1)


def test_another_mailbox_is_not_searched(ada: Stand) -> None:
    ada.fault("sendMail", "busy but accepted")
    ada.send()
    known = ada.services.settings.load(CONTOSO)
    bob = Account("bob-object-id", CONTOSO, "bob@contoso.com")
    consent = a_consent(version=2, account=bob, scopes=frozenset({"Mail.Send", "Mail.ReadWrite"}))
    moved = some_settings(
        consent=consent,
        sender=RequestedSender("bob@contoso.com", large_file_attachments=True),
        etag=known.etag,
    )
    ada.services.settings.save(moved)
    ada.to_the_end()

    assert ada.row.status is DeliveryStatus.ACCEPTED
    assert ada.asked("lookup") == 0
    assert [step.maybe_sent for step in ada.row.history] == [False, True, False, False]
    assert [warning.code for warning in ada.row.warnings] == ["maybe_accepted"]


def test_a_mail_with_an_unrecorded_refusal_is_searched_too(ada: Stand) -> None:
    ada.fault("sendMail", "busy but accepted")
    save = ada.services.deliveries.save
    failing = [True] * 6

    def fails(delivery: Delivery) -> Delivery | None:
        if delivery.status is not DeliveryStatus.SENDING and failing:
            failing.pop()
            raise TransientError("storage_unavailable", service="tables")
        return save(delivery)

    ada.services.deliveries.save = fails  # type: ignore[method-assign]
    ada.send()
    failing.clear()
    ada.to_the_end()

    assert (ada.row.status, ada.sent) == (DeliveryStatus.ACCEPTED, 1)


def test_the_timer_removes_no_draft_of_a_mail_in_verification(ada: Stand) -> None:
    ada.fault("send", "busy but accepted")
    ada.exchange.system.behaviour.sent_items_lag = 200
    ada.send("draft")
    release_all(ada.services)
    ada.to_the_end()

    assert (ada.row.status, ada.sent) == (DeliveryStatus.ACCEPTED, 1)
