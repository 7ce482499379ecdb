"""Faults of Azure Storage that Azurite does not have."""

from __future__ import annotations

import io
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from azure.data.tables import TableServiceClient

from shared.adapters.blob_storage import BlobAttachmentFiles, BlobTextStore, blob_service
from shared.adapters.delivery_table import TableDeliveryLog
from shared.adapters.flow_table import TableFlowStore
from shared.adapters.health_probes import probe_tables
from shared.adapters.queue_storage import StorageQueueOutbox
from shared.adapters.table_storage import STORAGE_OPTIONS, TABLE_OPTIONS, TableSettingsStore, table_service
from shared.config import StorageConfig
from shared.consent.flow import ConsentFlow, FlowSecret
from shared.deliveries.delivery import Delivery
from shared.deliveries.ports import DeliveryQuery
from shared.deliveries.status import DeliveryStatus
from shared.errors import ConfigurationError, ProblemError, RejectedError, TransientError
from shared.settings.tenant import TenantSettings
from tests.fakes import CONTOSO, NOON
from tests.local_stack.storage_gates import Break, Outage, Service, StorageGates
from tests.local_stack.storage_responses import StorageResponse, batch_error, table_error
from tests.storage import no_credential, provision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.local_stack.azurite import Azurite

FILE = "faults/sales.pdf"
CONTENT = bytes(100_000)


def a_claim() -> Delivery:
    row = Delivery(str(uuid.uuid4()), "m-1", DeliveryStatus.SENDING, NOON, NOON, NOON, fingerprint="f")
    return row.with_claim("q-1", NOON)


def a_flow() -> tuple[ConsentFlow, FlowSecret]:
    flow_id = str(uuid.uuid4())
    return ConsentFlow(flow_id, CONTOSO, "ada-object-id", "ada@contoso.com", NOON), FlowSecret(flow_id)


@dataclass
class CheckedGates:
    """Gates that check that each fault affected at least one request."""

    gates: StorageGates

    @contextmanager
    def during(self, service: Service, outage: Outage) -> Iterator[None]:
        """Apply an outage to one service during the block."""
        before = self.gates.hits
        with self.gates.during(service, outage):
            yield
        assert self.gates.hits > before, "no request was affected"


@dataclass
class Stores:
    """Every adapter of storage, behind the gates."""

    gates: CheckedGates
    log: TableDeliveryLog
    flows: TableFlowStore
    settings: TableSettingsStore
    files: BlobAttachmentFiles
    texts: BlobTextStore
    outbox: StorageQueueOutbox
    tables: TableServiceClient

    def stored_secret(self) -> FlowSecret:
        """Add a flow, and return its secret as read from the table."""
        flow, secret = a_flow()
        self.flows.add(flow, secret)
        found = self.flows.secret(flow.flow_id)
        assert found
        return found


@pytest.fixture(scope="module")
def stores(azurite: Azurite) -> Iterator[Stores]:
    provision(azurite.connection_string)
    with ExitStack() as cleanup:
        hasty = cleanup.enter_context(pytest.MonkeyPatch.context())
        for timeouts in (STORAGE_OPTIONS, TABLE_OPTIONS):
            hasty.setitem(timeouts, "initial_backoff", 0)
            hasty.setitem(timeouts, "increment_base", 0)
            hasty.setitem(timeouts, "retry_backoff_factor", 0)
        gates = cleanup.enter_context(StorageGates(azurite))
        config = StorageConfig(gates.connection_string)
        tables = cleanup.enter_context(table_service(config, no_credential))
        blobs = cleanup.enter_context(blob_service(config, no_credential))
        files = BlobAttachmentFiles(blobs)
        files.put(FILE, io.BytesIO(CONTENT))
        outbox = StorageQueueOutbox(config, no_credential)
        cleanup.callback(outbox._queue.close)
        yield Stores(
            CheckedGates(gates),
            TableDeliveryLog(tables),
            TableFlowStore(tables),
            TableSettingsStore(tables),
            files,
            BlobTextStore(blobs, "requests"),
            outbox,
            tables,
        )


