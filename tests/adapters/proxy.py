"""A local HTTP proxy that tunnels, optionally with a password."""

from __future__ import annotations

import base64
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


@dataclass
class TunnelProxy:
    """A proxy that opens every tunnel to `target`, for any requested host.

    Attributes:
        user: `user:password` that it demands, or None.
        refusal: the status with which it refuses every tunnel, or None.
        tunnels: the hosts of the tunnels requested.
    """

    target: tuple[str, int]
    user: str | None = None
    refusal: HTTPStatus | None = None
    tunnels: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_CONNECT(self) -> None:
                proxy.tunnels.append(self.path)
                wanted = f"Basic {base64.b64encode((proxy.user or '').encode()).decode()}"
                if proxy.refusal:
                    self.send_error(proxy.refusal)
                elif proxy.user and self.headers.get("Proxy-Authorization") != wanted:
                    self.send_error(HTTPStatus.PROXY_AUTHENTICATION_REQUIRED)
                else:
                    self.send_response(HTTPStatus.OK)
                    self.end_headers()
                    with socket.create_connection(proxy.target) as target:
                        copying = threading.Thread(target=_copy, args=(target, self.connection))
                        copying.start()
                        _copy(self.connection, target)
                        copying.join(5)
                self.close_connection = True

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._server.server_address[1]}"


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
