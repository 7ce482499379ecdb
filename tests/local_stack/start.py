"""The stack left running for a person or a script, and a mail for it."""

import base64
import json
import signal
import sys
import threading
import uuid
from collections.abc import Iterable
from typing import Any

from azure.storage.queue import QueueClient

from shared.storage_names import API_VERSION, MAIL_OUTBOX
from tests.local_stack.browser_client import BrowserClient
from tests.local_stack.clients import Admin
from tests.local_stack.microsoft365.contoso import ADA
from tests.local_stack.running import (
    COMMAND,
    DESCRIPTION_FILE,
    DIRECTORY,
    FAULTS,
    STORAGE_FILE,
    RunningStack,
    describe,
    operation_of,
)
from tests.local_stack.stack import LocalStack

WATCH_SECONDS = 1.0

ADDRESSES = """
The local stack runs. Ctrl-C stops it; nothing is kept. Sending is {sending}.

For a person
  Settings page      {settingsPageUrl}
  Inbox              {inboxUrl}/
  App's log          {logFile}
  Queue a mail       {command} mail --to cfo@contoso.com
  Let it fail        {command} fault throttled        (`fault` alone lists what there is)
  Pause sending      AzureWebJobsStorage="$(cat .local/storage)" .venv/bin/python -m shared.operate pause

For a scheduler
  Tenant             {tenantId}
  Queue              {queue}
  Container          {container}
  Outcomes           {outcomeQueue}
  API                {apiUrl}/api/health
  Arrived mails      {inboxUrl}/_control/mails
  Admin's token      {adminTokenCommand}
  Scheduler's token  {schedulerTokenCommand}
  … to read the API  {readerTokenCommand}
  Connection string  {connectionString}

The connection string opens everything, as no key does in Azure. With the roles that a scheduler has there,
and no others, the same storage is at {queueEndpoint}
and {blobEndpoint}, for programs that sign in by DefaultAzureCredential after

  eval "$({command} environment)"

All of this as JSON: .local/stack.json. The certificates are signed by {caFile}.
A browser asks before it opens them, unless you let it trust that file: otherwise open the API and the
inbox once and accept their certificates, before the settings page calls them.
"""


def run_until_stopped(
    frontend_origin: str = "", *, as_json: bool = False, consented: bool = False, faults: Iterable[str] = ()
) -> int:
    """Run the stack, with its addresses printed, until Ctrl-C.

    Args:
        frontend_origin: the origin of another settings page.
        as_json: print the description as one line of JSON, and nothing else on standard output.
        consented: start with sending enabled, from Ada's mailbox.
        faults: names of what Microsoft 365 does next.
    """
    print("Starting the local stack ...", file=sys.stderr if as_json else sys.stdout, flush=True)
    with LocalStack(frontend_origin=frontend_origin, any_api_version=True) as stack:
        if consented:
            consent(stack)
        for name in faults:
            stack.microsoft365.faults.add(operation_of(FAULTS[name]), FAULTS[name])
        description = describe(stack, consented=consented)
        DIRECTORY.mkdir(exist_ok=True)
        STORAGE_FILE.write_text(stack.azurite.connection_string)
        DESCRIPTION_FILE.write_text(json.dumps(description, indent=2), "utf-8")
        try:
            print(json.dumps(description) if as_json else _for_people(description), flush=True)
            return _watch(stack, quiet=as_json)
        finally:
            STORAGE_FILE.unlink(missing_ok=True)
            DESCRIPTION_FILE.unlink(missing_ok=True)


def consent(stack: LocalStack) -> None:
    """Enable sending from Ada's mailbox, as she does on the settings page."""
    ada = Admin(stack.api_url, stack.microsoft365.api_token(ADA), stack.authority.ca_file)
    try:
        response = ada.call("POST", "tenant-settings/smtp/enable", {"fromEmailAddress": ADA})
        response.raise_for_status()
        BrowserClient(stack.authority.ca_file).consent(response.json()["startUrl"], ADA)
    finally:
        ada.close()


def queue_mail(to: str, subject: str, body: str) -> str:
    """Queue a mail in the running stack and return its message id.

    Raises:
        MissingPrerequisiteError: no stack runs.
    """
    running = RunningStack.find().description
    message = {
        "schemaVersion": 1,
        "messageId": f"by-hand:{uuid.uuid4()}",
        "tenantId": running["tenantId"],
        "to": [to],
        "subject": subject,
        "body": {"contentType": "html", "content": body},
    }
    text = base64.b64encode(json.dumps(message).encode()).decode()
    with QueueClient.from_connection_string(
        running["connectionString"], MAIL_OUTBOX, api_version=API_VERSION
    ) as queue:
        queue.send_message(text)
    return str(message["messageId"])


def _for_people(description: dict[str, Any]) -> str:
    sending = "enabled, from ada@contoso.com" if description["consented"] else "not enabled yet"
    return ADDRESSES.format(**description, sending=sending, command=COMMAND)


def _watch(stack: LocalStack, *, quiet: bool) -> int:
    """Wait for Ctrl-C, or for the end of the host, which is unexpected."""
    stop_requested = threading.Event()
    # Not an exception: an impatient second Ctrl-C would leave half of the stack running.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop_requested.set())
    while stack.hosts[0].running:
        if stop_requested.wait(WATCH_SECONDS):
            print("Stopping.", file=sys.stderr if quiet else sys.stdout, flush=True)
            return 0
    print(f"The Functions host ended:\n{stack.host_log()}", file=sys.stderr)
    return 1
