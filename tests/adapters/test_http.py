"""The HTTP configuration, against real local servers and a proxy."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from shared.adapters.http import HttpClient, HttpSession, NoResponseError, NotSentError
from shared.errors import ConfigurationError
from tests.adapters.proxy import TunnelProxy
from tests.local_stack.certificates import LocalAuthority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass
class Site:
    """A server with a record of its connections and requests."""

    url: str = ""
    seen: list[tuple[str, int, dict[str, str]]] = field(default_factory=list)
    open: list[Any] = field(default_factory=list)

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", int(self.url.rpartition(":")[2])

    @property
    def paths(self) -> list[str]:
        return [path for path, _, _ in self.seen]

    @property
    def connections(self) -> int:
        """How many connections were used."""
        return len({port for _, port, _ in self.seen})


@pytest.fixture
def site(local_authority: LocalAuthority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(local_authority.bundle))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with serving(local_authority) as served:
        yield served


class serving:  # noqa: N801 - used as a context manager
    """Serve a `Site` with an authority's certificate."""

    def __init__(self, authority: LocalAuthority) -> None:
        self._authority = authority

    def __enter__(self) -> Site:
        made = Site()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                made.seen.append((self.path, self.client_address[1], dict(self.headers.items())))
                made.open.append(self.connection)
                self.send_response(
                    {"/busy": HTTPStatus.SERVICE_UNAVAILABLE, "/moved": HTTPStatus.FOUND}.get(
                        self.path, HTTPStatus.OK
                    )
                )
                self.send_header("Content-Length", "2")
                self.send_header("Location", "/elsewhere")
                self.send_header("Set-Cookie", "a=b")
                if self.path == "/last":
                    self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(b"ok" if self.path != "/half" else b"o")
                self.close_connection = self.path == "/half"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Print nothing when a client disconnects."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.socket = self._authority.server_context().wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        made.url = f"https://localhost:{self._server.server_address[1]}"
        return made

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def open_resources() -> Iterator[ExitStack]:
    """Close every client and session at the end of the test."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def new_client(open_resources: ExitStack) -> Callable[[], HttpClient]:
    """Return a factory of clients that read the environment when made."""

    def make(idle_seconds: float = 60) -> HttpClient:
        return open_resources.enter_context(closing(HttpClient(2, idle_seconds)))

    return make


@pytest.fixture
def new_session(open_resources: ExitStack) -> Callable[[], HttpSession]:
    """Return a factory of sessions that read the environment when made."""
    return lambda: open_resources.enter_context(HttpSession(2))


@pytest.fixture
def client(site: Site, new_client: Callable[[], HttpClient]) -> HttpClient:
    return new_client()


def get(client: HttpClient, url: str) -> int:
    return client.request("GET", url, {}, None).status


# Connections


def test_requests_reuse_one_connection(client: HttpClient, site: Site) -> None:
    for path in ("/a?x=1&y=%20", "/b"):
        response = client.request("GET", site.url + path, {}, None)
        assert (response.status, response.body, response.headers.get("content-length")) == (200, b"ok", "2")

    assert site.paths == ["/a?x=1&y=%20", "/b"]
    assert site.connections == 1


def test_a_connection_that_the_server_ends_is_not_reused(client: HttpClient, site: Site) -> None:
    get(client, f"{site.url}/last")
    get(client, f"{site.url}/next")

    assert site.connections == 2


def test_a_connection_closed_while_idle_is_replaced_before_sending(client: HttpClient, site: Site) -> None:
    get(client, f"{site.url}/a")
    site.open[0].shutdown(socket.SHUT_RDWR)

    assert client.request("POST", f"{site.url}/b", {}, b"x").status == 200
    assert site.connections == 2


def test_a_connection_that_was_idle_for_long_is_replaced(
    new_client: Callable[..., HttpClient], site: Site
) -> None:
    client = new_client(0.1)
    get(client, f"{site.url}/a")
    time.sleep(0.15)
    get(client, f"{site.url}/b")
    get(client, f"{site.url}/c")

    assert site.paths == ["/a", "/b", "/c"]
    assert site.connections == 2


def test_after_503_the_next_request_uses_a_new_connection(client: HttpClient, site: Site) -> None:
    assert get(client, f"{site.url}/busy") == 503
    get(client, f"{site.url}/a")
    get(client, f"{site.url}/b")

    assert site.connections == 2


def test_more_requests_at_once_than_idle_connections_all_succeed(client: HttpClient, site: Site) -> None:
    threads = [threading.Thread(target=get, args=(client, f"{site.url}/{n}")) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert len(site.seen) == 20


def test_each_host_has_its_own_connections(
    client: HttpClient, site: Site, local_authority: LocalAuthority
) -> None:
    with serving(local_authority) as other:
        for url in (site.url, other.url, site.url):
            assert get(client, f"{url}/a") == 200

        assert (site.connections, other.connections) == (1, 1)


def test_a_closed_client_opens_new_connections(client: HttpClient, site: Site) -> None:
    get(client, f"{site.url}/a")
    client.close()
    get(client, f"{site.url}/b")

    assert site.connections == 2


# What is not done


def test_a_redirect_is_a_response(
    new_session: Callable[[], HttpSession], client: HttpClient, site: Site
) -> None:
    assert get(client, f"{site.url}/moved") == 302
    assert new_session().get(f"{site.url}/moved").status_code == 302
    assert site.paths == ["/moved", "/moved"]


def test_no_cookie_is_stored(new_session: Callable[[], HttpSession], client: HttpClient, site: Site) -> None:
    session = new_session()
    for _ in range(2):
        get(client, f"{site.url}/a")
        session.get(f"{site.url}/a")

    assert not any("Cookie" in headers for _, _, headers in site.seen)


def test_no_password_is_read_from_netrc(
    new_session: Callable[[], HttpSession],
    client: HttpClient,
    site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login someone password secret")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    bearer = {"Authorization": "Bearer x"}
    client.request("GET", f"{site.url}/a", bearer, None)
    new_session().get(f"{site.url}/a", headers=bearer)

    assert [headers["Authorization"] for _, _, headers in site.seen] == ["Bearer x"] * 2


@pytest.mark.parametrize("url", ["http://localhost/a", "ftp://localhost/a"])
def test_only_https_is_used(client: HttpClient, url: str) -> None:
    with pytest.raises(NotSentError):
        client.request("GET", url, {}, None)


# Not sent, or no response


CUT = [
    b"Content-Length: 9\r\n\r\n{",
    b"Transfer-Encoding: chunked\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
]


@pytest.mark.parametrize("rest", CUT)
@pytest.mark.parametrize("status", [b"202 Accepted", b"429 Too Many Requests"])
def test_a_response_without_its_body_is_known_by_its_status(
    client: HttpClient, early_server: EarlyServer, status: bytes, rest: bytes
) -> None:
    early_server.response = b"HTTP/1.1 " + status + b"\r\nRetry-After: 7\r\n" + rest
    response = client.request("POST", early_server.url, {}, b"mail")

    assert (response.status, response.headers["retry-after"], response.body) == (int(status[:3]), "7", b"")


def test_a_response_without_a_status_is_no_response(client: HttpClient, early_server: EarlyServer) -> None:
    early_server.response = b"HTTP/1.1 2"
    with pytest.raises(NoResponseError):
        client.request("POST", early_server.url, {}, b"mail")


def test_an_interim_response_is_not_the_response(client: HttpClient, early_server: EarlyServer) -> None:
    interim = b"HTTP/1.1 %d Wait\r\nLink: </a>; rel=preload\r\n\r\n"
    final = b"HTTP/1.1 202 Accepted\r\nx-a: 1\r\nContent-Length: 0\r\n\r\n"
    early_server.response = b"".join(interim % status for status in (100, 102, 103, 103, 199)) + final
    response = client.request("POST", early_server.url, {}, b"mail")

    assert (response.status, response.headers["x-a"], "link" in response.headers) == (202, "1", False)


def test_a_header_that_can_not_be_sent_gives_no_response(client: HttpClient, site: Site) -> None:
    with pytest.raises(NoResponseError):
        client.request("GET", f"{site.url}/a", {"x": "a\nb"}, None)
    assert not site.seen


def test_a_refused_connection_sends_nothing(client: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NotSentError):
        get(client, f"https://localhost:{port}/")


@pytest.mark.parametrize("response", [b"SSH-2.0-OpenSSH_9.6\r\n", b""], ids=["no TLS", "nothing"])
def test_a_server_without_tls_sees_nothing_of_the_request(client: HttpClient, response: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_respond_once, args=(listener, response))
        thread.start()
        with pytest.raises(NotSentError):
            get(client, f"https://localhost:{listener.getsockname()[1]}/")
        thread.join(5)


def _respond_once(listener: socket.socket, response: bytes) -> None:
    with listener.accept()[0] as connection:
        connection.recv(1000)
        connection.sendall(response)


def test_a_session_connects_once_more_where_nothing_was_sent(
    new_session: Callable[[], HttpSession], site: Site, local_authority: LocalAuthority
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def break_then_serve() -> None:
            _respond_once(listener, b"")
            connection = local_authority.server_context().wrap_socket(listener.accept()[0], server_side=True)
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            connection.close()

        thread = threading.Thread(target=break_then_serve)
        thread.start()
        response = new_session().get(f"https://localhost:{listener.getsockname()[1]}/")
        thread.join(5)

    assert response.text == "ok"


# What waiting does not cure is the operator's


def test_an_untrusted_certificate_is_an_operator_error(
    new_client: Callable[..., HttpClient],
    new_session: Callable[[], HttpSession],
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    for get_it in (new_session().get, lambda url: get(new_client(), url)):
        with pytest.raises(ConfigurationError, match="localhost") as caught:
            get_it(f"{site.url}/a")
        assert caught.value.code == "certificate_not_trusted"
    assert not site.seen


def test_an_authority_without_key_identifier_is_an_operator_error(
    new_client: Callable[..., HttpClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = LocalAuthority.create(tmp_path, key_identifier=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.bundle))
    with (
        serving(authority) as inspected,
        pytest.raises(ConfigurationError, match="Missing Authority Key Identifier") as caught,
    ):
        get(new_client(), f"{inspected.url}/a")
    assert caught.value.code == "certificate_not_trusted"


def test_a_certificate_for_another_name_is_an_operator_error(
    client: HttpClient, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TunnelProxy(site.address) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.address)
        with pytest.raises(ConfigurationError, match=r"graph\.example") as caught:
            get(client, "https://graph.example/")
    assert caught.value.code == "certificate_not_trusted"


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_trusted_authorities_come_from_the_environment(
    new_client: Callable[..., HttpClient],
    site: Site,
    local_authority: LocalAuthority,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    monkeypatch.setenv(variable, str(local_authority.bundle))

    assert get(new_client(), f"{site.url}/a") == 200


def test_a_folder_of_authorities_is_read(
    new_client: Callable[..., HttpClient], site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    with pytest.raises(ConfigurationError) as caught:
        get(new_client(), f"{site.url}/a")
    assert caught.value.code == "certificate_not_trusted"


def test_a_file_of_authorities_that_can_not_be_read_is_named(
    new_client: Callable[..., HttpClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    for path in (wrong, tmp_path / "missing.pem"):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
        with pytest.raises(ConfigurationError, match="REQUESTS_CA_BUNDLE") as caught:
            new_client()
        assert caught.value.code == "setting_invalid"


def test_a_name_that_does_not_exist_is_an_operator_error(client: HttpClient) -> None:
    with pytest.raises(ConfigurationError, match=r"graph\.invalid") as caught:
        get(client, "https://graph.invalid/")
    assert caught.value.code == "host_not_found"


def test_a_name_that_cannot_be_resolved_now_is_transient(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(NotSentError):
        get(client, "https://graph.example/")


# Proxies


@pytest.mark.parametrize(
    "form",
    [
        "http://someone:se%40cret@{address}",
        "someone:se%40cret@{address}",
    ],
    ids=["with scheme", "without scheme"],
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_gets_its_user_and_password(
    new_client: Callable[..., HttpClient],
    new_session: Callable[[], HttpSession],
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    variable: str,
) -> None:
    with TunnelProxy(site.address, user="someone:se@cret") as proxy:
        monkeypatch.setenv(variable, form.format(address=proxy.address))
        client = new_client()
        assert get(client, f"{site.url}/a") == 200
        assert get(client, f"{site.url}/b") == 200
        assert new_session().get(f"{site.url}/c").status_code == 200

    assert proxy.tunnels == [site.url.removeprefix("https://")] * 2
    assert site.paths == ["/a", "/b", "/c"]


def test_a_host_outside_the_proxy_is_reached_directly(
    new_client: Callable[..., HttpClient], site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TunnelProxy(site.address) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.address)
        monkeypatch.setenv("NO_PROXY", "localhost")
        assert get(new_client(), f"{site.url}/a") == 200

    assert not proxy.tunnels


@pytest.mark.parametrize("status", [407, 403, 405])
def test_a_proxy_that_refuses_is_an_operator_error(
    client: HttpClient, site: Site, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    with TunnelProxy(site.address, refusal=HTTPStatus(status)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.address)
        with pytest.raises(ConfigurationError, match=str(status)) as caught:
            get(client, "https://graph.example/a")
    assert caught.value.code == "proxy_refused"
    assert "graph.example" in str(caught.value)


def test_a_proxy_without_the_password_that_it_wants_is_an_operator_error(
    client: HttpClient, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TunnelProxy(site.address, user="someone:secret") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://someone:wrong@{proxy.address}")
        with pytest.raises(ConfigurationError, match="407") as caught:
            get(client, f"{site.url}/a")
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_proxy_that_can_not_reach_the_host_now_is_transient(
    client: HttpClient, site: Site, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    with TunnelProxy(site.address, refusal=HTTPStatus(status)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.address)
        with pytest.raises(NotSentError):
            get(client, f"{site.url}/a")


@pytest.mark.parametrize("proxy", ["http://", "socks5://127.0.0.1:1080", "nonsense://proxy"])
def test_a_proxy_setting_that_can_not_be_used_is_named(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY") as caught:
        get(client, "https://graph.example/a")
    assert caught.value.code == "setting_invalid"


# Refusals that arrive before the request was sent


BODY = bytes(3_000_000)


@dataclass
class EarlyServer:
    """A server that responds after the first bytes of a body, and closes."""

    response: bytes = b""
    url: str = ""
    heard: bytes = b""


@pytest.fixture
def early_server(local_authority: LocalAuthority, monkeypatch: pytest.MonkeyPatch) -> Iterator[EarlyServer]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(local_authority.bundle))
    made = EarlyServer()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made.url = f"https://localhost:{listener.getsockname()[1]}"
        listener.settimeout(5)

        def serve() -> None:
            with local_authority.server_context().wrap_socket(
                listener.accept()[0], server_side=True
            ) as client:
                # One record of TLS at most, however many are there.
                made.heard = client.recv(16384)
                client.sendall(made.response)
                # Reads on: otherwise the network may drop the response with the rest of the body.
                client.settimeout(1.0)
                client.shutdown(socket.SHUT_WR)
                with suppress(OSError):
                    while client.recv(65536):
                        time.sleep(0.001)

        thread = threading.Thread(target=serve)
        thread.start()
        yield made
        thread.join()


def breaking(client: HttpClient, fails: Callable[[Any, bytes], None]) -> HttpClient:
    """Have a client's connections break while a large body is sent."""
    pool: Any = client._adapter._pools["https"]
    make = pool.ConnectionCls

    def make_breaking(*args: Any, **options: Any) -> Any:
        connection = make(*args, **options)
        send = connection.send

        def send_or_fail(data: Any) -> None:
            if len(data) < 100_000:
                send(data)
            else:
                send(data[:1000])
                fails(connection, data)

        connection.send = send_or_fail
        return connection

    pool.ConnectionCls = staticmethod(make_breaking)
    return client


