"""List, show and retry the mails of the caller's tenant."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from shared.api.delivery_models import DeliveryListView, delivery_view, summary
from shared.api.request import json_response
from shared.deliveries.forecast import NO_FORECAST
from shared.deliveries.lookup import find_by_id
from shared.deliveries.ports import DeliveryLookup, DeliveryQuery
from shared.deliveries.retry import retry_mail
from shared.deliveries.status import DeliveryStatus
from shared.errors import InvalidInputError
from shared.mail.fields import MESSAGE_ID
from shared.problems import FieldError
from shared.sending.rate_limit.forecast import ForecastServices, forecast_mails

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.api.request import Request, Response
    from shared.caller import Caller
    from shared.deliveries.ports import DeliveryPage
    from shared.deliveries.retry import RetryServices

_MAX_LIMIT = 200
#: In a query a plus sign means a blank, so a time with an offset arrives without its sign.
_TIME_HELP = "use a time such as 2026-11-23T06:00:00Z, or %2B for the + of an offset"
#: The key of the last mail of a page in the delivery log, which a continuation token encodes.
_CONTINUATION_KEY = re.compile(rf"![0-9]{{16}}!{MESSAGE_ID.pattern}")


class DeliveryViewServices(DeliveryLookup, ForecastServices, Protocol):
    """The ports that are needed to show mails."""


def list_deliveries(request: Request, caller: Caller, ports: DeliveryViewServices) -> Response:
    """List mails, newest first.

    Raises:
        InvalidInputError: `invalid_request`, with the query parameter.
    """
    page = ports.deliveries.list(parse_query(caller.tenant_id, request.query))
    known = forecast_mails(caller.tenant_id, page.deliveries, ports)
    view = DeliveryListView(
        deliveries=tuple(summary(each, known.get(each.message_id, NO_FORECAST)) for each in page.deliveries),
        continuation_token=token_of(page),
    )
    return json_response(200, view)


def read_delivery(request: Request, caller: Caller, ports: DeliveryViewServices) -> Response:
    """Show one mail with its history.

    Raises:
        NotFoundError: `delivery_not_found`.
    """
    found = find_by_id(caller.tenant_id, request.route["message_id"], ports)
    known = forecast_mails(caller.tenant_id, [found], ports)
    return json_response(200, delivery_view(found, known.get(found.message_id, NO_FORECAST)))


def parse_query(tenant_id: str, query: Mapping[str, str]) -> DeliveryQuery:
    """Parse the query of a list. Pure.

    Raises:
        InvalidInputError: `invalid_request`, with the first invalid parameter.
    """
    return DeliveryQuery(
        tenant_id,
        status=_read(query, "status", DeliveryStatus, "use one of the states of a delivery"),
        since=_read(query, "since", _moment, _TIME_HELP),
        until=_read(query, "until", _moment, _TIME_HELP),
        limit=_read(query, "limit", _limit, f"use a number from 1 to {_MAX_LIMIT}") or 50,
        continuation=_read(query, "continuationToken", read_token, "use the token of the page before"),
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
    # `int` also accepts signs, blanks, underscores and the digits of other scripts.
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= _MAX_LIMIT:
        raise ValueError
    return int(text)


def token_of(page: DeliveryPage) -> str | None:
    """Return the continuation token of a page; None after the last one."""
    if not page.continuation:
        return None
    return base64.urlsafe_b64encode(page.continuation.encode()).decode()


def read_token(text: str) -> str:
    """Return the key that a continuation token encodes.

    Raises:
        ValueError: the app did not issue the token.
    """
    try:
        key = base64.urlsafe_b64decode(text).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError from error
    if not _CONTINUATION_KEY.fullmatch(key):
        raise ValueError
    return key


def retry_delivery(request: Request, caller: Caller, ports: RetryServices) -> Response:
    """Queue a mail again.

    Raises:
        OtherInstallationError: the tenant belongs to another installation.
        NotFoundError, ConflictError: what `retry_mail` raises.
    """
    ports.settings.check_owner(caller.tenant_id)
    saved = retry_mail(caller.tenant_id, request.route["message_id"], timedelta(0), ports)
    return json_response(202, summary(saved))
