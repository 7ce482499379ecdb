"""The queue's function as the host calls it, over ports in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azure.functions.queue import QueueMessage

from shared.deliveries.delivery import DeliveryStatus
from shared.sending import triggers
from shared.sending.triggers import deliver_mail, release_waiting_mails
from tests.builders import a_message, enabled_services
from tests.fakes import CONTOSO

if TYPE_CHECKING:
    import pytest


def test_a_queued_message_is_delivered_under_its_queue_id(monkeypatch: pytest.MonkeyPatch) -> None:
    services = enabled_services()
    monkeypatch.setattr(triggers, "services", lambda: services)

    deliver_mail(QueueMessage(id="q-1", body=a_message(messageId="m-1")))
    deliver_mail(QueueMessage(id="q-2", body=b"not a mail"))

    assert services.deliveries.rows[CONTOSO, "m-1"].status is DeliveryStatus.ACCEPTED
    assert services.deliveries.rows[CONTOSO, "unreadable-q-2"].status is DeliveryStatus.INVALID


def test_the_clock_releases_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    services = enabled_services()
    services.settings.rows.clear()
    monkeypatch.setattr(triggers, "services", lambda: services)
    deliver_mail(QueueMessage(id="q-1", body=a_message()))
    services.settings.rows.update(enabled_services().settings.rows)

    release_waiting_mails(None)

    assert len(services.outbox.messages) == 1
