"""The whole local stack with the app in a Functions host.

Addresses: Entra and the settings page on 127.0.0.1, the app on localhost or, in tests, on a name like
Azure's. These are different sites for a browser, as Microsoft's, Inforiver's and the app's are.
"""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from shared.api.openapi.deliveries import READ_ROLE
from shared.storage_names import API_VERSION
from tests.local_stack.azurite import Azurite
from tests.local_stack.certificates import LocalAuthority
from tests.local_stack.frontend import frontend_app
from tests.local_stack.host.options import Waits
from tests.local_stack.host_process import REPOSITORY, HostPlan, HostProcess, free_port
from tests.local_stack.key_vault import KeyVault
from tests.local_stack.managed_identity import TOKEN_EXCHANGE, Api, ManagedIdentity
from tests.local_stack.microsoft365 import Microsoft365
from tests.local_stack.microsoft365.contoso import (
    CLIENT_ID,
    CLIENT_SECRET,
    CONTOSO,
    FRONTEND_CLIENT_ID,
    REPORTS,
    WORKSPACE_ADMIN,
)
from tests.local_stack.microsoft365.directory import FederatedCredential
from tests.local_stack.microsoft365.tokens import API_SCOPE
from tests.local_stack.serving import serve
from tests.local_stack.storage_access import StorageAccess
from tests.local_stack.storage_roles import OUTCOMES, SCHEDULER_ROLES
from tests.local_stack.vault_secrets import VaultSecrets

CALLBACK = "/api/consent/callback"
#: Deletion usually takes a few seconds in Azure.
DELETION_SECONDS = 2.0
#: Settings for tests: an idle queue is looked at five times a second instead of every five seconds, and a
#: message whose function failed is hidden for 30 seconds instead of three minutes.
QUICK = {
    "AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.2000000",
    "AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "00:00:30",
}


