"""From Graph's answers to our errors; the answers are read as they come, whatever they are."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.graph_errors import graph_codes, graph_error, retry_after
from shared.adapters.https import Answer
from shared.errors import ConsentRequiredError, OutcomeUnknownError, RejectedError, TransientError
from tests.exchange_online import a_sender
from tests.fakes import NOON


def an_answer(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, headers or {}, body)


def coded(status: int, code: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return an_answer(status, json.dumps({"error": {"code": code, "message": "secret text"}}).encode(), named)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2.128", 2.128),
        ("10", 10),
        ("0", 0),
        ("-3", 0),
        (format_datetime(NOON + timedelta(seconds=90), usegmt=True), 90),
        ("Mon, 23 Nov 2026 12:01:30 -0000", 90),
        (format_datetime(NOON - timedelta(hours=1), usegmt=True), 0),
        ("1e9", 6 * 3600),
        ("inf", 6 * 3600),
    ],
)
def test_a_wait_is_read_as_seconds_or_as_a_date(text: str, seconds: float) -> None:
    assert retry_after(text, NOON) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", [None, "", "soon", "nan", "Mon, 99 Nov 2026 12:00:00 GMT"])
def test_a_wait_that_cannot_be_read_is_none(text: str | None) -> None:
    assert retry_after(text, NOON) is None


@given(st.text() | st.floats().map(str) | st.integers().map(str))
def test_no_wait_is_negative_or_for_ever(text: str) -> None:
    wait = retry_after(text, NOON)

    assert wait is None or timedelta(0) <= wait <= timedelta(hours=6)


@given(st.binary())
def test_any_body_can_be_looked_through_for_codes(body: bytes) -> None:
    assert isinstance(graph_codes(an_answer(400, body)), list)


JSON = st.recursive(
    st.none() | st.text() | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["error", "code", "innerError", "innererror"]), inner)
    ),
    max_leaves=8,
)


@given(JSON)
def test_any_json_can_be_looked_through_for_codes(body: object) -> None:
    codes = graph_codes(an_answer(400, json.dumps(body).encode()))

    assert all(code.replace("_", "").isalpha() for code in codes)


def test_the_innermost_code_comes_first() -> None:
    body = {
        "error": {
            "code": "UnknownError",
            "innererror": {"code": "generalException", "innerError": {"code": "ErrorSendAsDenied"}},
        }
    }

    assert graph_codes(an_answer(403, json.dumps(body).encode())) == [
        "ErrorSendAsDenied",
        "generalException",
        "UnknownError",
    ]


def test_the_code_decides_wherever_it_stands() -> None:
    body = {"error": {"code": "ErrorSendAsDenied", "innerError": {"code": "SomethingNew"}}}
    error = graph_error(an_answer(403, json.dumps(body).encode()), a_sender())

    assert (error.code, error.facts["graph_code"]) == ("send_as_denied", "ErrorSendAsDenied")


@pytest.mark.parametrize("body", [b"", b"<html>Bad request</html>", b'{"error": {"code": ""}}', b"[1]"])
def test_an_answer_without_a_code_is_judged_by_its_status(body: bytes) -> None:
    rejected = graph_error(an_answer(400, body), a_sender())
    throttled = graph_error(an_answer(429, body), a_sender())
    unknown = graph_error(an_answer(504, body), a_sender())
    refused = graph_error(an_answer(401, body), a_sender())

    assert isinstance(rejected, RejectedError)
    assert rejected.graph_code == "HTTP 400"
    assert isinstance(throttled, TransientError)
    assert isinstance(unknown, OutcomeUnknownError)
    assert isinstance(refused, ConsentRequiredError)


def test_microsofts_own_words_are_not_repeated() -> None:
    error = graph_error(coded(400, "ErrorSomethingNew"), a_sender())

    assert "secret text" not in str(error)
    assert error.facts["graph_code"] == "ErrorSomethingNew"


def test_graphs_id_of_the_answer_stands_first_in_the_log() -> None:
    error = graph_error(an_answer(429, headers={"request-id": "g-17"}), a_sender())

    assert str(error).startswith("g-17: ")


def test_a_date_without_a_zone_is_in_utc() -> None:
    assert retry_after("Mon, 23 Nov 2026 12:00:05", datetime(2026, 11, 23, 12, tzinfo=UTC)) == timedelta(
        seconds=5
    )


SEND = "send_as_denied"


@pytest.mark.parametrize(
    ("status", "code", "kind", "ours"),
    [
        (429, "ApplicationThrottled", TransientError, "mailbox_throttled"),
        (429, "activityLimitReached", TransientError, "mailbox_throttled"),
        (429, "ErrorSomethingNew", TransientError, "mailbox_throttled"),
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
        (503, "ErrorMailboxStoreUnavailable", OutcomeUnknownError, "outcome_unknown"),
        (400, "ErrorMessageTransientError", OutcomeUnknownError, "outcome_unknown"),
        (501, "ErrorSomethingNew", OutcomeUnknownError, "outcome_unknown"),
        (200, "", OutcomeUnknownError, "outcome_unknown"),
        (302, "", OutcomeUnknownError, "outcome_unknown"),
        (401, "InvalidAuthenticationToken", ConsentRequiredError, "consent_lost"),
        (401, "NoPermissionsInAccessToken", ConsentRequiredError, "consent_lost"),
        (401, "ErrorSomethingNew", ConsentRequiredError, "consent_lost"),
        (403, "insufficient_claims", ConsentRequiredError, "consent_lost"),
        (403, "ErrorExceededMessageLimit", TransientError, "sending_limit_reached"),
        (400, "ErrorExceededHourlyMessageLimit", TransientError, "sending_limit_reached"),
        (429, "ErrorSubmissionQuotaExceeded", TransientError, "sending_limit_reached"),
        (403, "ErrorMessageSubmissionBlocked", RejectedError, "sender_blocked"),
        (403, "ErrorAccountSuspend", RejectedError, "sender_blocked"),
        (507, "ErrorQuotaExceeded", RejectedError, "mailbox_full"),
        (507, "ErrorSomethingNew", RejectedError, "mailbox_full"),
        (500, "ErrorQuotaExceeded", RejectedError, "mailbox_full"),
        (413, "ErrorSomethingNew", RejectedError, "message_too_large"),
        (400, "ErrorMessageSizeExceeded", RejectedError, "message_too_large"),
        (400, "ErrorInvalidRecipients", RejectedError, "recipients_refused"),
        (400, "ErrorExceededMaxRecipientLimit", RejectedError, "recipients_refused"),
        (400, "InvalidInternetMessageHeaderCollection", RejectedError, "mail_rejected"),
        (403, "ErrorSendAsDenied", RejectedError, SEND),
        (500, "ErrorSendAsDenied", RejectedError, SEND),
        (403, "ErrorAccessDenied", RejectedError, "access_denied"),
        (403, "ErrorSomethingNew", RejectedError, "mail_rejected"),
        (404, "MailboxNotEnabledForRESTAPI", RejectedError, "mailbox_not_found"),
        (404, "ErrorNonExistentMailbox", RejectedError, "mailbox_not_found"),
        (404, "ErrorItemNotFound", TransientError, "draft_lost"),
    ],
)
def test_each_answer_of_graph_means_one_thing(
    status: int, code: str, kind: type[Exception], ours: str
) -> None:
    error = graph_error(coded(status, code), a_sender())

    assert (type(error), error.code) == (kind, ours)


def test_what_graph_refuses_at_random_is_believed_only_the_third_time() -> None:
    for code in ("ErrorNonExistentMailbox", "ErrorInvalidRecipients"):
        error = graph_error(coded(400, code), a_sender())
        assert isinstance(error, RejectedError)
        assert error.believed_after == 3


def test_that_a_consent_is_lost_is_believed_only_the_third_time() -> None:
    for code in ("InvalidAuthenticationToken", "NoPermissionsInAccessToken", "insufficient_claims"):
        error = graph_error(coded(401, code), a_sender())
        assert isinstance(error, ConsentRequiredError)
        assert error.believed_after == 3


def test_a_mailbox_over_its_limit_is_left_alone_for_an_hour_at_least() -> None:
    error = graph_error(coded(403, "ErrorExceededMessageLimit", Retry_After="5"), a_sender())

    assert isinstance(error, TransientError)
    assert error.retry_after == timedelta(hours=1)


def test_a_call_that_submits_nothing_leaves_nothing_in_doubt() -> None:
    assert isinstance(
        graph_error(coded(504, "ErrorTimeoutExpired"), a_sender(), submits=False), TransientError
    )
