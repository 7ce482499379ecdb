"""Azure Blob Storage: the schedulers' files, and the requests of mails that are not done yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient

from shared.adapters.azure_errors import translated
from shared.adapters.tables import TIMEOUTS
from shared.errors import RejectedError
from shared.storage_names import ATTACHMENTS, MAIL_REQUESTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from azure.core.credentials import TokenCredential

    from shared.config import StorageConfig


def blob_service(config: StorageConfig, credential: Callable[[], TokenCredential]) -> BlobServiceClient:
    """Connect to the blobs of the storage account."""
    if config.connection_string:
        return BlobServiceClient.from_connection_string(config.connection_string, **TIMEOUTS)
    return BlobServiceClient(config.blob_uri, credential=credential(), **TIMEOUTS)


class BlobAttachmentFiles:
    """The container `attachments`."""

    def __init__(self, service: BlobServiceClient) -> None:
        self._container = service.get_container_client(ATTACHMENTS)

    def size(self, path: str) -> int:
        """Return a file's size in bytes."""
        with _errors():
            try:
                return self._container.get_blob_client(path).get_blob_properties().size
            except ResourceNotFoundError as error:
                raise RejectedError("attachment_not_found", blob=path) from error

    def read(self, path: str) -> bytes:
        """Return a whole, small file."""
        with _errors():
            try:
                return self._container.download_blob(path).readall()
            except ResourceNotFoundError as error:
                raise RejectedError("attachment_not_found", blob=path) from error


class BlobKeptRequests:
    """The container `mail-requests`, one blob a mail: tenant id / message id."""

    def __init__(self, service: BlobServiceClient) -> None:
        self._container = service.get_container_client(MAIL_REQUESTS)

    def keep(self, tenant_id: str, message_id: str, text: bytes) -> None:
        """Keep a request; one that is kept already is written again."""
        with _errors():
            self._container.upload_blob(f"{tenant_id}/{message_id}", text, overwrite=True)

    def load(self, tenant_id: str, message_id: str) -> bytes | None:
        """Return a kept request, or None."""
        with _errors():
            try:
                return self._container.download_blob(f"{tenant_id}/{message_id}").readall()
            except ResourceNotFoundError:
                return None

    def remove(self, tenant_id: str, message_id: str) -> None:
        """Remove a request; one that is gone already is no error."""
        with _errors():
            try:
                self._container.delete_blob(f"{tenant_id}/{message_id}")
            except ResourceNotFoundError:
                return


def _errors() -> AbstractContextManager[None]:
    return translated("storage_unavailable", "storage_denied", service="blobs")
