"""Store the schedulers' files and the data of unfinished mails in blobs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobServiceClient

from shared.adapters.azure_errors import azure_errors, is_missing
from shared.adapters.bounded_transport import bounded_transport
from shared.adapters.table_storage import STORAGE_OPTIONS
from shared.errors import MissingFileError, RejectedError, TransientError
from shared.mail.ports import StoredFile
from shared.storage_names import ATTACHMENTS, MAIL_REQUESTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from datetime import datetime

    from azure.core.credentials import TokenCredential

    from shared.config import StorageConfig

_EXTENSION = ".json"
#: The problem codes for files that exist but cannot be read.
#: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
_UNREADABLE = {
    "BlobArchived": "attachment_archived",
    "BlobBeingRehydrated": "attachment_archived",
    "BlobUsesCustomerSpecifiedEncryption": "attachment_encrypted",
}
#: Statuses of refusals that neither a right of the app nor a later attempt would change.
_PERMANENT = frozenset(range(400, 500)) - {401, 403, 408, 429}


def blob_service(config: StorageConfig, credential: Callable[[], TokenCredential]) -> BlobServiceClient:
    """Connect to the blobs of the storage account."""
    if config.connection_string:
        return BlobServiceClient.from_connection_string(
            config.connection_string, transport=bounded_transport(STORAGE_OPTIONS), **STORAGE_OPTIONS
        )
    return BlobServiceClient(
        config.blob_uri,
        credential=credential(),
        transport=bounded_transport(STORAGE_OPTIONS),
        **STORAGE_OPTIONS,
    )


class BlobAttachmentFiles:
    """The container `attachments`."""

    def __init__(self, service: BlobServiceClient) -> None:
        self._container = service.get_container_client(ATTACHMENTS)

    def find(self, path: str) -> StoredFile:
        """Look up a file."""
        with _file_errors(path):
            found = self._container.get_blob_client(path).get_blob_properties()
        return StoredFile(path, found.size, found.etag)

    def read(self, file: StoredFile, first: int = 0, length: int | None = None) -> bytes:
        """Return part of a file, or all of a small one, as it is stored.

        It is not decompressed, which `download_blob` does by default if the blob has a `Content-Encoding`.
        """
        if not file.size:
            return b""
        with _file_errors(file.path):
            return self._container.download_blob(
                file.path,
                offset=first,
                length=file.size if length is None else length,
                etag=file.version,
                match_condition=MatchConditions.IfNotModified,
                decompress=False,
            ).readall()

    def put(self, path: str, content: BinaryIO) -> None:
        """Upload a file to the container in pieces."""
        with _file_errors(path):
            self._container.upload_blob(path, content, overwrite=True)


class BlobTextStore:
    """A folder of the container `mail-requests`, with one blob per mail.

    The name of a blob is `<folder>/<tenant id>/<message id>.json`. The extension keeps a message id such as
    `.` or `..` from changing the path.
    """

    def __init__(self, service: BlobServiceClient, folder: str) -> None:
        self._container = service.get_container_client(MAIL_REQUESTS)
        self._folder = folder

    def save(self, tenant_id: str, message_id: str, text: bytes) -> None:
        """Store a text; an existing one is overwritten."""
        with _errors():
            self._container.upload_blob(self._name(tenant_id, message_id), text, overwrite=True)

    def load(self, tenant_id: str, message_id: str) -> bytes | None:
        """Return a stored text, or None."""
        with _errors():
            try:
                return self._container.download_blob(self._name(tenant_id, message_id)).readall()
            except ResourceNotFoundError as error:
                if is_missing(error):
                    raise
                return None

    def remove(self, tenant_id: str, message_id: str) -> None:
        """Delete a text; one that does not exist is no error."""
        with _errors():
            try:
                self._container.delete_blob(self._name(tenant_id, message_id))
            except ResourceNotFoundError as error:
                if is_missing(error):
                    raise

    def untouched_since(self, moment: datetime) -> Iterator[tuple[str, str]]:
        """Name the mails whose texts have not been written since that moment."""
        with _errors():
            for blob in self._container.list_blobs(name_starts_with=f"{self._folder}/"):
                if blob.last_modified < moment:
                    _, tenant_id, message_id = blob.name.split("/")
                    yield tenant_id, message_id.removesuffix(_EXTENSION)

    def of_tenant(self, tenant_id: str) -> Iterator[str]:
        """Return the message ids of a tenant's mails."""
        prefix = f"{self._folder}/{tenant_id}/"
        with _errors():
            for name in self._container.list_blob_names(name_starts_with=prefix):
                yield name.removeprefix(prefix).removesuffix(_EXTENSION)

    def _name(self, tenant_id: str, message_id: str) -> str:
        return f"{self._folder}/{tenant_id}/{message_id}{_EXTENSION}"


def _errors() -> AbstractContextManager[None]:
    return azure_errors("storage_unavailable", "storage_denied", service="blobs")


@contextmanager
def _file_errors(path: str) -> Iterator[None]:
    with _errors():
        try:
            yield
        except ResourceNotFoundError as error:
            if is_missing(error):
                raise
            raise MissingFileError(path) from error
        except ResourceModifiedError as error:
            raise TransientError("file_changed", blob=path) from error
        except HttpResponseError as error:
            code = str(getattr(error, "error_code", None) or "")
            if code in _UNREADABLE:
                raise RejectedError(_UNREADABLE[code], blob=path) from error
            if is_missing(error) or error.status_code not in _PERMANENT:
                raise
            reason = code or error.status_code
            raise RejectedError("attachment_refused", blob=path, reason=reason) from error
