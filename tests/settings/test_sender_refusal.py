"""A refusal of the sender: recorded, confirmed, probed, resolved."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.errors import ConflictError
from shared.settings.consent_health import record_token_refresh
from shared.settings.sender import refusal_of, with_sender_list
from shared.settings.sender_refusal import (
    begin_probe,
    end_refusal,
    is_probe_due,
    record_sender_refused,
)
from shared.settings.state import check_enable, complete_consent, is_unchanged, mark_reconnect_needed, reset
from shared.settings.tenant import (
    ActiveProblem,
    Authorization,
    PendingConsent,
    RequestedSender,
    SenderRefusal,
    Status,
    TenantSettings,
)
from tests.builders import a_consent, some_settings
from tests.fakes import NOON

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
FACTS = {"account": "ada@contoso.com", "address": "ada@contoso.com"}


def denied(at: datetime, code: str = "send_as_denied") -> ActiveProblem:
    return ActiveProblem(code, at, FACTS)


def refused(**changes: object) -> TenantSettings:
    """Settings whose sender is refused since noon."""
    settings = some_settings(
        status=Status.SENDER_REFUSED,
        problem=denied(NOON),
        refusal=SenderRefusal(NOON, "m-1", probed_at=NOON),
    )
    return replace(settings, **changes)  # type: ignore[arg-type]


def record_refusal(
    settings: TenantSettings, at: datetime, message_id: str, **changes: object
) -> TenantSettings:
    problem = denied(at, str(changes.pop("code", "send_as_denied")))
    graph_code = changes.pop("graph_code", None)
    if graph_code:
        problem = replace(problem, params={**FACTS, "graph_code": str(graph_code)})
    waited = bool(changes.pop("waited", False))
    version = 2 if changes.pop("older", False) else 1
    return record_sender_refused(settings, version, problem, message_id, waited=waited)


@pytest.mark.parametrize("second", ["m-1", "m-2"])
def test_two_refusals_five_minutes_apart_are_confirmed(second: str) -> None:
    first = record_refusal(some_settings(), NOON, "m-1")
    assert (first.status, first.problem) == (Status.ENABLED, None)
    assert record_refusal(first, NOON + 5 * MINUTE - timedelta(seconds=1), second) == first

    after = record_refusal(first, NOON + 5 * MINUTE, second)
    assert (after.status, after.problem) == (Status.SENDER_REFUSED, denied(NOON + 5 * MINUTE))
    assert after.refusal == SenderRefusal(NOON, second, probed_at=NOON + 5 * MINUTE)


@pytest.mark.parametrize("later", [HOUR, timedelta(days=4), -MINUTE])
def test_an_old_or_future_first_refusal_restarts_the_count(later: timedelta) -> None:
    first = record_refusal(some_settings(), NOON, "m-1")
    after = record_refusal(first, NOON + later, "m-2")

    assert after.status is Status.ENABLED
    assert after.refusal == SenderRefusal(NOON + later, "m-2")


def test_one_waiting_mail_is_not_enough_to_confirm_a_refusal() -> None:
    first = record_refusal(some_settings(), NOON, "m-1", waited=True)

    assert record_refusal(first, NOON + 6 * MINUTE, "m-1", waited=True) == first
    assert record_refusal(first, NOON + 6 * MINUTE, "m-2", waited=True).status is Status.SENDER_REFUSED


@pytest.mark.parametrize(("by_the_app", "hours"), [(False, 1), (True, 3)])
def test_a_right_may_still_spread_for_hours_after_the_consent(hours: int, *, by_the_app: bool) -> None:
    account = {"account": None, "secret_name": None} if by_the_app else {}
    settings = some_settings(consent=a_consent(consented_at=NOON - hours * HOUR + MINUTE, **account))
    assert record_refusal(settings, NOON, "m-1") == settings
    first = record_refusal(settings, NOON + MINUTE, "m-1")
    assert first.refusal is not None


@pytest.mark.parametrize("status", [Status.RECONNECT_NEEDED, Status.OPERATOR_ERROR])
def test_a_problem_that_already_stops_every_mail_is_kept(status: Status) -> None:
    settings = some_settings(status=status, problem=denied(NOON, "consent_lost"))

    assert record_refusal(settings, NOON, "m-1") == settings


def test_results_for_an_older_consent_change_nothing() -> None:
    assert record_refusal(some_settings(), NOON, "m-1", older=True) == some_settings()
    assert end_refusal(refused(), 2) == refused()


def test_a_mailbox_not_found_by_its_id_is_searched_by_its_address_first() -> None:
    settings = some_settings(consent=a_consent(mailbox_id="old-id"))
    first = record_refusal(settings, NOON, "m-1", graph_code="ErrorInvalidUser")
    after = record_refusal(first, NOON + 5 * MINUTE, "m-1", graph_code="ErrorInvalidUser")

    assert after.consent is not None
    assert (after.status, after.consent.mailbox_id, after.refusal) == (Status.ENABLED, None, None)


def test_a_refused_sender_shows_the_latest_reason_and_since_when_it_lasts() -> None:
    assert record_refusal(refused(), NOON + HOUR, "m-2") == refused()
    full = record_refusal(refused(), NOON + HOUR, "m-2", code="mailbox_full")

    assert (full.status, full.problem) == (Status.SENDER_REFUSED, denied(NOON + HOUR, "mailbox_full"))


def test_only_the_probe_is_tried_and_only_once() -> None:
    probing = begin_probe(refused(), "m-2", NOON + HOUR)
    assert refusal_of(probing, "m-2") is None
    error = refusal_of(probing, "m-1")
    assert error is not None
    assert (error.code, error.params) == ("send_as_denied", FACTS)

    after = record_refusal(probing, NOON + HOUR, "m-2")
    assert refusal_of(after, "m-2") is not None
    assert after.refusal == SenderRefusal(NOON, "m-1", probed_at=NOON + HOUR, probe_count=1)


def test_nothing_is_tried_where_nothing_is_refused() -> None:
    assert refusal_of(some_settings(), "m-1") is None
    assert begin_probe(some_settings(), "m-1", NOON) == some_settings()
    assert is_probe_due(some_settings(), NOON)


@pytest.mark.parametrize(
    ("probes", "waited", "due"),
    [
        (0, 8 * MINUTE, False),
        (0, 9 * MINUTE, True),
        (5, 9 * MINUTE, True),
        (6, 58 * MINUTE, False),
        (6, 59 * MINUTE, True),
        # It was written by a clock that was wrong.
        (6, -MINUTE, True),
    ],
)
def test_a_mail_tries_every_ten_minutes_and_after_an_hour_every_hour(
    probes: int, waited: timedelta, *, due: bool
) -> None:
    settings = refused(refusal=SenderRefusal(NOON, "m-1", probed_at=NOON, probe_count=probes))

    assert is_probe_due(settings, NOON + waited) is due


def test_an_accepted_mail_ends_it() -> None:
    assert end_refusal(refused(), 1) == some_settings()
    assert end_refusal(some_settings(refusal=SenderRefusal(NOON, "m-1")), 1) == some_settings()


def test_an_accepted_mail_ends_no_problem_of_another_kind() -> None:
    lost = refused(status=Status.RECONNECT_NEEDED, problem=denied(NOON, "consent_lost"))

    assert end_refusal(lost, 1) == replace(lost, refusal=None)


def test_a_token_that_is_issued_ends_no_refusal() -> None:
    after = record_token_refresh(refused(), 1, NOON + HOUR, stored=False)

    assert (after.status, after.problem) == (Status.SENDER_REFUSED, denied(NOON))


def test_a_lost_consent_takes_precedence() -> None:
    assert mark_reconnect_needed(refused(), 1, denied(NOON, "consent_lost")).status is Status.RECONNECT_NEEDED


def test_an_address_that_is_taken_from_the_list_is_an_operator_error() -> None:
    by_app = refused(
        sender=RequestedSender("ada@contoso.com", authorization=Authorization.APPLICATION),
        consent=a_consent(account=None, secret_name=None),
    )

    assert with_sender_list(by_app, ["ada@contoso.com"], NOON) == by_app
    assert with_sender_list(by_app, [], NOON).status is Status.OPERATOR_ERROR


def test_after_a_refusal_a_save_needs_new_consent_and_tries_one_mail() -> None:
    wanted = RequestedSender("ada@contoso.com")
    check_enable(refused(), wanted)
    assert not is_unchanged(refused(), wanted)
    with pytest.raises(ConflictError):
        check_enable(some_settings(), wanted)

    tried = refused(
        pending=PendingConsent("flow-2", 2, wanted, NOON + HOUR),
        refusal=SenderRefusal(NOON, "m-1", "m-3", NOON, 9),
    )
    after = complete_consent(tried, "flow-2", a_consent(version=2))
    assert (after.status, after.problem) == (Status.ENABLED, None)
    assert after.refusal == SenderRefusal(NOON, "m-1")
    assert is_probe_due(after, NOON)


def test_a_reset_forgets_it() -> None:
    assert reset(refused()).refusal is None