#: Calls whose response is needed; each returns without an error only if it is known to have been carried out.
CALLS: dict[str, tuple[Service, Callable[[Stores], Any]]] = {
    "find a mail": ("table", lambda stores: stores.log.find(CONTOSO, "m-1")),
    "list mails": ("table", lambda stores: stores.log.list(DeliveryQuery(CONTOSO))),
    "count mails": ("table", lambda stores: stores.log.count(CONTOSO, [DeliveryStatus.SENDING])),
    "claim a mail": ("table", lambda stores: stores.log.add(a_claim())),
    "load settings": ("table", lambda stores: stores.settings.load(CONTOSO)),
    "list tenants": ("table", lambda stores: stores.settings.tenants()),
    "keep a flow": ("table", lambda stores: stores.flows.add(*a_flow())),
    "find a file": ("blob", lambda stores: stores.files.find(FILE)),
    "load a text": ("blob", lambda stores: stores.texts.load(CONTOSO, "m-1")),
    "list texts": ("blob", lambda stores: list(stores.texts.of_tenant(CONTOSO))),
    "put a message": ("queue", lambda stores: stores.outbox.put(b"{}", timedelta(0))),
    "look at the backlog": ("queue", lambda stores: stores.outbox.backlog()),
    "count the poison queue": ("queue", lambda stores: stores.outbox.poison_length()),
}
BREAKS: tuple[Break, ...] = ("closed", "reset", "cut")


@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize("call", CALLS)
def test_a_response_that_breaks_off_at_every_try_is_transient(stores: Stores, call: str, how: Break) -> None:
    service, make = CALLS[call]
    stores.texts.save(CONTOSO, "m-1", b"text")

    with stores.gates.during(service, Outage(breaks=how)), pytest.raises(TransientError) as unavailable:
        make(stores)
    assert unavailable.value.code == "storage_unavailable"


@pytest.mark.parametrize("how", BREAKS)
def test_a_file_whose_bytes_break_off_at_every_try_is_read_later(stores: Stores, how: Break) -> None:
    file = stores.files.find(FILE)

    with stores.gates.during("blob", Outage(breaks=how)), pytest.raises(TransientError):
        stores.files.read(file)
    assert stores.files.read(file) == CONTENT


@pytest.mark.parametrize("how", BREAKS)
def test_a_row_whose_response_breaks_off_is_known_as_written(stores: Stores, how: Break) -> None:
    with stores.gates.during("table", Outage(breaks=how, times=1)):
        added = stores.log.add(a_claim())
    assert added

    with stores.gates.during("table", Outage(breaks=how, times=1)):
        accepted = stores.log.save(added.transition(DeliveryStatus.ACCEPTED, NOON))
    assert accepted == stores.log.find(added.tenant_id, "m-1")


def test_a_stalled_response_to_a_batch_is_no_unforeseen_error(stores: Stores) -> None:
    connection = stores.gates.gates.connection_string
    with (
        TableServiceClient.from_connection_string(connection, read_timeout=1, retry_total=0) as hasty,
        stores.gates.during("table", Outage(breaks="stalled", times=1)),
    ):
        assert TableDeliveryLog(hasty).add(a_claim())


def test_the_write_timeout_is_longer_than_the_time_storage_may_take() -> None:
    assert TABLE_OPTIONS["read_timeout"] > 30


def test_a_claim_written_after_its_connection_broke_is_recognised(
    stores: Stores,
) -> None:
    claim = a_claim()
    late = Outage(hold=0.5, drops_at_once=True, times=1, path="$batch")
    with stores.gates.during("table", late), pytest.raises(TransientError):
        stores.log.add(claim)

    repeated = stores.log.add(claim)
    assert repeated
    stores.gates.gates.wait_until_carried_out()

    assert stores.log.find(claim.tenant_id, "m-1") == repeated
    assert stores.log.add(claim) == repeated


