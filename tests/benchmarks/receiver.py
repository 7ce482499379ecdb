"""A Graph that accepts everything at once, in a process of its own.

python -m tests.benchmarks.receiver <certificate> <key>

It prints its port and serves until its standard input ends.
"""

import json
import re
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import PIPE, Popen

from tests.local_stack.certificates import LocalAuthority

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_PIECE = 1024 * 1024


class Receiver(BaseHTTPRequestHandler):
    """Responds as Graph does without errors."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        """Find nothing."""
        self._respond(200, {"value": []})

    def do_POST(self) -> None:
        """Accept a mail, a draft, a file or a request for an upload session."""
        self._read()
        if self.path.endswith(("/sendMail", "/send")):
            self._respond(202)
        elif self.path.endswith("/createUploadSession"):
            host = self.headers["Host"]
            self._respond(201, {"uploadUrl": f"https://{host}/upload", "nextExpectedRanges": ["0-"]})
        else:
            self._respond(201, {"id": "AAkALgAAAAAAHYQDEapm"})

    def do_PUT(self) -> None:
        """Accept a chunk."""
        self._read()
        found = _RANGE.fullmatch(self.headers["Content-Range"])
        after, total = (int(found[2]) + 1, int(found[3])) if found else (0, 0)
        if after == total:
            self._respond(201)
        else:
            self._respond(200, {"nextExpectedRanges": [str(after)]})

    def _read(self) -> None:
        left = int(self.headers.get("Content-Length", 0))
        while left:
            left -= len(self.rfile.read(min(left, _PIECE)))

    def _respond(self, status: int, document: object = None) -> None:
        body = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def receiver(authority: LocalAuthority) -> Iterator[str]:
    """Run one while the context lasts, and give its address."""
    command = [sys.executable, "-m", __name__, str(authority.certificate_file), str(authority.key_file)]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout
        assert process.stdin
        try:
            yield f"https://localhost:{process.stdout.readline().strip()}"
        finally:
            process.stdin.close()


def main(certificate: str, key: str) -> None:
    """Serve until standard input ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
