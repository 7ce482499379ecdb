"""How tables are accessed and refuse; contracts are in tests/contracts."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import cast

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.data.tables import TableClient, TableServiceClient

from shared.adapters.delivery_table import TableDeliveryLog
from shared.adapters.flow_table import TableFlowStore
from shared.adapters.table_storage import TableSettingsStore, table_service
from shared.config import StorageConfig
from shared.consent.flow import ConsentFlow, FlowSecret
from shared.deliveries.delivery import Delivery
from shared.deliveries.event import DeliveryEvent
from shared.deliveries.status import DeliveryStatus
from shared.errors import ConfigurationError, TransientError
from shared.settings.tenant import TenantSettings
from tests.fakes import CONTOSO, NOON
from tests.local_stack.azurite import Azurite
from tests.local_stack.storage_gates import UNAVAILABLE, Outage, StorageGates
from tests.local_stack.storage_responses import batch_error
from tests.storage import provision


class Identity:
    """A credential with a constant token."""

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        return AccessToken("a-token", 4_102_444_800)


def no_identity() -> Identity:
    raise AssertionError("a connection string needs no credential")


@pytest.fixture
def service(azurite: Azurite) -> Iterator[TableServiceClient]:
    with table_service(StorageConfig(azurite.connection_string), no_identity) as connected:
        yield connected


class MissingTables:
    """A service without tables."""

    def __init__(self, service: TableServiceClient) -> None:
        self._service = service

    def get_table_client(self, name: str) -> TableClient:
        return self._service.get_table_client(f"Missing{name}")


def test_a_missing_table_is_an_operator_error_and_not_an_empty_one(service: TableServiceClient) -> None:
    elsewhere = cast("TableServiceClient", MissingTables(service))
    flows, settings = TableFlowStore(elsewhere), TableSettingsStore(elsewhere)
    flow = ConsentFlow("flow", CONTOSO, "ada-object-id", "ada@contoso.com", NOON)
    uses: list[Callable[[], object]] = [
        lambda: flows.add(flow, FlowSecret("flow")),
        lambda: flows.save(flow),
        lambda: flows.flow("flow"),
        lambda: settings.load(CONTOSO),
        lambda: settings.save(TenantSettings(CONTOSO)),
        lambda: settings.save(TenantSettings(CONTOSO, etag='W/"1"')),
    ]

    for use in uses:
        with pytest.raises(ConfigurationError) as refused:
            use()
        assert refused.value.code == "storage_incomplete"


def test_a_storage_that_is_not_there_is_waited_for() -> None:
    nowhere = (
        "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;TableEndpoint=http://127.0.0.1:9/a;"
    )
    with (
        table_service(StorageConfig(nowhere), no_identity) as connected,
        pytest.raises(TransientError) as refused,
    ):
        TableSettingsStore(connected).load(CONTOSO)
    assert refused.value.code == "storage_unavailable"


# Azurite refuses in XML, over which the SDK stumbles with a warning.
@pytest.mark.filterwarnings("ignore:Testing an element's truth value:DeprecationWarning")
def test_a_storage_that_refuses_the_app_is_an_operator_error(azurite: Azurite) -> None:
    wrong_key = azurite.connection_string.replace("AccountKey=Eby8", "AccountKey=aaaa")

    with (
        table_service(StorageConfig(wrong_key), no_identity) as connected,
        pytest.raises(ConfigurationError) as refused,
    ):
        TableSettingsStore(connected).load(CONTOSO)
    # Azurite's code for a wrong key is the one that Azure Storage has for its firewall.
    assert refused.value.code == "storage_network_denied"


def test_with_an_identity_no_connection_string_is_needed() -> None:
    config = StorageConfig(table_uri="https://mailer.table.core.windows.net")

    with table_service(config, Identity) as connected:
        assert connected.url == "https://mailer.table.core.windows.net"


@pytest.fixture
def gates(azurite: Azurite) -> Iterator[StorageGates]:
    provision(azurite.connection_string)
    with StorageGates(azurite) as running:
        yield running


@pytest.fixture
def gated_log(gates: StorageGates) -> Iterator[TableDeliveryLog]:
    with table_service(StorageConfig(gates.connection_string), no_identity) as connected:
        yield TableDeliveryLog(connected)


def a_claim(queue_id: str = "q-1") -> Delivery:
    row = Delivery(str(uuid.uuid4()), "m-1", DeliveryStatus.SENDING, NOON, NOON, NOON, fingerprint="f")
    return row.with_claim(queue_id, NOON)


def test_a_row_whose_response_was_lost_is_known_as_written(
    gates: StorageGates, gated_log: TableDeliveryLog
) -> None:
    with gates.during("table", Outage(responds=False, every=2)):
        for _ in range(3):
            added = gated_log.add(a_claim())
            assert added
            saved = gated_log.save(added.transition(DeliveryStatus.ACCEPTED, NOON))
            assert saved
            assert gated_log.save(saved.with_event(DeliveryEvent(NOON, DeliveryStatus.ACCEPTED)))

    assert gates.hits >= 6


def test_a_claim_of_another_worker_is_not_taken_for_ones_own(
    gates: StorageGates, gated_log: TableDeliveryLog
) -> None:
    mine = a_claim()
    assert gated_log.add(replace(mine, claimed_by="q-2"))

    with gates.during("table", Outage(responds=False, every=2)):
        for _ in range(2):
            with suppress(TransientError):
                assert gated_log.add(mine) is None


def test_a_write_that_cannot_be_checked_is_retried_later(
    gates: StorageGates, gated_log: TableDeliveryLog
) -> None:
    with gates.during("table", UNAVAILABLE), pytest.raises(TransientError):
        gated_log.add(a_claim())


def test_an_unknown_refusal_propagates(gates: StorageGates, gated_log: TableDeliveryLog) -> None:
    with (
        gates.during("table", Outage(response=batch_error(400, "InvalidInput"))),
        pytest.raises(HttpResponseError),
    ):
        gated_log.add(a_claim())
