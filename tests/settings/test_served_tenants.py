"""For a tenant not served any more nothing is sent and nothing is lost."""

from __future__ import annotations

import copy
import logging
from datetime import timedelta
from typing import Any

import pytest

from shared.api import consent
from shared.consent.maintenance import maintain_consents
from shared.deliveries.delivery import Delivery
from shared.deliveries.requeue import next_attempt_message
from shared.deliveries.retention import remove_finished
from shared.deliveries.status import DeliveryStatus
from shared.errors import ConfigurationError, TransientError
from shared.sending.deliver import deliver
from shared.sending.maintenance import release_all
from shared.settings.sending_switch import SendingPause
from shared.settings.served_tenants import unserved_tenants
from shared.settings.tenant import Status
from tests.api_client import a_request, content, enable, finish, open_start_link, post_ticket
from tests.builders import a_consent, a_message, enabled_services, large_file_services, some_settings
from tests.fakes import CONFIG, CONTOSO, FABRIKAM, FakeServices

MAIL = a_message(messageId="m-1")


def remove(services: FakeServices) -> None:
    """Deploy with a list of tenants from which Contoso is missing."""
    services.configure(allowed_tenant_ids=frozenset({FABRIKAM}))


def restore_tenant(services: FakeServices) -> None:
    services.config = CONFIG


def copy_of_storage(services: FakeServices) -> dict[str, Any]:
    """Copy everything that is stored of every tenant."""
    return copy.deepcopy(
        {
            "settings": services.settings.rows,
            "tokens": services.vault.secrets,
            "older": services.vault.older,
            "rows": services.deliveries.rows,
            "requests": services.requests.kept,
            "drafts": services.drafts.kept,
        }
    )


@pytest.fixture
def services() -> FakeServices:
    """Build a tenant with mails in every state and a month-old token."""
    services = large_file_services()
    moment = services.system.now() - timedelta(days=200)
    for status in DeliveryStatus:
        row = Delivery(CONTOSO, status, status, moment, moment, moment, next_attempt_at=moment)
        services.deliveries.add(row)
        services.requests.save(CONTOSO, status, MAIL)
        services.drafts.save(CONTOSO, status, b"{}")
    services.vault.write(f"smtp-{CONTOSO}-0", "of a consent before")
    services.system.pass_time(timedelta(days=31))
    return services


def test_timers_change_nothing_of_an_unserved_tenant_and_fetch_no_token(services: FakeServices) -> None:
    remove(services)
    before = copy_of_storage(services)
    for _ in range(3):
        release_all(services)
        maintain_consents(services)
        remove_finished(services)
        services.system.pass_time(timedelta(days=30))

    assert copy_of_storage(services) == before
    assert services.authorizer.refreshed == []
    assert services.transport.calls == []
    assert not services.outbox.messages


