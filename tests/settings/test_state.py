from dataclasses import replace
from datetime import timedelta

import pytest

from shared.errors import ConflictError
from shared.settings.consent_health import record_token_refresh
from shared.settings.state import (
    begin_consent,
    check_enable,
    complete_consent,
    end_consent,
    forget_mailbox_id,
    mark_reconnect_needed,
    pending_consent,
    record_deleted_tokens,
    record_operator_error,
    record_undeleted_tokens,
    record_vault_content,
    reset,
)
from shared.settings.tenant import ActiveProblem, PendingConsent, RequestedSender, Status, TenantSettings
from tests.builders import a_consent, some_settings
from tests.fakes import CONTOSO, NOON

LATER = NOON + timedelta(minutes=10)
PROBLEM = ActiveProblem("consent_lost", NOON, {"account": "ada@contoso.com", "error": "AADSTS50173"})
OPERATOR_PROBLEM = ActiveProblem("client_credential_refused", NOON, {"error": "AADSTS7000222"})
WANTED = RequestedSender("new@contoso.com")
EVERY = {
    Status.NOT_CONFIGURED: TenantSettings(CONTOSO),
    Status.ENABLED: some_settings(),
    Status.RECONNECT_NEEDED: some_settings(status=Status.RECONNECT_NEEDED, problem=PROBLEM),
    Status.OPERATOR_ERROR: some_settings(status=Status.OPERATOR_ERROR, problem=OPERATOR_PROBLEM),
}


@pytest.fixture(params=list(EVERY), ids=str)
def settings(request: pytest.FixtureRequest) -> TenantSettings:
    return EVERY[request.param]


def test_enable_is_refused_only_where_sending_works(settings: TenantSettings) -> None:
    if settings.status is Status.ENABLED:
        with pytest.raises(ConflictError) as refused:
            check_enable(settings, WANTED)
        assert refused.value.code == "already_enabled"
        assert "ada@contoso.com" in refused.value.problem.detail
    else:
        check_enable(settings, WANTED)


def test_a_pending_consent_changes_nothing_that_works(settings: TenantSettings) -> None:
    begun = begin_consent(settings, RequestedSender("new@contoso.com"), "flow", LATER)

    assert (begun.status, begun.sender, begun.consent, begun.problem) == (
        settings.status,
        settings.sender,
        settings.consent,
        settings.problem,
    )


def test_each_consent_gets_a_generation_that_was_never_used(settings: TenantSettings) -> None:
    first = begin_consent(settings, RequestedSender("a@contoso.com"), "one", LATER)
    second = begin_consent(reset(first), RequestedSender("a@contoso.com"), "two", LATER)

    assert first.pending is not None
    assert second.pending is not None
    assert settings.last_version < first.pending.version < second.pending.version


def test_a_completed_consent_enables_from_every_state(settings: TenantSettings) -> None:
    begun = begin_consent(settings, RequestedSender("new@contoso.com"), "flow", LATER)

    done = complete_consent(begun, "flow", a_consent(version=begun.last_version))

    assert done.status is Status.ENABLED
    assert done.sender == RequestedSender("new@contoso.com")
    assert done.pending is None
    assert done.problem is None


def test_a_superseded_consent_can_not_be_completed(settings: TenantSettings) -> None:
    newer = begin_consent(
        begin_consent(settings, RequestedSender("a@contoso.com"), "old", LATER),
        RequestedSender("b@contoso.com"),
        "new",
        LATER,
    )

    with pytest.raises(ConflictError) as refused:
        complete_consent(newer, "old", a_consent(version=newer.last_version - 1))
    assert refused.value.code == "consent_superseded"


def test_a_completed_consent_stays_completed() -> None:
    begun = begin_consent(TenantSettings(CONTOSO), WANTED, "flow", LATER)
    done = complete_consent(begun, "flow", a_consent(version=1))

    assert complete_consent(done, "flow", a_consent(version=1)) == done


def test_reset_ends_a_pending_consent(settings: TenantSettings) -> None:
    begun = begin_consent(settings, RequestedSender("a@contoso.com"), "flow", LATER)

    with pytest.raises(ConflictError):
        pending_consent(reset(begun), "flow")


def test_reset_leads_to_not_configured_from_everywhere(settings: TenantSettings) -> None:
    emptied = reset(settings)

    left = (f"smtp-{CONTOSO}-1",) if settings.consent else ()
    assert emptied == TenantSettings(
        CONTOSO, last_version=settings.last_version, undeleted_tokens=left, etag=settings.etag
    )


def test_tokens_that_a_consent_replaces_are_to_be_deleted() -> None:
    begun = begin_consent(some_settings(), RequestedSender("a@contoso.com"), "flow", LATER)

    done = complete_consent(begun, "flow", a_consent(version=2, secret_name="new"))

    assert done.undeleted_tokens == (f"smtp-{CONTOSO}-1",)


