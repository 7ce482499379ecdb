"""Older and newer versions share rows of refused senders without loss."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.adapters.serialization import read_document, write_document
from shared.deliveries.delivery import Delivery
from shared.deliveries.requeue import requeue_message
from shared.deliveries.status import DeliveryStatus
from shared.sending.deliver import deliver
from shared.sending.maintenance import release_all
from shared.settings.tenant import ActiveProblem, SenderRefusal, Status, TenantSettings
from tests.builders import a_message, enabled_services, some_settings
from tests.fakes import CONTOSO, NOON, FakeServices

NEW = ("sender_refused", "waiting_for_microsoft365", "refusal", "waited_for_sender")
PROBLEM = ActiveProblem("mailbox_full", NOON, {"address": "ada@contoso.com"})


def as_older_version_reads[Row: (Delivery, TenantSettings)](row: Row) -> Row:
    """Read a row as an older version that lacks all known names."""
    text = write_document(row)
    for name in NEW:
        text = text.replace(f'"{name}"', f'"later_{name}"')
    found = read_document(type(row), text)
    assert found is not None
    return found


def as_this_version_reads[Row: (Delivery, TenantSettings)](row: Row) -> Row:
    found = read_document(type(row), write_document(row).replace('"later_', '"'))
    assert found is not None
    return found


@pytest.fixture
def services() -> FakeServices:
    """Build an older version's services with a refused sender and a mail."""
    services = enabled_services()
    deliver(a_message(messageId="m-1"), "q-1", services)
    services.transport.sent.clear()
    waiting = services.deliveries.rows[CONTOSO, "m-1"].transition(
        DeliveryStatus.WAITING_FOR_MICROSOFT365, NOON, problem=PROBLEM, waited_for_sender=True
    )
    services.requests.save(CONTOSO, "m-1", a_message(messageId="m-1"))
    services.deliveries.rows[CONTOSO, "m-1"] = as_older_version_reads(waiting)
    refused = some_settings(
        status=Status.SENDER_REFUSED, problem=PROBLEM, refusal=SenderRefusal(NOON, "m-1", probed_at=NOON)
    )
    services.settings.rows[CONTOSO] = as_older_version_reads(refused)
    return services


def test_an_older_version_changes_nothing_of_what_it_cannot_read(services: FakeServices) -> None:
    row, settings = services.deliveries.rows[CONTOSO, "m-1"], services.settings.load(CONTOSO)
    assert row.status is DeliveryStatus.OTHER_VERSION
    assert settings.status is Status.OTHER_VERSION
    deliver(requeue_message(CONTOSO, "m-1"), "q-2", services)
    release_all(services)

    assert services.deliveries.rows[CONTOSO, "m-1"] == row
    assert services.settings.load(CONTOSO) == settings
    assert len(services.outbox.messages) == 1
    assert as_this_version_reads(row).status is DeliveryStatus.WAITING_FOR_MICROSOFT365
    assert as_this_version_reads(settings).refusal == SenderRefusal(NOON, "m-1", probed_at=NOON)


def test_all_mail_is_sent_once_the_newer_version_runs_again(services: FakeServices) -> None:
    deliver(a_message(messageId="m-2"), "q-2", services)
    assert services.deliveries.rows[CONTOSO, "m-2"].status is DeliveryStatus.WAITING_FOR_OPERATOR
    restored = as_this_version_reads(services.deliveries.rows[CONTOSO, "m-1"])
    services.deliveries.rows[CONTOSO, "m-1"] = services.deliveries.aside[CONTOSO, "m-1"] = restored
    services.settings.rows[CONTOSO] = as_this_version_reads(services.settings.load(CONTOSO))
    for _ in range(10):
        services.system.pass_time(timedelta(minutes=5))
        release_all(services)
        queued, services.outbox.messages = services.outbox.messages, []
        for text, delay in queued:
            services.system.pass_time(delay)
            deliver(text, f"q-{services.system.now()}", services)

    assert {row.status for row in services.deliveries.rows.values()} == {DeliveryStatus.ACCEPTED}
    assert len(services.transport.sent) == 2
    assert services.settings.load(CONTOSO).status is Status.ENABLED
