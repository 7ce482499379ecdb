"""Between the Functions framework and our operations, and the endpoints that belong to no journey."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

import azure.functions as func

from shared import bootstrap
from shared.errors import ConfigurationError, ProblemError
from shared.telemetry import Event, log_event, log_failure
from shared.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.bootstrap import Services
    from shared.web.caller import Caller
    from shared.web.exchange import Reply, Request

blueprint = func.Blueprint()

#: https://www.w3.org/TR/trace-context/#traceparent-header-field-values
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


def public(req: func.HttpRequest, operation: Callable[[Request, Services], Reply]) -> func.HttpResponse:
    """Answer a call that anybody may make."""
    return _answer(req, lambda request: operation(request, bootstrap.services()))


def admin(
    req: func.HttpRequest, operation: Callable[[Request, Caller, Services], Reply]
) -> func.HttpResponse:
    """Answer a call of a workspace admin, and nobody else's."""
    return _answer(req, lambda request: _as_admin(request, operation, bootstrap.services()))


@blueprint.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def get_health(req: func.HttpRequest) -> func.HttpResponse:
    """Say that the app is alive."""
    from shared.web.exchange import json_reply

    return _answer(req, lambda _: json_reply(200, {"status": "alive", "version": VERSION}))


@blueprint.route("openapi.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def get_openapi(req: func.HttpRequest) -> func.HttpResponse:
    """Describe this API."""
    from shared.web.exchange import Reply
    from shared.web.openapi import document_text

    headers = {"Content-Type": "application/json", "Cache-Control": "max-age=300"}
    return _answer(req, lambda _: Reply(200, document_text(), headers))


@blueprint.route("health/ready", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def get_readiness(req: func.HttpRequest) -> func.HttpResponse:
    """Say whether everything answers that the app is made of."""
    from shared.web.readiness import read_readiness

    return admin(req, read_readiness)


def _as_admin(
    request: Request, operation: Callable[[Request, Caller, Services], Reply], services: Services
) -> Reply:
    from shared.web.caller import admin_of

    caller = admin_of(request, services.caller_tokens, services.config.admin_role)
    return operation(request, caller, services)


def _answer(req: func.HttpRequest, operate: Callable[[Request], Reply]) -> func.HttpResponse:
    """Run an operation; whatever goes wrong becomes a problem document, never a blank error."""
    from shared.web.problem_document import problem_reply

    request = _request(req)
    try:
        reply = operate(request)
    except ProblemError as error:
        log_event(Event.REQUEST_FAILED, path=request.path, problem=error.code, trace_id=request.trace_id)
        reply = problem_reply(error, request.trace_id)
    except Exception as error:  # noqa: BLE001 - the edge: the host would answer with an empty 500
        log_failure(error, path=request.path, trace_id=request.trace_id)
        reply = problem_reply(ConfigurationError("internal_error"), request.trace_id)
    return func.HttpResponse(reply.body, status_code=reply.status, headers=dict(reply.headers))


def _request(req: func.HttpRequest) -> Request:
    from urllib.parse import urlsplit

    from shared.web.exchange import Request

    headers = {name.lower(): value for name, value in req.headers.items()}
    return Request(
        method=req.method or "",
        path=urlsplit(req.url).path,
        trace_id=_trace_id(headers.get("traceparent", "")),
        headers=headers,
        query=dict(req.params),
        route=dict(req.route_params),
        body=req.get_body(),
    )


def _trace_id(traceparent: str) -> str:
    """Take over the caller's trace id if it is one: it is logged, and shown in problems."""
    found = _TRACEPARENT.fullmatch(traceparent)
    return found[1] if found else uuid.uuid4().hex
