"""Graph's responses, even malformed ones, become the app's errors."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.graph_error_codes import GENERAL_CODES, GRAPH_CODES
from shared.adapters.graph_error_mapping import graph_error
from shared.adapters.graph_responses import claims_challenge, error_codes
from shared.adapters.http import HttpResponse
from shared.errors import (
    ConfigurationError,
    MailerError,
    OutcomeUnknownError,
    RefusedRecipientError,
    RejectedError,
    SenderRefusedError,
    TokenRefusedError,
    TransientError,
)
from shared.sending.errors import (
    AccessDeniedError,
    MailboxNotFoundError,
    SendingLimitError,
    ThrottledError,
    UnexpectedResponseError,
    UploadInterruptedError,
)
from tests.exchange_online import a_sender


def a_response(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> HttpResponse:
    return HttpResponse(status, headers or {}, body)


def error_response(status: int, code: str, **headers: str) -> HttpResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return a_response(status, json.dumps({"error": {"code": code, "message": "secret text"}}).encode(), named)


@given(st.binary())
def test_any_body_can_be_searched_for_codes(body: bytes) -> None:
    assert isinstance(error_codes(a_response(400, body)), list)


JSON = st.recursive(
    st.none() | st.text() | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["error", "code", "innerError", "innererror"]), inner)
    ),
    max_leaves=8,
)


@given(JSON)
def test_any_json_can_be_searched_for_codes(body: object) -> None:
    codes = error_codes(a_response(400, json.dumps(body).encode()))

    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+", code) for code in codes)


def test_the_innermost_code_comes_first() -> None:
    body = {
        "error": {
            "code": "UnknownError",
            "innererror": {"code": "generalException", "innerError": {"code": "ErrorSendAsDenied"}},
        }
    }

    assert error_codes(a_response(403, json.dumps(body).encode())) == [
        "ErrorSendAsDenied",
        "generalException",
        "UnknownError",
    ]


@pytest.mark.parametrize("code", sorted(GRAPH_CODES.keys() | GENERAL_CODES))
def test_a_known_code_is_known_in_any_case(code: str) -> None:
    assert error_codes(error_response(400, code.swapcase())) == [code]


def test_the_code_decides_at_any_depth() -> None:
    body = {"error": {"code": "ErrorSendAsDenied", "innerError": {"code": "SomethingNew"}}}
    error = graph_error(a_response(403, json.dumps(body).encode()), a_sender())

    assert (error.code, error.params["graph_code"]) == ("send_as_denied", "ErrorSendAsDenied")


@pytest.mark.parametrize("body", [b"", b"<html>Bad request</html>", b'{"error": {"code": ""}}', b"[1]"])
def test_a_response_without_a_code_is_judged_by_its_status(body: bytes) -> None:
    unexpected = graph_error(a_response(400, body), a_sender())
    throttled = graph_error(a_response(429, body), a_sender())
    unknown = graph_error(a_response(504, body), a_sender())
    refused = graph_error(a_response(401, body), a_sender())

    assert isinstance(unexpected, TransientError)
    assert (unexpected.code, unexpected.params["graph_code"]) == ("unexpected_answer", "HTTP 400")
    assert isinstance(throttled, TransientError)
    assert isinstance(unknown, OutcomeUnknownError)
    assert isinstance(refused, TokenRefusedError)


def test_microsofts_own_words_are_not_repeated() -> None:
    error = graph_error(error_response(400, "ErrorSomethingNew"), a_sender())

    assert "secret text" not in str(error)
    assert error.params["graph_code"] == "ErrorSomethingNew"


def test_the_request_id_of_graph_is_first_in_the_log() -> None:
    error = graph_error(a_response(429, headers={"request-id": "g-17"}), a_sender())

    assert str(error).startswith("g-17: ")


SEND = "send_as_denied"


@pytest.mark.parametrize(
    ("status", "code", "kind", "ours"),
    [
        (429, "ApplicationThrottled", ThrottledError, "mailbox_throttled"),
        (429, "activityLimitReached", ThrottledError, "mailbox_throttled"),
        (429, "ErrorSomethingNew", ThrottledError, "mailbox_throttled"),
        (503, "serviceNotAvailable", TransientError, "graph_unavailable"),
        (503, "ErrorServerBusy", TransientError, "graph_unavailable"),
        (408, "ErrorSomethingNew", TransientError, "graph_unavailable"),
        (509, "ErrorSomethingNew", TransientError, "graph_unavailable"),
        (412, "ErrorIrresolvableConflict", TransientError, "graph_unavailable"),
        (500, "ErrorInternalServerError", OutcomeUnknownError, "outcome_unknown"),
        (502, "UnknownError", OutcomeUnknownError, "outcome_unknown"),
        (504, "ErrorTimeoutExpired", OutcomeUnknownError, "outcome_unknown"),
        (504, "serviceNotAvailable", OutcomeUnknownError, "outcome_unknown"),
        (504, "TooManyRequests", OutcomeUnknownError, "outcome_unknown"),
        (503, "ErrorMailboxStoreUnavailable", TransientError, "graph_unavailable"),
        (400, "ErrorMessageTimeout", OutcomeUnknownError, "outcome_unknown"),
        (403, "ErrorMessageTransientError", TransientError, "graph_unavailable"),
        (500, "ErrorMessageTransientError", OutcomeUnknownError, "outcome_unknown"),
        (200, "", OutcomeUnknownError, "outcome_unknown"),
        (303, "", OutcomeUnknownError, "outcome_unknown"),
        (522, "", OutcomeUnknownError, "outcome_unknown"),
        (524, "", OutcomeUnknownError, "outcome_unknown"),
        (302, "", UnexpectedResponseError, "unexpected_answer"),
        (307, "", UnexpectedResponseError, "unexpected_answer"),
        (501, "ErrorSomethingNew", UnexpectedResponseError, "unexpected_answer"),
        (511, "", UnexpectedResponseError, "unexpected_answer"),
        (526, "", UnexpectedResponseError, "unexpected_answer"),
        (401, "InvalidAuthenticationToken", TokenRefusedError, "token_refused"),
        (401, "NoPermissionsInAccessToken", TokenRefusedError, "token_refused"),
        (401, "ErrorSomethingNew", TokenRefusedError, "token_refused"),
        (403, "insufficient_claims", TokenRefusedError, "token_refused"),
        (403, "ErrorExceededMessageLimit", SendingLimitError, "sending_limit_reached"),
        (400, "ErrorExceededHourlyMessageLimit", SendingLimitError, "sending_limit_reached"),
        (429, "ErrorSubmissionQuotaExceeded", SendingLimitError, "sending_limit_reached"),
        (403, "ErrorMessageSubmissionBlocked", SenderRefusedError, "sender_blocked"),
        (403, "ErrorAccountSuspend", SenderRefusedError, "sender_blocked"),
        (507, "ErrorQuotaExceeded", SenderRefusedError, "mailbox_full"),
        (507, "ErrorSomethingNew", SenderRefusedError, "mailbox_full"),
        (500, "ErrorQuotaExceeded", SenderRefusedError, "mailbox_full"),
        (413, "ErrorSomethingNew", RejectedError, "message_too_large"),
        (400, "ErrorMessageSizeExceeded", RejectedError, "message_too_large"),
        (400, "ErrorInvalidRecipients", RefusedRecipientError, "recipients_refused"),
        (400, "ErrorExceededMaxRecipientLimit", RefusedRecipientError, "recipients_refused"),
        (400, "InvalidInternetMessageHeaderCollection", RejectedError, "mail_rejected"),
        (403, "ErrorSendAsDenied", SenderRefusedError, SEND),
        (500, "ErrorSendAsDenied", SenderRefusedError, SEND),
        (403, "ErrorAccessDenied", SenderRefusedError, "access_denied"),
        (403, "ErrorSomethingNew", AccessDeniedError, "access_denied"),
        (403, "Forbidden", AccessDeniedError, "access_denied"),
        (403, "accessDenied", SenderRefusedError, "access_denied"),
        (404, "MailboxNotEnabledForRESTAPI", SenderRefusedError, "mailbox_not_found"),
        (404, "ErrorNonExistentMailbox", SenderRefusedError, "mailbox_not_found"),
        (404, "ErrorItemNotFound", MailboxNotFoundError, "mailbox_not_found"),
        (401, "OrganizationFromTenantGuidNotFound", SenderRefusedError, "organization_not_found"),
        (404, "OrganizationFromTenantGuidNotFound", SenderRefusedError, "organization_not_found"),
        (402, "ErrorSomethingNew", UnexpectedResponseError, "unexpected_answer"),
        (404, "ErrorSomethingNew", MailboxNotFoundError, "mailbox_not_found"),
        (410, "UnknownError", MailboxNotFoundError, "mailbox_not_found"),
        (409, "Conflict", TransientError, "graph_unavailable"),
        (423, "ErrorSomethingNew", TransientError, "graph_unavailable"),
        (400, "ErrorSomethingNew", UnexpectedResponseError, "unexpected_answer"),
        (422, "UnknownError", UnexpectedResponseError, "unexpected_answer"),
        (400, "ErrorTooManyObjectsOpened", TransientError, "graph_unavailable"),
        (400, "ErrorConnectionFailed", TransientError, "graph_unavailable"),
        (400, "ErrorADUnavailable", TransientError, "graph_unavailable"),
        (409, "ErrorMailboxMoveInProgress", TransientError, "graph_unavailable"),
        (409, "nameAlreadyExists", TransientError, "graph_unavailable"),
        (423, "serviceReadOnly", TransientError, "graph_unavailable"),
        (416, "invalidRange", UploadInterruptedError, "upload_interrupted"),
        (400, "malwareDetected", RejectedError, "file_infected"),
    ],
)
def test_each_response_of_graph_means_one_thing(
    status: int, code: str, kind: type[Exception], ours: str
) -> None:
    error = graph_error(error_response(status, code), a_sender())

    assert (type(error), error.code) == (kind, ours)


@pytest.mark.parametrize(
    ("code", "ours"),
    [
        ("ErrorItemNotFound", "draft_lost"),
        ("itemNotFound", "draft_lost"),
        ("ErrorSomethingNew", "draft_lost"),
        ("UnknownError", "draft_lost"),
        ("MailboxNotEnabledForRESTAPI", "mailbox_not_found"),
    ],
)
def test_only_a_call_that_names_a_draft_can_find_that_it_is_lost(code: str, ours: str) -> None:
    response = error_response(404, code)

    assert graph_error(response, a_sender(), names_draft=True).code == ours
    assert graph_error(response, a_sender()).code == "mailbox_not_found"


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("code", ["ErrorMailboxStoreUnavailable", "ErrorTimeoutExpired", "UnknownError"])
def test_429_and_503_are_refusals_with_any_code(status: int, code: str) -> None:
    assert isinstance(graph_error(error_response(status, code), a_sender()), TransientError)


@pytest.mark.parametrize(
    ("status", "code", "maybe_sent"),
    [
        (408, "UnknownError", True),
        (409, "Conflict", True),
        (412, "ErrorIrresolvableConflict", True),
        (423, "UnknownError", True),
        (429, "ApplicationThrottled", True),
        (429, "CommandConcurrencyLimitReached", True),
        (503, "serviceNotAvailable", True),
        (400, "ErrorConnectionFailed", True),
        (400, "ErrorSomethingNew", True),
        (418, "UnknownError", True),
        (403, "ErrorAccessDenied", False),
        (403, "ErrorMessageTransientError", False),
        (403, "UnknownError", False),
        (404, "ErrorItemNotFound", False),
        (404, "ErrorInvalidUser", False),
        (400, "ErrorInvalidRecipients", False),
        (413, "ErrorMessageSizeExceeded", False),
        (302, "", False),
        (308, "", False),
        (407, "", False),
        (421, "", False),
        (501, "UnknownError", False),
        (511, "", False),
    ],
)
def test_a_refusal_tells_whether_the_mail_may_have_been_sent(
    status: int,
    code: str,
    maybe_sent: bool,  # noqa: FBT001
) -> None:
    error = graph_error(error_response(status, code), a_sender())

    assert isinstance(error, MailerError)
    assert error.maybe_sent_anyway is maybe_sent


def test_addresses_named_in_a_recipient_refusal_are_kept_with_the_error() -> None:
    text = "At least one recipient isn't valid., 'Nobody@contoso.com' or <a.b@fabrikam.com>."
    body = json.dumps({"error": {"code": "ErrorInvalidRecipients", "message": text}})
    error = graph_error(a_response(400, body.encode()), a_sender())

    assert isinstance(error, RefusedRecipientError)
    assert error.mentioned == ("nobody@contoso.com", "a.b@fabrikam.com")
    assert "nobody" not in str(error).lower()


def test_what_graph_refuses_at_random_counts_only_the_third_time() -> None:
    error = graph_error(error_response(400, "ErrorInvalidRecipients"), a_sender())

    assert isinstance(error, RejectedError)
    assert not isinstance(error, SenderRefusedError)
    assert error.confirm_after == 3


@pytest.mark.parametrize(
    "code",
    [
        "ErrorSendAsDenied",
        "ErrorAccessDenied",
        "Authorization_RequestDenied",
        "accessDenied",
        "ErrorInvalidUser",
        "MailboxNotEnabledForRESTAPI",
        "OrganizationFromTenantGuidNotFound",
        "ErrorNonExistentMailbox",
        "ErrorQuotaExceeded",
        "quotaLimitReached",
        "ErrorAccountSuspend",
        "ErrorMessageSubmissionBlocked",
    ],
)
def test_a_refusal_of_the_mailbox_or_of_a_right_is_none_of_the_mail(code: str) -> None:
    error = graph_error(error_response(403, code), a_sender())

    assert isinstance(error, SenderRefusedError)


@pytest.mark.parametrize(("age", "said"), [(timedelta(hours=23), True), (timedelta(hours=25), False)])
def test_within_a_day_of_a_consent_the_text_mentions_permission_delay(age: timedelta, *, said: bool) -> None:
    sender = a_sender()
    sender = replace(sender, consent=replace(sender.consent, consented_at=datetime.now(UTC) - age))

    for code in ("ErrorSendAsDenied", "ErrorAccessDenied"):
        sentence = graph_error(error_response(403, code), sender).problem.detail
        assert ("the permission may not be effective everywhere yet" in sentence) is said


def test_the_apps_own_permission_needs_the_sign_in_name() -> None:
    by_the_app = replace(a_sender(), mailbox="users/reports%40contoso.com")

    assert "sign-in name" in graph_error(error_response(404, "ErrorInvalidUser"), by_the_app).problem.detail
    assert (
        "sign-in name" not in graph_error(error_response(404, "ErrorInvalidUser"), a_sender()).problem.detail
    )


def test_a_404_for_a_stored_object_id_states_that_the_address_is_used_next() -> None:
    sender = a_sender()
    consent = replace(sender.consent, account=None, mailbox_id="old-id")
    by_id = replace(sender, consent=consent, mailbox="users/old-id")

    sentence = graph_error(error_response(404, "ErrorInvalidUser"), by_id).problem.detail

    assert "deleted and created again" in sentence
    assert "only by its sign-in name" not in sentence
    assert (
        "deleted and created again"
        not in graph_error(error_response(403, "ErrorAccessDenied"), by_id).problem.detail
    )
    assert (
        "deleted and created again"
        not in graph_error(error_response(404, "ErrorInvalidUser"), sender).problem.detail
    )


CLAIMS = '{"access_token":{"nbf":{"essential":true,"value":"1702682181"}}}'


@pytest.mark.parametrize("status", [401, 403])
def test_a_claims_challenge_is_included_in_the_error(status: int) -> None:
    encoded = base64.b64encode(CLAIMS.encode()).decode().rstrip("=")
    header = f'Bearer realm="", error="insufficient_claims", claims="{encoded}"'
    error = graph_error(a_response(status, headers={"WWW-Authenticate": header}), a_sender())

    assert isinstance(error, TokenRefusedError)
    assert error.claims == CLAIMS


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("header", "code"),
    [
        ('Bearer realm="", error="insufficient_claims"', "accessDenied"),
        ("Bearer error=insufficient_claims", "Forbidden"),
        ('Bearer ERROR = "insufficient_claims", claims="not base64"', "UnknownError"),
        (None, "insufficient_claims"),
    ],
)
def test_insufficient_claims_are_about_the_sign_in_and_not_about_the_mail(
    status: int, header: str | None, code: str
) -> None:
    response = error_response(status, code, **({"WWW_Authenticate": header} if header else {}))
    error = graph_error(response, a_sender())

    assert isinstance(error, TokenRefusedError)
    assert error.conditional_access
    assert (error.claims, error.params["error"]) == (None, "insufficient_claims")


def test_an_expired_token_is_no_sign_of_conditional_access() -> None:
    error = graph_error(error_response(401, "InvalidAuthenticationToken"), a_sender())

    assert isinstance(error, TokenRefusedError)
    assert not error.conditional_access


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", 'Bearer claims="%%"', 'Bearer claims="W10="', 'claims="/w=="']
)
def test_an_unreadable_challenge_requests_no_claims(header: str | None) -> None:
    assert claims_challenge(header) is None


def test_an_unknown_code_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    graph_error(error_response(400, "ErrorSomethingNew"), a_sender())

    assert 'unknown_error_code {"code": "ErrorSomethingNew"' in caplog.text


@pytest.mark.parametrize("code", sorted(GENERAL_CODES))
def test_for_a_generic_code_the_status_decides_and_the_code_is_not_logged(
    code: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert graph_error(error_response(413, code), a_sender()).code == "message_too_large"
    assert graph_error(error_response(504, code), a_sender()).code == "outcome_unknown"
    assert "unknown_error_code" not in caplog.text


def test_every_code_of_the_table_leads_to_a_code_of_the_catalogue() -> None:
    for code, found in GRAPH_CODES.items():
        assert found.meaning.endswith(".")
        assert graph_error(error_response(400, code), a_sender(), names_draft=True).code == found.problem_code


def test_a_mailbox_over_its_limit_gets_no_request_for_at_least_an_hour() -> None:
    error = graph_error(error_response(403, "ErrorExceededMessageLimit", Retry_After="5"), a_sender())

    assert isinstance(error, TransientError)
    assert error.retry_after == timedelta(hours=1)


def test_a_call_that_submits_nothing_leaves_nothing_uncertain() -> None:
    assert isinstance(
        graph_error(error_response(504, "ErrorTimeoutExpired"), a_sender(), is_send=False), TransientError
    )


@pytest.mark.parametrize("status", [404, 405])
@pytest.mark.parametrize("body", [b"", b"<html>Not found</html>"])
def test_a_server_that_does_not_respond_as_graph_does_ends_no_mail(status: int, body: bytes) -> None:
    error = graph_error(a_response(status, body), a_sender())

    assert isinstance(error, ConfigurationError)
    assert error.confirm_after == 3
    assert (error.code, error.params["setting"]) == ("setting_invalid", "GRAPH_ENDPOINT")
