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
class MailSystem:
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

    def redeliver(self) -> timedelta:
        """Let the delay pass and deliver the mail again."""
        message, delay = self.services.outbox.messages.pop()
        self.pass_time(delay)
        deliver(message, "q-again", self.services)
        return delay

    def pass_time(self, by: timedelta) -> None:
        self.services.system.pass_time(by)
        self.exchange.system.clock.advance(by)

    def backdate(self, by: timedelta) -> None:
        """Move the start of the attempts back, to shorten a test of a day."""
        aged = replace(self.row, trying_since=self.row.trying_since - by)
        assert self.services.deliveries.save(aged)

    def deliver_until_final(self, most: int = 40) -> None:
        for _ in range(most):
            if self.row.status.final:
                return
            self.redeliver()
        raise AssertionError(self.row.status)

    def count_requests(self, operation: str) -> int:
        return self.exchange.operations.count(operation)

    def add_fault(self, operation: str, effect: Effect | str, times: int = 1) -> None:
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
def mail_system(request: pytest.FixtureRequest, exchange: ExchangeOnline) -> Iterator[MailSystem]:
    """Provide sending with Mail.ReadWrite, delegated and application."""
    services = large_file_services()
    with closing(GraphMailTransport(exchange.graph)) as transport:
        _connect(services, exchange, transport)
        _token(services, exchange)
        if request.param == "application":
            _send_as_the_app(services, exchange)
        yield MailSystem(services, exchange)


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
def delegated(exchange: ExchangeOnline) -> Iterator[MailSystem]:
    """Sending with Mail.ReadWrite by Ada's permission."""
    services = large_file_services()
    with closing(GraphMailTransport(exchange.graph)) as transport:
        _connect(services, exchange, transport)
        _token(services, exchange)
        yield MailSystem(services, exchange)


@pytest.fixture
def system_without_read(exchange: ExchangeOnline) -> Iterator[MailSystem]:
    """Sending without Mail.ReadWrite."""
    services = enabled_services()
    with closing(GraphMailTransport(exchange.graph)) as transport:
        _connect(services, exchange, transport)
        _token(services, exchange, "Mail.Send")
        yield MailSystem(services, exchange)


@pytest.mark.parametrize("lag", [0.0, 120.0])
@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("route", ROUTES)
def test_a_refused_mail_that_was_sent_is_not_sent_again(
    mail_system: MailSystem, route: str, refusal: str, lag: float
) -> None:
    mail_system.exchange.system.behaviour.sent_items_lag = lag
    mail_system.add_fault(OPERATION[route], refusal)
    mail_system.send(route)
    assert (mail_system.row.status, mail_system.sent) == (DeliveryStatus.DEFERRED, 1)

    mail_system.deliver_until_final()

    assert (mail_system.row.status, mail_system.sent) == (DeliveryStatus.ACCEPTED, 1)
    assert mail_system.row.uncertain_send is None
    assert not any(step.maybe_sent for step in mail_system.row.history)
    assert not mail_system.row.warnings


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
    delegated: MailSystem, route: str, effect: Effect
) -> None:
    delegated.add_fault(OPERATION[route], effect)
    delegated.send(route)
    delegated.deliver_until_final()

    assert (delegated.row.status, delegated.sent) == (DeliveryStatus.ACCEPTED, 1)


@pytest.mark.parametrize("code", ["ErrorItemNotFound", "UnknownError"])
def test_a_404_of_a_draft_on_its_way_does_not_mean_that_it_is_gone(delegated: MailSystem, code: str) -> None:
    delegated.exchange.system.behaviour.sent_items_lag = 120
    delegated.exchange.system.behaviour.replica_lag = 0
    delegated.add_fault("send", Effect(404, code, accepted=True))
    delegated.send("draft")
    assert delegated.row.problem.code == "draft_lost"  # type: ignore[union-attr]
    delegated.deliver_until_final()

    assert (delegated.row.status, delegated.sent) == (DeliveryStatus.ACCEPTED, 1)
    assert delegated.count_requests("createDraft") == 1


