"""Configure `requests` for every call to Graph, upload hosts and Entra.

Every call has the same rules: proxies and certificate authorities as `requests` reads them from the
environment (HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE), connections reused while they are
fresh, no retries, no redirects followed, no `.netrc`, no cookies.
"""

from __future__ import annotations

import functools
import http.client
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from itertools import islice
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from shared.adapters.http_connection import ConnectError, Freshness, pool_classes
from shared.adapters.http_environment import proxies_of, tls_context
from shared.time_limit import check_sending, seconds_left
from shared.version import VERSION

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, ProxyManager

#: The timeout of a connection attempt, before which nothing has been sent.
CONNECT_SECONDS = 5.0
#: Graph may take long for a large mail.
GRAPH_RESPONSE_SECONDS = 100.0
#: A person may be waiting for Entra's response.
ENTRA_RESPONSE_SECONDS = 10.0
SIGNING_KEYS_RESPONSE_SECONDS = 5.0

#: There are no more concurrent requests to a host, so more idle connections would never be used.
_MAX_IDLE_CONNECTIONS = 8
_MAX_HOSTS = 32
#: Networks drop connections that are idle for minutes without notifying either side.
_MAX_IDLE_SECONDS = 60.0
_USER_AGENT = f"inforiver-mailer/{VERSION}"


class NotSentError(requests.ConnectionError):
    """No connection was established, so the server received nothing."""


