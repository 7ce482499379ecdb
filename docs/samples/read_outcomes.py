# /// script
# requires-python = ">=3.11"
# dependencies = ["azure-identity>=1.19", "azure-storage-queue>=12.12"]
# ///
"""Read the outcome queue and print each outcome once.

    export MAIL_QUEUE_ENDPOINT=https://<account>.queue.core.windows.net
    export MAIL_OUTCOME_QUEUE=mail-outcomes
    uv run read_outcomes.py

Exits when the queue is empty; run it regularly. A long-running program would wait instead.
"""

import base64
import json
import os

from azure.identity import DefaultAzureCredential
from azure.storage.queue import QueueClient


def main() -> None:
    """Print each new outcome.

    A message is deleted only after it is processed: if the program ends before that, the queue delivers the
    message again.
    """
    # A real scheduler stores this with its mails: the highest sequence that it has seen of each.
    seen: dict[str, int] = {}
    endpoint, name = os.environ["MAIL_QUEUE_ENDPOINT"], os.environ["MAIL_OUTCOME_QUEUE"]
    with DefaultAzureCredential() as credential, QueueClient(endpoint, name, credential=credential) as queue:
        for message in queue.receive_messages(messages_per_page=32, visibility_timeout=60):
            outcome = json.loads(base64.b64decode(message.content))
            # The same outcome can arrive twice, and an earlier one after a later one.
            if outcome["sequence"] > seen.get(outcome["messageId"], 0):
                seen[outcome["messageId"]] = outcome["sequence"]
                print(outcome["messageId"], outcome["sequence"], outcome["status"], outcome["code"] or "-")
            queue.delete_message(message)


if __name__ == "__main__":
    main()
