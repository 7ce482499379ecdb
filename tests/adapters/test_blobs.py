"""How blobs and queues are reached; what they hold is in `tests/contracts/`."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

from shared.adapters.blobs import blob_service
from shared.adapters.queues import StorageQueueOutbox
from shared.config import StorageConfig

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

BY_IDENTITY = StorageConfig(
    table_uri="https://mailer.table.core.windows.net",
    queue_uri="https://mailer.queue.core.windows.net",
    blob_uri="https://mailer.blob.core.windows.net",
)


class Identity:
    """Has tokens to give; none is asked for before the first call."""

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
