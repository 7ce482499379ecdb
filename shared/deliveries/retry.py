"""Send a mail again because an admin asks for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from shared.deliveries.contract import summary
from shared.deliveries.delivery import DeliveryStatus
from shared.deliveries.resume import resume_message
from shared.errors import ConflictError, NotFoundError
from shared.telemetry import Event, log_event
from shared.web.exchange import json_reply

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery
    from shared.deliveries.ports import DeliveryLog, KeptTexts
    from shared.ports import Outbox
    from shared.web.caller import Caller
    from shared.web.exchange import Reply, Request
    from shared.world import World

#: Why a mail in another state can't be retried.
_REFUSALS = {
    DeliveryStatus.ACCEPTED: "already_accepted",
    DeliveryStatus.INVALID: "invalid_message",
    DeliveryStatus.SENDING: "still_under_way",
    DeliveryStatus.DEFERRED: "still_under_way",
    DeliveryStatus.VERIFYING: "still_under_way",
}


class Retrying(Protocol):
    """What is needed from the outside."""

    @property
    def world(self) -> World:
        """The clock."""

    @property
    def deliveries(self) -> DeliveryLog:
        """What became of each mail."""

    @property
    def requests(self) -> KeptTexts:
        """What was kept for this."""

    @property
    def outbox(self) -> Outbox:
        """The queue."""


def retry_delivery(request: Request, caller: Caller, ports: Retrying) -> Reply:
    """Queue a mail again.

    Raises:
        NotFoundError: `delivery_not_found`.
        ConflictError: `already_accepted`, `still_under_way`, `invalid_message`,
            `request_not_kept`.
    """
    message_id = request.route["message_id"]
    row = ports.deliveries.find(caller.tenant_id, message_id)
    if row is None:
        raise NotFoundError("delivery_not_found")
    if row.status in _REFUSALS:
        raise ConflictError(_REFUSALS[row.status])
    if ports.requests.load(caller.tenant_id, message_id) is None:
        raise ConflictError("request_not_kept")
    saved = ports.deliveries.save(_begun_anew(row, ports))
    if saved is None:
        raise ConflictError("still_under_way")
    # Should this fail, the timer finds the row overdue and queues the mail.
    ports.outbox.put(resume_message(caller.tenant_id, message_id), timedelta(0))
    log_event(Event.MAIL_RETRIED, tenant_id=caller.tenant_id, message_id=message_id, was=row.status)
    return json_reply(202, summary(saved))


def _begun_anew(row: Delivery, ports: Retrying) -> Delivery:
    """Put the mail back on its way; whoever retries an unknown outcome has decided that it was not sent."""
    now = ports.world.now()
    again = row.moved(DeliveryStatus.DEFERRED, now, next_attempt_at=now)
    doubt = None if row.status is DeliveryStatus.UNKNOWN else row.doubt
    return replace(again, trying_since=now, doubt=doubt)