@pytest.mark.parametrize("route", ["draft", "upload"])
def test_replica_lag_delays_a_draft_and_creates_no_second_one(delegated: MailSystem, route: str) -> None:
    delegated.exchange.system.behaviour.replica_lag = 3
    delegated.send(route)
    delegated.deliver_until_final()

    assert (delegated.row.status, delegated.sent) == (DeliveryStatus.ACCEPTED, 1)
    assert delegated.count_requests("createDraft") == 1
    assert delegated.count_requests("createUploadSession") <= 2
    assert delegated.unsent_drafts == 0


@pytest.mark.parametrize("folder", ["drafts", "outbox"])
@pytest.mark.parametrize("route", ["small", "draft"])
def test_after_504_the_mail_is_searched_in_drafts_and_the_outbox_too(
    delegated: MailSystem, route: str, folder: Any
) -> None:
    delegated.exchange.system.behaviour.sent_items_lag = 120
    delegated.exchange.system.behaviour.transit_folder = folder
    delegated.add_fault(OPERATION[route], "timeout but accepted")
    delegated.send(route)
    delegated.deliver_until_final()

    assert (delegated.row.status, delegated.sent) == (DeliveryStatus.ACCEPTED, 1)


def test_an_unknown_end_names_the_three_places_of_the_copy(system_without_read: MailSystem) -> None:
    system_without_read.add_fault("sendMail", "timeout but accepted")
    system_without_read.send()

    problem = system_without_read.row.problem
    assert problem is not None
    assert system_without_read.row.status is DeliveryStatus.UNKNOWN
    assert all(place in problem.problem.detail for place in ("Sent Items", "Drafts", "Outbox"))


@pytest.mark.parametrize("folder", ["drafts", "outbox"])
def test_a_mail_found_in_drafts_or_the_outbox_is_searched_again(delegated: MailSystem, folder: Any) -> None:
    delegated.exchange.system.behaviour.sent_items_lag = 3600
    delegated.exchange.system.behaviour.transit_folder = folder
    delegated.add_fault("sendMail", "busy page but accepted")
    delegated.send()
    delegated.redeliver()
    assert delegated.row.status is DeliveryStatus.VERIFYING
    assert delegated.row.problem.code == "outcome_unknown"  # type: ignore[union-attr]

    delegated.deliver_until_final()

    assert (delegated.row.status, delegated.sent) == (DeliveryStatus.ACCEPTED, 1)


@pytest.mark.parametrize("fault", ["busy but accepted", "timeout but accepted"])
def test_a_copy_that_left_drafts_and_appears_late_is_awaited(delegated: MailSystem, fault: str) -> None:
    delegated.exchange.system.behaviour.sent_items_lag = 3600
    delegated.add_fault("sendMail", fault)
    delegated.send()
    for _ in range(8):
        delegated.redeliver()
    look = delegated.services.transport.find
    delegated.services.transport.find = lambda *_: ()  # type: ignore[method-assign]
    delegated.redeliver()
    assert delegated.row.status is DeliveryStatus.VERIFYING
    delegated.services.transport.find = look  # type: ignore[method-assign]

    delegated.deliver_until_final()

    assert (delegated.row.status, delegated.sent) == (DeliveryStatus.ACCEPTED, 1)


def test_a_mail_seen_in_drafts_and_removed_there_is_not_sent_again(delegated: MailSystem) -> None:
    delegated.exchange.system.behaviour.sent_items_lag = 2 * MAX_RETRY_AGE.total_seconds()
    delegated.add_fault("sendMail", "busy but accepted")
    delegated.send()
    delegated.redeliver()
    delegated.services.transport.find = lambda *_: ()  # type: ignore[method-assign]
    delegated.deliver_until_final()

    assert (delegated.row.status, delegated.count_requests("sendMail")) == (
        DeliveryStatus.UNKNOWN,
        1,
    )