class NoResponseError(Exception):
    """The request was sent, in part or whole, and no response arrived."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An HTTP response; header names are found in any case.

    Attributes:
        body: empty if it did not arrive completely. The status is valid in this case too: the server decided
            it before it sent the body.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class HttpClient:
    """Sends single requests over connections shared by all threads."""

    def __init__(self, response_seconds: float, idle_seconds: float = _MAX_IDLE_SECONDS) -> None:
        self._adapter = _ResponseAdapter(response_seconds, idle_seconds)

    def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> HttpResponse:
        """Send one request and return its response.

        Raises:
            NotSentError: no connection was established.
            AttemptTooLongError: the time for sending is over.
            NoResponseError: the request was sent, at least in part, and no response arrived.
            ConfigurationError: `certificate_not_trusted`, `proxy_refused`, `host_not_found`,
                `setting_invalid`; nothing was sent.
        """
        check_sending()
        prepared = requests.PreparedRequest()
        try:
            # The other steps of `prepare` are for redirects, cookies and forms.
            prepared.url = _encoded(url)
            prepared.method = method
            prepared.headers = {"User-Agent": _USER_AGENT, **headers}  # type: ignore[assignment] # any mapping will do
            prepared.body = body
            if body is not None:
                prepared.headers["Content-Length"] = str(len(body))
            return self._adapter.fetch(prepared)
        except NotSentError:
            raise
        except (
            requests.RequestException,
            HTTPError,
            http.client.HTTPException,
            OSError,
            ValueError,
        ) as error:
            raise NoResponseError from error

    def close(self) -> None:
        """Close the idle connections."""
        self._adapter.close()


@functools.lru_cache(maxsize=128)
def _encoded(url: str) -> str | None:
    """Encode a URL as `requests` does, with a cache for repeated ones."""
    prepared = requests.PreparedRequest()
    prepared.prepare_url(url, None)
    return prepared.url


class HttpSession(requests.Session):
    """The same configuration for a library that needs a `requests.Session`.

    If a connection could not be established, a second one is tried at once, because nothing was sent and a
    person may be waiting.
    """

    def __init__(self, response_seconds: float) -> None:
        super().__init__()
        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self.headers["User-Agent"] = _USER_AGENT
        self.adapters.clear()
        self.mount("https://", ConfiguredAdapter(response_seconds, _MAX_IDLE_SECONDS))

    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override] # noqa: ANN401 - as `requests` has it
        """Send one request; a redirect is returned as a response.

        Raises:
            requests.RequestException: there is no complete response.
            ConfigurationError: as `HttpClient.request`.
        """
        options["allow_redirects"] = False
        seconds_left()
        try:
            return super().request(method, url, **options)
        except NotSentError:
            seconds_left()
            return super().request(method, url, **options)


class ConfiguredAdapter(HTTPAdapter):
    """A transport that applies this module's rules to every request."""

    def __init__(self, response_seconds: float, idle_seconds: float) -> None:
        self._timeout = (CONNECT_SECONDS, response_seconds)
        self._tls = tls_context()
        self._pools = pool_classes(Freshness(idle_seconds))
        self._proxies_of = functools.cache(proxies_of)
        self._pool_of_host: dict[str, Any] = {}
        super().__init__(pool_connections=_MAX_HOSTS, pool_maxsize=_MAX_IDLE_CONNECTIONS)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as `requests` has it
        """Use connections that know how long they were idle."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **options: Any) -> ProxyManager:  # noqa: ANN401 - as `requests` has it
        """Use the same connections and authorities through a proxy.

        The connection to the proxy trusts the same authorities too.
        """
        manager: ProxyManager = super().proxy_manager_for(proxy, proxy_ssl_context=self._tls, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager

    def get_connection_with_tls_context(  # type: ignore[override] # urllib3 describes two pools
        self,
        request: requests.PreparedRequest,
        verify: bool | str,  # noqa: FBT001 - as `requests` has it
        proxies: Any = None,  # noqa: ANN401
        cert: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Cache the pool of each host.

        A look-up takes as much CPU time as sending the request.
        """
        host = urlsplit(request.url or "").netloc
        pool = self._pool_of_host.get(host)
        if pool is None:
            pool = super().get_connection_with_tls_context(request, verify, proxies, cert)
            self._pool_of_host = {host: pool} | dict(islice(self._pool_of_host.items(), _MAX_HOSTS - 1))
        return pool

    def close(self) -> None:
        """Close the idle connections of every host."""
        self._pool_of_host = {}
        super().close()

    def request_url(self, request: requests.PreparedRequest, _: Any) -> str:  # noqa: ANN401
        """Return the path only, because requests go through a tunnel of a proxy."""
        return request.path_url

    def build_connection_pool_key_attributes(
        self,
        request: requests.PreparedRequest,
        verify: bool | str,  # noqa: FBT001 - as `requests` has it
        cert: str | tuple[str, str] | None = None,
    ) -> tuple[Any, Any]:
        """Verify certificates with this process's one TLS configuration."""
        host, tls = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {**tls, "ssl_context": self._tls}

    def cert_verify(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 - as `requests` has it
        """Add nothing: the TLS configuration verifies with its authorities."""

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:  # noqa: ANN401 - as `requests` has it
        """Send one request, with the options of this module only.

        Raises:
            NotSentError: no connection was established.
            requests.RequestException: the request was sent, at least in part, and no response arrived.
            ConfigurationError: as `HttpClient.request`.
        """
        url = urlsplit(request.url or "")
        if url.scheme != "https":
            raise NotSentError(f"Only https is used, not {url.scheme}.", request=request)
        try:
            return super().send(request, timeout=self._timeout, proxies=self._proxies_of(url.netloc))
        except ConnectError as error:
            raise error.for_operator() or NotSentError(f"No connection to {error.host}.") from error.__cause__


class _ResponseAdapter(ConfiguredAdapter):
    """Reads a response as an `HttpResponse`.

    It skips the cookies and encoding guesses of `requests.Response`.
    """

    def fetch(self, request: requests.PreparedRequest) -> HttpResponse:
        """Send one request; raises what `send` raises."""
        return cast("HttpResponse", self.send(request))

    def build_response(self, _: requests.PreparedRequest, resp: BaseHTTPResponse) -> Any:  # noqa: ANN401
        """Read the whole response; urllib3 can then reuse its connection."""
        try:
            body = resp.read(decode_content=True)
        except (HTTPError, http.client.HTTPException, OSError):
            resp.close()
            body = b""
        return HttpResponse(resp.status, resp.headers, body)
