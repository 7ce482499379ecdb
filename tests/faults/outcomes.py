"""The messages in the outcome queue compared with the mails' rows."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from azure.storage.queue import QueueClient

from shared.storage_names import API_VERSION
from tests.local_stack.storage_roles import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.deliveries.delivery import Delivery

type Messages = Mapping[str, Sequence[dict[str, Any]]]


def receive_outcomes(connection_string: str) -> Messages:
    """Dequeue all messages and return them by mail id."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with QueueClient.from_connection_string(connection_string, OUTCOMES, api_version=API_VERSION) as queue:
        for message in queue.receive_messages(messages_per_page=32, visibility_timeout=600):
            outcome = json.loads(base64.b64decode(message.content))
            found[outcome["messageId"]].append(outcome)
            queue.delete_message(message)
    return found


def outcome_errors(row: Delivery, messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return errors in the outcome messages of one mail.

    No message may be missing, and a repeated one must be equal.
    """
    statuses: dict[int, set[str]] = defaultdict(set)
    for message in messages:
        statuses[message["sequence"]].add(message["status"])
    wanted = range(1, row.outcome_count + 1)
    missing = [
        f"its outcome {number} of {row.outcome_count} is missing" for number in wanted if not statuses[number]
    ]
    several = [f"its outcome {number} has several statuses" for number in wanted if len(statuses[number]) > 1]
    last = statuses[row.outcome_count]
    wrong_last = [f"the last outcome is {', '.join(last)}"] if last and last != {row.status.value} else []
    none = [] if row.outcome_count else ["it counts no outcome"]
    return [*none, *missing, *several, *wrong_last]