@pytest.mark.parametrize(
    "response",
    [Effect(403, "Forbidden"), Effect(400, "ErrorInvalidRequest")],
    ids=lambda effect: effect.code,
)
def test_a_refused_search_neither_ends_a_refused_mail_nor_prevents_sending(
    delegated: MailSystem, response: Effect
) -> None:
    delegated.add_fault("sendMail", REFUSED)
    delegated.add_fault("lookup", response, times=0)
    delegated.send()
    delegated.deliver_until_final()

    assert (delegated.row.status, delegated.sent) == (DeliveryStatus.ACCEPTED, 1)
    assert delegated.services.system.now() < NOON + timedelta(hours=1)
    assert any(step.maybe_sent for step in delegated.row.history)


@pytest.mark.parametrize("code", ["ErrorInvalidIdMalformed", "ErrorInvalidMailboxItemId"])
def test_a_draft_whose_id_the_mailbox_does_not_accept_is_recreated(delegated: MailSystem, code: str) -> None:
    delegated.add_fault("send", Effect(400, code))
    delegated.send("draft")
    delegated.deliver_until_final()

    assert (delegated.row.status, delegated.sent, delegated.unsent_drafts) == (
        DeliveryStatus.ACCEPTED,
        1,
        0,
    )
    assert delegated.services.system.now() < NOON + timedelta(hours=1)


@pytest.mark.parametrize(("route", "calls"), [("small", 1), ("draft", 4), ("upload", 6)])
def test_a_mail_without_a_refusal_is_not_searched(delegated: MailSystem, route: str, calls: int) -> None:
    delegated.send(route)

    assert delegated.count_requests("lookup") == (0 if route == "small" else 1)
    assert len(delegated.exchange.operations) == calls + (route != "small")


@pytest.mark.parametrize("route", ROUTES)
def test_each_refusal_costs_one_search_and_no_other_call(delegated: MailSystem, route: str) -> None:
    delegated.add_fault(OPERATION[route], "throttled", times=20)
    delegated.send(route)
    first = len(delegated.exchange.operations)
    for _ in range(20):
        delegated.redeliver()

    assert (delegated.row.status, delegated.sent) == (DeliveryStatus.ACCEPTED, 1)
    assert len(delegated.exchange.operations) - first == 2 * 20
    assert delegated.count_requests(OPERATION[route]) == 21


@pytest.mark.parametrize(("route", "least"), [("small", FIRST_CHECK), ("upload", RECONCILE_WINDOW)])
def test_the_search_is_made_as_soon_as_it_is_conclusive(
    delegated: MailSystem, route: str, least: timedelta
) -> None:
    delegated.add_fault(OPERATION[route], "throttled")
    delegated.send(route)

    assert delegated.row.next_attempt_at == NOON + least


def test_the_search_waits_for_retry_after_of_graph(delegated: MailSystem) -> None:
    delegated.add_fault("sendMail", replace(FAULT_EFFECTS["throttled but accepted"], retry_after="600"))
    delegated.send()
    message, _ = delegated.services.outbox.messages.pop()
    delegated.pass_time(timedelta(seconds=590))
    assert delegated.row.next_attempt_at == NOON + timedelta(seconds=600)
    delegated.services.deliveries.save(replace(delegated.row, next_attempt_at=NOON))
    deliver(message, "q-early", delegated.services)
    assert delegated.row.problem is not None
    assert (delegated.count_requests("lookup"), delegated.row.problem.code) == (0, "mailbox_paused")

    delegated.redeliver()

    assert (
        delegated.count_requests("lookup"),
        delegated.row.status,
        delegated.sent,
    ) == (1, DeliveryStatus.ACCEPTED, 1)


def test_a_refused_search_is_repeated_before_the_mail_is_resent(delegated: MailSystem) -> None:
    delegated.add_fault("sendMail", "busy but accepted")
    delegated.add_fault("lookup", REFUSED, times=3)
    delegated.send()
    delegated.deliver_until_final()

    assert (delegated.row.status, delegated.sent) == (DeliveryStatus.ACCEPTED, 1)