REFUSALS_AFTER_THE_WRITE = [
    batch_error(409, "EntityAlreadyExists"),
    batch_error(412, "UpdateConditionNotSatisfied"),
    table_error(503, "ServerBusy"),
]


@pytest.mark.parametrize("response", REFUSALS_AFTER_THE_WRITE)
def test_a_flow_that_was_stored_despite_a_refusal_is_stored(
    stores: Stores, response: StorageResponse
) -> None:
    flow, secret = a_flow()
    with stores.gates.during("table", Outage(response=response, path="$batch")):
        stores.flows.add(flow, secret)

    assert stores.flows.flow(flow.flow_id) == flow
    assert stores.flows.secret(flow.flow_id)


def test_a_flow_whose_id_another_has_is_not_taken_for_ones_own(stores: Stores) -> None:
    flow, secret = a_flow()
    stores.flows.add(flow, secret)

    with pytest.raises(TransientError):
        stores.flows.add(replace(flow, tenant_id="other"), secret)


REFUSALS_OF_ONE_ROW = [
    table_error(412, "UpdateConditionNotSatisfied"),
    table_error(409, "EntityAlreadyExists"),
    table_error(404, "ResourceNotFound"),
    table_error(503, "ServerBusy"),
]


@pytest.mark.parametrize("response", REFUSALS_OF_ONE_ROW)
def test_a_secret_that_was_replaced_and_refused_anyway_is_replaced(
    stores: Stores, response: StorageResponse
) -> None:
    secret = stores.stored_secret()
    with stores.gates.during("table", Outage(response=response, method="PATCH")):
        assert stores.flows.replace_secret(replace(secret, cookie_hash="cookie"))

    found = stores.flows.secret(secret.flow_id)
    assert found
    assert found.cookie_hash == "cookie"


@pytest.mark.parametrize("response", REFUSALS_OF_ONE_ROW)
def test_a_secret_that_was_taken_and_refused_anyway_is_taken_once(
    stores: Stores, response: StorageResponse
) -> None:
    secret = stores.stored_secret()
    with stores.gates.during("table", Outage(response=response, method="PATCH")):
        assert stores.flows.consume_secret(secret)

    assert stores.flows.secret(secret.flow_id) is None
    assert not stores.flows.consume_secret(secret)


def test_a_secret_whose_row_could_not_be_removed_is_used_anyway(stores: Stores) -> None:
    secret = stores.stored_secret()
    with stores.gates.during("table", Outage(reaches=False, responds=False, method="DELETE")):
        assert stores.flows.consume_secret(secret)

    assert stores.flows.secret(secret.flow_id) is None
    assert not stores.flows.replace_secret(secret)
    assert secret.flow_id not in [left.flow_id for left in stores.flows.unconfirmed(NOON + timedelta(days=9))]


def test_new_secrets_are_stored_where_the_row_of_used_ones_remained(stores: Stores) -> None:
    secret = stores.stored_secret()
    with stores.gates.during("table", Outage(reaches=False, responds=False, method="DELETE")):
        assert stores.flows.consume_secret(secret)
    held = FlowSecret(secret.flow_id, form_hash="form")

    assert stores.flows.replace_secret(held)
    assert not stores.flows.replace_secret(replace(held, form_hash="another"))
    found = stores.flows.secret(secret.flow_id)
    assert found
    assert found.form_hash == "form"
    assert stores.flows.consume_secret(found)
    assert stores.flows.secret(secret.flow_id) is None


@pytest.mark.parametrize("response", REFUSALS_OF_ONE_ROW[:1] + REFUSALS_OF_ONE_ROW[3:])
def test_settings_that_were_saved_and_refused_anyway_are_saved(
    stores: Stores, response: StorageResponse
) -> None:
    tenant = str(uuid.uuid4())
    known = stores.settings.save(TenantSettings(tenant))
    with stores.gates.during("table", Outage(response=response, method="PATCH")):
        saved = stores.settings.save(replace(known, last_version=3))

    assert stores.settings.load(tenant) == saved


