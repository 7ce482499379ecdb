import json
from datetime import timedelta

import pytest

from shared import errors
from shared.api.problem_details import problem_response, status_of
from shared.consent.errors import EntraUnavailableError
from shared.errors import (
    ConditionalAccessError,
    ConfigurationError,
    ConflictError,
    ConsentRequiredError,
    ExpiredError,
    ForbiddenError,
    InvalidInputError,
    LengthRequiredError,
    MissingFileError,
    NotFoundError,
    NothingSentError,
    OutcomeUnknownError,
    PayloadTooLargeError,
    PreconditionFailedError,
    ProblemError,
    RefusedRecipientError,
    RejectedError,
    SenderRefusedError,
    TokenRefusedError,
    TransientError,
    UnauthenticatedError,
)
from shared.problems import FieldError

EXAMPLES: list[tuple[ProblemError, int]] = [
    (UnauthenticatedError("token_missing"), 401),
    (ForbiddenError("workspace_admin_required", role="Workspace.Admin"), 403),
    (NotFoundError("consent_not_found"), 404),
    (ConflictError("already_enabled", address="ada@contoso.com"), 409),
    (LengthRequiredError("content_length_required"), 411),
    (PreconditionFailedError("settings_changed"), 412),
    (PayloadTooLargeError("request_too_large", limit=65536), 413),
    (InvalidInputError("invalid_request"), 400),
    (ConsentRequiredError("consent_missing"), 409),
    (TransientError("graph_unavailable"), 503),
    (NothingSentError("graph_unavailable"), 503),
    (ExpiredError("expired", moment="noon"), 409),
    (RejectedError("mail_rejected", graph_code="ErrorX"), 502),
    (MissingFileError("a.pdf"), 502),
    (RefusedRecipientError("recipients_refused", graph_code="ErrorInvalidRecipients"), 502),
    (SenderRefusedError("organization_not_found", graph_code="ErrorX"), 502),
    (OutcomeUnknownError("outcome_unknown"), 502),
    (ConfigurationError("setting_missing", setting="KEY_VAULT_URL"), 500),
    (TokenRefusedError("token_refused", error="InvalidAuthenticationToken"), 500),
    (ConditionalAccessError("conditional_access", account="ada@contoso.com", error="e"), 409),
]


@pytest.mark.parametrize(("error", "status"), EXAMPLES, ids=lambda value: str(value)[:25])
def test_each_kind_of_error_has_its_status(error: ProblemError, status: int) -> None:
    assert status_of(error) == status
    assert json.loads(problem_response(error, "trace").body)["status"] == status


def test_every_error_class_of_the_app_is_in_the_table() -> None:
    ours = {
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ProblemError)
    } - {ProblemError, errors.MailerError}

    assert {type(error) for error, _ in EXAMPLES} == ours


def test_a_problem_states_what_happened_and_who_acts() -> None:
    reply = problem_response(ConfigurationError("setting_missing", setting="KEY_VAULT_URL"), "trace-1")

    assert reply.headers["Content-Type"] == "application/problem+json"
    assert json.loads(reply.body) == {
        "type": "urn:inforiver-mailer:problem:setting_missing",
        "title": "A setting is missing",
        "detail": "The app setting KEY_VAULT_URL is missing. The operator sets it.",
        "code": "setting_missing",
        "whoActs": "operator",
        "status": 500,
        "traceId": "trace-1",
    }


def test_bad_input_names_each_invalid_field() -> None:
    fields = [FieldError("fromEmailAddress", "is no address"), FieldError("x", "is unknown")]

    body = json.loads(problem_response(InvalidInputError("invalid_request", fields=fields), "t").body)

    assert body["errors"] == [
        {"field": "fromEmailAddress", "message": "is no address"},
        {"field": "x", "message": "is unknown"},
    ]


def test_a_caller_without_a_token_gets_the_sign_in_challenge() -> None:
    assert (
        problem_response(UnauthenticatedError("token_missing"), "t").headers["WWW-Authenticate"] == "Bearer"
    )


@pytest.mark.parametrize(("wait", "header"), [(timedelta(seconds=2.1), "3"), (None, None)])
def test_retry_after_of_a_service_is_passed_on(wait: timedelta | None, header: str | None) -> None:
    reply = problem_response(EntraUnavailableError(retry_after=wait), "t")

    assert reply.headers.get("Retry-After") == header