@pytest.mark.parametrize(
    "effect",
    [
        Effect(403, "ErrorAccessDenied"),
        Effect(404, "ErrorItemNotFound"),
        Effect(400, "ErrorInvalidRecipients"),
        Effect(connection="refused"),
    ],
)
def test_a_refusal_before_anything_was_submitted_needs_no_look(delegated: MailSystem, effect: Effect) -> None:
    if effect.connection == "refused":
        delegated.services.transport = _Unreachable(delegated.services.transport)  # type: ignore[assignment]
    else:
        delegated.add_fault("sendMail", effect)
    delegated.send()
    assert delegated.row.status is DeliveryStatus.DEFERRED
    delegated.deliver_until_final()

    assert (
        delegated.row.status,
        delegated.sent,
        delegated.count_requests("lookup"),
    ) == (DeliveryStatus.ACCEPTED, 1, 0)


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


def test_a_404_of_the_mailbox_on_send_mail_is_no_lost_draft(delegated: MailSystem) -> None:
    delegated.add_fault("sendMail", Effect(404, "ErrorItemNotFound"))
    delegated.send()
    assert delegated.row.problem.code == "mailbox_not_found"  # type: ignore[union-attr]
    delegated.deliver_until_final()

    assert (delegated.row.status, delegated.sent) == (DeliveryStatus.ACCEPTED, 1)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_without_search_permission_the_mail_is_resent_with_a_warning(
    system_without_read: MailSystem, refusal: str
) -> None:
    system_without_read.add_fault("sendMail", refusal)
    system_without_read.send()
    assert system_without_read.row.status is DeliveryStatus.DEFERRED
    system_without_read.deliver_until_final()

    assert (system_without_read.row.status, system_without_read.sent) == (DeliveryStatus.ACCEPTED, 2)
    shown = delivery_view(system_without_read.row).model_dump(mode="json", by_alias=True)["history"]
    told = [(step["status"], step["maybeAccepted"]) for step in shown if step["code"] != "mailbox_paused"]
    assert told[:2] == [("sending", False), ("deferred", True)]
    assert told[-1] == ("accepted", False)
    assert sum(step["maybeAccepted"] for step in shown) == 1
    assert [warning.code for warning in system_without_read.row.warnings] == ["maybe_accepted"]


def test_an_outage_without_search_permission_ends_no_mail_as_unknown(system_without_read: MailSystem) -> None:
    system_without_read.add_fault("sendMail", REFUSED, times=0)
    system_without_read.send()
    system_without_read.backdate(timedelta(hours=20))
    system_without_read.deliver_until_final(80)

    assert system_without_read.row.status is DeliveryStatus.EXPIRED


def test_a_mail_without_a_copy_cannot_be_searched(delegated: MailSystem) -> None:
    delegated.add_fault("sendMail", "busy but accepted")
    delegated.send(saveToSentItems=False)
    delegated.deliver_until_final()

    assert (delegated.row.status, delegated.sent) == (DeliveryStatus.ACCEPTED, 2)
    assert [step.maybe_sent for step in delegated.row.history] == [False, True, False, False]


def test_a_draft_leaves_a_copy_even_if_the_mail_requests_none(delegated: MailSystem) -> None:
    delegated.add_fault("send", "busy but accepted")
    delegated.send("draft", saveToSentItems=False)
    delegated.deliver_until_final()

    assert (delegated.row.status, delegated.sent) == (DeliveryStatus.ACCEPTED, 1)


def test_a_draft_without_a_copy_with_a_lost_response_is_searched_too(delegated: MailSystem) -> None:
    delegated.add_fault("send", "timeout but accepted")
    delegated.send("draft", saveToSentItems=False)
    assert delegated.row.status is DeliveryStatus.VERIFYING
    delegated.deliver_until_final()

    assert (delegated.row.status, delegated.sent) == (DeliveryStatus.ACCEPTED, 1)


def test_a_mailbox_without_room_for_the_mail_key_cannot_be_searched(delegated: MailSystem) -> None:
    delegated.exchange.system.directory.change_user(ADA, room_for_named_properties=False)
    delegated.exchange.system.faults.add("sendMail", "busy but accepted", nth=2)
    delegated.send()
    delegated.deliver_until_final()

    assert (delegated.row.status, delegated.sent) == (DeliveryStatus.ACCEPTED, 2)
    assert any(step.maybe_sent for step in delegated.row.history)


