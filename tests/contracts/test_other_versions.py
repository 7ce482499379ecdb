"""The contract of the tables for rows written by another app version."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from azure.data.tables import UpdateMode

from shared.adapters.delivery_table import TableDeliveryLog
from shared.adapters.flow_table import TableFlowStore
from shared.adapters.operator_table import TableOperatorLog
from shared.adapters.table_storage import TableSettingsStore
from shared.consent.flow import ConsentFlow, FlowSecret
from shared.deliveries.delivery import Delivery
from shared.deliveries.ports import DeliveryQuery
from shared.deliveries.status import DeliveryStatus
from shared.settings.tenant import Status
from shared.storage_names import CONSENT_FLOWS, DELIVERIES, TENANT_SETTINGS
from tests.builders import some_settings
from tests.fakes import NOON

if TYPE_CHECKING:
    from tests.contracts.conftest import Tables

UNREADABLE = ("{", '{"of": "a newer version"}', "")


@pytest.fixture
def tenant() -> str:
    return str(uuid.uuid4())


def change(tables: Tables, table: str, partition: str, **columns: Any) -> None:
    """Change columns of every row of a partition, as another version does."""
    with tables.get_table_client(table) as client:
        for row in list(client.query_entities("PartitionKey eq @p", parameters={"p": partition})):
            keys = {"PartitionKey": partition, "RowKey": row["RowKey"]}
            client.update_entity({**keys, **columns}, mode=UpdateMode.MERGE)


def columns_of(tables: Tables, table: str, partition: str, row: str) -> dict[str, Any]:
    with tables.get_table_client(table) as client:
        return dict(client.get_entity(partition, row))


def two_mails(tables: Tables, tenant: str) -> TableDeliveryLog:
    log = TableDeliveryLog(tables)
    for number, status in enumerate((DeliveryStatus.DEFERRED, DeliveryStatus.ACCEPTED)):
        log.add(Delivery(tenant, f"m-{number}", status, NOON, NOON, NOON, fingerprint="f"))
    return log


@pytest.mark.parametrize("text", UNREADABLE)
def test_a_row_that_cannot_be_read_is_listed_as_such_beside_the_others(
    tables: Tables, tenant: str, text: str
) -> None:
    log = two_mails(tables, tenant)
    change(tables, DELIVERIES, tenant, Document=text)
    log.add(Delivery(tenant, "m-2", DeliveryStatus.ACCEPTED, NOON, NOON, NOON))

    listed = {row.message_id: row for row in log.list(DeliveryQuery(tenant)).deliveries}
    assert {name: row.status.value for name, row in listed.items()} == {
        "m-0": "other_version",
        "m-1": "other_version",
        "m-2": "accepted",
    }
    assert listed["m-0"].queued_at == NOON
    found = log.find(tenant, "m-0")
    assert found is not None
    assert (found.tenant_id, found.status) == (tenant, DeliveryStatus.OTHER_VERSION)
    (pending,) = log.list_pending(tenant, [DeliveryStatus.DEFERRED], 5)
    assert (pending.message_id, pending.status) == ("m-0", DeliveryStatus.OTHER_VERSION)


def test_a_row_without_a_time_of_its_own_is_listed_too(tables: Tables, tenant: str) -> None:
    with tables.get_table_client(DELIVERIES) as client:
        client.create_entity({"PartitionKey": tenant, "RowKey": "m-9", "Status": "new"})

    found = TableDeliveryLog(tables).find(tenant, "m-9")
    assert found is not None
    assert found.status is DeliveryStatus.OTHER_VERSION


def test_rows_in_a_status_of_another_version_can_be_listed_separately(tables: Tables, tenant: str) -> None:
    log = two_mails(tables, tenant)
    change(tables, DELIVERIES, tenant, Status="embargoed", Document='{"status": "embargoed"}')
    log.add(Delivery(tenant, "m-2", DeliveryStatus.ACCEPTED, NOON, NOON, NOON))

    shown = log.list(DeliveryQuery(tenant, status=DeliveryStatus.OTHER_VERSION)).deliveries
    assert sorted(row.message_id for row in shown) == ["m-0", "m-1"]
    old = log.finished_before(tenant, NOON.replace(year=2100), None).deliveries
    assert [row.message_id for row in old] == ["m-2"]


def test_columns_that_another_version_added_survive_a_write(tables: Tables, tenant: str) -> None:
    log = two_mails(tables, tenant)
    store = TableSettingsStore(tables)
    saved = store.save(replace(some_settings(), tenant_id=tenant))
    change(tables, DELIVERIES, tenant, Priority=3)
    change(tables, TENANT_SETTINGS, tenant, Region="west")
    known = log.find(tenant, "m-0")
    assert known is not None
    log.save(replace(known, attempt=2))
    store.save(replace(store.load(tenant), last_version=saved.last_version + 1))

    assert columns_of(tables, DELIVERIES, tenant, "m-0")["Priority"] == 3
    assert columns_of(tables, TENANT_SETTINGS, tenant, "smtp")["Region"] == "west"


@pytest.mark.parametrize("text", UNREADABLE)
def test_settings_that_cannot_be_read_say_so(tables: Tables, tenant: str, text: str) -> None:
    store = TableSettingsStore(tables)
    store.save(replace(some_settings(), tenant_id=tenant))
    change(tables, TENANT_SETTINGS, tenant, Document=text)
    found = store.load(tenant)

    assert (found.tenant_id, found.status, found.consent) == (tenant, Status.OTHER_VERSION, None)
    assert found.etag is not None


@pytest.mark.parametrize("text", UNREADABLE)
def test_a_pending_consent_that_cannot_be_read_is_not_known(tables: Tables, tenant: str, text: str) -> None:
    store, flow_id = TableFlowStore(tables), str(uuid.uuid4())
    flow = ConsentFlow(flow_id, tenant, "ada-id", "ada@contoso.com", NOON)
    store.add(flow, FlowSecret(flow_id, ticket_hash="t", expires_at=NOON))
    change(tables, CONSENT_FLOWS, flow_id, Document=text)

    assert store.flow(flow_id) is None
    assert store.secret(flow_id) is None
    assert flow_id not in store.of_tenant(tenant)
    assert flow_id not in {secret.flow_id for secret in store.unconfirmed(NOON.replace(year=2100))}


def test_an_unreadable_operator_action_is_left_for_another_version(
    tables: Tables,
) -> None:
    row = {"PartitionKey": "installation", "RowKey": f"action:2026-11-23:{uuid.uuid4()}", "Document": "{"}
    with tables.get_table_client(TENANT_SETTINGS) as client:
        client.create_entity(row)

        assert "{" not in {action.action_id for action in TableOperatorLog(tables).unreported()}
        assert client.get_entity(row["PartitionKey"], row["RowKey"])["Document"] == "{"
        client.delete_entity(row["PartitionKey"], row["RowKey"])
