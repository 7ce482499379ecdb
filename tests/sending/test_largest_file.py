"""The largest possible file, from Blob Storage to Exchange Online."""

from __future__ import annotations

import hashlib
import os
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from shared.adapters.blob_storage import BlobAttachmentFiles
from shared.adapters.graph import GraphMailTransport
from shared.deliveries.status import DeliveryStatus
from shared.sending.deliver import deliver
from shared.sending.prepare import LARGEST_FILE_BYTES
from shared.storage_names import ATTACHMENTS
from tests.builders import a_message, large_file_services
from tests.fakes import CONTOSO
from tests.local_stack.microsoft365.contoso import ADA

if TYPE_CHECKING:
    from azure.storage.blob import BlobServiceClient

    from tests.exchange_online import ExchangeOnline


@pytest.mark.timeout(300)
def test_a_file_of_150_mb_arrives_byte_for_byte(
    exchange: ExchangeOnline, blob_clients: BlobServiceClient
) -> None:
    content = os.urandom(1024 * 1024) * 150
    assert len(content) == LARGEST_FILE_BYTES
    digest = hashlib.sha256(content).hexdigest()
    container = blob_clients.get_container_client(ATTACHMENTS)
    container.upload_blob("largest.bin", content, overwrite=True)
    del content
    exchange.system.directory.change_user(ADA, message_limit=210 * 1024 * 1024)
    services = large_file_services()
    services.configure(allowed_tenant_ids=frozenset({CONTOSO}), mailbox_message_limit_mb=210)
    services.files = BlobAttachmentFiles(blob_clients)  # type: ignore[assignment]
    services.tokens.get = lambda *_, **__: exchange.token()  # type: ignore[method-assign]
    with closing(GraphMailTransport(exchange.graph)) as transport:
        services.transport = transport  # type: ignore[assignment]
        file = {"name": "largest.bin", "contentType": "application/octet-stream", "blob": "largest.bin"}
        deliver(a_message(messageId="m-1", attachments=[file]), "q-1", services)
    container.delete_blob("largest.bin")

    assert services.deliveries.rows[CONTOSO, "m-1"].status is DeliveryStatus.ACCEPTED
    (mail,) = exchange.system.mails()
    (arrived,) = mail.attachments
    assert (arrived.size, arrived.sha256) == (LARGEST_FILE_BYTES, digest)
