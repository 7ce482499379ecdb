"""Distinguish requests that were not sent from those without a response.

The connections are those of urllib3 with four additional rules: how long an idle connection may be reused,
what a response means that arrives before the whole request was sent, which connection failures the operator
must solve, and that an interim response is never taken for the final one.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from shared.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How long to wait for a response after the request could not be sent completely. If the server sent a
#: response before it closed the connection, the response has arrived already.
_EARLY_RESPONSE_SECONDS = 1.0
#: The size of a TLS record (RFC 8446 section 5.1), with room for the request head.
_ONE_WRITE_BYTES = 12 * 1024
_INTERIM = range(100, 200)
#: Errors by which the resolver says that the name does not exist. Other errors mean that it could not be
#: reached.
_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
#: http.client's text for a proxy that refuses to connect.
_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: (4\d\d)\b")


class ConnectError(Exception):
    """A connection was not established.

    It passes through urllib3 and `requests` unchanged.

    Attributes:
        host: the host that was being connected to, which may be a proxy.
        origin: the host to which the request is addressed.
    """

    def __init__(self, host: str, origin: str) -> None:
        super().__init__(host)
        self.host = host
        self.origin = origin

    def for_operator(self) -> ConfigurationError | None:
        """Return the error for the operator; None if waiting may help."""
        for cause in _causes(self.__cause__):
            if isinstance(cause, ssl.SSLCertVerificationError):
                return ConfigurationError(
                    "certificate_not_trusted", host=self.host, reason=cause.verify_message
                )
            if isinstance(cause, socket.gaierror) and cause.errno in _NO_SUCH_NAME:
                return ConfigurationError("host_not_found", host=self.host)
            refused = _TUNNEL_REFUSED.match(str(cause))
            if refused:
                return ConfigurationError("proxy_refused", host=self.origin, status=refused[1])
        return None


@dataclass(slots=True)
class Freshness:
    """Which idle connections may be used again, for all hosts of one adapter."""

    idle_seconds: float
    #: https://learn.microsoft.com/graph/best-practices-concept: after a 503, use a new connection.
    renewed_at: float = 0.0


class _FinalResponse(http.client.HTTPResponse):
    """A response that skips every interim response.

    http.client skips 100 only. If another interim response were taken for the final one, the final one would
    be read as the response to the next request of the connection.
    https://www.rfc-editor.org/rfc/rfc9110#section-15.2
    """

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc] # not in http.client's types
        return version, HTTPStatus.CONTINUE if status in _INTERIM else status, reason


class _Connection(HTTPSConnection):
    """A connection that raises ConnectError if nothing was sent.

    It also reads a refusal that arrives before the whole request was sent.
    """

    response_class = _FinalResponse
    #: Set by the adapter in its own subclass.
    freshness: Freshness

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as urllib3 has it
        super().__init__(*args, **options)
        self._opened_at = self._used_at = 0.0
        self._send_error: OSError | None = None
        self._body_follows = False
        self._head = b""

    def connect(self) -> None:
        """Connect, through a tunnel if there is a proxy."""
        # http.client deletes its host when a tunnel is refused.
        origin = self._tunnel_host or self.host
        try:
            super().connect()
        except (OSError, HTTPError, http.client.HTTPException, ValueError) as error:
            host = origin if self.has_connected_to_proxy else self.host
            raise ConnectError(host, origin) from error
        self._opened_at = self._used_at = time.monotonic()

    def request(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as urllib3 has it
        """Send a request; a server may refuse it and close while it is being sent."""
        self._send_error = None
        body = options.get("body")
        self._body_follows = isinstance(body, bytes) and 0 < len(body) <= _ONE_WRITE_BYTES
        self._head = b""
        try:
            super().request(*args, **options)
        except TimeoutError:
            # The server reads nothing, and waiting for its response would take as long again.
            raise
        except OSError as error:
            self._send_error = error
            # After this error, urllib3 continues and reads the response (RFC 9112 section 9.5).
            raise BrokenPipeError from error

    def send(self, data: Any) -> None:  # noqa: ANN401 - as http.client has it
        """Send bytes; a small body is sent together with the request head.

        Both are then in one TLS record.
        """
        if self._body_follows:
            self._body_follows, self._head = False, data
            return
        if self._head:
            data, self._head = self._head + data, b""
        super().send(data)

    def getresponse(self) -> Any:  # noqa: ANN401 - as urllib3 has it
        """Read the response.

        If the request was not sent completely, only a complete refusal counts as a response.
        """
        error = self._send_error
        if error:
            if self.sock is None:
                raise error
            self.timeout = _EARLY_RESPONSE_SECONDS
        response = super().getresponse()
        if error and not _is_refusal(response):
            response.close()
            raise error
        self._used_at = time.monotonic()
        if response.status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.freshness.renewed_at = self._used_at
        return response

    @property
    def is_connected(self) -> bool:
        """Whether this idle connection may be used again."""
        fresh = time.monotonic() - self._used_at < self.freshness.idle_seconds
        return fresh and self._opened_at > self.freshness.renewed_at and super().is_connected


def _is_refusal(response: Any) -> bool:  # noqa: ANN401 - urllib3's response
    known_length = response.chunked or "Content-Length" in response.headers
    return bool(response.status >= HTTPStatus.BAD_REQUEST and known_length)


def pool_classes(freshness: Freshness) -> dict[str, type[HTTPSConnectionPool]]:
    """Return each scheme's connection pool; all share one freshness."""
    connection = type("Connection", (_Connection,), {"freshness": freshness})
    return {"https": type("Pool", (HTTPSConnectionPool,), {"ConnectionCls": connection})}


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes; urllib3 passes some as arguments."""
    while error is not None:
        yield error
        inner = next((each for each in error.args if isinstance(each, BaseException)), None)
        error = error.__cause__ or inner or error.__context__
