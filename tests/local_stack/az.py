"""The Azure CLI storage commands of docs/operations/, for script tests.

It takes the account from the connection string in `AzureWebJobsStorage`, whatever the options say, and prints
what Azure CLI 2.91 prints of a message: its members under their names in JSON.
"""

import argparse
import json
import os
import sys

from azure.storage.queue import QueueClient

from shared.storage_names import API_VERSION

STORAGE = "AzureWebJobsStorage"


def main(arguments: list[str]) -> None:
    """Run `storage message get`, `put` or `delete`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("words", nargs=3)
    for option in (
        "queue-name",
        "account-name",
        "auth-mode",
        "query",
        "output",
        "content",
        "id",
        "pop-receipt",
    ):
        parser.add_argument(f"--{option}", default="")
    parser.add_argument("--visibility-timeout", type=int)
    parser.add_argument("--time-to-live", type=int)
    options = parser.parse_args(arguments)
    account, name = os.environ[STORAGE], options.queue_name
    with QueueClient.from_connection_string(account, name, api_version=API_VERSION) as queue:
        match options.words[2]:
            case "get":
                _get(queue, options.visibility_timeout)
            case "put":
                queue.send_message(options.content, time_to_live=options.time_to_live)
            case "delete":
                queue.delete_message(options.id, options.pop_receipt)


def _get(queue: QueueClient, seconds: int) -> None:
    """Print the first message, or nothing, as `--query '[0]'` does."""
    message = queue.receive_message(visibility_timeout=seconds)
    if message:
        shown = {"content": message.content, "id": message.id, "popReceipt": message.pop_receipt}
        print(json.dumps(shown, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1:])
