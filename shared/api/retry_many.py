"""Retry many mails on an admin's request, each like a single retry."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from shared.api.deliveries import token_of
from shared.api.problem_models import problem_view
from shared.api.request import json_response
from shared.api.retry_models import MAX_MAILS, RetryBody, RetryListView, RetryResultView
from shared.deliveries.ports import DeliveryPage, DeliveryQuery
from shared.deliveries.release import RELEASE_INTERVAL
from shared.deliveries.retry import retry_mail
from shared.errors import InvalidInputError, ProblemError
from shared.problems import FieldError, explain
from shared.schema import parse
from shared.system import Moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shared.api.request import Request, Response
    from shared.caller import Caller
    from shared.deliveries.retry import RetryServices
    from shared.problems import Problem

#: No retry begins later in a call. Azure ends a call after 230 seconds, and while storage is slow, one retry
#: can take two minutes.
_TIME_LIMIT = timedelta(seconds=60)


def retry_deliveries(request: Request, caller: Caller, ports: RetryServices) -> Response:
    """Queue mails again at a limited rate; a failure stops no other mail.

    Raises:
        InvalidInputError: `invalid_request`.
        OtherInstallationError: the tenant belongs to another installation.
        TransientError: storage does not respond, and nothing was retried.
    """
    started = Moment.of(ports.system)
    body = parse(RetryBody, request.body, "invalid_request")
    ports.settings.check_owner(caller.tenant_id)
    page = DeliveryPage(()) if body.message_ids else _mails_of_period(caller.tenant_id, body, ports)
    ids = body.message_ids or [mail.message_id for mail in page.deliveries]
    results = tuple(_results(caller.tenant_id, dict.fromkeys(ids), started, ports))
    return json_response(202, RetryListView(results=results, continuation_token=token_of(page)))


def _mails_of_period(tenant_id: str, body: RetryBody, ports: RetryServices) -> DeliveryPage:
    try:
        place = body.place
    except ValueError as error:
        field = FieldError("continuationToken", "use the token of the previous response")
        raise InvalidInputError("invalid_request", fields=[field]) from error
    return ports.deliveries.list(
        DeliveryQuery(tenant_id, body.status, body.since, body.until, MAX_MAILS, place)
    )


def _results(
    tenant_id: str, ids: Iterable[str], started: Moment, ports: RetryServices
) -> Iterator[RetryResultView]:
    delay = timedelta(0)
    for message_id in ids:
        if started.has_passed(_TIME_LIMIT, ports.system):
            yield _refused(message_id, explain("retry_not_reached"))
            continue
        try:
            row = retry_mail(tenant_id, message_id, delay, ports)
        except ProblemError as error:
            yield _refused(message_id, error.problem)
        else:
            delay += RELEASE_INTERVAL
            yield RetryResultView(
                message_id=message_id, retried=True, next_attempt_at=row.next_attempt_at, problem=None
            )


def _refused(message_id: str, problem: Problem) -> RetryResultView:
    return RetryResultView(
        message_id=message_id, retried=False, next_attempt_at=None, problem=problem_view(problem)
    )
