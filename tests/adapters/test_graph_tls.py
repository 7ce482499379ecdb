"""TLS that breaks during a call, when the mail may already have arrived."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from shared.adapters.graph import GraphMailTransport
from shared.errors import OutcomeUnknownError
from tests.exchange_online import a_sender

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local_stack.certificates import LocalAuthority

MAIL = b"x" * 100_000 + b"the end"

BAD_RECORD = b"\x17\x03\x03\x00\x20" + bytes(32)
PLAIN_TEXT = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def a_server(
    authority: LocalAuthority, last_words: bytes, response: bytes = b""
) -> Iterator[tuple[str, list[bytes]]]:
    """Accept one mail over TLS, respond, and end with bytes that are not TLS."""
    arrived: list[bytes] = []

    def serve_once(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.settimeout(5)
        tls = authority.server_context().wrap_socket(connection, server_side=True)
        text = b""
        while not text.endswith(b"the end"):
            text += tls.recv(65536)
        arrived.append(text)
        tls.sendall(response)
        with socket.socket(fileno=tls.detach()) as bare:
            bare.sendall(last_words)

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(5)
        thread = threading.Thread(target=serve_once, args=(listener,))
        thread.start()
        yield f"https://localhost:{listener.getsockname()[1]}", arrived
        thread.join(5)


@pytest.mark.parametrize("last_words", [BAD_RECORD, PLAIN_TEXT, b""], ids=["bad record", "no TLS", "nothing"])
def test_a_mail_that_arrived_before_tls_broke_may_have_been_taken(
    local_authority: LocalAuthority, monkeypatch: pytest.MonkeyPatch, last_words: bytes
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(local_authority.bundle))
    with a_server(local_authority, last_words) as (address, arrived):
        transport = GraphMailTransport(address)
        with pytest.raises(OutcomeUnknownError):
            transport.send_mail("token", a_sender(), MAIL)
        transport.close()

    assert arrived


def test_a_mail_whose_acceptance_arrived_before_tls_broke_was_taken(
    local_authority: LocalAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(local_authority.bundle))
    accepted = b"HTTP/1.1 202 Accepted\r\nrequest-id: g-1\r\nTransfer-Encoding: chunked\r\n\r\n"
    with a_server(local_authority, BAD_RECORD, accepted) as (address, _):
        transport = GraphMailTransport(address)

        assert transport.send_mail("token", a_sender(), MAIL) == "g-1"
        transport.close()
