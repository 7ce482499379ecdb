"""How a mail continues after each error."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.deliveries.delivery import Delivery
from shared.deliveries.event import DeliveryEvent
from shared.deliveries.status import DeliveryStatus as Status
from shared.errors import (
    ConditionalAccessError,
    ConfigurationError,
    ConflictError,
    ConsentRequiredError,
    ExpiredError,
    InvalidInputError,
    MissingFileError,
    OutcomeUnknownError,
    ProblemError,
    RejectedError,
    SenderRefusedError,
    TokenRefusedError,
    TransientError,
)
from shared.sending.backoff_and_deadline import MAX_RETRY_AGE, expired_error
from shared.sending.errors import MailboxPausedError, ThrottledError, UnexpectedResponseError
from shared.sending.retry_policy import (
    AttemptContext,
    RetryDecision,
    count_refusals,
    decide_retry,
)
from shared.settings.sender_refusal import permissions_propagated_at
from shared.time_limit import AttemptTooLongError
from tests.builders import a_consent
from tests.fakes import CONTOSO, NOON

FIRST = AttemptContext(NOON, attempt=1, trying_since=NOON, expires_at=None, jitter=1.0)
UNCERTAIN = {"uncertain_since": NOON}
LOOK = {**UNCERTAIN, "may_look_up": True}

INVALID = InvalidInputError("invalid_message")
CONSENT = ConsentRequiredError("consent_missing")
REFUSED_TOKEN = TokenRefusedError("token_refused", error="e")
BLOCKED = ConditionalAccessError("conditional_access", account="a", error="insufficient_claims")
NOT_GRAPH = ConfigurationError("setting_invalid", setting="GRAPH_ENDPOINT", reason="a page")
NOT_GRAPH.confirm_after = 3
UNAVAILABLE = TransientError("graph_unavailable")
THROTTLED = ThrottledError(retry_after=timedelta(minutes=2), address="a")
PAUSED = MailboxPausedError(retry_after=timedelta(minutes=2), address="a")
EXPIRED = ExpiredError("expired", moment="noon")
REJECTED = RejectedError("mail_rejected", graph_code="ErrorX")
AT_TIMES = RejectedError("recipients_refused", graph_code="ErrorInvalidRecipients", confirm_after=3)
NO_FILE = MissingFileError("a.pdf")
UNKNOWN = OutcomeUnknownError("outcome_unknown")
OPERATOR = ConfigurationError("client_credential_refused", error="invalid_client")
TOO_LONG = AttemptTooLongError()
DAY_AGO = {"trying_since": NOON - MAX_RETRY_AGE}

TABLE: list[tuple[ProblemError, dict[str, Any], Status, float | None]] = [
    (INVALID, {}, Status.INVALID, None),
    (ConflictError("message_conflict"), {}, Status.INVALID, None),
    (CONSENT, {}, Status.WAITING_FOR_CONSENT, None),
    (CONSENT, UNCERTAIN, Status.WAITING_FOR_CONSENT, None),
    (REFUSED_TOKEN, {}, Status.DEFERRED, 307.5),
    (REFUSED_TOKEN, UNCERTAIN, Status.DEFERRED, 307.5),
    (REFUSED_TOKEN, {"attempt": 3, "refusals": 3}, Status.WAITING_FOR_OPERATOR, None),
    (REFUSED_TOKEN, DAY_AGO, Status.EXPIRED, None),
    (OPERATOR, {}, Status.WAITING_FOR_OPERATOR, None),
    (EXPIRED, {}, Status.EXPIRED, None),
    (REJECTED, {}, Status.REJECTED, None),
    (NO_FILE, {}, Status.DEFERRED, 15),
    (NO_FILE, {"attempt": 9}, Status.DEFERRED, 600),
    (NO_FILE, {"trying_since": NOON - timedelta(minutes=10)}, Status.REJECTED, None),
    (NO_FILE, {"expires_at": NOON}, Status.EXPIRED, None),
    (UNAVAILABLE, {}, Status.DEFERRED, 15),
    (UNAVAILABLE, {"attempt": 3}, Status.DEFERRED, 60),
    (UNAVAILABLE, {"jitter": 0.0}, Status.DEFERRED, 7.5),
    (THROTTLED, {}, Status.DEFERRED, 120),
    (PAUSED, {"attempt": 9}, Status.DEFERRED, 135),
    (UNAVAILABLE, DAY_AGO, Status.EXPIRED, None),
    (UNAVAILABLE, {"expires_at": NOON + timedelta(seconds=15)}, Status.EXPIRED, None),
    (UNAVAILABLE, {"expires_at": NOON + timedelta(seconds=16)}, Status.DEFERRED, 15),
    (AT_TIMES, {}, Status.DEFERRED, 15),
    (AT_TIMES, {"attempt": 2, "refusals": 2}, Status.DEFERRED, 30),
    (AT_TIMES, {"attempt": 3, "refusals": 3}, Status.REJECTED, None),
    (AT_TIMES, {"attempt": 9, "refusals": 1}, Status.DEFERRED, 600),
    (UNKNOWN, UNCERTAIN, Status.UNKNOWN, None),
    (UNKNOWN, {**UNCERTAIN, "resends": True}, Status.DEFERRED, 15),
    (UNKNOWN, {**UNCERTAIN, "resends": True, **DAY_AGO}, Status.UNKNOWN, None),
    (UNKNOWN, LOOK, Status.VERIFYING, 15),
    (UNKNOWN, {**LOOK, "resends": True}, Status.VERIFYING, 15),
    (UNKNOWN, {**LOOK, **DAY_AGO}, Status.VERIFYING, 15),
    (UNKNOWN, {**LOOK, "trying_since": NOON - 2 * MAX_RETRY_AGE}, Status.UNKNOWN, None),
    (UNKNOWN, {**LOOK, "expires_at": NOON}, Status.VERIFYING, 15),
    (UNAVAILABLE, {**UNCERTAIN, **DAY_AGO}, Status.UNKNOWN, None),
    (REJECTED, UNCERTAIN, Status.UNKNOWN, None),
    (INVALID, UNCERTAIN, Status.UNKNOWN, None),
    (EXPIRED, UNCERTAIN, Status.UNKNOWN, None),
]


#: The first attempt waits 15 seconds with this jitter, and so does the first look.
DAY = timedelta(hours=24)
LAST = {"trying_since": NOON - DAY + timedelta(seconds=16)}
TOO_LATE = {"trying_since": NOON - DAY + timedelta(seconds=15)}
MINUTE, HOUR, TWO_DAYS_AGO = timedelta(minutes=1), timedelta(hours=1), NOON - 2 * MAX_RETRY_AGE
LOOK_OF_TWO_HOURS = {"uncertain_since": NOON - timedelta(hours=2), "may_look_up": True}
LONG_PAUSE = ThrottledError(retry_after=timedelta(days=9), address="a")
NO_RIGHT = SenderRefusedError("access_denied", graph_code="ErrorX", address="a")

TABLE += [
    (UNAVAILABLE, LAST, Status.DEFERRED, 15),
    (UNAVAILABLE, TOO_LATE, Status.EXPIRED, None),
    (UNKNOWN, {**LOOK, **LAST}, Status.VERIFYING, 15),
    (UNKNOWN, {**LOOK, **TOO_LATE}, Status.VERIFYING, 15),
    # The last look comes shortly before the end of the time for looking.
    (UNKNOWN, {**LOOK_OF_TWO_HOURS, "trying_since": TWO_DAYS_AGO + HOUR}, Status.VERIFYING, 59 * 60),
    (UNKNOWN, {**LOOK_OF_TWO_HOURS, "trying_since": TWO_DAYS_AGO + MINUTE}, Status.UNKNOWN, None),
    (LONG_PAUSE, {**LOOK, "expires_at": NOON}, Status.VERIFYING, 24 * 3600),
    # The last attempt begins a minute before the deadline.
    (UNAVAILABLE, {"attempt": 9, "expires_at": NOON + 5 * MINUTE}, Status.DEFERRED, 240),
    (UNAVAILABLE, {"attempt": 9, "trying_since": NOON - DAY + 5 * MINUTE}, Status.DEFERRED, 240),
    (LONG_PAUSE, {}, Status.DEFERRED, 24 * 3600 - 60),
    (UNAVAILABLE, {"attempt": 9, "expires_at": NOON + MINUTE}, Status.EXPIRED, None),
    (UNAVAILABLE, {"attempt": 9, "expires_at": NOON + MINUTE + timedelta(seconds=1)}, Status.DEFERRED, 1),
    (UNKNOWN, {**LOOK, "uncertain_since": NOON - timedelta(seconds=40)}, Status.VERIFYING, 40),
    # If no earlier attempt has an uncertain outcome, this one has.
    (UNKNOWN, {"may_look_up": True}, Status.VERIFYING, 15),
    (UNAVAILABLE, {**LAST, "expires_at": NOON + timedelta(seconds=15)}, Status.EXPIRED, None),
    (UNAVAILABLE, {**TOO_LATE, "expires_at": NOON + DAY}, Status.EXPIRED, None),
    (NO_RIGHT, {}, Status.DEFERRED, 307.5),
    (NO_RIGHT, {"refusals": 9}, Status.DEFERRED, 307.5),
    (NO_RIGHT, {"sender_refused": True}, Status.WAITING_FOR_MICROSOFT365, None),
    (NO_RIGHT, {"sender_refused": True, **DAY_AGO}, Status.WAITING_FOR_MICROSOFT365, None),
    (NO_RIGHT, {"refusals": 9, **DAY_AGO}, Status.EXPIRED, None),
    (REJECTED, {"sender_refused": True}, Status.REJECTED, None),
    (REFUSED_TOKEN, {"refusals": 2}, Status.DEFERRED, 307.5),
    (BLOCKED, {"refusals": 2}, Status.DEFERRED, 307.5),
    (BLOCKED, {"refusals": 3}, Status.WAITING_FOR_CONSENT, None),
    (NOT_GRAPH, {"refusals": 2}, Status.DEFERRED, 307.5),
    (NOT_GRAPH, {"refusals": 3}, Status.WAITING_FOR_OPERATOR, None),
    # No length of a pause is known, so it is waited as for any failure.
    (MailboxPausedError(address="a"), {}, Status.DEFERRED, 15),
]


def test_a_mail_is_given_up_after_a_day() -> None:
    assert FIRST.deadline - NOON == timedelta(hours=24)


def test_a_mail_that_is_too_late_states_its_deadline_in_utc() -> None:
    assert "2026-11-23 12:00 UTC" in expired_error(NOON.replace(2026, 11, 23, 12, 0)).problem.detail


def test_a_mail_that_expires_names_the_last_error_of_graph() -> None:
    last = UnexpectedResponseError(graph_code="HTTP 402", request_id="g-17")
    error = expired_error(NOON, last)

    assert "The last error from Microsoft Graph was HTTP 402." in error.problem.detail
    assert error.request_id == "g-17"
    assert "The last error" not in expired_error(NOON, UNAVAILABLE).problem.detail


def test_a_pause_of_unknown_length_counts_as_a_failure() -> None:
    assert decide_retry(MailboxPausedError(address="a"), FIRST).counts_as_failure


@pytest.mark.parametrize(("error", "circumstances", "status", "seconds"), TABLE)
def test_each_error_has_its_action(
    error: ProblemError, circumstances: dict[str, Any], status: Status, seconds: float | None
) -> None:
    decision = decide_retry(error, replace(FIRST, **circumstances))

    wait = None if decision.next_attempt_at is None else (decision.next_attempt_at - NOON).total_seconds()
    assert (decision.status, wait) == (status, seconds)


@pytest.mark.parametrize(
    ("error", "minutes_ago", "code", "times"),
    [
        (REFUSED_TOKEN, [], "token_refused", 1),
        (REFUSED_TOKEN, [5], "token_refused", 2),
        (REFUSED_TOKEN, [4], "token_refused", 1),
        (REFUSED_TOKEN, [10, 5], "token_refused", 3),
        (REFUSED_TOKEN, [9, 5], "token_refused", 2),
        (REFUSED_TOKEN, [20], "token_refused", 2),
        (REFUSED_TOKEN, [21], "token_refused", 1),
        (REFUSED_TOKEN, [10, 5], "graph_unavailable", 1),
        (AT_TIMES, [2, 1], "recipients_refused", 3),
    ],
)
def test_refusals_five_minutes_apart_count_within_the_current_attempts(
    error: ProblemError, minutes_ago: list[int], code: str, times: int
) -> None:
    history = tuple(
        DeliveryEvent(NOON - timedelta(minutes=ago), Status.DEFERRED, code) for ago in minutes_ago
    )
    begun = NOON - timedelta(minutes=20)
    row = Delivery(CONTOSO, "m-1", Status.SENDING, begun, NOON, begun, history=history)

    assert count_refusals(error, row, NOON) == times


def test_application_permissions_take_longer_to_spread_than_delegated_ones() -> None:
    consent = a_consent(consented_at=NOON)

    assert permissions_propagated_at(consent) == NOON + timedelta(hours=1)
    assert permissions_propagated_at(replace(consent, account=None)) == NOON + timedelta(hours=3)


def test_only_an_invalid_message_is_not_stored() -> None:
    assert [status for status in Status if not RetryDecision(status).keeps_request] == [Status.INVALID]


def test_a_mail_that_never_reached_graph_has_used_no_attempt() -> None:
    assert not decide_retry(PAUSED, FIRST).counts_as_failure
    assert not decide_retry(TOO_LONG, FIRST).counts_as_failure
    assert decide_retry(THROTTLED, FIRST).counts_as_failure


def test_only_the_deployments_choice_to_resend_forgets_an_uncertain_send() -> None:
    assert decide_retry(UNKNOWN, replace(FIRST, uncertain_since=NOON, resends=True)).ignores_uncertain_send
    assert not decide_retry(
        UNAVAILABLE, replace(FIRST, uncertain_since=NOON, resends=True)
    ).ignores_uncertain_send
    assert not decide_retry(
        UNKNOWN, replace(FIRST, uncertain_since=NOON, may_look_up=True)
    ).ignores_uncertain_send


ERRORS = st.sampled_from(
    [
        INVALID,
        CONSENT,
        REFUSED_TOKEN,
        BLOCKED,
        NOT_GRAPH,
        NO_RIGHT,
        UNAVAILABLE,
        THROTTLED,
        PAUSED,
        EXPIRED,
        REJECTED,
        AT_TIMES,
        UNKNOWN,
    ]
)
MOMENTS = st.timedeltas(timedelta(days=-3), timedelta(days=3)).map(lambda wait: NOON + wait)


@given(
    ERRORS,
    st.integers(1, 1000),
    MOMENTS,
    st.none() | MOMENTS,
    st.floats(0, 1),
    st.none() | MOMENTS,
    st.booleans(),
    st.booleans(),
)
def test_every_error_has_a_decision_and_no_mail_is_retried_for_ever(
    error: ProblemError,
    attempt: int,
    since: Any,
    expires: Any,
    jitter: float,
    uncertain_send: Any,
    may_look: bool,  # noqa: FBT001
    resends: bool,  # noqa: FBT001
) -> None:
    context = AttemptContext(NOON, attempt, since, expires, jitter, uncertain_send, may_look, resends)
    decision = decide_retry(error, context)

    again = decision.next_attempt_at
    assert (again is not None) == (decision.status in {Status.DEFERRED, Status.VERIFYING})
    if again is not None:
        keeps_checking = decision.status is Status.VERIFYING and may_look
        assert NOON < again < since + MAX_RETRY_AGE * (2 if keeps_checking else 1)
    if uncertain_send is not None:
        assert decision.status not in {Status.EXPIRED, Status.REJECTED, Status.INVALID}
