"""No issued secret is anywhere but in its intended place."""

from collections.abc import Iterator

import pytest
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from shared.storage_names import API_VERSION, CONTAINERS, QUEUES, TABLES
from tests.local_stack.browser_client import BrowserClient
from tests.local_stack.clients import Admin, Scheduler
from tests.local_stack.microsoft365.contoso import ADA, CLIENT_SECRET
from tests.local_stack.stack import LocalStack

MAIL = {"to": ["cfo@contoso.com"], "subject": "s", "body": {"contentType": "text", "content": "b"}}

pytestmark = pytest.mark.stack


def stored(connection_string: str) -> Iterator[str]:
    """Yield the content of all tables, queues and blobs."""
    with TableServiceClient.from_connection_string(connection_string) as tables:
        for name in TABLES:
            yield from (str(row) for row in tables.get_table_client(name).list_entities())
    with QueueServiceClient.from_connection_string(connection_string, api_version=API_VERSION) as queues:
        for name in QUEUES:
            yield from (str(message.content) for message in queues.get_queue_client(name).peek_messages(32))
    with BlobServiceClient.from_connection_string(connection_string, api_version=API_VERSION) as blobs:
        for name in CONTAINERS:
            container = blobs.get_container_client(name)
            for blob in container.list_blobs():
                yield container.download_blob(blob.name).readall().decode("utf-8", "replace")


def test_no_token_code_or_credential_is_in_a_log_table_response_or_url(
    admin: Admin, scheduler: Scheduler, browser: BrowserClient, stack: LocalStack
) -> None:
    started = admin.call("POST", "tenant-settings/smtp/enable", {"fromEmailAddress": ADA}).json()
    browser.consent(started["startUrl"], ADA)
    browser.open(started["startUrl"])
    scheduler.queue("secrets:1", **MAIL)
    admin.delivery("secrets:1", "accepted")
    admin.read("deliveries/secrets:1")
    admin.read(f"consent/{started['flowId']}")
    stack.microsoft365.faults.add("sendMail", "throttled")
    scheduler.queue("secrets:2", **MAIL)
    admin.delivery("secrets:2", "accepted")
    stack.microsoft365.faults.add("sendMail", "token expired")
    stack.microsoft365.faults.add("token", "grant revoked", times=2)
    scheduler.queue("secrets:3", **MAIL)
    admin.delivery("secrets:3", "waiting_for_consent")
    assert admin.settings()["problem"]["code"] == "consent_lost"

    secrets = {*stack.microsoft365.tokens.issued, CLIENT_SECRET}
    seen = {
        "log": stack.host_log(),
        "storage": "\n".join(stored(stack.azurite.connection_string)),
        "responses": "\n".join(admin.responses),
        "urls": "\n".join(url for _, url in browser.history),
    }

    assert len(secrets) > 5
    leaks = [(place, secret[:12]) for place, text in seen.items() for secret in secrets if secret in text]
    assert leaks == []


def test_the_search_would_find_a_secret_in_the_vault_where_it_belongs(
    enabled: Admin, stack: LocalStack
) -> None:
    [name] = list(stack.key_vault.secrets)
    kept = stack.key_vault.secrets.get(name).value

    assert any(secret in kept for secret in stack.microsoft365.tokens.issued)
    assert "AccessToken" not in kept
    assert "IdToken" not in kept
