"""Refuse a response whose connection broke off within its head.

http.client takes the end of the connection for the end of the head. Azure's clients then fail on a header
that is not there, each in another way and with errors that say nothing of the connection, so that the call is
not repeated: a mail that Exchange has accepted could end as unknown.
"""

from __future__ import annotations

import http.client
from typing import Any, Final

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.retry import Retry


class _Head:
    """The stream of a response, which remembers the last line of its head."""

    def __init__(self, stream: Any) -> None:  # noqa: ANN401 - http.client's
        self.stream = stream
        self.last = b""

    def readline(self, limit: int = -1) -> bytes:
        """Read one line; empty at the end of the connection."""
        self.last = self.stream.readline(limit)
        return self.last

    def close(self) -> None:
        """Close the stream, as http.client does without a status line."""
        self.stream.close()


class _Response(http.client.HTTPResponse):
    """A response with a complete head."""

    fp: Any

    def begin(self) -> None:
        """Read the head.

        Raises:
            http.client.IncompleteRead: the connection broke off before its end.
        """
        head = self.fp = _Head(self.fp)
        try:
            super().begin()
        finally:
            self.fp = self.fp and head.stream
        if head.last.strip(b"\r\n") or not head.last:
            raise http.client.IncompleteRead(head.last)


class _Connection(HTTPConnection):
    response_class = _Response


class _TlsConnection(HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS: Final[dict[str, Any]] = {"http": _Pool, "https": _TlsPool}


class CompleteHeadAdapter(HTTPAdapter):
    """A transport without retries that refuses truncated heads."""

    def __init__(self) -> None:
        super().__init__(max_retries=Retry(total=False, redirect=False, raise_on_status=False))

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as `requests` has it
        """Use such connections."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:  # noqa: ANN401 - as `requests` has it
        """Use such connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager
