"""How blobs are accessed; their contracts are in `tests/contracts/`."""

from __future__ import annotations

import gzip
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

import pytest
from azure.storage.blob import ContainerClient, ContentSettings

from shared.adapters.blob_storage import BlobAttachmentFiles, blob_service
from shared.adapters.queue_storage import StorageQueueOutbox
from shared.config import StorageConfig
from shared.storage_names import API_VERSION, ATTACHMENTS
from tests.storage import provision

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from tests.local_stack.azurite import Azurite

BY_IDENTITY = StorageConfig(
    table_uri="https://mailer.table.core.windows.net",
    queue_uri="https://mailer.queue.core.windows.net",
    blob_uri="https://mailer.blob.core.windows.net",
)


class Identity:
    """A credential that fails when a token is requested."""

    def get_token(self, *scopes: str, **options: Any) -> Any:
        raise AssertionError


def an_identity() -> TokenCredential:
    return cast("TokenCredential", Identity())


def test_without_a_connection_string_the_apps_identity_opens_the_account() -> None:
    with blob_service(BY_IDENTITY, an_identity) as blobs:
        assert blobs.url == "https://mailer.blob.core.windows.net/"
    outbox = StorageQueueOutbox(BY_IDENTITY, an_identity)
    with closing(outbox._queue):
        assert outbox._queue.url == "https://mailer.queue.core.windows.net/mail-outbox"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity"])
@pytest.mark.parametrize(
    "content", [gzip.compress(bytes(13_000)), b"not compressed at all"], ids=["gz", "plain"]
)
def test_a_file_is_read_as_stored_regardless_of_its_content_encoding(
    azurite: Azurite, encoding: str, content: bytes
) -> None:
    provision(azurite.connection_string)
    path = f"encoded/{encoding}/{len(content)}.csv"
    with (
        ContainerClient.from_connection_string(
            azurite.connection_string, ATTACHMENTS, api_version=API_VERSION
        ) as container,
        blob_service(StorageConfig(azurite.connection_string), an_identity) as blobs,
    ):
        settings = ContentSettings(content_encoding=encoding)
        container.upload_blob(path, content, overwrite=True, content_settings=settings)
        files = BlobAttachmentFiles(blobs)
        file = files.find(path)

        assert file.size == len(content)
        assert files.read(file) == content
        assert files.read(file, 3, 10) == content[3:13]