def reset(_connection: object, _data: bytes) -> None:
    time.sleep(0.3)
    raise ConnectionResetError


def close_and_break(connection: Any, _data: bytes) -> None:
    connection.close()
    raise BrokenPipeError


def time_out(_connection: object, _data: bytes) -> None:
    raise TimeoutError


def test_a_small_body_is_sent_together_with_its_head(client: HttpClient, early_server: EarlyServer) -> None:
    early_server.response = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
    client.request("POST", early_server.url, {"x-a": "1"}, b"small")

    assert early_server.heard.startswith(b"POST / HTTP/1.1\r\n")
    assert early_server.heard.endswith(b"\r\n\r\nsmall")


def test_a_refusal_that_arrives_before_the_body_was_sent_is_returned(
    client: HttpClient, early_server: EarlyServer
) -> None:
    early_server.response = b"HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}"
    response = breaking(client, reset).request("POST", early_server.url, {}, BODY)

    assert (response.status, response.headers.get("retry-after"), response.body) == (429, "7", b"{}")


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"HTTP/1.1 429 Too Many\r\n\r\n{}",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["none", "of unknown length", "a success"],
)
def test_any_other_early_response_is_no_response(
    client: HttpClient, early_server: EarlyServer, response: bytes
) -> None:
    early_server.response = response
    with pytest.raises(NoResponseError):
        breaking(client, reset).request("POST", early_server.url, {}, BODY)


@pytest.mark.parametrize("fails", [close_and_break, time_out])
def test_a_connection_that_breaks_first_gives_no_response(
    client: HttpClient, site: Site, fails: Callable[[Any, bytes], None]
) -> None:
    with pytest.raises(NoResponseError):
        breaking(client, fails).request("POST", f"{site.url}/a", {}, BODY)
