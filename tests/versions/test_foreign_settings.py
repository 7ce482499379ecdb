"""Settings of another version are not changed, and their mail waits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.api import settings as settings_api
from shared.consent.maintenance import maintain_consents
from shared.deliveries.status import DeliveryStatus
from shared.errors import ConfigurationError
from shared.sending.deliver import deliver
from shared.sending.diagnostics import Outcome, run_checks
from shared.sending.maintenance import release_all
from shared.settings.sender import SENDER_NOT_ALLOWED
from shared.settings.tenant import ActiveProblem, Authorization, RequestedSender, Status, TenantSettings
from tests.api_client import call, enable, read_settings
from tests.builders import a_consent, a_message, enabled_services, list_senders, some_settings
from tests.fakes import CONTOSO, NOON, FakeServices

EMBARGO = ActiveProblem("sender_embargoed", NOON, {"until": "2027"})


@pytest.fixture(params=["unreadable", "status"])
def services(request: pytest.FixtureRequest) -> FakeServices:
    """Build services with settings, or a status, of another version."""
    services = enabled_services()
    known = services.settings.load(CONTOSO)
    unreadable = TenantSettings(CONTOSO, status=Status.OTHER_VERSION, etag=known.etag)
    foreign = replace(known, status=Status.OTHER_VERSION, additions={"status": "embargoed"})
    services.settings.rows[CONTOSO] = unreadable if request.param == "unreadable" else foreign
    return services


def test_mail_waits_for_the_operator(services: FakeServices) -> None:
    deliver(a_message(messageId="m-1"), "q-1", services)

    row = services.deliveries.rows[CONTOSO, "m-1"]
    assert row.status is DeliveryStatus.WAITING_FOR_OPERATOR
    assert row.problem is not None
    assert row.problem.code == "written_by_other_version"
    assert services.requests.load(CONTOSO, "m-1") is not None


def test_the_page_shows_them_and_no_button_works(services: FakeServices) -> None:
    view = read_settings(services)

    assert view["status"] == "other_version"
    assert view["problem"]["code"] == "written_by_other_version"
    assert not any(view["actions"].values())


def test_settings_of_another_version_are_not_changed_and_keep_tokens(services: FakeServices) -> None:
    before, tokens = services.settings.load(CONTOSO), dict(services.vault.secrets)
    deliver(a_message(messageId="m-1"), "q-1", services)
    release_all(services)
    maintain_consents(services)
    for change in (lambda: enable(services), lambda: call(settings_api.reset_settings, services)):
        with pytest.raises(ConfigurationError) as refused:
            change()
        assert refused.value.code == "written_by_other_version"

    assert services.settings.load(CONTOSO) == before
    assert services.vault.secrets == tokens


def test_the_checks_say_what_is_so(services: FakeServices) -> None:
    checks = run_checks(CONTOSO, None, services)

    assert checks[0].problem is not None
    assert checks[0].problem.code == "written_by_other_version"
    assert {check.outcome for check in checks[1:]} == {Outcome.SKIPPED}


def test_the_list_of_senders_ends_no_status_of_another_version() -> None:
    problem = ActiveProblem(SENDER_NOT_ALLOWED, NOON, {"address": "reports@contoso.com"})
    services = enabled_services(
        status=Status.OTHER_VERSION,
        problem=problem,
        sender=RequestedSender("reports@contoso.com", authorization=Authorization.APPLICATION),
        consent=a_consent(account=None, secret_name=None),
    )
    list_senders(services, "reports@contoso.com")
    deliver(a_message(messageId="m-1"), "q-1", services)

    assert services.deliveries.rows[CONTOSO, "m-1"].status is DeliveryStatus.WAITING_FOR_OPERATOR


@pytest.mark.parametrize(
    ("status", "waits"),
    [
        (Status.OPERATOR_ERROR, DeliveryStatus.WAITING_FOR_OPERATOR),
        (Status.RECONNECT_NEEDED, DeliveryStatus.WAITING_FOR_CONSENT),
    ],
)
def test_a_problem_of_another_version_delays_mail_and_no_refresh_ends_it(
    status: Status, waits: DeliveryStatus
) -> None:
    services = FakeServices()
    services.settings.save(some_settings(status=status, problem=EMBARGO))
    services.vault.write(f"smtp-{CONTOSO}-1", "tokens")
    deliver(a_message(messageId="m-1"), "q-1", services)
    maintain_consents(services)
    release_all(services)

    assert services.deliveries.rows[CONTOSO, "m-1"].status is waits
    assert services.settings.load(CONTOSO).problem == EMBARGO
    assert read_settings(services)["problem"]["code"] == "sender_embargoed"
