import socket
import threading

import certifi
import pytest
import requests
from aiohttp import web

from tests.local_stack.certificates import LocalAuthority
from tests.local_stack.serving import serve


def greeting() -> web.Application:
    async def greet(request: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", greet)
    return app


@pytest.mark.parametrize(("bound", "called"), [("127.0.0.1", "localhost"), ("::1", "[::1]")])
def test_a_client_that_trusts_the_authority_reaches_every_loopback_name(
    local_authority: LocalAuthority, bound: str, called: str
) -> None:
    with serve(greeting(), local_authority.server_context(), host=bound) as server:
        named = f"https://{called}:{server.port}/"
        for url in (server.url, named):
            assert requests.get(url, verify=str(local_authority.bundle), timeout=5).text == "hello"


def test_a_client_that_does_not_trust_the_authority_refuses(local_authority: LocalAuthority) -> None:
    with (
        serve(greeting(), local_authority.server_context()) as server,
        pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        requests.get(server.url, verify=certifi.where(), timeout=5)


def test_a_taken_port_is_the_callers_error() -> None:
    with serve(greeting()) as server, pytest.raises(OSError, match="in use"):
        serve(greeting(), port=server.port)


def test_a_stopped_server_is_gone_with_its_thread(local_authority: LocalAuthority) -> None:
    before = threading.active_count()
    server = serve(greeting(), local_authority.server_context())
    with requests.Session() as session:
        session.get(server.url, verify=str(local_authority.ca_file), timeout=5)
        server.stop()
        server.stop()

    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)
