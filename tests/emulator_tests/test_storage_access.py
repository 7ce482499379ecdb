from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
import requests
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient, ContainerClient
from azure.storage.queue import QueueClient, QueueServiceClient

from shared.storage_names import (
    API_VERSION,
    ATTACHMENTS,
    MAIL_OUTBOX,
    MAIL_OUTBOX_POISON,
    MAIL_REQUESTS,
    TENANT_SETTINGS,
)
from tests.infra.prediction import Prediction
from tests.local_stack.azurite import ACCOUNT, KEY
from tests.local_stack.managed_identity import Identity, ManagedIdentity
from tests.local_stack.storage_access import STORAGE, StorageAccess
from tests.local_stack.storage_roles import (
    APP_ROLES,
    BLOB_CONTRIBUTOR,
    BLOB_READER,
    OUTCOMES,
    PROCESSOR,
    QUEUE_CONTRIBUTOR,
    ROLES,
    SCHEDULER_ROLES,
    SENDER,
    RoleAssignment,
    StorageRequest,
    allows,
)
from tests.storage import provision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.local_stack.azurite import Azurite
    from tests.local_stack.certificates import LocalAuthority

SNAPSHOTS = Path(__file__).parents[2] / "infra" / "snapshots"
DENIED = "AuthorizationPermissionMismatch"
#: One of the schedulers in infra/snapshots.
A_SCHEDULER = "00000000-0000-4000-8000-0000000000e1"
ROLE_IDS = {
    "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a": SENDER,
    "8a0f0c08-91a1-4084-bc3d-661d67233fed": PROCESSOR,
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": BLOB_CONTRIBUTOR,
}


class Signed(NamedTuple):
    """A credential of one identity."""

    identities: ManagedIdentity
    identity: Identity
    audience: str = STORAGE

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        token = self.identities.token(self.audience, self.identity)
        return AccessToken(token, int(time.time()) + 3600)


class GuardedStorage(NamedTuple):
    access: StorageAccess
    identities: ManagedIdentity
    ca_file: str

    def identity_with(self, *roles: RoleAssignment) -> Signed:
        """Make an identity with these roles."""
        identity = Identity()
        self.access.add_roles(identity, roles)
        return Signed(self.identities, identity)

    def queue(self, who: Signed, name: str = MAIL_OUTBOX) -> QueueClient:
        return QueueClient(
            self.access.urls["queue"], name, credential=who, connection_verify=self.ca_file, retry_total=0
        )

    def container(self, who: Signed, name: str = ATTACHMENTS) -> ContainerClient:
        return ContainerClient(
            self.access.urls["blob"], name, credential=who, connection_verify=self.ca_file, retry_total=0
        )


@pytest.fixture(scope="module")
def guarded_storage(azurite: Azurite, local_authority: LocalAuthority) -> Iterator[GuardedStorage]:
    provision(azurite.connection_string)
    with QueueClient.from_connection_string(
        azurite.connection_string, OUTCOMES, api_version=API_VERSION
    ) as outcomes:
        outcomes.create_queue()
    identities = ManagedIdentity("6f1c0000-0000-4000-8000-00000000c0de")
    with StorageAccess(azurite, identities, local_authority.server_context()) as access:
        yield GuardedStorage(access, identities, str(local_authority.ca_file))


def code_of(refused: pytest.ExceptionInfo[HttpResponseError]) -> str:
    code = getattr(refused.value, "error_code", "")
    return str(getattr(code, "value", code))


def test_a_scheduler_queues_mails_and_writes_files(guarded_storage: GuardedStorage) -> None:
    scheduler = guarded_storage.identity_with(*SCHEDULER_ROLES)

    with guarded_storage.queue(scheduler) as queue, guarded_storage.container(scheduler) as files:
        queue.send_message('{"messageId": "a"}', time_to_live=-1)
        blob = files.upload_blob("2026/Übersicht 100 %.pdf", bytes(9_000_000), overwrite=True)

        assert blob.download_blob(offset=1, length=7).readall() == bytes(7)
        assert "2026/Übersicht 100 %.pdf" in list(files.list_blob_names())


def test_a_scheduler_cannot_read_or_create_queues(guarded_storage: GuardedStorage) -> None:
    with guarded_storage.queue(guarded_storage.identity_with(*SCHEDULER_ROLES)) as queue:
        for attempt in (queue.receive_message, queue.peek_messages, queue.clear_messages, queue.create_queue):
            with pytest.raises(HttpResponseError) as refused:
                attempt()

            assert code_of(refused) == DENIED


@pytest.mark.parametrize("name", [MAIL_OUTBOX_POISON])
def test_a_role_on_one_queue_opens_no_other(guarded_storage: GuardedStorage, name: str) -> None:
    with guarded_storage.queue(guarded_storage.identity_with(*SCHEDULER_ROLES), name) as queue:
        with pytest.raises(HttpResponseError) as refused:
            queue.send_message("x")

        assert code_of(refused) == DENIED