def test_settings_that_never_reached_storage_are_not_taken_for_saved(stores: Stores) -> None:
    tenant = str(uuid.uuid4())
    known = stores.settings.save(TenantSettings(tenant))
    with (
        stores.gates.during("table", Outage(reaches=False, responds=False, method="PATCH")),
        pytest.raises(TransientError),
    ):
        stores.settings.save(replace(known, last_version=3))

    assert stores.settings.load(tenant).last_version == known.last_version


MISSING: dict[str, tuple[Service, StorageResponse, Callable[[Stores], Any]]] = {
    "claim": ("table", batch_error(404, "TableNotFound"), lambda stores: stores.log.add(a_claim())),
    "claim while deleted": (
        "table",
        batch_error(409, "TableBeingDeleted"),
        lambda stores: stores.log.add(a_claim()),
    ),
    "flow": ("table", batch_error(404, "TableNotFound"), lambda stores: stores.flows.add(*a_flow())),
    "settings": ("table", table_error(404, "TableNotFound"), lambda stores: stores.settings.load(CONTOSO)),
    "save": (
        "table",
        table_error(404, "TableNotFound"),
        lambda stores: stores.settings.save(TenantSettings(str(uuid.uuid4()))),
    ),
    "save while deleted": (
        "table",
        table_error(409, "TableBeingDeleted"),
        lambda stores: stores.settings.save(TenantSettings(CONTOSO)),
    ),
    "file": ("blob", StorageResponse(404, "ContainerNotFound"), lambda stores: stores.files.find(FILE)),
    "file while deleted": (
        "blob",
        StorageResponse(409, "ContainerBeingDeleted"),
        lambda stores: stores.files.find(FILE),
    ),
    "put": (
        "blob",
        StorageResponse(409, "ContainerBeingDeleted"),
        lambda stores: stores.files.put(FILE, io.BytesIO(CONTENT)),
    ),
    "load": (
        "blob",
        StorageResponse(404, "ContainerNotFound"),
        lambda stores: stores.texts.load(CONTOSO, "m-1"),
    ),
    "keep": (
        "blob",
        StorageResponse(409, "ContainerBeingDeleted"),
        lambda stores: stores.texts.save(CONTOSO, "m-1", b""),
    ),
    "remove": (
        "blob",
        StorageResponse(404, "ContainerNotFound"),
        lambda stores: stores.texts.remove(CONTOSO, "m-1"),
    ),
    "names": (
        "blob",
        StorageResponse(404, "ContainerNotFound"),
        lambda stores: list(stores.texts.of_tenant(CONTOSO)),
    ),
    "message": (
        "queue",
        StorageResponse(404, "QueueNotFound"),
        lambda stores: stores.outbox.put(b"{}", timedelta(0)),
    ),
    "message while deleted": (
        "queue",
        StorageResponse(409, "QueueBeingDeleted"),
        lambda stores: stores.outbox.put(b"{}", timedelta(0)),
    ),
    "backlog": ("queue", StorageResponse(404, "QueueNotFound"), lambda stores: stores.outbox.backlog()),
    "poison queue": (
        "queue",
        StorageResponse(404, "QueueNotFound"),
        lambda stores: stores.outbox.poison_length(),
    ),
}


@pytest.mark.parametrize("call", MISSING)
def test_a_part_of_storage_that_is_gone_is_an_operator_error(stores: Stores, call: str) -> None:
    service, response, make = MISSING[call]

    with stores.gates.during(service, Outage(response=response)), pytest.raises(ProblemError) as gone:
        make(stores)
    assert isinstance(gone.value, ConfigurationError)
    assert gone.value.code == "storage_incomplete"


