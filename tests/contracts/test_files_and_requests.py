"""What the schedulers' files and the kept requests promise, in memory and in Azure."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from shared.adapters.blobs import BlobAttachmentFiles, BlobKeptRequests
from shared.errors import RejectedError
from shared.storage_names import ATTACHMENTS
from tests.fakes import CONTOSO, MemoryFiles, MemoryRequests

if TYPE_CHECKING:
    from azure.storage.blob import BlobServiceClient

    from shared.ports import AttachmentFiles, KeptRequests

PATH = f"{uuid.uuid4()}/größe 1.pdf"


@pytest.fixture(params=["memory", "azure"])
def files(request: pytest.FixtureRequest) -> AttachmentFiles:
    if request.param == "memory":
        return MemoryFiles({PATH: b"%PDF-1.7"})
    blobs: BlobServiceClient = request.getfixturevalue("blob_clients")
    blobs.get_container_client(ATTACHMENTS).upload_blob(PATH, b"%PDF-1.7", overwrite=True)
    return BlobAttachmentFiles(blobs)


@pytest.fixture(params=["memory", "azure"])
def requests(request: pytest.FixtureRequest) -> KeptRequests:
    if request.param == "memory":
        return MemoryRequests()
    return BlobKeptRequests(request.getfixturevalue("blob_clients"))


@pytest.fixture
def message_id() -> str:
    return f"sales:{uuid.uuid4()}"


def test_a_file_has_its_size_and_its_bytes(files: AttachmentFiles) -> None:
    assert files.size(PATH) == 8
    assert files.read(PATH) == b"%PDF-1.7"


def test_a_file_that_is_not_there_is_said_by_name(files: AttachmentFiles) -> None:
    for look in (files.size, files.read):
        with pytest.raises(RejectedError) as caught:
            look("nowhere/a.pdf")
        assert (caught.value.code, caught.value.facts) == ("attachment_not_found", {"blob": "nowhere/a.pdf"})


def test_a_request_is_kept_and_kept_again(requests: KeptRequests, message_id: str) -> None:
    requests.keep(CONTOSO, message_id, b"first")
    requests.keep(CONTOSO, message_id, b"second")

    assert requests.load(CONTOSO, message_id) == b"second"


def test_a_request_can_be_removed_twice(requests: KeptRequests, message_id: str) -> None:
    requests.keep(CONTOSO, message_id, b"text")
    requests.remove(CONTOSO, message_id)
    requests.remove(CONTOSO, message_id)

    assert requests.load(CONTOSO, message_id) is None
