# /// script
# requires-python = ">=3.11"
# dependencies = ["azure-identity>=1.19", "azure-storage-blob>=12.24", "azure-storage-queue>=12.12"]
# ///
"""Upload a report and queue a mail with it as attachment.

    export MAIL_QUEUE_ENDPOINT=https://<account>.queue.core.windows.net
    export MAIL_BLOB_ENDPOINT=https://<account>.blob.core.windows.net
    export MAIL_TENANT_ID=<tenant>
    uv run queue_mail.py sales-weekly:2026-11-23:emea cfo@contoso.com report.pdf

Running it again with the same message id and report sends no second mail. It prints the message id.
"""

import hashlib
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from azure.identity import DefaultAzureCredential
from azure.storage.blob import BlobClient, ContentSettings
from azure.storage.queue import QueueClient


def upload(report: Path, tenant_id: str, credential: DefaultAzureCredential) -> str:
    """Put the file into the container, and return its path there.

    The path is derived from the content: the same report always has the same path, and no report replaces
    another.
    """
    content = report.read_bytes()
    path = f"{tenant_id}/{hashlib.sha256(content).hexdigest()}.pdf"
    endpoint = os.environ["MAIL_BLOB_ENDPOINT"]
    with BlobClient(endpoint, "attachments", path, credential=credential) as blob:
        settings = ContentSettings(content_type="application/pdf")
        blob.upload_blob(content, overwrite=True, content_settings=settings)
    return path


def main(message_id: str, recipient: str, report: Path) -> None:
    """Upload the report first, then queue the mail."""
    tenant_id = os.environ["MAIL_TENANT_ID"].lower()
    # Uses a managed identity if there is one, and on a laptop your `az login`.
    with DefaultAzureCredential() as credential:
        message = {
            "schemaVersion": 1,
            # Derived from schedule, due time and audience, never random: a second run must use the same id.
            "messageId": message_id,
            "tenantId": tenant_id,
            "to": [recipient],
            "subject": "Weekly sales, EMEA",
            "body": {"contentType": "html", "content": "<p>Grüße, the report is attached.</p>"},
            "attachments": [
                {
                    "name": report.name,
                    "contentType": "application/pdf",
                    "blob": upload(report, tenant_id, credential),
                }
            ],
            "expiresAt": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
            # Null if no program reads the outcome (read_outcomes.py reads it).
            "outcomeQueue": os.environ.get("MAIL_OUTCOME_QUEUE"),
        }
        text = json.dumps(message, ensure_ascii=False)
        endpoint = os.environ["MAIL_QUEUE_ENDPOINT"]
        # The client retries temporary failures. -1: the message never expires in the queue.
        with QueueClient(endpoint, "mail-outbox", credential=credential, retry_total=5) as queue:
            queue.send_message(text, time_to_live=-1)
    print(message_id)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