def test_deleted_tokens_are_not_to_be_deleted_any_more() -> None:
    settings = record_undeleted_tokens(TenantSettings(CONTOSO, undeleted_tokens=("a",)), "b", NOON)

    assert record_deleted_tokens(settings, "a", None, NOON).undeleted_tokens == ("b",)
    assert record_deleted_tokens(settings, "a", LATER, NOON) == replace(
        settings, undeleted_tokens=("b",), recoverable_until=LATER, deleted_at=NOON
    )


def test_of_tokens_that_can_not_be_deleted_a_row_names_the_newest() -> None:
    settings = TenantSettings(CONTOSO)
    for number in range(200):
        settings = record_undeleted_tokens(settings, f"smtp-{number}", NOON)

    assert len(settings.undeleted_tokens) == 50
    assert settings.undeleted_tokens[-1] == "smtp-199"


def test_what_the_vault_has_corrects_what_was_noted() -> None:
    noted = TenantSettings(CONTOSO, undeleted_tokens=("a", "b"), recoverable_until=LATER, deleted_at=NOON)

    seen = record_vault_content(noted, ["b", "c"], [], None, NOON + timedelta(hours=1))

    assert (seen.undeleted_tokens, seen.recoverable_until) == (("b",), None)


def test_tokens_that_were_just_deleted_may_not_be_listed_yet() -> None:
    noted = TenantSettings(CONTOSO, recoverable_until=LATER, deleted_at=NOON)
    soon = NOON + timedelta(minutes=59)

    assert record_vault_content(noted, [], [], None, soon) == noted
    assert record_vault_content(noted, [], [], NOON, soon) == noted
    lost = replace(noted, undeleted_tokens=("a", "b"))
    assert record_vault_content(lost, [], ["b"], LATER, soon).undeleted_tokens == ("a",)
    later = LATER + timedelta(days=1)
    assert record_vault_content(noted, [], [], later, soon).recoverable_until == later


def test_a_consent_that_ended_without_success_leaves_what_worked(settings: TenantSettings) -> None:
    begun = begin_consent(settings, RequestedSender("a@contoso.com"), "flow", LATER)

    assert end_consent(begun, "flow") == replace(settings, last_version=begun.last_version)


def test_the_end_of_an_older_consent_leaves_the_newer_one_pending() -> None:
    begun = begin_consent(some_settings(), RequestedSender("a@contoso.com"), "new", LATER)

    assert end_consent(begun, "old") == begun
    assert end_consent(some_settings(), "old") == some_settings()


def test_a_lost_consent_needs_a_reconnect_if_there_was_one(settings: TenantSettings) -> None:
    lost = mark_reconnect_needed(settings, 1, PROBLEM)

    if settings.consent is None:
        assert lost == settings
    else:
        assert (lost.status, lost.problem) == (Status.RECONNECT_NEEDED, PROBLEM)
        assert lost.sender == settings.sender


def test_a_repeated_problem_keeps_its_start_time() -> None:
    week = timedelta(days=7)
    lost = mark_reconnect_needed(some_settings(), 1, PROBLEM)
    broken = record_operator_error(some_settings(), 1, OPERATOR_PROBLEM)

    assert mark_reconnect_needed(lost, 1, replace(PROBLEM, since=NOON + week)).problem == PROBLEM
    assert record_operator_error(broken, 1, replace(OPERATOR_PROBLEM, since=NOON + week)).problem == (
        OPERATOR_PROBLEM
    )
    another = ActiveProblem("sign_in_blocked", NOON + week, {"error": "AADSTS53003"})
    assert mark_reconnect_needed(lost, 1, another).problem == another


def test_an_operator_error_never_hides_a_lost_consent(settings: TenantSettings) -> None:
    noted = record_operator_error(settings, 1, OPERATOR_PROBLEM)

    if settings.status in {Status.NOT_CONFIGURED, Status.RECONNECT_NEEDED}:
        assert noted == settings
    else:
        assert (noted.status, noted.problem) == (Status.OPERATOR_ERROR, OPERATOR_PROBLEM)


def test_a_good_refresh_ends_every_problem(settings: TenantSettings) -> None:
    refreshed = record_token_refresh(settings, 1, LATER, stored=False)

    if settings.consent is None:
        assert refreshed == settings
    else:
        assert (refreshed.status, refreshed.problem) == (Status.ENABLED, None)
        assert refreshed.consent == a_consent(refreshed_at=LATER)


def test_a_rewritten_token_is_noted_with_its_time() -> None:
    assert record_token_refresh(some_settings(), 1, LATER, stored=True).consent == a_consent(
        refreshed_at=LATER, stored_at=LATER
    )


def test_a_result_for_an_older_consent_changes_nothing(settings: TenantSettings) -> None:
    assert mark_reconnect_needed(settings, 7, PROBLEM) == settings
    assert record_operator_error(settings, 7, OPERATOR_PROBLEM) == settings
    assert record_token_refresh(settings, 7, LATER, stored=True) == settings
    assert forget_mailbox_id(settings, 7) == settings


def test_the_pending_consent_is_found_by_its_flow() -> None:
    begun = begin_consent(some_settings(), RequestedSender("a@contoso.com"), "flow", LATER)

    assert pending_consent(begun, "flow") == PendingConsent(
        "flow", 2, RequestedSender("a@contoso.com"), LATER
    )
