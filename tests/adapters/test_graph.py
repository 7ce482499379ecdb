"""Sending through Graph over TLS, against the local Exchange Online."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.adapters.graph import GraphMailTransport
from shared.errors import (
    ConfigurationError,
    MailerError,
    OutcomeUnknownError,
    RejectedError,
    SenderRefusedError,
    TokenRefusedError,
    TransientError,
)
from shared.sending.errors import ThrottledError
from tests.exchange_online import ExchangeOnline, a_sender
from tests.local_stack.microsoft365 import Effect
from tests.local_stack.microsoft365.contoso import ADA, CONTOSO, FINANCE

if TYPE_CHECKING:
    from collections.abc import Iterator

MAIL: dict[str, Any] = {
    "subject": "Weekly sales",
    "body": {"contentType": "text", "content": "Up 4 %"},
    "toRecipients": [{"emailAddress": {"address": "cfo@contoso.com"}}],
}


def a_call(**changes: Any) -> bytes:
    return json.dumps({"message": MAIL | changes}).encode()


@pytest.fixture
def transport(exchange: ExchangeOnline) -> Iterator[GraphMailTransport]:
    made = GraphMailTransport(exchange.graph)
    yield made
    made.close()


def test_a_mail_is_accepted_and_graph_names_its_request_id(
    transport: GraphMailTransport, exchange: ExchangeOnline
) -> None:
    request_id = transport.send_mail(exchange.token(), a_sender(), a_call())

    (mail,) = exchange.system.mails()
    assert (mail.subject, mail.recipients, mail.mailbox) == (
        "Weekly sales",
        ["cfo@contoso.com"],
        "ada@contoso.com",
    )
    assert mail.client_request_id != request_id
    assert len(request_id) == 36


def test_a_mailbox_with_another_sign_in_name_is_found_by_its_object_id(
    transport: GraphMailTransport, exchange: ExchangeOnline
) -> None:
    ada = exchange.system.directory.change_user(ADA, sign_in_name="a1@contoso.com")
    token = exchange.system.app_only_token(CONTOSO, "Mail.Send")
    by_address = replace(a_sender(), mailbox="users/ada%40contoso.com")

    with pytest.raises(RejectedError) as refused:
        transport.send_mail(token, by_address, a_call())
    assert refused.value.code == "mailbox_not_found"
    assert "enters the sign-in name" in refused.value.problem.detail

    transport.send_mail(token, replace(by_address, mailbox=f"users/{ada.object_id}"), a_call())
    transport.send_mail(token, replace(by_address, mailbox="users/a1%40contoso.com"), a_call())
    assert {mail.from_address.address for mail in exchange.system.mails()} == {ADA}


@pytest.mark.parametrize(
    ("button", "kind"),
    [
        ("throttled", ThrottledError),
        ("throttled without Retry-After", ThrottledError),
        ("busy", TransientError),
        ("busy and closed", TransientError),
        ("conflict", TransientError),
        ("internal error", OutcomeUnknownError),
        ("bad gateway", OutcomeUnknownError),
        ("timeout", OutcomeUnknownError),
        ("timeout but accepted", OutcomeUnknownError),
        ("reset", OutcomeUnknownError),
        ("reset but accepted", OutcomeUnknownError),
        ("token expired", TokenRefusedError),
        ("access denied", SenderRefusedError),
        ("mailbox full", SenderRefusedError),
    ],
)
def test_each_fault_of_graph_becomes_an_error_of_the_app(
    transport: GraphMailTransport, exchange: ExchangeOnline, button: str, kind: type[MailerError]
) -> None:
    exchange.system.faults.add("sendMail", button)

    with pytest.raises(kind) as caught:
        transport.send_mail(exchange.token(), a_sender(), a_call())

    assert type(caught.value) is kind
    assert "cfo@contoso.com" not in str(caught.value)


def test_nothing_is_ever_repeated_automatically(
    transport: GraphMailTransport, exchange: ExchangeOnline
) -> None:
    for button in ("throttled", "busy and closed", "timeout but accepted", "reset but accepted"):
        exchange.system.faults.clear()
        exchange.system.requests.clear()
        exchange.system.faults.add("sendMail", button)
        with pytest.raises(MailerError):
            transport.send_mail(exchange.token(), a_sender(), a_call())
        assert exchange.operations == ["sendMail"]


def test_an_acceptance_with_retry_after_is_an_acceptance(
    transport: GraphMailTransport, exchange: ExchangeOnline
) -> None:
    exchange.system.faults.add("sendMail", "accepted with Retry-After")

    assert transport.send_mail(exchange.token(), a_sender(), a_call())


def test_a_success_other_than_202_is_none(transport: GraphMailTransport, exchange: ExchangeOnline) -> None:
    exchange.system.faults.add("sendMail", Effect(200, body="empty"))

    with pytest.raises(OutcomeUnknownError):
        transport.send_mail(exchange.token(), a_sender(), a_call())


def test_retry_after_is_read_from_the_response_of_graph(
    transport: GraphMailTransport, exchange: ExchangeOnline
) -> None:
    exchange.system.faults.add("sendMail", "throttled")

    with pytest.raises(TransientError) as caught:
        transport.send_mail(exchange.token(), a_sender(), a_call())

    assert caught.value.retry_after == timedelta(seconds=2.128)
    assert caught.value.request_id


def test_a_from_address_without_the_right_names_account_and_address(
    transport: GraphMailTransport, exchange: ExchangeOnline
) -> None:
    exchange.system.directory.revoke("send_as", on=FINANCE, to="ada@contoso.com")
    other = {"from": {"emailAddress": {"address": FINANCE}}}

    with pytest.raises(RejectedError) as caught:
        transport.send_mail(
            exchange.token("Mail.Send", "Mail.Send.Shared"), a_sender(from_field=FINANCE), a_call(**other)
        )

    assert caught.value.code == "send_as_denied"
    assert caught.value.graph_code == "ErrorSendAsDenied"
    assert caught.value.params == {
        "account": "ada@contoso.com",
        "address": FINANCE,
        "graph_code": "ErrorSendAsDenied",
        "what": "The mail",
    }


def test_a_server_that_refuses_the_connection_was_sent_nothing() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    transport = GraphMailTransport(f"https://127.0.0.1:{port}")

    with pytest.raises(TransientError) as caught:
        transport.send_mail("token", a_sender(), a_call())

    assert caught.value.code == "graph_unavailable"
    transport.close()


def test_a_certificate_that_is_not_trusted_is_sent_nothing(
    exchange: ExchangeOnline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    transport = GraphMailTransport(exchange.graph)

    with pytest.raises(ConfigurationError, match="certificate_not_trusted"):
        transport.send_mail(exchange.token(), a_sender(), a_call())

    assert not exchange.system.mails()
    transport.close()


def test_a_connection_that_is_never_established_times_out_unsent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.adapters.http.CONNECT_SECONDS", 0.2)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        # Any further connection finds the backlog of the socket full.
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        transport = GraphMailTransport(f"https://127.0.0.1:{full.getsockname()[1]}")
        with pytest.raises(TransientError):
            transport.send_mail("token", a_sender(), a_call())
        for one in waiting:
            one.close()
    transport.close()


def test_a_response_timeout_leaves_the_outcome_unknown(
    exchange: ExchangeOnline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.adapters.graph.GRAPH_RESPONSE_SECONDS", 0.3)
    transport = GraphMailTransport(exchange.graph)
    exchange.system.faults.add("sendMail", Effect(delay=1.0))

    with pytest.raises(OutcomeUnknownError):
        transport.send_mail(exchange.token(), a_sender(), a_call())
    transport.close()


def test_four_mails_may_be_on_their_way_at_once(
    transport: GraphMailTransport, exchange: ExchangeOnline
) -> None:
    exchange.system.behaviour.latency = 0.2
    token = exchange.token()
    threads = [
        threading.Thread(target=transport.send_mail, args=(token, a_sender(), a_call())) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert len(exchange.system.mails()) == 4
