"""Who uses the app: an admin at the HTTP API, a scheduler at the queue."""

import base64
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import requests
from azure.data.tables import TableClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient

from shared.mail.payload import delivery_key
from shared.storage_names import API_VERSION, ATTACHMENTS, MAIL_OUTBOX, TENANT_SETTINGS
from tests.local_stack.loopback import loopback_session
from tests.local_stack.microsoft365 import AcceptedMail
from tests.local_stack.microsoft365.contoso import CONTOSO

PATIENCE_SECONDS = 60.0


class Admin:
    """Calls the API as Inforiver's frontend does, with one access token.

    Attributes:
        responses: headers and bodies of all responses.
    """

    def __init__(self, api_url: str, token: str, ca_file: Path) -> None:
        self.responses: list[str] = []
        self._api = f"{api_url}/api"
        self._session = loopback_session(ca_file)
        self._session.headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, body: object = None, **headers: str) -> requests.Response:
        """Call the API; `body` is sent as JSON."""
        url = f"{self._api}/{path}"
        response = self._session.request(method, url, json=body, headers=headers, timeout=30)
        self.responses.append(f"{response.headers}\n{response.text}")
        return response

    def read(self, path: str) -> dict[str, Any]:
        """Return the JSON at an address.

        Raises:
            requests.HTTPError: it is not a success.
        """
        response = self.call("GET", path)
        response.raise_for_status()
        found: dict[str, Any] = response.json()
        return found

    def settings(self) -> dict[str, Any]:
        """Return the tenant's settings."""
        return self.read("tenant-settings/smtp")

    def delivery(self, message_id: str, *statuses: str) -> dict[str, Any]:
        """Return a mail's delivery once it is in one of these states.

        Raises:
            TimeoutError: it was in none in time.
        """

        def look() -> dict[str, Any] | None:
            response = self.call("GET", f"deliveries/{message_id}")
            found: dict[str, Any] = response.json()
            return found if response.ok and found["status"] in statuses else None

        return wait_for(look, f"{message_id} to be {' or '.join(statuses)}")

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def mails_of(mails: Iterable[AcceptedMail], message_id: str, tenant_id: str = CONTOSO) -> list[AcceptedMail]:
    """Return the accepted mails of a message, by the key in each mail.

    A subject that several tests use would also find another test's late mail.
    """
    key = delivery_key(tenant_id, message_id)
    return [mail for mail in mails if key in mail.extended_properties.values()]


class Scheduler:
    """A scheduler that stores files and queues mails with Microsoft's SDKs."""

    def __init__(self, connection_string: str, tenant_id: str) -> None:
        self._tenant_id = tenant_id
        self._queue = QueueClient.from_connection_string(
            connection_string, MAIL_OUTBOX, api_version=API_VERSION
        )
        blobs = BlobServiceClient.from_connection_string(connection_string, api_version=API_VERSION)
        self._files = blobs.get_container_client(ATTACHMENTS)

    def upload(self, path: str, content: bytes) -> str:
        """Put a file and return its path."""
        self._files.upload_blob(path, content, overwrite=True)
        return path

    def queue(self, message_id: str, **members: Any) -> str:
        """Queue a mail and return its id; a member of None leaves it out."""
        message = {"schemaVersion": 1, "messageId": message_id, "tenantId": self._tenant_id, **members}
        self.queue_text(json.dumps({name: value for name, value in message.items() if value is not None}))
        return message_id

    def queue_text(self, text: str) -> str:
        """Queue a text in base64, as older schedulers do; return its queue id."""
        return self.queue_raw(base64.b64encode(text.encode()).decode())

    def queue_raw(self, text: str) -> str:
        """Queue a text as it is, as most clients do; return its queue id."""
        return str(self._queue.send_message(text).id)

    def close(self) -> None:
        """Close the connections."""
        self._queue.close()
        self._files.close()


def delete_schedules(connection_string: str) -> None:
    """Delete all schedules, so that earlier refusals limit no mailbox."""
    with TableClient.from_connection_string(
        connection_string, TENANT_SETTINGS, api_version=API_VERSION
    ) as table:
        for row in list(table.query_entities("PartitionKey eq 'schedule'")):
            table.delete_entity(row)


def wait_for[Found](look: Callable[[], Found | None], what: str, seconds: float = PATIENCE_SECONDS) -> Found:
    """Poll until there is a result.

    Raises:
        TimeoutError: there was none in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        time.sleep(0.1)
    raise TimeoutError(f"Waited {seconds:.0f} s for {what}.")
