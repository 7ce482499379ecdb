"""Run operations for HTTP requests of the Functions framework."""

from __future__ import annotations

import re
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import azure.functions as func

from shared import bootstrap
from shared.api.problem_details import UnforeseenError
from shared.errors import ProblemError
from shared.telemetry import Event, log_event, log_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.api.openapi.operation import Operation
    from shared.api.request import Request, Response
    from shared.bootstrap import Services
    from shared.caller import Caller

#: https://www.w3.org/TR/trace-context/#traceparent-header-field-values
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
#: The headers that a page on another origin may read (https://fetch.spec.whatwg.org/#http-cors-protocol).
_EXPOSED = {"Access-Control-Expose-Headers": "ETag, Location, Retry-After, WWW-Authenticate"}


class _Call:
    """A call in progress; `claims` are set once a token was verified."""

    def __init__(self, operation: Operation, request: Request, query: str, services: Services) -> None:
        self.operation = operation
        self.request = request
        self.query = query
        self.services = services
        self.claims: Mapping[str, Any] | None = None

    def checked(self) -> Request:
        """Check the size and the body, and return the request with its query.

        This is done after the caller's token was verified, so that a refusal is in the audit log.
        """
        from shared.api.limits import check_body_arrived, check_size, read_query

        check_size(self.operation, self.query, self.request.body)
        check_body_arrived(self.operation, self.request.headers, self.request.body)
        return replace(self.request, query=read_query(self.operation, self.query))


def public(
    req: func.HttpRequest, operation: Operation, operate: Callable[[Request, Services], Response]
) -> func.HttpResponse:
    """Answer a call that needs no sign-in."""
    return _respond(req, operation, lambda call: operate(call.checked(), call.services))


def admin(
    req: func.HttpRequest, operation: Operation, operate: Callable[[Request, Caller, Services], Response]
) -> func.HttpResponse:
    """Answer a call by an admin, or an application with an accepted role."""
    return _respond(req, operation, lambda call: _as_admin(call, operate))


def _as_admin(call: _Call, operate: Callable[[Request, Caller, Services], Response]) -> Response:
    from shared.api.auth import authorize, verified_claims

    call.claims = verified_claims(call.request, call.services.caller_tokens)
    caller = authorize(call.claims, call.operation, call.services.config)
    return operate(call.checked(), caller, call.services)


def _respond(
    req: func.HttpRequest, operation: Operation, operate: Callable[[_Call], Response]
) -> func.HttpResponse:
    """Run an operation; every error becomes a problem document or page."""
    from shared.api.response_headers import STANDARD

    query = req.url.partition("?")[2].partition("#")[0]
    call = _Call(operation, _request(req, operation), query, bootstrap.services())
    try:
        reply = operate(call)
    except ProblemError as error:
        logged = _log_end(call, error.code, refused=True)
        # A page shows the trace id as a reference. It must be one that is in the log, because a person
        # reports it. A program gets the trace id of its own call.
        reply = _error_reply(call, error, logged if operation.page else call.request.trace_id)
    except Exception as error:  # noqa: BLE001 - the host would return an empty 500
        problem = UnforeseenError()
        reply = _error_reply(call, problem, _log_end(call, problem.code, refused=True, bug=error))
    else:
        _log_end(call, str(reply.status), refused=False)
    headers = {**STANDARD, **_EXPOSED, **reply.headers}
    return func.HttpResponse(reply.body, status_code=reply.status, headers=headers)


def _error_reply(call: _Call, error: ProblemError, trace_id: str) -> Response:
    """Return a problem document for a program, or a page for a person."""
    from shared.api.problem_details import problem_response

    if call.operation.page:
        from shared.api.pages.error import error_page

        return error_page(error, trace_id, call.services.system.random_token())
    return problem_response(error, trace_id)


def _log_end(call: _Call, result: str, *, refused: bool, bug: Exception | None = None) -> str:
    """Log the end of a call, and return the trace id that is in the log.

    Refused anonymous calls are only counted. The trace id is then that of the latest one that was logged.
    """
    from shared.api.audit import log_audit

    request, refusals = call.request, call.services.refusals
    refusals.log_counted()
    if call.claims is not None:
        log_audit(request, call.claims, result, refused=refused)
    elif refused:
        reason = f"{result}/{type(bug).__name__}" if bug else result
        logged = refusals.count(request.operation, reason, request.trace_id)
        if logged != request.trace_id:
            return logged
    fields: dict[str, Any] = {
        "operation": request.operation,
        "trace_id": request.trace_id,
        "caller_trace_id": request.caller_trace_id,
    }
    if bug:
        log_failure(bug, **fields)
    elif refused and call.claims is not None:
        log_event(Event.REQUEST_FAILED, problem=result, **fields)
    return request.trace_id


def _request(req: func.HttpRequest, operation: Operation) -> Request:
    from shared.api.request import Request

    headers = {name.lower(): value for name, value in req.headers.items()}
    return Request(
        operation=operation.name,
        trace_id=uuid.uuid4().hex,
        caller_trace_id=_caller_trace_id(headers.get("traceparent", "")),
        headers=headers,
        route=dict(req.route_params),
        body=req.get_body(),
    )


def _caller_trace_id(traceparent: str) -> str | None:
    """Return the caller's trace id if it is valid; it is not verified."""
    found = _TRACEPARENT.fullmatch(traceparent)
    return found[1] if found else None
