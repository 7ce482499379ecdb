"""docs/scheduler.md: its message is one, its Python runs, its tables know every state."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from azure.storage.queue import QueueClient, TextBase64EncodePolicy

from shared.adapters.blobs import BlobAttachmentFiles
from shared.deliveries.delivery import DeliveryStatus
from shared.sending.deliver import deliver
from shared.sending.request import parse_mail_request
from shared.storage_names import ATTACHMENTS, MAIL_OUTBOX
from tests.builders import enabled_services
from tests.fakes import CONTOSO

if TYPE_CHECKING:
    from azure.storage.blob import BlobServiceClient

    from shared.config import StorageConfig

PAGE = (Path(__file__).parents[2] / "docs" / "scheduler.md").read_text("utf-8")


def example(language: str, place: int = 0) -> str:
    """Return an example in a language."""
    return str(re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[place])


def names_of(text: str) -> dict[str, Any]:
    """Run an example, and return what it made."""
    names: dict[str, Any] = {}
    exec(compile(text, "scheduler.md", "exec"), names)  # noqa: S102 - our own page
    return names


def test_the_message_keeps_the_contract() -> None:
    request = parse_mail_request(example("json").encode())

    assert request.message_id == "sales-weekly:2026-11-23T06:00Z:emea"


def test_the_message_in_csharp_keeps_the_contract() -> None:
    text = re.search(r"var message = new\n(\{.*?\n\});", example("csharp"), re.DOTALL)
    assert text
    as_json = re.sub(r"new\[\] \{(.*?)\}(,?)\n", r"[\1]\2\n", text[1])
    as_json = re.sub(r"\bnew \{", "{", as_json).replace("= path", '= "2026/11/23/sales.pdf"')
    as_json = re.sub(r"(\w+) = ", r'"\1": ', as_json)
    as_json = re.sub(r",(\s*\})", r"\1", as_json)

    assert parse_mail_request(as_json.encode()).attachments[0].blob == "2026/11/23/sales.pdf"


def test_the_python_example_queues_a_mail_that_arrives(
    storage: StorageConfig, blob_clients: BlobServiceClient
) -> None:
    assert storage.connection_string
    encode = TextBase64EncodePolicy()
    with (
        QueueClient.from_connection_string(storage.connection_string, MAIL_OUTBOX) as queue,
        QueueClient.from_connection_string(
            storage.connection_string, MAIL_OUTBOX, message_encode_policy=encode
        ) as encoding,
        blob_clients.get_container_client(ATTACHMENTS) as files,
    ):
        queue.clear_messages()
        names_of(example("python"))["queue_report"](files, encoding, CONTOSO, b"%PDF-1.7")
        message = queue.receive_message()
    services = enabled_services()
    services.allowed_tenants = frozenset({CONTOSO})
    services.files = BlobAttachmentFiles(blob_clients)  # type: ignore[assignment]

    assert message
    deliver(base64.b64decode(message.content, validate=True), message.id, services)

    sent = json.loads(services.transport.sent[0][2])["message"]
    assert sent["attachments"][0]["contentBytes"] == base64.b64encode(b"%PDF-1.7").decode()


def test_the_clients_of_the_python_example_sign_in_and_encode() -> None:
    made = names_of(example("python", 1))

    with made["files"] as files, made["queue"] as queue:
        assert files.url == f"https://mailerstorage.blob.core.windows.net/{ATTACHMENTS}"
        assert queue.url == f"https://mailerstorage.queue.core.windows.net/{MAIL_OUTBOX}"
        assert files.credential is queue.credential is made["credential"]
        assert isinstance(queue._message_encode_policy, TextBase64EncodePolicy)


@pytest.mark.parametrize("status", DeliveryStatus)
def test_every_state_is_explained(status: DeliveryStatus) -> None:
    assert re.search(rf"^\| .*`{status}`", PAGE, re.MULTILINE)


@pytest.mark.parametrize("name", [MAIL_OUTBOX, ATTACHMENTS])
def test_queue_and_container_are_called_what_they_are(name: str) -> None:
    assert f"`{name}`" in PAGE
