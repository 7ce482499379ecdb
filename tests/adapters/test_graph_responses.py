"""Each documented error of Graph on each route of the app, over HTTP."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.adapters.graph import GraphMailTransport
from shared.adapters.graph_error_codes import GRAPH_CODES, Kind
from shared.deliveries.status import DeliveryStatus
from shared.errors import OutcomeUnknownError, ProblemError, TransientError
from shared.mail.message import Attachment
from shared.mail.payload import build_attachment, build_upload_item
from shared.sending.deliver import deliver
from shared.sending.retry_policy import AttemptContext, decide_retry
from shared.settings.tenant import RequestedSender, Status
from tests.builders import (
    a_consent,
    a_file,
    a_message,
    enabled_services,
    large_file_services,
    list_senders,
)
from tests.exchange_online import ExchangeOnline, a_sender
from tests.fakes import CONTOSO, NOON, FakeServices
from tests.local_stack.microsoft365 import FAULT_EFFECTS, Effect
from tests.local_stack.microsoft365.contoso import CLIENT_ID, REPORTS
from tests.local_stack.microsoft365.contoso import CONTOSO as MICROSOFT_CONTOSO
from tests.local_stack.microsoft365.vocabulary import CLAIMS, vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shared.deliveries.delivery import Delivery

MESSAGE: dict[str, Any] = {
    "subject": "Weekly sales",
    "body": {"contentType": "text", "content": "Up 4 %"},
    "toRecipients": [{"emailAddress": {"address": "cfo@contoso.com"}}],
}
PDF = Attachment.model_validate({"name": "a.pdf", "contentType": "application/pdf", "blob": "a.pdf"})
SUBMITTING = {"sendMail", "send"}
ROUTES = [
    *sorted(SUBMITTING),
    "createDraft",
    "attach",
    "createUploadSession",
    "uploadChunk",
    "lookup",
    "listAttachments",
    "permanentDelete",
]


@pytest.fixture
def transport(exchange: ExchangeOnline) -> Iterator[GraphMailTransport]:
    with closing(GraphMailTransport(exchange.graph)) as made:
        yield made


def calls(transport: GraphMailTransport, token: str) -> dict[str, Callable[[], object]]:
    """Build one call for each route."""
    sender, message = a_sender(), json.dumps(MESSAGE).encode()
    draft = transport.create_draft(token, sender, message)
    item = build_upload_item(PDF, 6_000_000)
    url = transport.open_upload(token, sender, draft, item)
    small = json.dumps(build_attachment(PDF, b"%PDF")).encode()
    return {
        "sendMail": lambda: transport.send_mail(token, sender, json.dumps({"message": MESSAGE}).encode()),
        "createDraft": lambda: transport.create_draft(token, sender, message),
        "attach": lambda: transport.attach(token, sender, draft, small),
        "createUploadSession": lambda: transport.open_upload(token, sender, draft, item),
        "uploadChunk": lambda: transport.put_chunk(sender, url, bytes(1000), 0, 6_000_000),
        "send": lambda: transport.send_draft(token, sender, draft),
        "lookup": lambda: transport.find(token, sender, "0123abcd"),
        "listAttachments": lambda: transport.list_attachments(token, sender, draft),
        "permanentDelete": lambda: transport.remove(token, sender, draft),
    }


def error_of(call: Callable[[], object]) -> ProblemError | None:
    """Make a call, and return how it failed."""
    try:
        call()
    except ProblemError as error:
        return error
    return None


#: Calls that carry nothing of the message, so that no response can be about it.
READING = {"lookup", "listAttachments", "permanentDelete"}


def ends_a_mail(name: str) -> bool:
    """Tell whether an effect is known to concern the message."""
    effect = FAULT_EFFECTS[name]
    known = GRAPH_CODES.get(effect.code)
    return effect.status == 413 or (known is not None and known.kind is Kind.REFUSED)


@pytest.mark.parametrize("route", ROUTES)
def test_no_route_fails_a_mail_for_a_response_not_about_the_message(
    transport: GraphMailTransport, exchange: ExchangeOnline, route: str
) -> None:
    call = calls(transport, exchange.token())[route]
    for name in vocabulary():
        exchange.system.faults.add(route, name)
        error = error_of(call)
        if error is None:
            # A draft that is gone, or that was deleted in the other way.
            assert route == "permanentDelete", name
        else:
            status = decide_retry(error, AttemptContext(NOON, 1, NOON, None, 0.5)).status
            waits = {DeliveryStatus.DEFERRED, DeliveryStatus.UNKNOWN}
            assert status in waits or (route not in READING and ends_a_mail(name)), (name, error)
            assert route in SUBMITTING or not isinstance(error, OutcomeUnknownError), name
        exchange.system.faults.clear()


class FixedTokenSource:
    """A token source with a token that the local Graph accepts."""

    def __init__(self, exchange: ExchangeOnline) -> None:
        self._exchange = exchange
        self.claims: list[str | None] = []

    def get(self, _tenant_id: str, _consent: object, *, claims: str | None = None, **_: object) -> str:
        self.claims.append(claims)
        more = {"claims_request": claims} if claims else {}
        return self._exchange.system.graph_token("ada@contoso.com", "Mail.Send", "Mail.ReadWrite", **more)


def over_http(
    services: FakeServices, exchange: ExchangeOnline, transport: GraphMailTransport
) -> tuple[FakeServices, FixedTokenSource]:
    """Let services in memory send through the local Graph."""
    tokens = FixedTokenSource(exchange)
    services.transport = transport  # type: ignore[assignment]
    services.tokens = tokens  # type: ignore[assignment]
    return services, tokens


def row(services: FakeServices, message_id: str = "m-1") -> Delivery:
    return services.deliveries.rows[CONTOSO, message_id]


def deliver_again(services: FakeServices, exchange: ExchangeOnline, wait: timedelta) -> None:
    """Let time pass on both sides and deliver queued messages."""
    services.system.pass_time(wait)
    exchange.system.clock.advance(wait)
    queued, services.outbox.messages = services.outbox.messages, []
    for number, (text, _) in enumerate(queued):
        deliver(text, f"q-{services.system.now():%H%M}-{number}", services)


def test_twenty_mails_wait_while_graph_does_not_count_the_consent_yet(
    exchange: ExchangeOnline, transport: GraphMailTransport
) -> None:
    services, _ = over_http(enabled_services(consent=a_consent(consented_at=NOON)), exchange, transport)
    exchange.system.behaviour.rights_lag = 1200
    exchange.system.grant_consent("ada@contoso.com", "Mail.Send")
    for number in range(20):
        deliver(a_message(messageId=f"m-{number}"), f"q-{number}", services)
    waiting = {row(services, f"m-{number}").status for number in range(20)}
    deliver_again(services, exchange, timedelta(minutes=10))
    deliver_again(services, exchange, timedelta(minutes=11))

    assert waiting == {DeliveryStatus.DEFERRED}
    assert {row(services, f"m-{number}").status for number in range(20)} == {DeliveryStatus.ACCEPTED}
    assert len(exchange.system.mails()) == 20


@pytest.mark.parametrize("given", [{"exchange_roles": {REPORTS}}, {"mailbox_scope": {REPORTS}}], ids=str)
def test_a_mail_waits_until_exchange_applies_the_permission_of_the_app(
    exchange: ExchangeOnline, transport: GraphMailTransport, given: dict[str, set[str]]
) -> None:
    """Exchange applies a permission granted after the consent hours later."""
    directory, clock = exchange.system.directory, exchange.system.clock
    roles = ["Mail.Send"] if "mailbox_scope" in given else []
    exchange.system.consents.grant_application(CLIENT_ID, MICROSOFT_CONTOSO, roles)
    directory.change_app(CLIENT_ID, mailbox_scope=frozenset[str]())
    clock.advance(timedelta(hours=3))
    exchange.system.behaviour.rights_lag = 7200
    consent = a_consent(account=None, secret_name=None, consented_at=NOON)
    services, _ = over_http(
        enabled_services(sender=RequestedSender(REPORTS), consent=consent), exchange, transport
    )
    list_senders(services, REPORTS)
    services.tokens.get = lambda *_, **__: exchange.system.app_only_token(MICROSOFT_CONTOSO, *roles)  # type: ignore[method-assign]
    services.system.pass_time(timedelta(minutes=55))
    directory.change_app(CLIENT_ID, **{name: frozenset(reached) for name, reached in given.items()})
    deliver(a_message(messageId="m-1"), "q-1", services)
    for _ in range(11):
        deliver_again(services, exchange, timedelta(minutes=10))
        assert row(services).status is DeliveryStatus.DEFERRED
    deliver_again(services, exchange, timedelta(minutes=12))

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert row(services).history[1].code == "access_denied"


def test_conditional_access_gets_the_requested_claims(
    exchange: ExchangeOnline, transport: GraphMailTransport
) -> None:
    services, tokens = over_http(enabled_services(), exchange, transport)
    exchange.system.behaviour.wanted_claims, exchange.system.behaviour.wanted_claims_status = CLAIMS, 403
    deliver(a_message(messageId="m-1"), "q-1", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert tokens.claims == [None, CLAIMS]


@pytest.mark.parametrize("button", ["conditional access without claims", "insufficient_claims"])
def test_conditional_access_that_names_no_claims_waits_for_an_admin(
    exchange: ExchangeOnline, transport: GraphMailTransport, button: str
) -> None:
    services, _ = over_http(enabled_services(), exchange, transport)
    exchange.system.faults.add("sendMail", button, times=0)
    deliver(a_message(messageId="m-1"), "q-1", services)
    first = row(services).status
    for _ in range(2):
        deliver_again(services, exchange, timedelta(minutes=6))

    assert first is DeliveryStatus.DEFERRED
    assert row(services).status is DeliveryStatus.WAITING_FOR_CONSENT
    assert services.settings.load(CONTOSO).status is Status.RECONNECT_NEEDED


def test_opaque_tokens_are_used_as_they_are(exchange: ExchangeOnline, transport: GraphMailTransport) -> None:
    services, _ = over_http(enabled_services(), exchange, transport)
    exchange.system.behaviour.opaque_tokens = True
    deliver(a_message(messageId="m-1"), "q-1", services)

    assert row(services).status is DeliveryStatus.ACCEPTED


def test_a_mail_over_the_upload_limit_continues_when_the_limit_allows(
    exchange: ExchangeOnline, transport: GraphMailTransport
) -> None:
    services, _ = over_http(large_file_services(), exchange, transport)
    exchange.system.behaviour.upload_limit = 6_000_000
    content = bytes(range(256)) * 40_000
    services.files.blobs[f"{CONTOSO}/large.bin"] = content
    mail = a_message(messageId="m-1", attachments=[a_file("large.bin", blob=f"{CONTOSO}/large.bin")])
    deliver(mail, "q-1", services)
    first = row(services)
    for _ in range(4):
        deliver_again(services, exchange, timedelta(minutes=6))

    assert first.status is DeliveryStatus.DEFERRED
    assert first.problem
    assert first.problem.code == "mailbox_throttled"
    assert first.next_attempt_at
    assert first.next_attempt_at - NOON > timedelta(minutes=4)
    assert row(services).status is DeliveryStatus.ACCEPTED
    [sent] = exchange.system.mails()
    assert [file.read() for file in sent.attachments] == [content]


def test_a_mail_over_the_call_limit_waits_for_retry_after(
    exchange: ExchangeOnline, transport: GraphMailTransport
) -> None:
    exchange.system.behaviour.calls_limit = 1
    token = exchange.token()
    transport.find(token, a_sender(), "0123abcd")

    with pytest.raises(TransientError, match="mailbox_throttled") as caught:
        transport.send_mail(token, a_sender(), json.dumps({"message": MESSAGE}).encode())

    assert caught.value.retry_after
    assert timedelta(minutes=9) < caught.value.retry_after <= timedelta(minutes=10)


def test_a_subject_that_exchange_cuts_is_sent_with_a_warning(
    exchange: ExchangeOnline, transport: GraphMailTransport
) -> None:
    services, _ = over_http(enabled_services(), exchange, transport)
    deliver(a_message(messageId="m-1", subject="x" * 300), "q-1", services)

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert [warning.code for warning in row(services).warnings] == ["subject_over_limit"]
    assert len(exchange.system.mails()[0].subject) == 255


@pytest.mark.parametrize(
    ("route", "status", "text"),
    [
        ("createDraft", 201, "{}"),
        ("createDraft", 201, "null"),
        ("createDraft", 201, "[" * 100_000),
        ("createDraft", 201, '{"id": null}'),
        ("createDraft", 201, '{"id": ""}'),
        ("createUploadSession", 201, "{}"),
        ("createUploadSession", 201, '{"uploadUrl": 7}'),
        ("createUploadSession", 201, '{"uploadUrl": "http://outlook.office.com/x"}'),
        ("lookup", 200, '{"value": [null]}'),
        ("lookup", 200, '{"value": [{}]}'),
        ("lookup", 200, '{"value": [{"id": "x"}]}'),
        ("lookup", 200, '{"value": [], "@odata.nextLink": 7}'),
        ("listAttachments", 200, '{"value": {}}'),
        ("uploadChunk", 200, "[]"),
        ("uploadChunk", 200, '{"nextExpectedRanges": [null]}'),
    ],
)
def test_a_success_without_the_requested_content_is_requested_again(
    transport: GraphMailTransport, exchange: ExchangeOnline, route: str, status: int, text: str
) -> None:
    call = calls(transport, exchange.token())[route]
    exchange.system.faults.add(route, Effect(status, message=text, body="raw"))
    error = error_of(call)

    assert (error is None) is (route == "uploadChunk")
    assert error is None or (isinstance(error, TransientError) and error.code == "graph_unavailable")


@pytest.mark.parametrize("no_more", ["null", '""'])
def test_a_list_without_a_next_page_is_complete(
    transport: GraphMailTransport, exchange: ExchangeOnline, no_more: str
) -> None:
    text = f'{{"value": [], "@odata.nextLink": {no_more}}}'
    exchange.system.faults.add("lookup", Effect(200, message=text, body="raw"))

    assert transport.find(exchange.token(), a_sender(), "0a1b") == ()


def test_retry_after_in_a_service_error_is_obeyed(
    transport: GraphMailTransport, exchange: ExchangeOnline
) -> None:
    exchange.system.faults.add("createDraft", Effect(504, "UnknownError", retry_after="120"))
    error = error_of(calls_to_create(transport, exchange))

    assert isinstance(error, TransientError)
    assert error.retry_after == timedelta(seconds=120)


def calls_to_create(transport: GraphMailTransport, exchange: ExchangeOnline) -> Callable[[], object]:
    token = exchange.token()
    return lambda: transport.create_draft(token, a_sender(), json.dumps(MESSAGE).encode())


@pytest.mark.parametrize("status", [301, 302, 307, 308, 501, 505, 511, 521])
def test_a_mail_that_a_server_in_between_did_not_pass_on_is_sent_later(
    exchange: ExchangeOnline, transport: GraphMailTransport, status: int
) -> None:
    services, _ = over_http(enabled_services(), exchange, transport)
    exchange.system.faults.add("sendMail", Effect(status, body="html", headers={"Location": "https://a/b"}))
    deliver(a_message(messageId="m-1"), "q-1", services)
    first = row(services)
    deliver_again(services, exchange, timedelta(minutes=1))

    assert (first.status, first.warnings) == (DeliveryStatus.DEFERRED, ())
    assert row(services).status is DeliveryStatus.ACCEPTED
    assert len(exchange.system.mails()) == 1


@pytest.mark.parametrize("code", ["RequestBroker--ParseUri", "Request_BadRequest", "20Error.x"])
def test_a_code_of_any_form_is_named(
    transport: GraphMailTransport, exchange: ExchangeOnline, code: str
) -> None:
    exchange.system.faults.add("createDraft", Effect(400, code))
    error = error_of(calls_to_create(transport, exchange))

    assert error
    assert error.params["graph_code"] == code


def test_a_refused_mail_is_resent_if_every_search_times_out(
    exchange: ExchangeOnline, transport: GraphMailTransport
) -> None:
    services, _ = over_http(large_file_services(), exchange, transport)
    exchange.system.behaviour.large_mailbox = True
    exchange.system.faults.add("sendMail", "busy")
    deliver(a_message(messageId="m-1"), "q-1", services)
    for _ in range(5):
        deliver_again(services, exchange, timedelta(minutes=5))

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert "maybe_accepted" in [warning.code for warning in row(services).warnings]
    assert len(exchange.system.mails()) == 1
    assert exchange.operations.count("lookup") >= 3


def test_a_submitted_draft_that_is_gone_is_not_recreated_without_a_search(
    exchange: ExchangeOnline, transport: GraphMailTransport
) -> None:
    services, _ = over_http(large_file_services(), exchange, transport)
    exchange.system.behaviour.large_mailbox = True
    exchange.system.faults.add("send", Effect(403, body="html"))
    services.files.blobs[f"{CONTOSO}/large.bin"] = bytes(7_000_000)
    mail = a_message(messageId="m-1", attachments=[a_file("large.bin", blob=f"{CONTOSO}/large.bin")])
    deliver(mail, "q-1", services)
    [draft] = exchange.system.drafts("ada@contoso.com")
    transport.remove(exchange.token(), a_sender(), draft.immutable_id)
    deliver_again(services, exchange, timedelta(minutes=6))

    assert (row(services).status, exchange.system.mails()) == (DeliveryStatus.DEFERRED, [])
    assert row(services).problem.code == "graph_timeout"  # type: ignore[union-attr]


@pytest.mark.parametrize("response", [Effect(201, body="empty"), "conflict"], ids=str)
def test_a_chunk_that_is_not_the_last_one_completes_no_file(
    exchange: ExchangeOnline, transport: GraphMailTransport, response: str | Effect
) -> None:
    services, _ = over_http(large_file_services(), exchange, transport)
    content = bytes(range(256)) * 40_000
    services.files.blobs[f"{CONTOSO}/large.bin"] = content
    exchange.system.faults.add("uploadChunk", response, nth=2)
    mail = a_message(messageId="m-1", attachments=[a_file("large.bin", blob=f"{CONTOSO}/large.bin")])
    deliver(mail, "q-1", services)
    first = row(services)
    deliver_again(services, exchange, timedelta(minutes=1))

    assert first.problem
    assert (first.status, first.problem.code) == (DeliveryStatus.DEFERRED, "upload_interrupted")
    [sent] = exchange.system.mails()
    assert [file.read() for file in sent.attachments] == [content]


@pytest.mark.parametrize(
    ("route", "effect"),
    [
        ("createDraft", "busy"),
        ("createDraft", "reset but accepted"),
        ("createUploadSession", "busy"),
        ("uploadChunk", "busy"),
        ("send", Effect(403, body="html")),
        ("send", "reset"),
        ("send", "timeout but accepted"),
        ("send", "busy"),
        ("send", "busy but accepted"),
    ],
)
def test_a_large_mail_is_sent_in_a_mailbox_where_every_search_times_out(
    exchange: ExchangeOnline, transport: GraphMailTransport, route: str, effect: str | Effect
) -> None:
    services, _ = over_http(large_file_services(), exchange, transport)
    exchange.system.behaviour.large_mailbox = True
    exchange.system.faults.add(route, effect)
    services.files.blobs[f"{CONTOSO}/large.bin"] = bytes(7_000_000)
    mail = a_message(messageId="m-1", attachments=[a_file("large.bin", blob=f"{CONTOSO}/large.bin")])
    deliver(mail, "q-1", services)
    for _ in range(6):
        deliver_again(services, exchange, timedelta(minutes=6))

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert len(exchange.system.mails()) == 1


@pytest.mark.parametrize("response", [Effect(413, body="html"), Effect(400, "InefficientFilter")], ids=str)
@pytest.mark.parametrize(("route", "effect"), [("createDraft", "busy"), ("send", "reset but accepted")])
def test_a_large_mail_is_sent_where_graph_refuses_every_search(
    exchange: ExchangeOnline, transport: GraphMailTransport, response: Effect, route: str, effect: str
) -> None:
    services, _ = over_http(large_file_services(), exchange, transport)
    exchange.system.faults.add("lookup", response, times=0)
    exchange.system.faults.add(route, effect)
    services.files.blobs[f"{CONTOSO}/large.bin"] = bytes(7_000_000)
    mail = a_message(messageId="m-1", attachments=[a_file("large.bin", blob=f"{CONTOSO}/large.bin")])
    deliver(mail, "q-1", services)
    deliver_again(services, exchange, timedelta(minutes=6))

    assert row(services).status is DeliveryStatus.ACCEPTED
    assert len(exchange.system.mails()) == 1


def test_a_large_mail_waits_where_graph_cannot_search_now(
    exchange: ExchangeOnline, transport: GraphMailTransport
) -> None:
    services, _ = over_http(large_file_services(), exchange, transport)
    exchange.system.faults.add("lookup", "busy")
    services.files.blobs[f"{CONTOSO}/large.bin"] = bytes(7_000_000)
    mail = a_message(messageId="m-1", attachments=[a_file("large.bin", blob=f"{CONTOSO}/large.bin")])
    deliver(mail, "q-1", services)
    first = row(services).status
    deliver_again(services, exchange, timedelta(minutes=1))

    assert (first, row(services).status) == (DeliveryStatus.DEFERRED, DeliveryStatus.ACCEPTED)
