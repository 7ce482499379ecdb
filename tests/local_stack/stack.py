"""The whole local stack: everything that the app talks to, and the app in a Functions host.

Addresses: Entra and the settings page on 127.0.0.1, the app on localhost. These are different sites for a
browser, as Microsoft's, Inforiver's and the app's are.
"""

import socket
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from tests.local_stack.azurite import Azurite
from tests.local_stack.certificates import LocalAuthority
from tests.local_stack.frontend import frontend_app
from tests.local_stack.host_process import REPOSITORY, HostPlan, HostProcess
from tests.local_stack.key_vault import KeyVault
from tests.local_stack.managed_identity import TOKEN_EXCHANGE, ManagedIdentity
from tests.local_stack.microsoft365 import Microsoft365
from tests.local_stack.microsoft365.contoso import CLIENT_ID, CLIENT_SECRET, CONTOSO, WORKSPACE_ADMIN
from tests.local_stack.microsoft365.directory import FederatedCredential
from tests.local_stack.serving import serve

CALLBACK = "/api/consent/callback"


class LocalStack:
    """Runs the stack while the context lasts: `with LocalStack() as stack: ...`.

    `authority`, `azurite`, `identity`, `key_vault` and `microsoft365` are open to tests. `settings` adds to
    the app's settings or replaces some. `frontend_origin` is where somebody else serves a settings page;
    without it the stack serves its own.
    """

    def __init__(
        self,
        *,
        app_directory: Path = REPOSITORY,
        frontend_origin: str = "",
        settings: Mapping[str, str] | None = None,
        with_host: bool = True,
    ) -> None:
        self.frontend_origin = frontend_origin
        self.api_port = free_port()
        self.api_url = f"https://localhost:{self.api_port}"
        self.entra_url = self.graph_url = self.outlook_url = self.key_vault_url = ""
        self.hosts: list[HostProcess] = []
        self._app_directory = app_directory
        self._settings = dict(settings or {})
        self._with_host = with_host
        self._identity_settings: dict[str, str] = {}
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as cleanup:
            self.directory = Path(cleanup.enter_context(TemporaryDirectory(prefix="mailer-stack-")))
            # Azurite takes longest, so it boots while the keys of the others are made.
            self.azurite = Azurite()
            cleanup.callback(self.azurite.stop)
            self._serve_fakes(cleanup)
            self.azurite.wait()
            cleanup.callback(self.stop_hosts)
            if self._with_host:
                host = self._launch_host(lease=600, settings={})
                create_storage(self.azurite.connection_string)
                host.wait()
            else:
                create_storage(self.azurite.connection_string)
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def environment(self) -> dict[str, str]:
        """Return the app's settings and what App Service would add to them."""
        return {
            "SMTP_PROVIDER": "Office365",
            "ENTRA_TENANT_ID": CONTOSO,
            "ENTRA_CLIENT_ID": CLIENT_ID,
            "ENTRA_CLIENT_SECRET": CLIENT_SECRET,
            "MICROSOFT_CLOUD": "global",
            "ENTRA_AUTHORITY_HOST": self.entra_url,
            "GRAPH_ENDPOINT": self.graph_url,
            "ALLOWED_TENANT_IDS": CONTOSO,
            "API_AUDIENCE": CLIENT_ID,
            "ADMIN_ROLE": WORKSPACE_ADMIN,
            "PUBLIC_BASE_URL": self.api_url,
            "FRONTEND_ORIGINS": self.frontend_origin,
            "KEY_VAULT_URL": self.key_vault_url,
            "AzureWebJobsStorage": self.azurite.connection_string,
            "ON_UNKNOWN_OUTCOME": "hold",
            "MAILBOX_MESSAGE_LIMIT_MB": "35",
            "DELIVERY_RETENTION_DAYS": "90",
            "REQUESTS_CA_BUNDLE": str(self.authority.bundle),
            "SSL_CERT_FILE": str(self.authority.bundle),
            **self._identity_settings,
            **self._settings,
        }

    def start_host(self, *, lease: int = 600, settings: Mapping[str, str] | None = None) -> HostProcess:
        """Start one more host on the same queue and wait until it answers.

        The first one serves the app's address; those beside it get a port of their own. `lease` is how
        many seconds our own host hides a message that it has received.
        """
        return self._launch_host(lease, settings or {}).wait()

    def kill_host(self) -> None:
        """Kill the host that was started last, as a crash would."""
        self.hosts[-1].kill()

    def stop_hosts(self) -> None:
        """Let the hosts finish their work and end."""
        for host in self.hosts:
            host.stop()

    def host_log(self) -> str:
        """Return what all hosts have printed, those included that have ended."""
        return "".join(host.log() for host in self.hosts)

    def _serve_fakes(self, cleanup: ExitStack) -> None:
        self.authority = LocalAuthority.create(self.directory)
        self.microsoft365 = Microsoft365()
        signing_key = self.microsoft365.tokens.key
        self.identity = ManagedIdentity(CONTOSO, signing_key.private, signing_key.kid)
        self.key_vault = KeyVault(self.identity)
        identity_url = cleanup.enter_context(serve(self.identity.app())).url
        self._identity_settings = self.identity.environment(identity_url)
        tls = self.authority.server_context()
        self.key_vault_url = cleanup.enter_context(serve(self.key_vault.app(), tls)).url
        self.entra_url = cleanup.enter_context(serve(self.microsoft365.entra_app(), tls)).url
        self.graph_url = cleanup.enter_context(serve(self.microsoft365.graph_app(), tls)).url
        self.outlook_url = cleanup.enter_context(serve(self.microsoft365.outlook_app(), tls)).url
        self.microsoft365.at(entra=self.entra_url, graph=self.graph_url, outlook=self.outlook_url)
        self.identity.authority = self.entra_url
        if not self.frontend_origin:
            page = frontend_app(self.api_url, self.graph_url)
            self.frontend_origin = cleanup.enter_context(serve(page, tls)).url
        self._register_app()

    def _register_app(self) -> None:
        """Tell Entra where the app lives and which managed identity may stand in for its secret."""
        identity = FederatedCredential(
            self.identity.issuer(TOKEN_EXCHANGE), self.identity.user_assigned.principal_id
        )
        self.microsoft365.directory.change_app(
            CLIENT_ID, redirect_uris=(f"{self.api_url}{CALLBACK}",), federated=(identity,)
        )

    def _launch_host(self, lease: int, settings: Mapping[str, str]) -> HostProcess:
        taken = any(host.running and host.port == self.api_port for host in self.hosts)
        plan = HostPlan(
            app_directory=self._app_directory,
            port=0 if taken else self.api_port,
            cors=(self.frontend_origin,),
            authority=self.authority,
            lease=lease,
        )
        log_file = self.directory / f"host-{len(self.hosts) + 1}.log"
        host = HostProcess(plan, self.environment() | dict(settings), log_file)
        self.hosts.append(host)
        return host


def free_port() -> int:
    """Find a port of 127.0.0.1 that nobody uses now, for an address that must be known beforehand."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def create_storage(connection_string: str) -> None:
    """Make the queues, containers and tables that the deployment makes in Azure."""
    # Imported here, while Azurite boots: the storage clients take half a second.
    from azure.data.tables import TableServiceClient
    from azure.storage.blob import BlobServiceClient
    from azure.storage.queue import QueueServiceClient

    from shared.storage_names import CONTAINERS, QUEUES, TABLES

    with QueueServiceClient.from_connection_string(connection_string) as queues:
        for name in QUEUES:
            queues.create_queue(name).close()
    with BlobServiceClient.from_connection_string(connection_string) as blobs:
        for name in CONTAINERS:
            blobs.create_container(name).close()
    with TableServiceClient.from_connection_string(connection_string) as tables:
        for name in TABLES:
            tables.create_table(name).close()
