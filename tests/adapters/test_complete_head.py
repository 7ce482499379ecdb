"""A response of storage counts only with its complete head."""

from __future__ import annotations

import socket
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
from azure.core.exceptions import ServiceResponseError
from azure.core.pipeline.transport import HttpRequest

from shared.adapters.bounded_transport import bounded_transport
from shared.adapters.table_storage import STORAGE_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = b"HTTP/1.1 201 Created\r\nETag: 0x8D\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def serve_once(response: bytes) -> Iterator[str]:
    """Send this response to one request, close, and return the address."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def respond() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(response)

        thread = threading.Thread(target=respond)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def status_of(address: str, **options: object) -> int:
    with bounded_transport(STORAGE_OPTIONS) as transport:
        status: int = transport.send(HttpRequest("PUT", address), **options).status_code
    return status


@pytest.mark.parametrize("end", range(len(HEAD)))
def test_a_head_that_breaks_off_anywhere_is_no_response(end: int) -> None:
    with serve_once(HEAD[:end]) as address, pytest.raises(ServiceResponseError):
        status_of(address)


def test_a_complete_head_is_a_response() -> None:
    with serve_once(HEAD) as address:
        assert status_of(address) == 201


def test_a_complete_head_is_a_response_through_a_proxy() -> None:
    with serve_once(HEAD) as proxy:
        assert status_of("http://storage.example/", proxies={"http": proxy}) == 201


def test_a_head_that_breaks_off_at_a_proxy_is_no_response() -> None:
    with serve_once(HEAD[:-2]) as proxy, pytest.raises(ServiceResponseError):
        status_of("http://storage.example/", proxies={"http": proxy})
