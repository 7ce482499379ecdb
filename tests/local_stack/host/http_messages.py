"""HTTP messages between web server and host, and Kestrel's limits.

A request over a limit gets 414, 431 or 400 without a body and without host.json's headers.
https://learn.microsoft.com/aspnet/core/fundamentals/servers/kestrel/options names the limits.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.local_stack.host.uris import normal_path

MAX_REQUEST_LINE = 8192
MAX_HEADER_BYTES = 32_768
MAX_HEADERS = 100

type Receive = Callable[[], Awaitable[dict[str, Any]]]


class RejectedError(Exception):
    """The web server responds with an empty body and closes the connection."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


@dataclass(frozen=True)
class Request:
    """A request whose head was read.

    Attributes:
        path: decoded, but for slashes.
        query: as it was sent, without the question mark.
        headers: names in lower case; what was sent several times is joined with a comma.
    """

    method: str
    scheme: str
    path: str
    query: str
    headers: Mapping[str, str]
    receive: Receive

    @property
    def host(self) -> str:
        """The requested host name, without its port."""
        host = self.headers.get("host", "")
        return host if host.endswith("]") else host.rpartition(":")[0] or host

    @property
    def content_length(self) -> int:
        return int(self.headers.get("content-length", 0))

    async def read_body(self) -> bytes:
        """Read the body to its end."""
        return b"".join([chunk async for chunk in self._chunks()])

    async def skip_body(self) -> bytes:
        """Read the body to its end and return nothing of it."""
        async for _ in self._chunks():
            pass
        return b""

    async def _chunks(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self.receive()
            yield message.get("body", b"")
            more = message.get("more_body", False)


@dataclass
class Response:
    """A response; header names keep their case, each cookie is a header."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def set_default(self, name: str, value: str) -> None:
        """Add a header unless the response has one of that name."""
        if name.casefold() not in (known.casefold() for known, _ in self.headers):
            self.headers.append((name, value))


def read_request(scope: Mapping[str, Any], receive: Receive) -> Request:
    """Read the head of an ASGI request.

    Raises:
        RejectedError: it is larger than Kestrel takes, or has what Kestrel refuses.
    """
    target: str = scope["raw_path"].decode("ascii")
    query: str = scope["query_string"].decode("ascii")
    if len(scope["method"]) + len(target) + len(query) + len("  ? HTTP/1.1") > MAX_REQUEST_LINE:
        raise RejectedError(414)
    pairs: list[tuple[bytes, bytes]] = list(scope["headers"])
    size = sum(len(name) + len(value) + len(": \r\n") for name, value in pairs)
    if len(pairs) > MAX_HEADERS or size > MAX_HEADER_BYTES:
        raise RejectedError(431)
    if "%00" in target or not all(value.isascii() for _, value in pairs):
        raise RejectedError(400)
    headers: dict[str, list[str]] = defaultdict(list)
    for name, value in pairs:
        headers[name.decode().lower()].append(value.decode())
    return Request(
        method=scope["method"],
        scheme=scope["scheme"],
        path=normal_path(_without_authority(target)),
        query=query,
        headers={name: ",".join(values) for name, values in headers.items()},
        receive=receive,
    )


def _without_authority(target: str) -> str:
    """Return the path of a target in absolute form, `http://host/path`."""
    scheme, _, rest = target.partition("://")
    return "/" + rest.partition("/")[2] if scheme in ("http", "https") else target
