"""Drafts, uploads and searches over TLS with the local Exchange Online."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Literal

import pytest

from shared.adapters.graph import GraphMailTransport
from shared.adapters.http import HttpResponse
from shared.errors import OutcomeUnknownError, RejectedError, TransientError
from shared.mail.message import Attachment
from shared.mail.payload import KEY_PROPERTY, build_attachment, build_upload_item
from shared.sending.ports import FoundMail
from tests.exchange_online import ExchangeOnline, a_sender
from tests.local_stack.microsoft365 import Effect
from tests.local_stack.microsoft365.contoso import ADA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MESSAGE: dict[str, Any] = {
    "subject": "Weekly sales",
    "toRecipients": [{"emailAddress": {"address": "cfo@contoso.com"}}],
    "singleValueExtendedProperties": [{"id": KEY_PROPERTY, "value": "0123abcd"}],
}
CHUNK = 2_000_000
LARGE = os.urandom(3_200_000)
PDF = Attachment(name="größe.pdf", content_type="application/pdf", blob="a.pdf")


@pytest.fixture
def transport(exchange: ExchangeOnline) -> Iterator[GraphMailTransport]:
    made = GraphMailTransport(exchange.graph)
    yield made
    made.close()


@pytest.fixture
def token(exchange: ExchangeOnline) -> str:
    return exchange.token()


@pytest.fixture
def draft(transport: GraphMailTransport, token: str) -> str:
    return transport.create_draft(token, a_sender(), json.dumps(MESSAGE).encode())


def open_upload(transport: GraphMailTransport, token: str, draft: str) -> str:
    return transport.open_upload(token, a_sender(), draft, build_upload_item(PDF, len(LARGE)))


def put(transport: GraphMailTransport, url: str, first: int, length: int = CHUNK) -> int | None:
    return transport.put_chunk(a_sender(), url, LARGE[first : first + length], first, len(LARGE))


def test_a_draft_keeps_its_id_when_it_is_sent(
    transport: GraphMailTransport, exchange: ExchangeOnline, token: str, draft: str
) -> None:
    exchange.system.behaviour.sent_items_lag = 0
    transport.attach(token, a_sender(), draft, json.dumps(build_attachment(PDF, b"%PDF")).encode())
    assert transport.list_attachments(token, a_sender(), draft) == ("größe.pdf",)
    assert [(f.mail_id, f.is_draft) for f in transport.find(token, a_sender(), "0123abcd")] == [(draft, True)]

    request_id = transport.send_draft(token, a_sender(), draft)

    assert request_id
    (mail,) = exchange.system.mails()
    assert [(file.name, file.read()) for file in mail.attachments] == [("größe.pdf", b"%PDF")]
    assert [(f.mail_id, f.is_draft) for f in transport.find(token, a_sender(), "0123abcd")] == [
        (draft, False)
    ]


def test_every_graph_request_asks_for_immutable_ids(
    transport: GraphMailTransport, exchange: ExchangeOnline, token: str, draft: str
) -> None:
    transport.find(token, a_sender(), "0123abcd")
    transport.send_draft(token, a_sender(), draft)

    assert all("prefer" in request.header_names for request in exchange.system.requests.all(host="graph"))


def test_a_mail_key_is_found_only_by_its_value(
    transport: GraphMailTransport, exchange: ExchangeOnline, token: str, draft: str
) -> None:
    assert transport.find(token, a_sender(), "another") == ()


def test_lists_are_read_to_their_last_page(
    transport: GraphMailTransport, exchange: ExchangeOnline, token: str, draft: str
) -> None:
    exchange.system.behaviour.longest_page = 1
    file = json.dumps(build_attachment(PDF, b"%PDF")).encode()
    for _ in range(3):
        transport.attach(token, a_sender(), draft, file)
        transport.create_draft(token, a_sender(), json.dumps(MESSAGE).encode())

    assert transport.list_attachments(token, a_sender(), draft) == ("größe.pdf",) * 3
    assert len(transport.find(token, a_sender(), "0123abcd")) == 4


@pytest.mark.parametrize("body", ["{}", "[]", '{"error": {"code": "x"}}', '{"value": null}', "<html>"])
def test_a_response_without_a_list_does_not_say_that_nothing_is_there(
    transport: GraphMailTransport, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    monkeypatch.setattr(transport._http, "request", lambda *_: HttpResponse(200, {}, body.encode()))
    with pytest.raises(TransientError, match="graph_unavailable"):
        transport.find("token", a_sender(), "0123abcd")


def test_a_list_that_continues_elsewhere_or_endlessly_is_retried_later(
    transport: GraphMailTransport, exchange: ExchangeOnline, token: str, draft: str
) -> None:
    exchange.system.behaviour.longest_page = 0
    with pytest.raises(TransientError, match="graph_unavailable"):
        transport.find(token, a_sender(), "0123abcd")

    elsewhere = GraphMailTransport(exchange.graph)
    elsewhere._root = elsewhere._root.replace("localhost", "127.0.0.1")
    with pytest.raises(TransientError, match="graph_unavailable"):
        elsewhere.find(token, a_sender(), "0123abcd")
    elsewhere.close()


@pytest.mark.parametrize("spelling", ["N", "N-", "N-M"])
@pytest.mark.parametrize("pascal_case", [True, False])
def test_a_large_file_is_uploaded_in_exact_ranges_for_each_spelling(
    transport: GraphMailTransport,
    exchange: ExchangeOnline,
    token: str,
    draft: str,
    spelling: Literal["N", "N-", "N-M"],
    pascal_case: bool,  # noqa: FBT001
) -> None:
    exchange.system.behaviour.next_range, exchange.system.behaviour.pascal_case = spelling, pascal_case
    url = open_upload(transport, token, draft)

    assert put(transport, url, 0) == CHUNK
    assert put(transport, url, CHUNK) is None

    transport.send_draft(token, a_sender(), draft)
    (file,) = exchange.system.mails()[0].attachments
    assert (file.name, file.content_type, file.read()) == ("größe.pdf", "application/pdf", LARGE)


@pytest.mark.parametrize("status", [200, 202])
def test_a_stored_chunk_is_followed_by_the_next_one(
    transport: GraphMailTransport, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    response = HttpResponse(status, {}, b'{"nextExpectedRanges": ["%d-"]}' % CHUNK)
    monkeypatch.setattr(transport._http, "request", lambda *_: response)

    assert put(transport, "https://outlook.office.com/session", 0) == CHUNK


def test_the_upload_host_gets_ranges_and_no_token(
    transport: GraphMailTransport, exchange: ExchangeOnline, token: str, draft: str
) -> None:
    url = open_upload(transport, token, draft)
    put(transport, url, 0)
    put(transport, url, CHUNK)

    chunks = exchange.system.requests.all("uploadChunk")
    assert len(chunks) == 2
    for chunk in chunks:
        assert "authorization" not in chunk.header_names
        assert {"content-range", "content-length", "content-type"} <= chunk.header_names


@pytest.mark.parametrize("status", [416, 400, 409])
def test_a_chunk_that_is_not_the_next_one_is_reported_as_such(
    transport: GraphMailTransport, exchange: ExchangeOnline, token: str, draft: str, status: int
) -> None:
    exchange.system.behaviour.range_status = status
    url = open_upload(transport, token, draft)
    put(transport, url, 0)

    with pytest.raises(TransientError, match="upload_interrupted"):
        put(transport, url, 0)
    assert put(transport, url, CHUNK) is None


def test_a_session_that_is_over_is_reported_as_such(
    transport: GraphMailTransport, exchange: ExchangeOnline, token: str, draft: str
) -> None:
    url = open_upload(transport, token, draft)
    exchange.system.clock.advance(exchange.system.behaviour.session_lifetime)

    with pytest.raises(TransientError, match="upload_interrupted"):
        put(transport, url, 0)


def test_an_address_that_is_not_whole_is_reported_as_such(
    transport: GraphMailTransport, token: str, draft: str
) -> None:
    url = open_upload(transport, token, draft)

    with pytest.raises(TransientError, match="upload_interrupted"):
        put(transport, url + "x", 0)


@pytest.mark.parametrize(
    "effect",
    ["throttled", "busy", "conflict", "internal error", "timeout", "reset", "bad gateway"],
)
@pytest.mark.parametrize(
    "operation", ["createDraft", "attach", "createUploadSession", "uploadChunk", "lookup", "permanentDelete"]
)
def test_a_request_that_submits_nothing_can_be_retried_after_any_response(
    transport: GraphMailTransport, exchange: ExchangeOnline, token: str, operation: str, effect: str
) -> None:
    draft = transport.create_draft(token, a_sender(), json.dumps(MESSAGE).encode())
    url = open_upload(transport, token, draft)
    exchange.system.faults.add(operation, effect)
    calls: dict[str, Callable[[], object]] = {
        "createDraft": lambda: transport.create_draft(token, a_sender(), json.dumps(MESSAGE).encode()),
        "attach": lambda: transport.attach(
            token, a_sender(), draft, json.dumps(build_attachment(PDF, b"%PDF")).encode()
        ),
        "createUploadSession": lambda: open_upload(transport, token, draft),
        "uploadChunk": lambda: put(transport, url, 0),
        "lookup": lambda: transport.find(token, a_sender(), "0123abcd"),
        "permanentDelete": lambda: transport.remove(token, a_sender(), draft),
    }

    with pytest.raises(TransientError):
        calls[operation]()


@pytest.mark.parametrize("effect", ["internal error", "timeout but accepted", "reset but accepted"])
def test_sending_a_draft_is_as_uncertain_as_sending_a_mail(
    transport: GraphMailTransport, exchange: ExchangeOnline, token: str, draft: str, effect: str
) -> None:
    exchange.system.faults.add("send", effect)

    with pytest.raises(OutcomeUnknownError):
        transport.send_draft(token, a_sender(), draft)


def test_a_draft_is_found_by_its_id_before_and_after_it_was_sent(
    transport: GraphMailTransport, exchange: ExchangeOnline, token: str, draft: str
) -> None:
    exchange.system.behaviour.sent_items_lag = 0
    assert transport.find_draft(token, a_sender(), draft) == (FoundMail(draft, is_draft=True),)

    transport.send_draft(token, a_sender(), draft)
    assert transport.find_draft(token, a_sender(), draft) == (FoundMail(draft, is_draft=False),)

    transport.remove(token, a_sender(), draft)
    assert transport.find_draft(token, a_sender(), draft) == ()


@pytest.mark.parametrize("operation", ["find_draft", "list_attachments"])
def test_a_404_that_does_not_name_the_message_loses_no_draft(
    transport: GraphMailTransport, exchange: ExchangeOnline, token: str, draft: str, operation: str
) -> None:
    exchange.system.faults.add("*", Effect(404, "UnknownError"))

    with pytest.raises(TransientError, match="mailbox_not_found"):
        getattr(transport, operation)(token, a_sender(), draft)


def test_a_missing_draft_is_reported_and_removing_it_is_no_error(
    transport: GraphMailTransport, token: str, draft: str
) -> None:
    transport.remove(token, a_sender(), draft)
    transport.remove(token, a_sender(), draft)
    transport.remove(token, a_sender(), draft)

    with pytest.raises(TransientError, match="draft_lost"):
        transport.list_attachments(token, a_sender(), draft)


@pytest.mark.parametrize(
    "other",
    [
        Effect(400, "BadRequest"),
        Effect(404, body="html"),
        Effect(404, "UnknownError"),
        Effect(405, body="empty"),
        Effect(501, "NotImplemented"),
    ],
)
def test_a_draft_is_removed_permanently_where_graph_can_and_else_deleted(
    transport: GraphMailTransport, exchange: ExchangeOnline, token: str, draft: str, other: Effect
) -> None:
    second = transport.create_draft(token, a_sender(), json.dumps(MESSAGE).encode())
    transport.remove(token, a_sender(), draft)
    assert (
        exchange.system.mailboxes.list_messages(exchange.system.user("ada@contoso.com"), "deleteditems") == []
    )

    exchange.system.faults.add("permanentDelete", other)
    transport.remove(token, a_sender(), second)

    assert exchange.system.drafts("ada@contoso.com") == []
    assert exchange.operations[-2:] == ["permanentDelete", "deleteMessage"]


def test_a_national_cloud_has_no_permanent_deletion(
    transport: GraphMailTransport, exchange: ExchangeOnline, token: str, draft: str
) -> None:
    exchange.system.behaviour.permanent_delete = False
    transport.remove(token, a_sender(), draft)

    assert exchange.system.drafts("ada@contoso.com") == []


def test_a_draft_that_may_not_be_removed_is_not_deleted_in_another_way(
    transport: GraphMailTransport, exchange: ExchangeOnline, token: str, draft: str
) -> None:
    exchange.system.faults.add("permanentDelete", "access denied")

    with pytest.raises(RejectedError, match="access_denied"):
        transport.remove(token, a_sender(), draft)
    assert "deleteMessage" not in exchange.operations


@pytest.mark.parametrize(
    "over",
    [
        Effect(404, "ResourceNotFound"),
        Effect(410, "ErrorQuotaExceeded"),
        Effect(401, "InvalidAudience"),
        Effect(403, "InvalidAuthenticationToken"),
    ],
)
def test_an_upload_that_its_host_knows_no_more_is_begun_again(
    transport: GraphMailTransport, exchange: ExchangeOnline, token: str, draft: str, over: Effect
) -> None:
    url = open_upload(transport, token, draft)
    exchange.system.faults.add("uploadChunk", over)

    with pytest.raises(TransientError, match="upload_interrupted"):
        put(transport, url, 0)


def test_a_mailbox_that_takes_no_more_refuses_a_chunk_permanently(
    transport: GraphMailTransport, exchange: ExchangeOnline, token: str, draft: str
) -> None:
    exchange.system.directory.change_user(ADA, message_limit=1_000_000)
    url = open_upload(transport, token, draft)

    with pytest.raises(RejectedError, match="message_too_large"):
        put(transport, url, 0)


def test_a_permission_that_is_missing_is_for_the_microsoft_365_admin(
    transport: GraphMailTransport, exchange: ExchangeOnline
) -> None:
    with pytest.raises(RejectedError, match="access_denied"):
        transport.create_draft(exchange.token("Mail.Send"), a_sender(), json.dumps(MESSAGE).encode())


def test_a_truncated_success_is_requested_again(
    transport: GraphMailTransport, exchange: ExchangeOnline, token: str
) -> None:
    exchange.system.faults.add("createDraft", Effect(201, body="html"))

    with pytest.raises(TransientError):
        transport.create_draft(token, a_sender(), json.dumps(MESSAGE).encode())


@pytest.mark.parametrize("body", ["[]", "{}", '{"nextExpectedRanges": []}', '{"nextExpectedRanges": ["?"]}'])
def test_a_chunk_response_without_a_next_range_means_the_following_one(
    body: str,
) -> None:
    from shared.adapters.graph_responses import next_range

    response = HttpResponse(200, {}, body.encode())

    assert next_range(response, 17) == 17


def test_a_file_too_small_for_an_upload_is_refused_with_its_own_graph_code(
    transport: GraphMailTransport, token: str, draft: str
) -> None:
    with pytest.raises(RejectedError) as caught:
        transport.open_upload(token, a_sender(), draft, build_upload_item(PDF, 1_000_000))

    assert caught.value.graph_code == "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize"


def test_a_draft_that_is_not_on_every_server_yet_is_waited_for(
    transport: GraphMailTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = HttpResponse(404, {}, b'{"error": {"code": "ErrorItemNotFound"}}')
    monkeypatch.setattr(transport._http, "request", lambda *_: missing)
    for call in (transport.attach, transport.open_upload):
        with pytest.raises(TransientError, match="draft_not_ready"):
            call("token", a_sender(), "a-draft", b"{}")
