"""The contract of files and stored texts, in memory and in Azure."""

from __future__ import annotations

import io
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.adapters.blob_storage import BlobAttachmentFiles, BlobTextStore
from shared.errors import RejectedError, TransientError
from shared.mail.ports import StoredFile
from shared.storage_names import ATTACHMENTS
from tests.fakes import CONTOSO, MemoryFiles, MemoryTexts

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.storage.blob import BlobServiceClient

    from shared.deliveries.ports import TextStore
    from shared.mail.ports import AttachmentFiles

PATH = f"{uuid.uuid4()}/größe 1.pdf"


class FileStore:
    """The files, and the function by which a test adds one."""

    def __init__(self, files: AttachmentFiles, put: Callable[[str, bytes], Any]) -> None:
        self.files = files
        self.put = put


@pytest.fixture(params=["memory", "azure"])
def file_store(request: pytest.FixtureRequest) -> FileStore:
    if request.param == "memory":
        memory = MemoryFiles()
        return FileStore(memory, memory.blobs.__setitem__)
    blobs: BlobServiceClient = request.getfixturevalue("blob_clients")
    container = blobs.get_container_client(ATTACHMENTS)
    return FileStore(
        BlobAttachmentFiles(blobs), lambda path, text: container.upload_blob(path, text, overwrite=True)
    )


@pytest.fixture(params=["memory", "azure"])
def texts(request: pytest.FixtureRequest) -> TextStore:
    if request.param == "memory":
        return MemoryTexts(now=lambda: datetime.now(UTC))
    return BlobTextStore(request.getfixturevalue("blob_clients"), "requests")


@pytest.fixture
def message_id() -> str:
    return f"sales:{uuid.uuid4()}"


def test_a_file_has_its_size_and_its_bytes(file_store: FileStore) -> None:
    file_store.put(PATH, b"%PDF-1.7")
    found = file_store.files.find(PATH)

    assert (found.path, found.size) == (PATH, 8)
    assert file_store.files.read(found) == b"%PDF-1.7"
    assert file_store.files.read(found, 1, 3) == b"PDF"
    assert file_store.files.read(found, 5, 3) == b"1.7"


def test_a_file_can_be_put_and_replaced(file_store: FileStore) -> None:
    file_store.files.put(PATH, io.BytesIO(b"first"))
    file_store.files.put(PATH, io.BytesIO(b"second"))

    assert file_store.files.read(file_store.files.find(PATH)) == b"second"


def test_an_empty_file_is_a_file(file_store: FileStore) -> None:
    file_store.put(PATH, b"")

    assert file_store.files.read(file_store.files.find(PATH)) == b""


def test_a_missing_file_is_reported_by_name(file_store: FileStore) -> None:
    with pytest.raises(RejectedError) as caught:
        file_store.files.find("nowhere/a.pdf")

    assert (caught.value.code, caught.value.params) == ("attachment_not_found", {"blob": "nowhere/a.pdf"})


def test_a_file_removed_after_it_was_found_is_reported_as_changed(file_store: FileStore) -> None:
    with pytest.raises(TransientError) as caught:
        file_store.files.read(StoredFile("nowhere/a.pdf", 1, '"v"'))

    assert caught.value.code == "file_changed"


def test_a_file_that_was_replaced_is_not_mixed_with_the_new_one(file_store: FileStore) -> None:
    file_store.put(PATH, b"the old file")
    found = file_store.files.find(PATH)
    file_store.put(PATH, b"the new file")

    with pytest.raises(TransientError) as caught:
        file_store.files.read(found, 4, 8)

    assert caught.value.code == "file_changed"


def test_a_text_is_stored_and_overwritten(texts: TextStore, message_id: str) -> None:
    texts.save(CONTOSO, message_id, b"first")
    texts.save(CONTOSO, message_id, b"second")

    assert texts.load(CONTOSO, message_id) == b"second"


@pytest.mark.parametrize("message_id", [".", "..", "a.json", ":"])
def test_every_message_id_is_a_name(texts: TextStore, message_id: str) -> None:
    tenant = str(uuid.uuid4())
    texts.save(tenant, message_id, b"text")
    soon = datetime.now(UTC) + timedelta(minutes=1)

    assert texts.load(tenant, message_id) == b"text"
    assert (tenant, message_id) in list(texts.untouched_since(soon))
    texts.remove(tenant, message_id)
    assert texts.load(tenant, message_id) is None


def test_a_text_can_be_removed_twice(texts: TextStore, message_id: str) -> None:
    texts.save(CONTOSO, message_id, b"text")
    texts.remove(CONTOSO, message_id)
    texts.remove(CONTOSO, message_id)

    assert texts.load(CONTOSO, message_id) is None


def test_texts_that_were_unchanged_for_long_can_be_listed(texts: TextStore, message_id: str) -> None:
    texts.save(CONTOSO, message_id, b"text")
    soon = datetime.now(UTC) + timedelta(minutes=1)

    assert (CONTOSO, message_id) in list(texts.untouched_since(soon))
    assert (CONTOSO, message_id) not in list(texts.untouched_since(soon - timedelta(hours=1)))


def test_drafts_are_stored_separately_from_requests(blob_clients: BlobServiceClient, message_id: str) -> None:
    BlobTextStore(blob_clients, "requests").save(CONTOSO, message_id, b"request")

    assert BlobTextStore(blob_clients, "drafts").load(CONTOSO, message_id) is None


def test_a_tenants_texts_can_be_listed(texts: TextStore) -> None:
    tenant = str(uuid.uuid4())
    for message_id in ("m-1", "..", "a.json"):
        texts.save(tenant, message_id, b"text")
    texts.save(str(uuid.uuid4()), "m-2", b"another tenant's")

    assert set(texts.of_tenant(tenant)) == {"m-1", "..", "a.json"}
