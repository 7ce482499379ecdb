"""Mails that are sent as drafts: file by file, and never incomplete."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from shared.deliveries.requeue import requeue_message
from shared.deliveries.status import DeliveryStatus
from shared.errors import OutcomeUnknownError, RejectedError, TokenRefusedError, TransientError
from shared.sending.deliver import deliver
from shared.sending.draft_state import DraftState
from shared.sending.errors import ThrottledError
from shared.sending.upload import CHUNK_BYTES
from shared.settings.tenant import Account, Status
from tests.builders import a_consent, a_file, a_message, large_file_services, some_settings
from tests.fakes import CONTOSO, NOON, FakeServices

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.deliveries.delivery import Delivery

SMALL = b"%PDF-1.7 small"
MEDIUM = os.urandom(2_900_000)
LARGE = os.urandom(2 * CHUNK_BYTES + 4711)


@pytest.fixture
def services() -> FakeServices:
    return large_file_services(small=SMALL, medium=MEDIUM, large=LARGE)


def a_mail(*names: str, **changes: Any) -> bytes:
    return a_message(messageId="m-1", attachments=[a_file(name) for name in names], **changes)


def row(services: FakeServices) -> Delivery:
    found = services.deliveries.find(CONTOSO, "m-1")
    assert found is not None
    return found


def redeliver(services: FakeServices, queue_id: str) -> None:
    """Let the delay pass and deliver the mail again."""
    stored_draft, delay = services.outbox.messages.pop()
    services.system.pass_time(delay)
    deliver(stored_draft, queue_id, services)


def stored_draft(services: FakeServices) -> Any:
    return DraftState(CONTOSO, "m-1", services).load()


def sent_files(services: FakeServices) -> list[tuple[str, bytes]]:
    (mail,) = [mail for mail in services.transport.mails.values() if not mail.is_draft]
    return mail.files


def test_small_and_large_files_arrive_in_their_order_and_byte_for_byte(services: FakeServices) -> None:
    deliver(a_mail("small", "large", "medium"), "q-1", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert sent_files(services) == [("small", SMALL), ("large", LARGE), ("medium", MEDIUM)]
    assert stored_draft(services) is None
    assert services.transport.calls == [
        "find",
        "create_draft",
        "attach",
        "open_upload",
        "put_chunk",
        "put_chunk",
        "put_chunk",
        "attach",
        "send_draft",
    ]


def test_small_files_that_exceed_the_limit_together_are_added_one_by_one(services: FakeServices) -> None:
    deliver(a_mail("medium", "medium"), "q-1", services)

    assert sent_files(services) == [("medium", MEDIUM)] * 2
    assert "open_upload" not in services.transport.calls


def test_a_file_that_ends_with_a_chunk_is_whole(services: FakeServices) -> None:
    exactly = os.urandom(2 * CHUNK_BYTES)
    services.files.blobs[f"{CONTOSO}/large"] = exactly
    deliver(a_mail("large"), "q-1", services)

    assert sent_files(services) == [("large", exactly)]
    assert services.transport.calls.count("put_chunk") == 2


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_an_upload_that_was_cut_continues_with_the_chunk_that_was_missing(
    services: FakeServices, nth: int
) -> None:
    services.transport.fail_at = {"put_chunk": [*[None] * (nth - 1), TransientError("graph_unavailable")]}
    deliver(a_mail("small", "large"), "q-1", services)
    assert row(services).status is DeliveryStatus.DEFERRED

    redeliver(services, "q-2")

    assert sent_files(services) == [("small", SMALL), ("large", LARGE)]
    assert services.transport.calls.count("put_chunk") == 4
    assert services.transport.calls.count("create_draft") == 1


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_chunk_whose_response_was_lost_is_sent_twice_at_the_most(services: FakeServices, nth: int) -> None:
    services.transport.after = {"put_chunk": [*[None] * (nth - 1), TransientError("graph_unavailable")]}
    deliver(a_mail("large"), "q-1", services)
    redeliver(services, "q-2")

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert sent_files(services) == [("large", LARGE)]
    assert services.transport.calls.count("put_chunk") <= 4
    assert services.transport.calls.count("open_upload") == 1


def test_an_expired_session_is_recreated_on_the_same_draft(services: FakeServices) -> None:
    services.transport.fail_at = {"put_chunk": [None, TransientError("graph_unavailable")]}
    deliver(a_mail("small", "large"), "q-1", services)
    services.transport.uploads.clear()
    redeliver(services, "q-2")
    assert row(services).problem.code == "upload_interrupted"  # type: ignore[union-attr]

    redeliver(services, "q-3")

    assert sent_files(services) == [("small", SMALL), ("large", LARGE)]
    assert services.transport.calls.count("create_draft") == 1


def test_a_server_that_wants_other_bytes_next_gets_them(services: FakeServices) -> None:
    graph = services.transport
    put = graph.put_chunk

    def accept_half(sender: Any, url: str, chunk: bytes, first: int, total: int) -> int | None:
        return put(sender, url, chunk[: len(chunk) // 2] if first == 0 else chunk, first, total)

    graph.put_chunk = accept_half  # type: ignore[method-assign]
    deliver(a_mail("large"), "q-1", services)

    assert sent_files(services) == [("large", LARGE)]


def test_a_small_file_whose_response_was_lost_is_not_put_on_twice(services: FakeServices) -> None:
    services.transport.after = {"attach": [TransientError("graph_unavailable")]}
    deliver(a_mail("medium", "medium"), "q-1", services)
    redeliver(services, "q-2")

    assert sent_files(services) == [("medium", MEDIUM)] * 2


def test_a_file_that_the_server_multiplied_replaces_no_other_file(services: FakeServices) -> None:
    services.transport.fail_at = {"attach": [None, TransientError("graph_unavailable")]}
    deliver(a_mail("small", "medium", "large"), "q-1", services)
    (draft,) = services.transport.drafts
    draft.files *= 2
    redeliver(services, "q-2")

    assert sent_files(services) == [("small", SMALL), ("medium", MEDIUM), ("large", LARGE)]
    assert not services.transport.drafts


def test_a_multiplied_inline_file_leaves_no_other_file_out(services: FakeServices) -> None:
    services.transport.fail_at = {"attach": [None, TransientError("graph_unavailable")]}
    logo = a_file("small", inline=True, contentId="logo")
    files = [logo, a_file("medium"), a_file("large")]
    deliver(a_message(messageId="m-1", attachments=files), "q-1", services)
    services.transport.drafts[0].files *= 3
    redeliver(services, "q-2")

    assert sent_files(services) == [("small", SMALL)] * 3 + [("medium", MEDIUM), ("large", LARGE)]
    assert services.transport.calls.count("create_draft") == 1


def test_a_request_that_is_carried_out_late_doubles_no_file(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.transport.fail_at = {"attach": [TransientError("graph_unavailable")]}
    deliver(a_mail("small", "large"), "q-1", services)
    (draft,) = services.transport.drafts
    open_upload = services.transport.open_upload

    def late(*call: Any) -> str:
        draft.files.append(("small", SMALL))
        return open_upload(*call)

    monkeypatch.setattr(services.transport, "open_upload", late)
    redeliver(services, "q-2")
    monkeypatch.undo()
    redeliver(services, "q-3")

    assert sent_files(services) == [("small", SMALL), ("large", LARGE)]
    assert not services.transport.drafts


def test_a_draft_goes_on_though_the_server_changed_a_files_name(services: FakeServices) -> None:
    services.transport.after = {"attach": [TransientError("graph_unavailable")]}
    attachments = [a_file("small", name="a/b: e\u0301.pdf "), a_file("large")]
    deliver(a_message(messageId="m-1", attachments=attachments), "q-1", services)
    services.transport.drafts[0].files[0] = ("A_b_ \u00e9.pdf", SMALL)
    redeliver(services, "q-2")

    assert sent_files(services) == [("A_b_ \u00e9.pdf", SMALL), ("large", LARGE)]


def test_a_draft_whose_creation_had_no_response_is_removed_and_recreated(services: FakeServices) -> None:
    services.transport.after = {"create_draft": [TransientError("graph_unavailable")]}
    deliver(a_mail("large"), "q-1", services)
    redeliver(services, "q-2")

    assert sent_files(services) == [("large", LARGE)]
    assert not services.transport.drafts


def test_a_mail_of_the_same_name_that_was_sent_is_no_draft_to_remove(services: FakeServices) -> None:
    deliver(a_mail("small"), "q-1", services)
    (sent,) = services.transport.mails
    services.deliveries.rows.clear()
    deliver(a_mail("large"), "q-2", services)

    assert sent in services.transport.mails


def test_a_draft_that_was_removed_is_recreated(services: FakeServices) -> None:
    services.transport.fail_at = {"attach": [TransientError("graph_unavailable")]}
    deliver(a_mail("medium", "medium"), "q-1", services)
    services.transport.mails.clear()
    redeliver(services, "q-2")

    assert sent_files(services) == [("medium", MEDIUM)] * 2


def test_a_draft_that_cannot_be_read_is_not_abandoned(services: FakeServices) -> None:
    services.transport.fail_at = {
        "attach": [TransientError("graph_unavailable")],
        "list_attachments": [TransientError("graph_unavailable")],
    }
    deliver(a_mail("medium", "medium"), "q-1", services)
    redeliver(services, "q-2")
    redeliver(services, "q-3")

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert services.transport.calls.count("create_draft") == 1


def test_a_file_that_was_replaced_in_between_begins_a_new_draft(services: FakeServices) -> None:
    services.transport.fail_at = {"put_chunk": [None, TransientError("graph_unavailable")]}
    deliver(a_mail("large"), "q-1", services)
    newer = os.urandom(len(LARGE))
    services.files.blobs[f"{CONTOSO}/large"] = newer
    redeliver(services, "q-2")

    assert sent_files(services) == [("large", newer)]
    assert not services.transport.drafts


def test_a_draft_of_another_account_is_left_to_its_mailbox(services: FakeServices) -> None:
    services.transport.fail_at = {"attach": [TransientError("graph_unavailable")]}
    deliver(a_mail("medium", "medium"), "q-1", services)
    bob = Account("bob-object-id", CONTOSO, "bob@contoso.com")
    newer = a_consent(scopes=frozenset({"Mail.Send", "Mail.ReadWrite"}), version=2, account=bob)
    services.settings.save(replace(services.settings.load(CONTOSO), consent=newer))
    services.transport.mails.clear()
    redeliver(services, "q-2")

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert "remove" not in services.transport.calls


def test_a_mail_refused_during_its_draft_leaves_no_draft_behind(services: FakeServices) -> None:
    services.transport.fail_at = {"put_chunk": [None, RejectedError("mailbox_full", address="a")]}
    deliver(a_mail("large"), "q-1", services)

    assert row(services).status is DeliveryStatus.REJECTED
    assert not services.transport.mails
    assert stored_draft(services) is None


def test_a_draft_that_cannot_be_removed_now_stays_recorded(services: FakeServices) -> None:
    services.transport.fail_at = {
        "send_draft": [RejectedError("mailbox_full", address="a")],
        "remove": [TransientError("graph_unavailable")],
    }
    deliver(a_mail("large"), "q-1", services)

    assert row(services).status is DeliveryStatus.REJECTED
    assert stored_draft(services) is not None


def test_a_mail_refused_before_it_became_a_draft_has_none_to_remove(services: FakeServices) -> None:
    services.transport.fail_at = {
        "create_draft": [RejectedError("access_denied", graph_code="E", address="a")]
    }
    deliver(a_mail("large"), "q-1", services)

    assert row(services).status is DeliveryStatus.REJECTED
    assert "remove" not in services.transport.calls


def test_a_retried_mail_that_has_become_small_forgets_its_draft(services: FakeServices) -> None:
    services.transport.fail_at = {"put_chunk": [TransientError("graph_unavailable")]}
    deliver(a_mail("large"), "q-1", services)
    services.files.blobs[f"{CONTOSO}/large"] = b"tiny now"
    redeliver(services, "q-2")

    assert len(services.transport.sent) == 1
    assert not services.transport.drafts
    assert stored_draft(services) is None


def test_a_token_that_ends_during_a_long_upload_is_renewed(services: FakeServices) -> None:
    services.transport.fail_at = {"send_draft": [TokenRefusedError("token_refused", error="e")]}
    deliver(a_mail("large"), "q-1", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert len(services.authorizer.refreshed) == 2


def test_a_throttled_chunk_holds_the_mailboxs_other_mails_back(services: FakeServices) -> None:
    wait = timedelta(seconds=30)
    services.transport.fail_at = {"put_chunk": [ThrottledError(retry_after=wait, address="a")]}
    deliver(a_mail("large"), "q-1", services)
    before = len(services.transport.calls)
    deliver(a_message(messageId="m-2"), "q-2", services)

    assert len(services.transport.calls) == before
    other = services.deliveries.rows[CONTOSO, "m-2"]
    assert (other.status, other.problem.code, other.attempt) == (  # type: ignore[union-attr]
        DeliveryStatus.DEFERRED,
        "mailbox_paused",
        0,
    )


def test_the_upload_url_is_never_shown(services: FakeServices) -> None:
    services.transport.fail_at = {"put_chunk": [TransientError("graph_unavailable")]}
    deliver(a_mail("large"), "q-1", services)

    kept = stored_draft(services)
    assert "outlook.office.com" not in repr(kept)
    assert kept.upload.url.startswith("https://outlook.office.com")


@pytest.mark.parametrize("accepted", [True, False])
def test_a_send_without_response_is_searched_and_repeated_if_not_found(
    services: FakeServices,
    accepted: bool,  # noqa: FBT001
) -> None:
    failure: dict[str, list[Exception | None]] = {"send_draft": [OutcomeUnknownError("outcome_unknown")]}
    if accepted:
        services.transport.after = failure
    else:
        services.transport.fail_at = failure
    deliver(a_mail("large"), "q-1", services)
    assert row(services).status is DeliveryStatus.VERIFYING

    for number in range(2, 12):
        if row(services).status.final:
            break
        redeliver(services, f"q-{number}")

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert row(services).uncertain_send is None
    assert sent_files(services) == [("large", LARGE)]
    assert services.transport.calls.count("create_draft") == 1
    assert services.transport.calls.count("send_draft") == (1 if accepted else 2)
    assert stored_draft(services) is None


def test_a_worker_that_crashed_before_it_sent_needs_no_looking_up(services: FakeServices) -> None:
    services.transport.fail_at = {"attach": [TransientError("graph_unavailable")]}
    deliver(a_mail("medium", "medium"), "q-1", services)
    now = services.system.now()
    held = row(services).with_claim("q-2", now)
    assert services.deliveries.save(held)
    deliver(requeue_message(CONTOSO, "m-1"), "q-2", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert services.transport.calls.count("find") == 1


def test_the_state_of_a_draft_survives_storage(services: FakeServices) -> None:
    services.transport.fail_at = {"put_chunk": [None, TransientError("graph_unavailable")]}
    deliver(a_mail("small", "large"), "q-1", services)
    kept = stored_draft(services)

    assert (kept.upload.file_index, kept.upload.first, kept.submitted) == (1, CHUNK_BYTES, False)
    assert replace(row(services), etag=None).uncertain_send is None


def interrupt_upload(services: FakeServices) -> None:
    """Leave a draft with half a file on it."""
    services.transport.fail_at = {"put_chunk": [None, TransientError("graph_unavailable")]}
    deliver(a_mail("large"), "q-1", services)


@pytest.mark.parametrize("refusal", [ThrottledError, partial(TransientError, "graph_unavailable")])
def test_a_draft_sent_despite_a_throttling_response_is_not_sent_again(
    services: FakeServices, refusal: Callable[..., TransientError]
) -> None:
    services.transport.after = {"send_draft": [refusal(retry_after=timedelta(seconds=2), address="a")]}
    deliver(a_mail("large"), "q-1", services)
    assert row(services).status is DeliveryStatus.DEFERRED

    redeliver(services, "q-2")

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert services.transport.calls.count("send_draft") == 1
    assert stored_draft(services) is None


def test_a_mail_that_is_found_as_sent_is_not_created_again(services: FakeServices) -> None:
    deliver(a_mail("large"), "q-1", services)
    services.deliveries.rows.clear()
    deliver(a_mail("large"), "q-2", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert services.transport.calls.count("create_draft") == 1


def test_a_draft_of_the_same_account_is_continued_after_a_new_consent(services: FakeServices) -> None:
    interrupt_upload(services)
    newer = a_consent(scopes=frozenset({"Mail.Send", "Mail.ReadWrite"}), version=2)
    services.settings.save(replace(services.settings.load(CONTOSO), consent=newer))
    redeliver(services, "q-2")

    assert sent_files(services) == [("large", LARGE)]
    assert services.transport.calls.count("create_draft") == 1


def test_a_draft_is_only_forgotten_if_the_permission_to_remove_it_is_gone(services: FakeServices) -> None:
    interrupt_upload(services)
    sending_only = some_settings(consent=a_consent(version=2), etag=services.settings.load(CONTOSO).etag)
    services.settings.save(sending_only)
    services.files.blobs[f"{CONTOSO}/large"] = b"tiny now"
    redeliver(services, "q-2")

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert "remove" not in services.transport.calls
    assert stored_draft(services) is None


def test_a_draft_of_a_crashed_worker_is_found_by_its_stored_state(services: FakeServices) -> None:
    services.transport.after = {"create_draft": [Killed()]}  # type: ignore[list-item]
    with pytest.raises(Killed):
        deliver(a_mail("large"), "q-1", services)
    assert stored_draft(services).draft_id == ""
    deliver(a_mail("large"), "q-1", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert not services.transport.drafts


def test_a_note_that_this_version_cannot_read_begins_a_new_draft(services: FakeServices) -> None:
    interrupt_upload(services)
    services.drafts.save(CONTOSO, "m-1", b'{"draftId": "draft-1", "generation": 1}')
    redeliver(services, "q-2")

    assert sent_files(services) == [("large", LARGE)]
    assert not services.transport.drafts


def test_a_slow_upload_continues_in_a_new_attempt_before_the_host_timeout(
    services: FakeServices,
) -> None:
    put = services.transport.put_chunk

    def slowly(*chunk: Any) -> int | None:
        services.system.pass_time(timedelta(minutes=4))
        return put(*chunk)

    services.transport.put_chunk = slowly  # type: ignore[method-assign,assignment]
    deliver(a_mail("large"), "q-1", services)
    assert row(services).problem.code == "attempt_too_long"  # type: ignore[union-attr]
    assert services.system.now() == NOON + timedelta(minutes=8)
    assert services.outbox.messages[-1][1] == timedelta(0)
    assert row(services).attempt == 0

    redeliver(services, "q-2")

    assert sent_files(services) == [("large", LARGE)]
    assert services.transport.calls.count("put_chunk") == 3


@pytest.mark.parametrize("wanted", [0, CHUNK_BYTES, 2**40], ids=["the first", "the same", "behind the end"])
def test_a_server_that_expects_an_impossible_range_is_not_called_for_ever(
    services: FakeServices, wanted: int
) -> None:
    put = services.transport.put_chunk

    def respond_wrong_offset(sender: Any, url: str, chunk: bytes, first: int, total: int) -> int | None:
        after = put(sender, url, chunk, first, total)
        return wanted if first == CHUNK_BYTES else after

    services.transport.put_chunk = respond_wrong_offset  # type: ignore[method-assign]
    deliver(a_mail("large"), "q-1", services)

    assert row(services).problem.code == "upload_interrupted"  # type: ignore[union-attr]
    assert services.transport.calls.count("put_chunk") == 2


def test_a_file_too_small_for_an_upload_session_is_sent_in_one_request(services: FakeServices) -> None:
    in_between = os.urandom(3_100_000)
    services.files.blobs[f"{CONTOSO}/large"] = in_between
    services.transport.fail_at = {
        "open_upload": [
            RejectedError("mail_rejected", graph_code="ErrorAttachmentSizeShouldNotBeLessThanMinimumSize")
        ]
    }
    deliver(a_mail("large", "medium"), "q-1", services)

    assert sent_files(services) == [("large", in_between), ("medium", MEDIUM)]


def change_settings_during_the_upload(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch, **changes: Any
) -> None:
    put_chunk = services.transport.put_chunk

    def changed_meanwhile(*arguments: Any) -> int | None:
        known = services.settings.load(CONTOSO)
        services.settings.save(replace(known, **changes))
        return put_chunk(*arguments)

    monkeypatch.setattr(services.transport, "put_chunk", changed_meanwhile)


def test_a_reset_during_the_upload_prevents_sending_the_mail(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_settings_during_the_upload(
        services, monkeypatch, consent=None, sender=None, status=Status.NOT_CONFIGURED
    )
    deliver(a_mail("large"), "q-1", services)

    assert row(services).status is DeliveryStatus.WAITING_FOR_CONSENT
    assert "send_draft" not in services.transport.calls


def test_a_new_consent_during_an_upload_sends_the_mail_in_the_next_attempt(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = a_consent(version=2, scopes=frozenset({"Mail.Send", "Mail.ReadWrite"}))
    change_settings_during_the_upload(services, monkeypatch, consent=newer)
    services.vault.write(f"smtp-{CONTOSO}-1", "tokens")
    deliver(a_mail("large"), "q-1", services)
    assert row(services).history[-1].code == "consent_replaced"
    assert (services.outbox.messages[-1][1], row(services).attempt) == (timedelta(0), 0)
    assert "send_draft" not in services.transport.calls

    redeliver(services, "q-2")

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert sent_files(services) == [("large", LARGE)]


class Killed(BaseException):
    """The worker process was killed."""


def test_a_file_that_is_replaced_during_its_upload_is_sent_as_the_new_one(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_chunk = services.transport.put_chunk
    new = os.urandom(len(LARGE))

    def replaced_meanwhile(*arguments: Any) -> int | None:
        services.files.blobs[f"{CONTOSO}/large"] = new
        return put_chunk(*arguments)

    monkeypatch.setattr(services.transport, "put_chunk", replaced_meanwhile)
    deliver(a_mail("large"), "q-1", services)
    assert (row(services).status, row(services).history[-1].code) == (DeliveryStatus.DEFERRED, "file_changed")
    redeliver(services, "q-2")

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert sent_files(services) == [("large", new)]
    assert not [mail for mail in services.transport.mails.values() if mail.is_draft]


def test_a_text_that_was_replaced_in_between_begins_a_new_draft(services: FakeServices) -> None:
    services.files.blobs[f"{CONTOSO}/text"] = b"the old words"
    mail = a_mail("large", body={"contentType": "text", "blob": f"{CONTOSO}/text"})
    services.transport.fail_at = {"put_chunk": [None, TransientError("graph_unavailable")]}
    deliver(mail, "q-1", services)
    services.files.blobs[f"{CONTOSO}/text"] = b"the new words"
    redeliver(services, "q-2")

    assert services.transport.calls.count("create_draft") == 2
    assert not [mail for mail in services.transport.mails.values() if mail.is_draft]