@pytest.mark.parametrize("lag", [0.0, 120.0])
@pytest.mark.parametrize("effect", ["busy but accepted", Effect(404, "ErrorItemNotFound", accepted=True)])
def test_a_draft_without_a_mail_key_is_searched_by_its_id(
    delegated: MailSystem, effect: Effect | str, lag: float
) -> None:
    delegated.exchange.system.directory.change_user(ADA, room_for_named_properties=False)
    delegated.exchange.system.behaviour.sent_items_lag = lag
    delegated.add_fault("send", effect)
    delegated.send("draft")
    delegated.deliver_until_final()

    assert (delegated.row.status, delegated.sent) == (DeliveryStatus.ACCEPTED, 1)


def test_a_draft_without_a_mail_key_that_is_gone_is_recreated(delegated: MailSystem) -> None:
    delegated.exchange.system.directory.change_user(ADA, room_for_named_properties=False)
    delegated.add_fault("send", REFUSED)
    delegated.send("draft")
    delegated.exchange.system.mailboxes.clear()
    delegated.deliver_until_final()

    assert (
        delegated.row.status,
        delegated.sent,
        delegated.count_requests("createDraft"),
    ) == (DeliveryStatus.ACCEPTED, 1, 3)


def test_a_failed_search_for_a_draft_without_a_mail_key_is_repeated(delegated: MailSystem) -> None:
    delegated.exchange.system.directory.change_user(ADA, room_for_named_properties=False)
    delegated.add_fault("send", "busy but accepted")
    delegated.add_fault("getMessage", REFUSED, times=2)
    delegated.send("draft")
    delegated.deliver_until_final()

    assert (delegated.row.status, delegated.sent) == (DeliveryStatus.ACCEPTED, 1)


def test_a_mail_refused_shortly_before_its_deadline_is_searched(delegated: MailSystem) -> None:
    delegated.add_fault("sendMail", "busy but accepted")
    delegated.send(expiresAt="2026-11-23T12:00:05Z")
    assert delegated.row.status is DeliveryStatus.VERIFYING
    delegated.deliver_until_final()

    assert (delegated.row.status, delegated.sent) == (DeliveryStatus.ACCEPTED, 1)


@pytest.mark.parametrize("route", ROUTES)
def test_a_mail_refused_at_its_last_moment_expires_after_a_look(delegated: MailSystem, route: str) -> None:
    delegated.add_fault(OPERATION[route], REFUSED)
    delegated.send(route, expiresAt="2026-11-23T12:00:05Z")
    delegated.deliver_until_final()

    assert (delegated.row.status, delegated.sent) == (DeliveryStatus.EXPIRED, 0)
    assert delegated.unsent_drafts == 0


@pytest.mark.parametrize("route", ["small", "draft"])
def test_a_mail_refused_for_a_day_expires_after_an_empty_search(delegated: MailSystem, route: str) -> None:
    delegated.add_fault(OPERATION[route], REFUSED, times=0)
    delegated.send(route)
    delegated.backdate(timedelta(hours=20))
    delegated.deliver_until_final(80)

    assert (delegated.row.status, delegated.sent) == (DeliveryStatus.EXPIRED, 0)
    assert delegated.services.system.now() < NOON + timedelta(hours=4, minutes=10)


def test_a_mail_that_could_not_be_searched_is_never_reported_as_unsent(delegated: MailSystem) -> None:
    delegated.add_fault("sendMail", "busy but accepted")
    delegated.add_fault("lookup", REFUSED, times=0)
    delegated.send()
    delegated.backdate(timedelta(hours=44))
    delegated.deliver_until_final(80)

    assert delegated.row.status is DeliveryStatus.UNKNOWN