def test_the_probe_does_not_take_a_missing_table_for_an_empty_one(stores: Stores) -> None:
    """Azure responds for a row of a missing table as for a missing row."""
    a_row_alone = Outage(response=table_error(404, "ResourceNotFound"), method="GET", path="PartitionKey=")
    with stores.gates.gates.during("table", a_row_alone), pytest.raises(ConfigurationError) as gone:
        probe_tables(stores.tables, ["NeverMade"])

    assert gone.value.code == "storage_incomplete"


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (StorageResponse(404, "BlobNotFound"), "attachment_not_found"),
        (StorageResponse(409, "BlobArchived"), "attachment_archived"),
        (StorageResponse(409, "BlobBeingRehydrated"), "attachment_archived"),
        (StorageResponse(409, "BlobUsesCustomerSpecifiedEncryption"), "attachment_encrypted"),
        (StorageResponse(400, "InvalidUri"), "attachment_refused"),
        (StorageResponse(400, "OutOfRangeInput"), "attachment_refused"),
        (StorageResponse(409, "SomethingNew"), "attachment_refused"),
        (StorageResponse(416, "InvalidRange"), "attachment_refused"),
    ],
)
def test_a_file_that_storage_never_gives_out_ends_its_mail_with_its_name(
    stores: Stores, response: StorageResponse, code: str
) -> None:
    file = stores.files.find(FILE)
    for use in (lambda: stores.files.find(FILE), lambda: stores.files.read(file)):
        with stores.gates.during("blob", Outage(response=response)), pytest.raises(RejectedError) as refused:
            use()
        assert refused.value.code == code
        assert FILE in refused.value.problem.detail


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_refusal_of_a_file_that_passes_is_waited_for(stores: Stores, status: int) -> None:
    with (
        stores.gates.during("blob", Outage(response=StorageResponse(status, "SomethingNew"))),
        pytest.raises(TransientError),
    ):
        stores.files.find(FILE)


@pytest.mark.parametrize("code", ["BlobImmutableDueToPolicy", "LeaseIdMissing"])
def test_a_text_that_may_not_be_changed_is_an_operator_error(stores: Stores, code: str) -> None:
    with (
        stores.gates.during("blob", Outage(response=StorageResponse(409, code))),
        pytest.raises(ConfigurationError) as locked,
    ):
        stores.texts.save(CONTOSO, "m-1", b"text")

    assert locked.value.code == "storage_locked"


def test_a_row_that_another_took_is_no_missing_table(stores: Stores) -> None:
    claim = a_claim()
    assert stores.log.add(claim)

    assert stores.log.add(replace(claim, claimed_by="q-2")) is None


def test_the_outcome_of_a_write_that_cannot_be_checked_is_unknown(stores: Stores) -> None:
    unavailable = Outage(reaches=False, responds=False)
    with stores.gates.during("table", unavailable), pytest.raises(TransientError):
        stores.settings.save(TenantSettings(str(uuid.uuid4())))


def test_a_refused_write_that_cannot_be_checked_is_no_conflict(stores: Stores) -> None:
    claim = a_claim()
    added = stores.log.add(claim)
    assert added
    marked = replace(added, correlation_id="report-7")
    assert stores.log.save(marked)
    unread = Outage(response=table_error(503, "ServerBusy"), method="GET")

    with stores.gates.during("table", unread), pytest.raises(TransientError):
        stores.log.save(marked)
    with stores.gates.during("table", unread), pytest.raises(TransientError):
        stores.log.add(claim)
    assert stores.log.save(marked)


def test_a_refused_secret_that_cannot_be_checked_does_not_count_as_used(stores: Stores) -> None:
    secret = stores.stored_secret()
    replaced = replace(secret, cookie_hash="cookie")
    assert stores.flows.replace_secret(replaced)
    unread = Outage(response=table_error(503, "ServerBusy"), method="GET")

    with stores.gates.during("table", unread), pytest.raises(TransientError):
        stores.flows.replace_secret(replaced)
    assert stores.flows.replace_secret(replaced)


@pytest.mark.parametrize("how", BREAKS)
def test_settings_whose_response_breaks_off_are_known_as_saved(stores: Stores, how: Break) -> None:
    tenant = str(uuid.uuid4())
    known = stores.settings.save(TenantSettings(tenant))
    with stores.gates.during("table", Outage(breaks=how, method="PATCH")):
        saved = stores.settings.save(replace(known, last_version=3))

    assert stores.settings.load(tenant) == saved
