"""HTTPS over connections that are kept open: one request, one answer, nothing repeated, nothing followed.

A thin layer on the standard library: a small mail costs a third of the CPU time that it takes through
`requests`, and what was sent before a failure is known exactly.
"""

from __future__ import annotations

import http
import http.client
import select
import ssl
import threading
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import requests
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies

from shared.version import VERSION

#: More idle connections to a host than requests in flight would never be used.
_MOST_IDLE = 8
#: Networks forget a connection that is idle for minutes, and tell neither side of it.
_LONGEST_IDLE_SECONDS = 60.0
#: What was answered before the whole request was sent has come already, or does not come.
_EARLY_ANSWER_SECONDS = 1.0


class NotSentError(Exception):
    """The connection never stood, so the other side has seen nothing of the request."""


class NoAnswerError(Exception):
    """The request went out, in part or whole, and no answer came."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; header names are found in any case."""

    status: int
    headers: Mapping[str, str] | http.client.HTTPMessage = field(default_factory=dict)
    body: bytes = b""


class Connections:
    """Keeps connections open to the hosts that it is asked for; used by all threads of a process.

    Proxies and certificate authorities are those of the environment, as `requests` finds them.
    """

    def __init__(
        self, connect_seconds: float, answer_seconds: float, idle_seconds: float = _LONGEST_IDLE_SECONDS
    ) -> None:
        self._connect_seconds = connect_seconds
        self._answer_seconds = answer_seconds
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._idle: defaultdict[str, deque[_Idle]] = defaultdict(deque)
        self._tls = _tls_context()

    def ask(self, method: str, address: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        """Send one request and return its answer.

        Raises:
            NotSentError: there was no connection to be had.
            NoAnswerError: anything that goes wrong afterwards.
        """
        parts = urlsplit(address)
        connection = self._take(parts.netloc) or self._open(parts.netloc)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        try:
            connection.request(method, path, body, {"User-Agent": f"inforiver-mailer/{VERSION}", **headers})
        except (TimeoutError, http.client.HTTPException, ValueError) as error:
            connection.close()
            raise NoAnswerError from error
        except OSError as error:
            refusal = _early_refusal(connection)
            connection.close()
            if refusal is None:
                raise NoAnswerError from error
            return refusal
        try:
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise NoAnswerError from error
        if response.will_close:
            connection.close()
        else:
            self._give_back(parts.netloc, connection)
        return answer

    def close(self, host: str | None = None) -> None:
        """Close what is idle, of one host or of all; the next request opens anew."""
        with self._lock:
            hosts = list(self._idle) if host is None else [host]
            idle = [each for name in hosts for each in self._idle.pop(name, ())]
        for each in idle:
            each.connection.close()

    def _take(self, host: str) -> http.client.HTTPSConnection | None:
        """Return an open connection: one that was used lately, and not closed by the other side meanwhile.

        A closed one is readable.
        """
        while True:
            with self._lock:
                if not self._idle[host]:
                    return None
                idle = self._idle[host].pop()
            fresh = time.monotonic() - idle.since < self._idle_seconds
            if fresh and not select.select([idle.connection.sock], [], [], 0)[0]:
                return idle.connection
            idle.connection.close()

    def _give_back(self, host: str, connection: http.client.HTTPSConnection) -> None:
        with self._lock:
            if len(self._idle[host]) < _MOST_IDLE:
                self._idle[host].append(_Idle(connection, time.monotonic()))
                return
        connection.close()

    def _open(self, host: str) -> http.client.HTTPSConnection:
        proxy = _proxy_for(host)
        connection = http.client.HTTPSConnection(
            proxy or host, timeout=self._connect_seconds, context=self._tls
        )
        if proxy:
            connection.set_tunnel(host)
        try:
            connection.connect()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise NotSentError from error
        connection.sock.settimeout(self._answer_seconds)
        return connection


@dataclass(frozen=True, slots=True)
class _Idle:
    connection: http.client.HTTPSConnection
    since: float


def _early_refusal(connection: http.client.HTTPSConnection) -> Answer | None:
    """Read the refusal of a server that closed before it had read the whole request, if it came whole.

    A client does well to look for it while it is still sending (RFC 9112, section 9.5).
    """
    if connection.sock is None:
        return None
    try:
        connection.sock.settimeout(_EARLY_ANSWER_SECONDS)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException):
        return None
    whole = response.chunked or "Content-Length" in response.headers
    refused = response.status >= http.HTTPStatus.BAD_REQUEST
    return Answer(response.status, response.headers, body) if whole and refused else None


def _tls_context() -> ssl.SSLContext:
    session = requests.Session()
    found = session.merge_environment_settings("https://", {}, stream=False, verify=True, cert=None)
    bundle = found["verify"]
    return ssl.create_default_context(cafile=bundle if isinstance(bundle, str) else DEFAULT_CA_BUNDLE_PATH)


def _proxy_for(host: str) -> str | None:
    """Return host and port of the proxy that the environment names for a host, if any."""
    proxy = get_environ_proxies(f"https://{host}").get("https")
    return urlsplit(proxy).netloc.rpartition("@")[2] if proxy else None
