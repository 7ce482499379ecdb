"""Unused drafts are removed if possible, and no mail waits for that."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.deliveries.status import DeliveryStatus
from shared.errors import (
    ConfigurationError,
    OutcomeUnknownError,
    ProblemError,
    SenderRefusedError,
    TokenRefusedError,
    TransientError,
)
from shared.sending.deliver import deliver
from shared.sending.draft_state import DraftState
from shared.sending.errors import GraphTimeoutError, MailboxNotFoundError, ThrottledError
from shared.sending.maintenance import release_all
from shared.sending.reconcile import RECONCILE_WINDOW
from shared.sending.unrecorded import accepted_message
from shared.settings.tenant import Account
from tests.builders import a_consent, a_file, a_message, large_file_services
from tests.fakes import CONTOSO, NOON, FakeServices
from tests.sending.test_draft import LARGE

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery

REFUSALS = [
    SenderRefusedError("access_denied", graph_code="ErrorAccessDenied", address="a"),
    MailboxNotFoundError(graph_code="NotFound", address="a"),
    ThrottledError(retry_after=timedelta(minutes=5), address="a"),
    TransientError("graph_unavailable"),
    TokenRefusedError("token_refused", error="e"),
    ConfigurationError("setting_invalid", setting="GRAPH_ENDPOINT", reason="r"),
]
TINY = b"tiny now"
FOREVER = 99


@pytest.fixture
def services() -> FakeServices:
    """A mail whose draft has half a file, and whose file then changes."""
    services = large_file_services(large=LARGE)
    services.transport.fail_at = {"put_chunk": [None, TransientError("graph_unavailable")]}
    deliver(a_message(messageId="m-1", attachments=[a_file("large")]), "q-1", services)
    return services


def change_file(services: FakeServices, content: bytes, **fail_at: ProblemError) -> None:
    services.files.blobs[f"{CONTOSO}/large"] = content
    services.transport.fail_at = {operation: [error] * FOREVER for operation, error in fail_at.items()}


def redeliver(services: FakeServices) -> None:
    """Let the delay pass and deliver the mail again."""
    message, delay = services.outbox.messages.pop()
    services.system.pass_time(delay)
    deliver(message, f"q-{services.system.now()}", services)


def run_timer(services: FakeServices) -> None:
    services.transport.fail_at = {}
    services.system.pass_time(timedelta(hours=13))
    release_all(services)


def row(services: FakeServices) -> Delivery:
    return services.deliveries.rows[CONTOSO, "m-1"]


def stored_draft(services: FakeServices) -> Any:
    return DraftState(CONTOSO, "m-1", services).load()


def copies(services: FakeServices) -> int:
    return sum(not mail.is_draft for mail in services.transport.mails.values())


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
@pytest.mark.parametrize("operation", ["remove", "find"])
def test_a_mail_that_became_small_does_not_wait_for_its_draft(
    services: FakeServices, operation: str, refusal: ProblemError
) -> None:
    change_file(services, TINY, **{operation: refusal})
    redeliver(services)

    assert (row(services).status, len(services.transport.sent)) == (DeliveryStatus.ACCEPTED, 1)
    assert len(services.transport.drafts) == 1

    run_timer(services)

    assert (services.transport.drafts, copies(services), stored_draft(services)) == ([], 1, None)


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
def test_a_mail_whose_file_changed_does_not_wait_for_its_draft(
    services: FakeServices, refusal: ProblemError
) -> None:
    change_file(services, LARGE[::-1], remove=refusal)
    redeliver(services)

    assert (row(services).status, copies(services)) == (DeliveryStatus.ACCEPTED, 1)
    assert len(services.transport.drafts) == 1

    run_timer(services)

    assert (services.transport.drafts, copies(services), stored_draft(services)) == ([], 1, None)


def test_a_draft_that_a_person_sent_keeps_its_copy(services: FakeServices) -> None:
    (draft,) = services.transport.drafts
    draft.is_draft = False
    services.deliveries.save(row(services).transition(DeliveryStatus.EXPIRED, NOON))
    run_timer(services)

    assert (copies(services), stored_draft(services)) == (1, None)


def test_what_cannot_be_removed_is_in_the_log(
    services: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    change_file(services, TINY, remove=TransientError("graph_unavailable"))
    redeliver(services)

    assert '"operation": "remove_draft", "problem": "graph_unavailable"' in caplog.text


@pytest.mark.parametrize("accepted", [True, False])
@pytest.mark.parametrize("operation", ["remove", "find"])
def test_the_draft_that_is_left_is_not_taken_for_the_uncertain_mail(
    services: FakeServices, operation: str, *, accepted: bool
) -> None:
    change_file(services, TINY, **{operation: GraphTimeoutError()})
    lost: dict[str, list[Exception | None]] = {"send_mail": [OutcomeUnknownError("outcome_unknown")]}
    if accepted:
        services.transport.after = lost
    else:
        services.transport.fail_at |= lost
    redeliver(services)
    assert row(services).status is DeliveryStatus.VERIFYING
    services.transport.fail_at.pop("find", None)
    while not row(services).status.final:
        redeliver(services)

    assert (row(services).status, len(services.transport.sent)) == (DeliveryStatus.ACCEPTED, 1)
    assert (services.system.now() >= NOON + RECONCILE_WINDOW) is not accepted

    run_timer(services)

    assert (services.transport.drafts, copies(services)) == ([], 1)


def test_a_copy_on_its_way_is_distinguished_from_the_draft_that_is_left(services: FakeServices) -> None:
    change_file(services, TINY, remove=TransientError("graph_unavailable"))
    services.transport.after = {"send_mail": [OutcomeUnknownError("outcome_unknown")]}
    redeliver(services)
    copy = list(services.transport.mails.values())[-1]
    copy.is_draft = True
    for _ in range(9):
        redeliver(services)
    assert row(services).status is DeliveryStatus.VERIFYING

    copy.is_draft = False
    while not row(services).status.final:
        redeliver(services)

    assert (row(services).status, len(services.transport.sent)) == (DeliveryStatus.ACCEPTED, 1)


def test_a_draft_that_is_left_and_was_sent_after_all_is_the_mails_copy(services: FakeServices) -> None:
    change_file(services, TINY, remove=TransientError("graph_unavailable"))
    redeliver(services)
    (draft,) = services.transport.drafts
    draft.is_draft = False

    run_timer(services)

    assert (copies(services), stored_draft(services)) == (2, None)


def test_a_draft_that_is_left_is_not_continued(services: FakeServices) -> None:
    change_file(
        services,
        TINY,
        remove=TransientError("graph_unavailable"),
        send_mail=TransientError("graph_unavailable"),
    )
    redeliver(services)
    services.files.blobs[f"{CONTOSO}/large"] = LARGE
    while not row(services).status.final:
        redeliver(services)

    assert (row(services).status, copies(services)) == (DeliveryStatus.ACCEPTED, 1)
    assert services.transport.calls.count("create_draft") == 2

    run_timer(services)

    assert (services.transport.drafts, copies(services), stored_draft(services)) == ([], 1, None)


def test_a_draft_that_is_left_in_another_mailbox_is_forgotten(services: FakeServices) -> None:
    change_file(services, TINY, remove=TransientError("graph_unavailable"))
    services.transport.fail_at["send_mail"] = [TransientError("graph_unavailable")]
    redeliver(services)
    bob = Account("bob-object-id", CONTOSO, "bob@contoso.com")
    scopes = frozenset({"Mail.Send", "Mail.ReadWrite"})
    consent = a_consent(version=2, account=bob, scopes=scopes)
    services.settings.save(replace(services.settings.load(CONTOSO), consent=consent))
    services.transport.mails.clear()
    services.files.blobs[f"{CONTOSO}/large"] = LARGE
    while not row(services).status.final:
        redeliver(services)

    assert (row(services).status, stored_draft(services)) == (DeliveryStatus.ACCEPTED, None)


def test_a_note_that_only_another_version_can_read_is_not_written_over(services: FakeServices) -> None:
    services.drafts.save(CONTOSO, "m-1", b'{"owner": 1}')
    change_file(services, TINY, find=TransientError("graph_unavailable"))
    redeliver(services)

    assert row(services).status is DeliveryStatus.DEFERRED
    assert services.drafts.load(CONTOSO, "m-1") == b'{"owner": 1}'


def test_the_record_of_a_leftover_draft_survives_a_storage_outage(services: FakeServices) -> None:
    change_file(services, LARGE[::-1], remove=TransientError("graph_unavailable"))
    redeliver(services)
    kept = stored_draft(services)
    deliver(accepted_message(row(services)), "q-9", services)

    assert kept.older_drafts
    assert stored_draft(services).older_drafts == kept.older_drafts
