"""Turn an error into a problem document (RFC 9457). Pure."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from shared.api.request import Response
from shared.errors import (
    ConfigurationError,
    ConflictError,
    ConsentRequiredError,
    ExpiredError,
    ForbiddenError,
    InvalidInputError,
    LengthRequiredError,
    NotFoundError,
    OutcomeUnknownError,
    PayloadTooLargeError,
    PreconditionFailedError,
    ProblemError,
    RejectedError,
    TransientError,
    UnauthenticatedError,
)

if TYPE_CHECKING:
    from shared.problems import Problem


class UnforeseenError(ConfigurationError):
    """An exception that no code handles, which is a bug in the app."""

    def __init__(self) -> None:
        super().__init__("internal_error")


#: The HTTP status for each class of error. A class comes before its base classes.
STATUSES: dict[type[ProblemError], int] = {
    UnauthenticatedError: 401,
    ForbiddenError: 403,
    NotFoundError: 404,
    ConflictError: 409,
    LengthRequiredError: 411,
    PreconditionFailedError: 412,
    PayloadTooLargeError: 413,
    InvalidInputError: 400,
    ConsentRequiredError: 409,
    TransientError: 503,
    ExpiredError: 409,
    RejectedError: 502,
    OutcomeUnknownError: 502,
    ConfigurationError: 500,
}


def status_of(error: ProblemError) -> int:
    """Return the HTTP status of an error."""
    return next(status for error_class, status in STATUSES.items() if isinstance(error, error_class))


def problem_type(problem: Problem) -> str:
    """Return the URI of a problem, which RFC 9457 requires.

    There need not be a document at this URI.
    """
    return f"urn:inforiver-mailer:problem:{problem.code}"


def problem_members(problem: Problem) -> dict[str, Any]:
    """Return the members that describe a problem in a response."""
    return {
        "type": problem_type(problem),
        "title": problem.title,
        "detail": problem.detail,
        "code": problem.code,
        "whoActs": problem.who_acts.value,
    }


def problem_response(error: ProblemError, trace_id: str) -> Response:
    """Return the problem document for an error as a response."""
    status = status_of(error)
    members = {**problem_members(error.problem), "status": status, "traceId": trace_id}
    headers = {"Content-Type": "application/problem+json"}
    if isinstance(error, InvalidInputError) and error.fields:
        members["errors"] = [{"field": f.field, "message": f.message} for f in error.fields]
    if isinstance(error, UnauthenticatedError):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TransientError) and error.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after.total_seconds()))
    return Response(status, json.dumps(members, ensure_ascii=False).encode(), headers)