def test_the_operator_is_alerted_within_five_minutes_and_until_it_ends(
    services: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        release_all(services)
        assert "tenant_not_served" not in caplog.text
        remove(services)
        for _ in range(2):
            release_all(services)
        restore_tenant(services)
        release_all(services)

    events = [line for line in caplog.messages if line.startswith("tenant_not_served {")]
    assert events == [f'tenant_not_served {{"tenant_id": "{CONTOSO}"}}'] * 2


def test_the_alert_is_raised_during_a_pause_too(
    services: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    services.pause_store.save(SendingPause(services.system.now()))
    remove(services)
    release_all(services)

    assert "tenant_not_served {" in caplog.text


def test_a_mail_of_a_tenant_that_left_waits_for_its_return(
    services: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    remove(services)
    before = services.settings.load(CONTOSO)
    deliver(MAIL, "q-1", services)

    row = services.deliveries.rows[CONTOSO, "m-1"]
    assert row.status is DeliveryStatus.WAITING_FOR_OPERATOR
    assert row.problem is not None
    assert row.problem.code == "tenant_not_served"
    assert services.requests.load(CONTOSO, "m-1") == MAIL
    assert services.settings.load(CONTOSO) == before
    assert services.authorizer.refreshed == []
    assert "tenant_not_served {" in caplog.text

    restore_tenant(services)
    release_all(services)
    (message,) = [
        text
        for text, _ in services.outbox.messages
        if text == next_attempt_message(services.deliveries.rows[CONTOSO, "m-1"])
    ]
    services.system.pass_time(timedelta(hours=1))
    deliver(message, "q-2", services)
    assert services.deliveries.rows[CONTOSO, "m-1"].status is DeliveryStatus.ACCEPTED


def test_a_mail_that_waited_before_there_were_settings_continues_to_wait() -> None:
    services = FakeServices()
    deliver(MAIL, "q-1", services)
    remove(services)
    deliver(MAIL, "q-2", services)

    assert services.deliveries.rows[CONTOSO, "m-1"].status is DeliveryStatus.WAITING_FOR_OPERATOR


def test_an_unknown_tenants_mail_is_sent_once_the_operator_adds_it() -> None:
    services = FakeServices()
    remove(services)
    for number in range(2):
        deliver(MAIL, f"q-{number}", services)
        assert services.deliveries.rows[CONTOSO, "m-1"].status is DeliveryStatus.WAITING_FOR_OPERATOR
    restore_tenant(services)
    services.settings.save(some_settings())
    services.vault.write(f"smtp-{CONTOSO}-1", "tokens")
    release_all(services)
    deliver(services.outbox.messages[-1][0], "q-3", services)

    assert services.deliveries.rows[CONTOSO, "m-1"].status is DeliveryStatus.ACCEPTED


def test_a_mail_that_may_have_been_sent_stays_uncertain() -> None:
    services = enabled_services()
    services.transport.fail = [TransientError("graph_unavailable")]
    deliver(MAIL, "q-1", services)
    remove(services)
    services.system.pass_time(timedelta(minutes=1))
    deliver(services.outbox.messages[0][0], "q-2", services)

    assert services.deliveries.rows[CONTOSO, "m-1"].status is DeliveryStatus.WAITING_FOR_OPERATOR
    assert services.settings.load(CONTOSO).status is Status.ENABLED


def test_no_token_is_returned_for_an_unserved_tenant(services: FakeServices) -> None:
    services.tokens.get(CONTOSO, a_consent())
    remove(services)

    for fresh in (False, True):
        with pytest.raises(ConfigurationError) as refused:
            services.tokens.get(CONTOSO, a_consent(), fresh=fresh)
        assert refused.value.code == "tenant_not_served"


def test_a_pending_consent_of_an_unserved_tenant_is_unknown_and_unredeemed() -> None:
    services = FakeServices()
    started = enable(services)
    bound = open_start_link(enable(services), services)
    remove(services)
    before = copy_of_storage(services)

    assert "consent_not_found" in content(post_ticket(started, services))["location"]
    assert "consent_not_found" in finish(bound, services).headers["Location"]
    assert copy_of_storage(services) == before
    assert services.vault.secrets == {}
    page = consent.result(a_request(query={"flow": bound.flow_id}), services)
    assert b"never started" in page.body


def test_while_a_setting_is_invalid_no_tenant_counts_as_removed(services: FakeServices) -> None:
    class Broken:
        settings = services.settings

        @property
        def allowed_tenants(self) -> frozenset[str]:
            raise ConfigurationError("setting_missing", setting="API_AUDIENCE")

    assert unserved_tenants(Broken()) == frozenset()


def test_a_step_of_the_timer_that_fails_stops_no_other(services: FakeServices) -> None:
    def unavailable() -> tuple[object, ...]:
        raise TransientError("storage_unavailable", service="tables")

    services.operator_log.unreported = unavailable  # type: ignore[method-assign,assignment]
    with pytest.raises(TransientError):
        release_all(services)

    assert services.outbox.messages