def test_a_role_on_one_container_opens_no_other(guarded_storage: GuardedStorage) -> None:
    with guarded_storage.container(guarded_storage.identity_with(*SCHEDULER_ROLES), MAIL_REQUESTS) as files:
        with pytest.raises(HttpResponseError) as refused:
            files.upload_blob("a", b"x")

        assert code_of(refused) == DENIED


def test_a_scheduler_lists_no_containers_and_reads_no_tables(guarded_storage: GuardedStorage) -> None:
    scheduler = guarded_storage.identity_with(*SCHEDULER_ROLES)
    with (
        BlobServiceClient(
            guarded_storage.access.urls["blob"],
            credential=scheduler,
            connection_verify=guarded_storage.ca_file,
            retry_total=0,
        ) as blobs,
        TableServiceClient(
            guarded_storage.access.urls["table"],
            credential=scheduler,
            connection_verify=guarded_storage.ca_file,
            retry_total=0,
        ) as tables,
        tables.get_table_client(TENANT_SETTINGS) as settings,
    ):
        with pytest.raises(HttpResponseError) as no_containers:
            list(blobs.list_containers())
        with pytest.raises(HttpResponseError) as no_rows:
            list(settings.list_entities())

    assert code_of(no_containers) == code_of(no_rows) == DENIED


@pytest.mark.parametrize("taken", SCHEDULER_ROLES)
def test_a_removed_role_is_refused(guarded_storage: GuardedStorage, taken: RoleAssignment) -> None:
    scheduler = guarded_storage.identity_with(*SCHEDULER_ROLES)
    guarded_storage.access.remove_role(scheduler.identity, taken)

    with (
        guarded_storage.queue(scheduler) as queue,
        guarded_storage.queue(scheduler, OUTCOMES) as outcomes,
        guarded_storage.container(scheduler) as files,
    ):
        attempts: dict[str, Callable[[], object]] = {
            SENDER: lambda: queue.send_message("x"),
            BLOB_CONTRIBUTOR: lambda: files.upload_blob("a", b"x", overwrite=True),
            PROCESSOR: outcomes.receive_message,
        }
        with pytest.raises(HttpResponseError) as refused:
            attempts.pop(taken.role)()
        for attempt in attempts.values():
            attempt()

    assert code_of(refused) == DENIED


def test_a_reader_of_files_writes_none(guarded_storage: GuardedStorage) -> None:
    reader = guarded_storage.identity_with(RoleAssignment(BLOB_READER, f"container/{ATTACHMENTS}"))
    with guarded_storage.container(reader) as files:
        list(files.list_blob_names())
        with pytest.raises(HttpResponseError) as refused:
            files.upload_blob("a", b"x")

        assert code_of(refused) == DENIED


def test_a_condition_on_a_prefix_leaves_the_files_of_others_out_of_reach(
    guarded_storage: GuardedStorage,
) -> None:
    mine = RoleAssignment(BLOB_CONTRIBUTOR, f"container/{ATTACHMENTS}", path_prefix="sales/")
    everything = guarded_storage.identity_with(*SCHEDULER_ROLES)
    with (
        guarded_storage.container(guarded_storage.identity_with(mine)) as files,
        guarded_storage.container(everything) as others,
    ):
        files.upload_blob("sales/a.pdf", b"x", overwrite=True)
        others.upload_blob("hr/pay.pdf", b"x", overwrite=True)
        for attempt in (
            lambda: files.upload_blob("hr/a.pdf", b"x"),
            lambda: files.download_blob("hr/pay.pdf"),
            lambda: files.delete_blob("hr/pay.pdf"),
            lambda: list(files.list_blob_names()),
        ):
            with pytest.raises(HttpResponseError) as refused:
                attempt()

            assert code_of(refused) == DENIED
        assert list(files.list_blob_names(name_starts_with="sales/")) == ["sales/a.pdf"]


def test_the_app_does_all_that_it_does_with_its_own_roles(guarded_storage: GuardedStorage) -> None:
    app = guarded_storage.identity_with(*APP_ROLES)
    with (
        guarded_storage.queue(app, MAIL_OUTBOX_POISON) as queue,
        guarded_storage.container(app, MAIL_REQUESTS) as files,
        TableServiceClient(
            guarded_storage.access.urls["table"], credential=app, connection_verify=guarded_storage.ca_file
        ) as tables,
        tables.get_table_client(TENANT_SETTINGS) as settings,
    ):
        queue.send_message("x")
        message = queue.receive_message()
        assert message
        queue.update_message(message, visibility_timeout=0)
        queue.clear_messages()
        assert queue.get_queue_properties().approximate_message_count == 0
        files.upload_blob("a", b"x", overwrite=True)
        files.delete_blob("a")
        settings.upsert_entity({"PartitionKey": "gate", "RowKey": "row"})
        settings.submit_transaction([("delete", {"PartitionKey": "gate", "RowKey": "row"})])


