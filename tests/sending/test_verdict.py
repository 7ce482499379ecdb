"""From what went wrong to what happens to the mail, as a table."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.deliveries.delivery import DeliveryStatus as Status
from shared.errors import (
    ConfigurationError,
    ConflictError,
    ConsentRequiredError,
    ExpiredError,
    InvalidInputError,
    OutcomeUnknownError,
    ProblemError,
    RejectedError,
    TransientError,
)
from shared.sending.verdict import HORIZON, Situation, Verdict, decide
from tests.fakes import NOON

FIRST = Situation(NOON, attempt=1, trying_since=NOON, expires_at=None, jitter=1.0)
DOUBT = {"in_doubt_since": NOON}
LOOK = {**DOUBT, "may_look_up": True}

INVALID = InvalidInputError("invalid_message")
CONSENT = ConsentRequiredError("consent_missing")
REFUSED_TOKEN = ConsentRequiredError("consent_lost", account="a", error="e", believed_after=3)
AWAY = TransientError("graph_unavailable")
THROTTLED = TransientError("mailbox_throttled", retry_after=timedelta(minutes=2), address="a")
PAUSED = TransientError("mailbox_paused", retry_after=timedelta(minutes=2), address="a")
EXPIRED = ExpiredError("expired", moment="noon")
REJECTED = RejectedError("mail_rejected", graph_code="ErrorX")
AT_TIMES = RejectedError("recipients_refused", graph_code="ErrorInvalidRecipients", believed_after=3)
UNKNOWN = OutcomeUnknownError("outcome_unknown")
OPERATOR = ConfigurationError("client_credential_refused", error="invalid_client")
DAY_AGO = {"trying_since": NOON - HORIZON}

TABLE: list[tuple[ProblemError, dict[str, Any], Status, float | None]] = [
    (INVALID, {}, Status.INVALID, None),
    (ConflictError("message_conflict"), {}, Status.INVALID, None),
    (CONSENT, {}, Status.WAITING_FOR_CONSENT, None),
    (CONSENT, DOUBT, Status.WAITING_FOR_CONSENT, None),
    (REFUSED_TOKEN, {}, Status.DEFERRED, 307.5),
    (REFUSED_TOKEN, DOUBT, Status.DEFERRED, 307.5),
    (REFUSED_TOKEN, {"attempt": 3, "refusals": 3}, Status.WAITING_FOR_CONSENT, None),
    (REFUSED_TOKEN, DAY_AGO, Status.EXPIRED, None),
    (OPERATOR, {}, Status.WAITING_FOR_OPERATOR, None),
    (EXPIRED, {}, Status.EXPIRED, None),
    (REJECTED, {}, Status.REJECTED, None),
    (AWAY, {}, Status.DEFERRED, 15),
    (AWAY, {"attempt": 3}, Status.DEFERRED, 60),
    (AWAY, {"jitter": 0.0}, Status.DEFERRED, 7.5),
    (THROTTLED, {}, Status.DEFERRED, 127.5),
    (PAUSED, {"attempt": 9}, Status.DEFERRED, 135),
    (AWAY, DAY_AGO, Status.EXPIRED, None),
    (AWAY, {"expires_at": NOON + timedelta(seconds=15)}, Status.EXPIRED, None),
    (AWAY, {"expires_at": NOON + timedelta(seconds=16)}, Status.DEFERRED, 15),
    (AT_TIMES, {}, Status.DEFERRED, 15),
    (AT_TIMES, {"attempt": 2, "refusals": 2}, Status.DEFERRED, 30),
    (AT_TIMES, {"attempt": 3, "refusals": 3}, Status.REJECTED, None),
    (AT_TIMES, {"attempt": 9, "refusals": 1}, Status.DEFERRED, 3600),
    (UNKNOWN, DOUBT, Status.UNKNOWN, None),
    (UNKNOWN, {**DOUBT, "resends": True}, Status.DEFERRED, 15),
    (UNKNOWN, {**DOUBT, "resends": True, **DAY_AGO}, Status.UNKNOWN, None),
    (UNKNOWN, LOOK, Status.VERIFYING, 15),
    (UNKNOWN, {**LOOK, "resends": True}, Status.VERIFYING, 15),
    (UNKNOWN, {**LOOK, **DAY_AGO}, Status.UNKNOWN, None),
    (UNKNOWN, {**LOOK, "expires_at": NOON}, Status.VERIFYING, 15),
    (AWAY, {**DOUBT, **DAY_AGO}, Status.UNKNOWN, None),
    (REJECTED, DOUBT, Status.UNKNOWN, None),
    (INVALID, DOUBT, Status.UNKNOWN, None),
    (EXPIRED, DOUBT, Status.UNKNOWN, None),
]


@pytest.mark.parametrize(("error", "circumstances", "status", "seconds"), TABLE)
def test_each_error_has_its_action(
    error: ProblemError, circumstances: dict[str, Any], status: Status, seconds: float | None
) -> None:
    verdict = decide(error, replace(FIRST, **circumstances))

    wait = None if verdict.next_attempt_at is None else (verdict.next_attempt_at - NOON).total_seconds()
    assert (verdict.status, wait) == (status, seconds)


def test_only_a_message_that_breaks_the_contract_is_not_kept() -> None:
    assert [status for status in Status if not Verdict(status).keeps_request] == [Status.INVALID]


def test_a_mail_that_never_reached_graph_has_used_no_attempt() -> None:
    assert not decide(PAUSED, FIRST).counts
    assert decide(THROTTLED, FIRST).counts


def test_only_the_deployments_choice_to_resend_forgets_a_doubt() -> None:
    assert decide(UNKNOWN, replace(FIRST, in_doubt_since=NOON, resends=True)).forgets_doubt
    assert not decide(AWAY, replace(FIRST, in_doubt_since=NOON, resends=True)).forgets_doubt
    assert not decide(UNKNOWN, replace(FIRST, in_doubt_since=NOON, may_look_up=True)).forgets_doubt


ERRORS = st.sampled_from(
    [INVALID, CONSENT, REFUSED_TOKEN, AWAY, THROTTLED, PAUSED, EXPIRED, REJECTED, AT_TIMES, UNKNOWN]
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
def test_the_verdict_is_total_and_no_mail_goes_round_for_ever(
    error: ProblemError,
    attempt: int,
    since: Any,
    expires: Any,
    jitter: float,
    doubt: Any,
    may_look: bool,  # noqa: FBT001
    resends: bool,  # noqa: FBT001
) -> None:
    situation = Situation(NOON, attempt, since, expires, jitter, doubt, may_look, resends)
    verdict = decide(error, situation)

    again = verdict.next_attempt_at
    assert (again is not None) == (verdict.status in {Status.DEFERRED, Status.VERIFYING})
    if again is not None:
        assert NOON < again < since + HORIZON
    if doubt is not None:
        assert verdict.status not in {Status.EXPIRED, Status.REJECTED, Status.INVALID}
