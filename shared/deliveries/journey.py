"""What became of each mail, for the admin."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from shared.deliveries.contract import DeliveryListView, delivery_view, summary
from shared.deliveries.delivery import DeliveryStatus
from shared.deliveries.ports import DeliveryQuery
from shared.errors import InvalidInputError, NotFoundError
from shared.problems import FieldError
from shared.web.exchange import json_reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.deliveries.ports import DeliveryLog
    from shared.web.caller import Caller
    from shared.web.exchange import Reply, Request

_MOST = 200


class Looking(Protocol):
    """What is needed from the outside."""

    @property
    def deliveries(self) -> DeliveryLog:
        """What became of each mail."""


def list_deliveries(request: Request, caller: Caller, ports: Looking) -> Reply:
    """List mails, newest first."""
    page = ports.deliveries.list(parse_query(caller.tenant_id, request.query))
    token = page.continuation
    view = DeliveryListView(
        deliveries=tuple(summary(delivery) for delivery in page.deliveries),
        continuation_token=base64.urlsafe_b64encode(token.encode()).decode() if token else None,
    )
    return json_reply(200, view)


def read_delivery(request: Request, caller: Caller, ports: Looking) -> Reply:
    """Show one mail with its history."""
    delivery = ports.deliveries.find(caller.tenant_id, request.route["message_id"])
    if delivery is None:
        raise NotFoundError("delivery_not_found")
    return json_reply(200, delivery_view(delivery))


def parse_query(tenant_id: str, query: Mapping[str, str]) -> DeliveryQuery:
    """Read what to list. Pure.

    Raises:
        InvalidInputError: `invalid_request`, with the first broken parameter.
    """
    return DeliveryQuery(
        tenant_id,
        status=_read(query, "status", DeliveryStatus, "use one of the states of a delivery"),
        since=_read(query, "since", _moment, "use a time such as 2026-11-23T06:00:00Z"),
        until=_read(query, "until", _moment, "use a time such as 2026-11-23T06:00:00Z"),
        limit=_read(query, "limit", _limit, f"use a number from 1 to {_MOST}") or 50,
        continuation=_read(query, "continuationToken", _token, "use the token of the page before"),
    )


def _read[Value](
    query: Mapping[str, str], name: str, convert: Callable[[str], Value], help_text: str
) -> Value | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        return convert(text)
    except ValueError as error:
        raise InvalidInputError("invalid_request", fields=[FieldError(name, help_text)]) from error


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _limit(text: str) -> int:
    limit = int(text)
    if not 1 <= limit <= _MOST:
        raise ValueError
    return limit


def _token(text: str) -> str:
    try:
        row = base64.urlsafe_b64decode(text).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError from error
    if not row.startswith("!"):
        raise ValueError
    return row
