"""The queue and timer functions as the host calls them.

The ports are in memory.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import azure.functions as func
from azure.functions.queue import QueueMessage

from shared import triggers
from shared.bootstrap import Services
from shared.deliveries.status import DeliveryStatus
from shared.sending.ports import SendingServices
from shared.settings.tenant import Account
from shared.triggers import (
    delete_abandoned_consents,
    deliver_mail,
    keep_consents_alive,
    record_poisoned_mail,
    release_waiting_mails,
    remove_finished_deliveries,
)
from tests.api_client import enable, finish, open_start_link
from tests.builders import a_message, enabled_services
from tests.fakes import CONTOSO, NOON, FakeServices

if TYPE_CHECKING:
    import pytest


def test_the_process_provides_everything_that_sending_needs() -> None:
    needed = {name for name in vars(SendingServices) if not name.startswith("_")}

    assert needed - set(dir(Services())) == set()


def test_a_queued_message_is_delivered_under_its_queue_id(monkeypatch: pytest.MonkeyPatch) -> None:
    services = enabled_services()
    monkeypatch.setattr(triggers, "services", lambda: services)

    deliver_mail(QueueMessage(id="q-1", body=a_message(messageId="m-1")))
    deliver_mail(QueueMessage(id="q-2", body=b"not a mail"))

    assert services.deliveries.rows[CONTOSO, "m-1"].status is DeliveryStatus.ACCEPTED
    assert services.deliveries.rows[CONTOSO, "unreadable-q-2"].status is DeliveryStatus.INVALID


def test_the_timer_releases_waiting_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    services = enabled_services()
    services.settings.rows.clear()
    monkeypatch.setattr(triggers, "services", lambda: services)
    deliver_mail(QueueMessage(id="q-1", body=a_message()))
    services.settings.rows.update(enabled_services().settings.rows)

    release_waiting_mails(None)

    assert len(services.outbox.messages) == 1


def test_a_poisoned_message_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    services = enabled_services()
    monkeypatch.setattr(triggers, "services", lambda: services)

    record_poisoned_mail(QueueMessage(id="p-1", body=a_message(messageId="m-1")))

    assert services.deliveries.rows[CONTOSO, "m-1"].status is DeliveryStatus.WAITING_FOR_OPERATOR


def test_once_a_day_old_mails_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    services = enabled_services()
    monkeypatch.setattr(triggers, "services", lambda: services)
    deliver_mail(QueueMessage(id="q-1", body=a_message()))
    services.system.pass_time(timedelta(days=91))

    remove_finished_deliveries(None)

    assert not services.deliveries.rows


class Timer(func.TimerRequest):
    """The timer argument of the host."""

    @property
    def past_due(self) -> bool:
        return False


def test_the_timer_refreshes_consents(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = enabled_services()
    ports.system.pass_time(timedelta(days=1))
    monkeypatch.setattr(triggers, "services", lambda: ports)

    keep_consents_alive(Timer())

    consent = ports.settings.load(CONTOSO).consent
    assert consent is not None
    assert consent.refreshed_at == NOON + timedelta(days=1)


def test_the_timer_deletes_the_tokens_of_unconfirmed_consents(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ports = FakeServices()
    ports.authorizer.account = Account("reports-object-id", CONTOSO, "reports@contoso.com")
    finish(open_start_link(enable(ports, "reports@contoso.com"), ports), ports)
    ports.system.pass_time(timedelta(minutes=11))
    monkeypatch.setattr(triggers, "services", lambda: ports)

    delete_abandoned_consents(Timer())

    assert ports.vault.secrets == {}
