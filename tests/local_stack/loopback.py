"""HTTP to loopback under any host name, as `--host-resolver-rules`.

The certificate is checked for the name in the address, and only the connection goes to loopback. So a
test can use a name like that of a function app in Azure, where cookies differ from those of `localhost`.
"""

import socket
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError
from urllib3.util.connection import create_connection

#: The name under which the tests run the app: the form that Azure gives to a function app.
AZURE_HOST = "app-test.azurewebsites.net"
#: An app under a domain of the organisation's own, and another host of that domain.
CUSTOM_HOST = "mailer.contoso-apps.example"
SIBLING_HOST = "wiki.contoso-apps.example"
NAMES = ("localhost", AZURE_HOST, CUSTOM_HOST, SIBLING_HOST)
LOOPBACK = "127.0.0.1"


def loopback_session(ca_file: Path | str) -> requests.Session:
    """Open a session that trusts one authority and resolves to loopback."""
    session = requests.Session()
    session.trust_env = False
    session.verify = str(ca_file)
    session.mount("https://", _LoopbackAdapter())
    session.mount("http://", _LoopbackAdapter())
    return session


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self)


class _SecureConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self)


def _connect(connection: HTTPConnection) -> socket.socket:
    """Connect to loopback but keep the name for Host header and TLS."""
    try:
        return create_connection(
            (LOOPBACK, connection.port), connection.timeout, socket_options=connection.socket_options
        )
    except OSError as error:
        raise NewConnectionError(connection, f"Nothing listens on port {connection.port}: {error}") from error


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _LoopbackAdapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
