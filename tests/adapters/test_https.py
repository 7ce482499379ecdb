"""Connections that are kept open, against real servers on this machine."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from shared.adapters.https import Connections, NoAnswerError, NotSentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local_stack.certificates import LocalAuthority


@dataclass
class Site:
    """A server and what it saw."""

    url: str
    seen: list[tuple[str, int]] = field(default_factory=list)
    open: list[Any] = field(default_factory=list)


@pytest.fixture
def site(local_authority: LocalAuthority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(local_authority.bundle))
    made = Site("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            made.seen.append((self.path, self.client_address[1]))
            made.open.append(self.connection)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            if self.path == "/last":
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"ok" if self.path != "/half" else b"o")
            if self.path == "/half":
                self.close_connection = True

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Say nothing of clients that go away."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = local_authority.server_context().wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    made.url = f"https://localhost:{server.server_address[1]}"
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def connections(site: Site) -> Iterator[Connections]:
    made = Connections(2, 2)
    yield made
    made.close()


def ports(site: Site) -> int:
    return len({port for _, port in site.seen})


def test_requests_go_over_one_connection_with_their_queries(connections: Connections, site: Site) -> None:
    for path in ("/a?x=1&y=%20", "/b"):
        answer = connections.ask("GET", site.url + path, {}, None)
        assert (answer.status, answer.body, answer.headers.get("content-length")) == (200, b"ok", "2")

    assert [path for path, _ in site.seen] == ["/a?x=1&y=%20", "/b"]
    assert ports(site) == 1


def test_a_connection_that_the_server_ends_is_not_used_again(connections: Connections, site: Site) -> None:
    connections.ask("GET", f"{site.url}/last", {}, None)
    connections.ask("GET", f"{site.url}/next", {}, None)

    assert ports(site) == 2


def test_a_connection_that_was_closed_while_it_was_idle_is_noticed_before_anything_is_sent(
    connections: Connections, site: Site
) -> None:
    connections.ask("GET", f"{site.url}/a", {}, None)
    site.open[0].shutdown(socket.SHUT_RDWR)
    answer = connections.ask("GET", f"{site.url}/b", {}, None)

    assert answer.status == 200
    assert ports(site) == 2


def test_what_is_idle_can_be_closed(connections: Connections, site: Site) -> None:
    connections.ask("GET", f"{site.url}/a", {}, None)
    connections.close(site.url.removeprefix("https://"))
    connections.close("never-asked.example")
    connections.ask("GET", f"{site.url}/b", {}, None)

    assert ports(site) == 2


def test_more_connections_than_are_ever_used_are_not_kept(connections: Connections, site: Site) -> None:
    host = site.url.removeprefix("https://")
    for _ in range(9):
        connections._give_back(host, connections._open(host))

    assert len(connections._idle[host]) == 8


def test_a_connection_that_was_idle_for_long_is_not_trusted(site: Site) -> None:
    connections = Connections(2, 2, idle_seconds=0.1)
    connections.ask("GET", f"{site.url}/a", {}, None)
    time.sleep(0.15)
    connections.ask("GET", f"{site.url}/b", {}, None)
    connections.ask("GET", f"{site.url}/c", {}, None)
    connections.close()

    assert [path for path, _ in site.seen] == ["/a", "/b", "/c"]
    assert ports(site) == 2


@dataclass
class Impatient:
    """A server that answers after the first bytes of a body, and closes."""

    answer: bytes
    url: str = ""


@pytest.fixture
def impatient(local_authority: LocalAuthority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Impatient]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(local_authority.bundle))
    made = Impatient(b"")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made.url = f"https://localhost:{listener.getsockname()[1]}"

        def serve() -> None:
            with local_authority.server_context().wrap_socket(
                listener.accept()[0], server_side=True
            ) as client:
                client.recv(1000)
                client.sendall(made.answer)
                # Reads on, as otherwise the network may throw the answer away with the rest of the body.
                client.settimeout(1.0)
                client.shutdown(socket.SHUT_WR)
                with suppress(OSError):
                    while client.recv(65536):
                        time.sleep(0.001)

        thread = threading.Thread(target=serve)
        thread.start()
        yield made
        thread.join()


class Breaking(Connections):
    """Connections that break while the body is sent, once the server has answered."""

    def _open(self, host: str) -> Any:
        connection = super()._open(host)
        send = connection.send

        def send_half(data: Any) -> None:
            if len(data) < 100_000:
                send(data)
                return
            send(data[:1000])
            time.sleep(0.3)
            raise ConnectionResetError

        connection.send = send_half  # type: ignore[method-assign]
        return connection


BODY = bytes(3_000_000)


def test_a_refusal_that_comes_before_the_whole_body_was_sent_is_an_answer(impatient: Impatient) -> None:
    impatient.answer = b"HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}"
    answer = Breaking(2, 2).ask("POST", impatient.url, {}, BODY)

    assert (answer.status, answer.headers.get("retry-after"), answer.body) == (429, "7", b"{}")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 429 Too Many\r\nContent-Length: 20\r\n\r\n{}",
        b"HTTP/1.1 429 Too Many\r\n\r\n{}",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["none", "cut short", "of unknown length", "a success"],
)
def test_any_other_early_answer_says_nothing(impatient: Impatient, answer: bytes) -> None:
    impatient.answer = answer
    with pytest.raises(NoAnswerError):
        Breaking(2, 2).ask("POST", impatient.url, {}, BODY)


def test_a_connection_that_closed_itself_has_no_answer(site: Site) -> None:
    class Closing(Connections):
        def _open(self, host: str) -> Any:
            connection = super()._open(host)

            def fail(*_: object) -> None:
                connection.close()
                raise BrokenPipeError

            connection.request = fail  # type: ignore[method-assign,assignment]
            return connection

    with pytest.raises(NoAnswerError):
        Closing(2, 2).ask("GET", f"{site.url}/a", {}, None)


def test_a_body_that_nobody_takes_is_not_waited_for_twice(site: Site) -> None:
    class Stuck(Connections):
        def _open(self, host: str) -> Any:
            connection = super()._open(host)
            connection.request = stuck  # type: ignore[method-assign,assignment]
            return connection

    def stuck(*_: object) -> None:
        raise TimeoutError

    with pytest.raises(NoAnswerError):
        Stuck(2, 2).ask("GET", f"{site.url}/a", {}, None)
    assert not site.seen


@pytest.mark.parametrize("path", ["/a b", "/a\u00e9"])
def test_an_address_that_cannot_be_written_is_asked_for_nothing(
    connections: Connections, site: Site, path: str
) -> None:
    with pytest.raises(NoAnswerError):
        connections.ask("GET", site.url + path, {}, None)
    assert not site.seen


def test_an_answer_that_breaks_off_is_none(connections: Connections, site: Site) -> None:
    with pytest.raises(NoAnswerError):
        connections.ask("GET", f"{site.url}/half", {}, None)


def test_a_certificate_that_nobody_trusts_ends_it_before_anything_is_sent(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(NotSentError) as caught:
        Connections(2, 2).ask("GET", f"{site.url}/a", {}, None)

    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
    assert not site.seen


@pytest.mark.parametrize("answer", [b"HTTP/1.1 403 Forbidden\r\n\r\n", b"SSH-2.0-OpenSSH_9.6\r\n"])
def test_a_proxy_of_the_environment_is_asked_for_a_tunnel(
    site: Site, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("HTTPS_PROXY", f"http://someone:secret@127.0.0.1:{listener.getsockname()[1]}")
        monkeypatch.setenv("NO_PROXY", "")

        def refuse() -> None:
            with listener.accept()[0] as client:
                asked.append(client.recv(1000))
                client.sendall(answer)

        proxy = threading.Thread(target=refuse)
        proxy.start()
        with pytest.raises(NotSentError):
            Connections(2, 2).ask("GET", "https://graph.example/a", {}, None)
        proxy.join()

    assert asked[0].startswith(b"CONNECT graph.example:443 HTTP/1.")
