"""The stack left running for a person, and a mail for it."""

import base64
import json
import signal
import sys
import threading
import uuid

from azure.storage.queue import QueueClient

from shared.storage_names import MAIL_OUTBOX
from tests.local_stack.host_process import REPOSITORY
from tests.local_stack.microsoft365.contoso import CONTOSO
from tests.local_stack.prerequisites import MissingPrerequisiteError
from tests.local_stack.stack import LocalStack

#: Where a running stack leaves its storage address for the `mail` command.
STORAGE_FILE = REPOSITORY / ".local" / "storage"
WATCH_SECONDS = 1.0

ADDRESSES = """
The local stack runs. Ctrl-C stops it; nothing is kept.

  Settings page   {frontend}/settings
  Inbox           {graph}/
  API             {api}/api/health
  Queue a mail    .venv/bin/python -m tests.local_stack mail --to cfo@contoso.com
  App's log       {log}

The certificates are signed by {ca}.
A browser asks before it opens them, unless you let it trust that file: otherwise open the API and the
inbox once and accept their certificates, before the settings page calls them.
"""


def run_until_stopped(frontend_origin: str) -> int:
    """Run the stack, with its addresses printed, until Ctrl-C."""
    print("Starting the local stack ...", flush=True)
    with LocalStack(frontend_origin=frontend_origin) as stack:
        STORAGE_FILE.parent.mkdir(exist_ok=True)
        STORAGE_FILE.write_text(stack.azurite.connection_string)
        try:
            _show(stack)
            return _watch(stack)
        finally:
            STORAGE_FILE.unlink(missing_ok=True)


def queue_mail(to: str, subject: str, body: str) -> str:
    """Queue a mail in the running stack and return its message id.

    Raises:
        MissingPrerequisiteError: no stack runs.
    """
    if not STORAGE_FILE.exists():
        raise MissingPrerequisiteError("No local stack is running: start one with `make start`.")
    message = {
        "schemaVersion": 1,
        "messageId": f"by-hand:{uuid.uuid4()}",
        "tenantId": CONTOSO,
        "to": [to],
        "subject": subject,
        "body": {"contentType": "html", "content": body},
    }
    text = base64.b64encode(json.dumps(message).encode()).decode()
    with QueueClient.from_connection_string(STORAGE_FILE.read_text(), MAIL_OUTBOX) as queue:
        queue.send_message(text)
    return str(message["messageId"])


def _show(stack: LocalStack) -> None:
    print(
        ADDRESSES.format(
            graph=stack.graph_url,
            api=stack.api_url,
            frontend=stack.frontend_origin,
            log=stack.hosts[0].log_file,
            ca=stack.authority.ca_file,
        ),
        flush=True,
    )


def _watch(stack: LocalStack) -> int:
    """Wait for Ctrl-C, or for the end of the host, which nobody asked for."""
    asked = threading.Event()
    # Not an exception: an impatient second Ctrl-C would leave half of the stack running.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    while stack.hosts[0].running:
        if asked.wait(WATCH_SECONDS):
            print("Stopping.", flush=True)
            return 0
    print(f"The Functions host ended:\n{stack.host_log()}", file=sys.stderr)
    return 1