class LocalStack:
    """The stack, running while the context lasts: `with LocalStack() as s`.

    `authority`, `azurite`, `identity`, `key_vault` and `microsoft365` are open to tests. `access` is the
    storage as a scheduler reaches it, with the roles that the template gives; `scheduler_environment()` signs
    one in. `settings` adds to the app's settings or replaces some. `frontend_origin` is the origin of another
    settings page; without it the stack serves its own. `api_host` is the app's host name; any but `localhost`
    needs clients that connect it to loopback, such as `loopback_session`. `any_api_version` serves storage
    clients that are newer than Azurite.
    """

    def __init__(
        self,
        *,
        app_directory: Path = REPOSITORY,
        frontend_origin: str = "",
        settings: Mapping[str, str] | None = None,
        with_host: bool = True,
        api_host: str = "localhost",
        any_api_version: bool = False,
    ) -> None:
        self.frontend_origin = frontend_origin
        self.api_port = free_port()
        self.api_url = f"https://{api_host}:{self.api_port}"
        self.entra_url = self.graph_url = self.outlook_url = self.key_vault_url = ""
        self.hosts: list[HostProcess] = []
        self._app_directory = app_directory
        self._settings = dict(settings or {})
        self._with_host = with_host
        self._any_api_version = any_api_version
        self._identity_settings: dict[str, str] = {}
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as cleanup:
            self.directory = Path(cleanup.enter_context(TemporaryDirectory(prefix="mailer-stack-")))
            # Azurite takes longest, so it boots while the keys of the others are made.
            self.azurite = Azurite(any_api_version=self._any_api_version)
            cleanup.callback(self.azurite.stop)
            self._serve_fakes(cleanup)
            self.azurite.wait()
            self.access = cleanup.enter_context(
                StorageAccess(self.azurite, self.schedulers, self.authority.server_context())
            )
            self.access.add_roles(self.schedulers.system_assigned, SCHEDULER_ROLES)
            cleanup.callback(self.stop_hosts)
            if self._with_host:
                host = self._launch_host(Waits(), {})
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
            "APPLICATION_SENDERS": REPORTS,
            "OUTCOME_QUEUES": OUTCOMES,
            "API_AUDIENCE": CLIENT_ID,
            "ADMIN_ROLE": WORKSPACE_ADMIN,
            "REQUIRED_API_SCOPE": API_SCOPE,
            "ALLOWED_CLIENT_IDS": FRONTEND_CLIENT_ID,
            "PUBLIC_BASE_URL": self.api_url,
            "FRONTEND_ORIGINS": self.frontend_origin,
            "KEY_VAULT_URL": self.key_vault_url,
            "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "1048576",
            "AzureWebJobsDisableHomepage": "true",
            "AzureWebJobsStorage": self.azurite.connection_string,
            "ON_UNKNOWN_OUTCOME": "hold",
            "MAILBOX_MESSAGE_LIMIT_MB": "35",
            "DELIVERY_RETENTION_DAYS": "90",
            "PYTHON_THREADPOOL_THREAD_COUNT": "16",
            "REQUESTS_CA_BUNDLE": str(self.authority.bundle),
            "SSL_CERT_FILE": str(self.authority.bundle),
            **self._identity_settings,
            **self._settings,
        }

    def scheduler_environment(self) -> dict[str, str]:
        """Return variables that sign a program in as a scheduler.

        They also name queue and container. The SDKs of every language read the first five; they know the
        program as a managed identity.
        """
        return {
            **self.schedulers.environment(self._schedulers_url),
            "REQUESTS_CA_BUNDLE": str(self.authority.bundle),
            "SSL_CERT_FILE": str(self.authority.bundle),
            "NODE_EXTRA_CA_CERTS": str(self.authority.ca_file),
            "MAIL_QUEUE_ENDPOINT": self.access.urls["queue"],
            "MAIL_BLOB_ENDPOINT": self.access.urls["blob"],
            "MAIL_TENANT_ID": CONTOSO,
            "MAIL_OUTCOME_QUEUE": OUTCOMES,
            "MAIL_API_URL": self.api_url,
            "MAIL_API_CLIENT_ID": CLIENT_ID,
        }

    def start_host(
        self, *, waits: Waits | None = None, settings: Mapping[str, str] | None = None
    ) -> HostProcess:
        """Start one more host on the same queue and wait until it responds.

        The first one serves the app's address; those beside it get a port of their own. `waits` are our own
        host's.
        """
        return self._launch_host(waits or Waits(), settings or {}).wait()

    def kill_host(self) -> None:
        """Kill the host that was started last, as a crash would."""
        self.hosts[-1].kill()

    def stop_hosts(self) -> None:
        """Let the hosts finish their work and end."""
        for host in self.hosts:
            host.stop()

    @property
    def log_records(self) -> Path:
        """Return the file of the app's log records, one JSON object a line."""
        return self.directory / "log-records.jsonl"

    def host_log(self) -> str:
        """Return the output of all hosts, including ended ones."""
        return "".join(host.log() for host in self.hosts)

    def _serve_fakes(self, cleanup: ExitStack) -> None:
        self.authority = LocalAuthority.create(self.directory)
        self.microsoft365 = Microsoft365()
        signing_key = self.microsoft365.tokens.key
        self.identity = ManagedIdentity(CONTOSO, signing_key.private, signing_key.kid)
        # As `infra/` deploys it: nobody can purge, and what is deleted is recoverable for a week.
        secrets = VaultSecrets(time.time, purge_protection=True, retention_days=7)
        secrets.deletion_seconds = DELETION_SECONDS
        self.key_vault = KeyVault(self.identity, secrets)
        identity_url = cleanup.enter_context(serve(self.identity.app())).url
        self.schedulers = ManagedIdentity(CONTOSO, signing_key.private, signing_key.kid)
        self._schedulers_url = cleanup.enter_context(serve(self.schedulers.app())).url
        self._identity_settings = self.identity.environment(identity_url)
        tls = self.authority.server_context()
        self.key_vault_url = cleanup.enter_context(serve(self.key_vault.app(), tls)).url
        self.entra_url = cleanup.enter_context(serve(self.microsoft365.entra_app(), tls)).url
        self.graph_url = cleanup.enter_context(serve(self.microsoft365.graph_app(), tls)).url
        self.outlook_url = cleanup.enter_context(serve(self.microsoft365.outlook_app(), tls)).url
        self.microsoft365.at(entra=self.entra_url, graph=self.graph_url, outlook=self.outlook_url)
        self.identity.authority = self.schedulers.authority = self.entra_url
        self.schedulers.api = Api(CLIENT_ID, (READ_ROLE,))
        if not self.frontend_origin:
            page = frontend_app(self.api_url, self.graph_url)
            self.frontend_origin = cleanup.enter_context(serve(page, tls)).url
        self._register_app()

    def _register_app(self) -> None:
        """Register the app in Entra with its URL and managed identity."""
        identity = FederatedCredential(
            self.identity.issuer(TOKEN_EXCHANGE), self.identity.user_assigned.principal_id
        )
        self.microsoft365.directory.change_app(
            CLIENT_ID, redirect_uris=(f"{self.api_url}{CALLBACK}",), federated=(identity,)
        )

    def _launch_host(self, waits: Waits, settings: Mapping[str, str]) -> HostProcess:
        taken = any(host.running and host.port == self.api_port for host in self.hosts)
        plan = HostPlan(
            app_directory=self._app_directory,
            port=free_port() if taken else self.api_port,
            cors=(self.frontend_origin,),
            authority=self.authority,
            waits=waits,
            log_records=self.log_records,
        )
        log_file = self.directory / f"host-{len(self.hosts) + 1}.log"
        host = HostProcess(plan, self.environment() | dict(settings), log_file)
        self.hosts.append(host)
        return host


def create_storage(connection_string: str) -> None:
    """Create the queues, containers and tables of a deployment."""
    # Imported here, while Azurite boots: the storage clients take half a second.
    from azure.data.tables import TableServiceClient
    from azure.storage.blob import BlobServiceClient
    from azure.storage.queue import QueueServiceClient

    from shared.storage_names import CONTAINERS, QUEUES, TABLES

    with QueueServiceClient.from_connection_string(connection_string, api_version=API_VERSION) as queues:
        for name in (*QUEUES, OUTCOMES):
            queues.create_queue(name).close()
    with BlobServiceClient.from_connection_string(connection_string, api_version=API_VERSION) as blobs:
        for name in CONTAINERS:
            blobs.create_container(name).close()
    with TableServiceClient.from_connection_string(connection_string) as tables:
        for name in TABLES:
            tables.create_table(name).close()