def test_keys_and_shared_access_signatures_are_refused(guarded_storage: GuardedStorage) -> None:
    with QueueServiceClient(
        guarded_storage.access.urls["queue"],
        credential=KEY,
        connection_verify=guarded_storage.ca_file,
        retry_total=0,
    ) as service:
        with pytest.raises(HttpResponseError) as refused:
            list(service.list_queues())

        assert code_of(refused) == "KeyBasedAuthenticationNotPermitted"
    response = requests.get(
        f"{guarded_storage.access.urls['blob']}/x/y?sv=1&sig=a", verify=guarded_storage.ca_file, timeout=10
    )

    assert response.status_code == 403
    assert response.headers["x-ms-error-code"] == "KeyBasedAuthenticationNotPermitted"


def test_a_token_for_another_service_is_refused(guarded_storage: GuardedStorage) -> None:
    graph = guarded_storage.identity_with(*SCHEDULER_ROLES)._replace(audience="https://graph.microsoft.com")
    with guarded_storage.queue(graph) as queue, pytest.raises(ClientAuthenticationError) as refused:
        queue.send_message("x")

    assert code_of(refused) == "InvalidAuthenticationInfo"


def test_a_request_without_a_token_gets_a_challenge(guarded_storage: GuardedStorage) -> None:
    response = requests.post(
        f"{guarded_storage.access.urls['queue']}/{MAIL_OUTBOX}/messages",
        verify=guarded_storage.ca_file,
        timeout=10,
    )

    assert response.status_code == 401
    assert "resource_id=https://storage.azure.com" in response.headers["WWW-Authenticate"]


def test_a_token_without_a_version_of_the_protocol_is_refused(guarded_storage: GuardedStorage) -> None:
    token = guarded_storage.identity_with(*SCHEDULER_ROLES).get_token().token
    response = requests.post(
        f"{guarded_storage.access.urls['queue']}/{MAIL_OUTBOX}/messages",
        data="<QueueMessage><MessageText>x</MessageText></QueueMessage>",
        headers={"Authorization": f"Bearer {token}"},
        verify=guarded_storage.ca_file,
        timeout=10,
    )

    assert response.status_code == 403


def test_the_schedulers_roles_are_those_of_the_template() -> None:
    text = (SNAPSHOTS / "several-tenants.snapshot.json").read_text("utf-8")
    predicted = Prediction.from_json("several-tenants", text).all("Microsoft.Authorization/roleAssignments")
    ids = [each for each in predicted if each["properties"]["principalId"] == A_SCHEDULER]
    found = set()
    for each in ids:
        scope = re.search(r"/(queue|container)s/([a-z-]+)/providers/Microsoft.Authorization", each["id"])
        assert scope, f"a scheduler has a role on {each['id']}"
        role = ROLE_IDS[each["properties"]["roleDefinitionId"].rpartition("/")[2]]
        found.add(RoleAssignment(role, f"{scope[1]}/{scope[2]}"))

    # The template's set of parameters has a second queue for outcomes.
    assert found - {RoleAssignment(PROCESSOR, "queue/finance-outcomes")} == set(SCHEDULER_ROLES)


@pytest.mark.parametrize(
    ("service", "method", "path", "query"),
    [
        ("queue", "PATCH", "mail-outbox/messages", {}),
        ("blob", "PUT", "", {"comp": "properties"}),
        ("blob", "PUT", "attachments", {"comp": "unheard-of"}),
        ("blob", "PUT", "attachments/a", {"comp": "unheard-of"}),
        ("table", "OPTIONS", "TenantSettings", {}),
    ],
)
def test_an_unknown_operation_is_always_refused(
    service: str, method: str, path: str, query: dict[str, str]
) -> None:
    everything = [RoleAssignment(role) for role in ROLES]

    assert not allows(everything, StorageRequest(service, method, path, query))  # type: ignore[arg-type]


def test_a_contributor_of_queues_reads_and_deletes_messages() -> None:
    roles = [RoleAssignment(QUEUE_CONTRIBUTOR, "queue/mail-outbox")]

    assert allows(roles, StorageRequest("queue", "GET", "mail-outbox/messages", {}))
    assert allows(roles, StorageRequest("queue", "DELETE", "mail-outbox/messages/4711", {}))
    assert not allows(roles, StorageRequest("queue", "GET", "mail-outbox-poison/messages", {}))


def test_the_account_has_the_name_that_azurite_gives_it(guarded_storage: GuardedStorage) -> None:
    assert all(url.endswith(f"/{ACCOUNT}") for url in guarded_storage.access.urls.values())