@pytest.mark.parametrize("code", ["ErrorAccessDenied", "ErrorInvalidUser"])
def test_a_refused_mail_is_searched_until_the_mailbox_is_readable_again(
    delegated: MailSystem, code: str
) -> None:
    delegated.add_fault("sendMail", "busy but accepted")
    delegated.add_fault("lookup", Effect(403, code), times=20)
    delegated.send()
    delegated.deliver_until_final()

    assert (delegated.row.status, delegated.sent) == (DeliveryStatus.ACCEPTED, 1)
    assert delegated.services.system.now() > NOON + timedelta(hours=1)


def test_a_mail_seen_in_drafts_is_searched_while_the_mailbox_is_unreadable(
    delegated: MailSystem,
) -> None:
    delegated.exchange.system.behaviour.sent_items_lag = 3600
    delegated.add_fault("sendMail", "busy but accepted")
    delegated.send()
    delegated.redeliver()
    delegated.add_fault("lookup", "access denied", times=12)
    delegated.deliver_until_final()

    assert (delegated.row.status, delegated.sent) == (DeliveryStatus.ACCEPTED, 1)


def test_only_the_retry_limit_ends_the_search_in_an_unreadable_mailbox(delegated: MailSystem) -> None:
    delegated.add_fault("sendMail", "busy but accepted")
    delegated.add_fault("lookup", "access denied", times=0)
    delegated.send()
    delegated.backdate(timedelta(hours=44))
    delegated.deliver_until_final(80)

    assert (delegated.row.status, delegated.sent) == (DeliveryStatus.UNKNOWN, 1)
    assert delegated.services.system.now() > NOON + timedelta(hours=3, minutes=50)


def test_a_new_consent_for_the_same_mailbox_does_not_end_the_look(delegated: MailSystem) -> None:
    delegated.add_fault("sendMail", "busy but accepted")
    delegated.send()
    known = delegated.services.settings.load(CONTOSO)
    scopes = frozenset({"Mail.Send", "Mail.ReadWrite"})
    delegated.services.settings.save(replace(known, consent=a_consent(version=2, scopes=scopes)))
    delegated.deliver_until_final()

    assert (delegated.row.status, delegated.sent) == (DeliveryStatus.ACCEPTED, 1)


def test_another_mailbox_is_not_searched(delegated: MailSystem) -> None:
    delegated.add_fault("sendMail", "busy but accepted")
    delegated.send()
    known = delegated.services.settings.load(CONTOSO)
    bob = Account("bob-object-id", CONTOSO, "bob@contoso.com")
    consent = a_consent(version=2, account=bob, scopes=frozenset({"Mail.Send", "Mail.ReadWrite"}))
    moved = some_settings(
        consent=consent,
        sender=RequestedSender("bob@contoso.com", large_file_attachments=True),
        etag=known.etag,
    )
    delegated.services.settings.save(moved)
    delegated.deliver_until_final()

    assert delegated.row.status is DeliveryStatus.ACCEPTED
    assert delegated.count_requests("lookup") == 0
    assert [step.maybe_sent for step in delegated.row.history] == [False, True, False, False]
    assert [warning.code for warning in delegated.row.warnings] == ["maybe_accepted"]


def test_a_mail_with_an_unrecorded_refusal_is_searched_too(delegated: MailSystem) -> None:
    delegated.add_fault("sendMail", "busy but accepted")
    save = delegated.services.deliveries.save
    failing = [True] * 6

    def fails(delivery: Delivery) -> Delivery | None:
        if delivery.status is not DeliveryStatus.SENDING and failing:
            failing.pop()
            raise TransientError("storage_unavailable", service="tables")
        return save(delivery)

    delegated.services.deliveries.save = fails  # type: ignore[method-assign]
    delegated.send()
    failing.clear()
    delegated.deliver_until_final()

    assert (delegated.row.status, delegated.sent) == (DeliveryStatus.ACCEPTED, 1)


def test_the_timer_removes_no_draft_of_a_mail_in_verification(delegated: MailSystem) -> None:
    delegated.add_fault("send", "busy but accepted")
    delegated.exchange.system.behaviour.sent_items_lag = 200
    delegated.send("draft")
    release_all(delegated.services)
    delegated.deliver_until_final()

    assert (delegated.row.status, delegated.sent) == (DeliveryStatus.ACCEPTED, 1)
