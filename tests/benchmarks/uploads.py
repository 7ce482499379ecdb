"""Uploads of a file from Blob Storage, each in a fresh process.

python -m tests.benchmarks.uploads <ours | bare> <address> <size in MB>

It prints as JSON the seconds that it took, and the growth of the memory peak in bytes compared with a file of
4 MB.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from shared.storage_names import API_VERSION

MEGABYTE = 1024 * 1024
CONNECTION = "AzureWebJobsStorage"
SMALL = 4


def path_of(size: int) -> str:
    """Name the file of a size."""
    return f"bench/{size}.bin"


def this_app(address: str) -> Callable[[int], None]:
    """Send a mail with the file, with real blobs and the real Graph adapter."""
    from shared.adapters.blob_storage import BlobAttachmentFiles, blob_service
    from shared.adapters.graph import GraphMailTransport
    from shared.config import StorageConfig
    from shared.deliveries.status import DeliveryStatus
    from shared.sending.deliver import deliver
    from shared.sending.rate_limit.upload_limit import SPAN
    from tests.builders import a_message, large_file_services
    from tests.fakes import CONTOSO

    services = large_file_services()
    services.configure(allowed_tenant_ids=frozenset({CONTOSO}))
    services.configure(mailbox_message_limit_mb=210)
    config = StorageConfig(os.environ[CONNECTION])
    services.files = BlobAttachmentFiles(blob_service(config, lambda: None))  # type: ignore[arg-type,assignment,return-value]
    services.transport = GraphMailTransport(address)  # type: ignore[assignment]

    def send(size: int) -> None:
        # What one mailbox may upload in five minutes is less than both files.
        services.system.pass_time(SPAN)
        file = {"name": "a.bin", "contentType": "application/octet-stream", "blob": path_of(size)}
        deliver(a_message(messageId=f"m-{size}", attachments=[file]), f"q-{size}", services)
        assert services.deliveries.rows[CONTOSO, f"m-{size}"].status is DeliveryStatus.ACCEPTED

    return send


def simple_loop(address: str) -> Callable[[int], None]:
    """Upload with a simple loop: read a chunk, send it, read the next."""
    import requests
    from azure.storage.blob import ContainerClient

    from shared.sending.upload import CHUNK_BYTES

    files = ContainerClient.from_connection_string(
        os.environ[CONNECTION], "attachments", api_version=API_VERSION
    )
    session = requests.Session()

    def send(size: int) -> None:
        total = size * MEGABYTE
        for first in range(0, total, CHUNK_BYTES):
            length = min(CHUNK_BYTES, total - first)
            chunk = files.download_blob(path_of(size), offset=first, length=length).readall()
            headers = {"Content-Range": f"bytes {first}-{first + length - 1}/{total}"}
            assert session.put(f"{address}/upload", chunk, headers=headers, timeout=60).ok

    return send


def peak() -> int:
    """Return the peak memory of this process in bytes."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def main(way: str, address: str, size: int) -> None:
    """Measure one way."""
    send = {"ours": this_app, "bare": simple_loop}[way](address)
    send(SMALL)
    before = peak()
    started = time.perf_counter()
    send(size)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "growth": peak() - before}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
