"""The calls that a small mail costs on a warm worker."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from azure.core.pipeline.transport import RequestsTransport
from azure.data.tables import TableServiceClient

from shared.adapters.delivery_table import TableDeliveryLog
from shared.adapters.pause_table import TablePauseStore
from shared.adapters.schedule_table import TableScheduleStore
from shared.adapters.table_storage import TableSettingsStore
from shared.sending.deliver import deliver
from shared.settings.ownership import OwnedSettings
from shared.settings.sending_switch import SendingSwitch
from tests.builders import a_message, enabled_services, some_settings
from tests.fakes import CLIENT_ID, INSTALLATION

if TYPE_CHECKING:
    from shared.config import StorageConfig


class CountingTransport(RequestsTransport):  # type: ignore[misc] # the package exports it lazily
    """Counts requests as they leave."""

    calls = 0

    def send(self, request: Any, **options: Any) -> Any:
        self.calls += 1
        return super().send(request, **options)


def test_a_small_mail_costs_graph_1_entra_0_key_vault_0_and_tables_3(storage: StorageConfig) -> None:
    tenant, transport = str(uuid.uuid4()), CountingTransport()
    services = enabled_services()
    services.configure(allowed_tenant_ids=frozenset({tenant}))
    assert storage.connection_string
    with TableServiceClient.from_connection_string(storage.connection_string, transport=transport) as tables:
        stored = TableSettingsStore(tables)
        services.settings = OwnedSettings(  # type: ignore[assignment]
            stored, lambda: INSTALLATION, lambda _: CLIENT_ID, services.system
        )
        services.deliveries = TableDeliveryLog(tables)  # type: ignore[assignment]
        services.schedules = TableScheduleStore(tables)  # type: ignore[assignment]
        services.switch = SendingSwitch(TablePauseStore(tables), services.system)
        services.settings.save(replace(some_settings(), tenant_id=tenant))
        deliver(a_message(messageId="warm", tenantId=tenant), "q-0", services)
        services.vault.secrets.clear()
        services.transport.calls.clear()
        transport.calls = 0

        for number in range(4):
            deliver(a_message(messageId=f"m-{number}", tenantId=tenant), f"q-{number}", services)

        mails = transport.calls
        services.system.pass_time(timedelta(seconds=10))
        deliver(a_message(messageId="m-4", tenantId=tenant), "q-4", services)

    assert mails == 4 * 3
    # The switch that pauses sending is read once in ten seconds, and the mailbox's schedule once in two,
    # whatever the number of mails.
    assert transport.calls - mails == 3 + 1 + 1
    assert services.transport.calls == ["send_mail"] * 5
    assert services.authorizer.refreshed == ["tokens"]
    assert not services.requests.kept
    assert not services.outbox.messages
