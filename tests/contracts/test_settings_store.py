"""The contract of a SettingsStore, for the fake and Azure Table Storage."""

import uuid
from dataclasses import replace

import pytest

from shared.adapters.table_storage import TableSettingsStore
from shared.errors import PreconditionFailedError
from shared.settings.ports import SettingsStore
from shared.settings.state import begin_consent
from shared.settings.tenant import ActiveProblem, Authorization, RequestedSender, Status, TenantSettings
from tests.builders import a_consent
from tests.contracts.conftest import Tables
from tests.fakes import NOON, MemorySettings


@pytest.fixture(params=["memory", "azurite"])
def store(request: pytest.FixtureRequest, tables: Tables) -> SettingsStore:
    if request.param == "memory":
        return MemorySettings()
    return TableSettingsStore(tables)


@pytest.fixture
def tenant() -> str:
    return str(uuid.uuid4())


def everything(tenant: str) -> TenantSettings:
    """Build settings in which no member has its default."""
    settings = TenantSettings(
        tenant,
        status=Status.RECONNECT_NEEDED,
        sender=RequestedSender(
            "fünf@contoso.com", large_file_attachments=True, authorization=Authorization.APPLICATION
        ),
        consent=a_consent(),
        last_version=7,
        problem=ActiveProblem("consent_lost", NOON, {"account": "a", "error": "b"}, "correlation"),
    )
    return begin_consent(settings, RequestedSender("new@contoso.com"), "flow", NOON)


def test_a_tenant_without_a_row_is_not_configured(store: SettingsStore, tenant: str) -> None:
    assert store.load(tenant) == TenantSettings(tenant)


def test_what_is_saved_is_loaded(store: SettingsStore, tenant: str) -> None:
    saved = store.save(everything(tenant))

    assert saved == replace(everything(tenant), etag=saved.etag)
    assert store.load(tenant) == saved


def test_each_save_gives_a_new_etag(store: SettingsStore, tenant: str) -> None:
    first = store.save(everything(tenant))
    second = store.save(replace(first, last_version=9))

    assert first.etag != second.etag
    assert store.load(tenant) == second


def test_settings_that_moved_on_are_not_overwritten(store: SettingsStore, tenant: str) -> None:
    read = store.save(everything(tenant))
    newer = store.save(replace(read, last_version=9))

    with pytest.raises(PreconditionFailedError) as refused:
        store.save(replace(read, last_version=10))
    assert refused.value.code == "settings_changed"
    assert store.load(tenant) == newer


def test_settings_that_another_process_created_are_not_overwritten(store: SettingsStore, tenant: str) -> None:
    theirs = store.save(everything(tenant))

    with pytest.raises(PreconditionFailedError):
        store.save(TenantSettings(tenant))
    assert store.load(tenant) == theirs


def test_settings_that_are_gone_are_not_written_as_if_they_were_there(
    store: SettingsStore, tenant: str
) -> None:
    with pytest.raises(PreconditionFailedError):
        store.save(replace(everything(tenant), etag="W/\"datetime'2026-11-22T00%3A00%3A00.0000000Z'\""))


def test_every_tenant_with_a_row_is_listed(store: SettingsStore, tenant: str) -> None:
    store.save(everything(tenant))

    assert tenant in store.tenants()


def test_settings_that_were_removed_leave_only_the_number_of_generations(
    store: SettingsStore, tenant: str
) -> None:
    last_version = store.save(everything(tenant)).last_version
    store.remove(tenant)
    store.remove(tenant)

    assert store.load(tenant) == TenantSettings(tenant, last_version=last_version)
    assert tenant not in store.tenants()
    assert store.save(replace(store.load(tenant), last_version=last_version + 1)).etag


def test_settings_that_never_were_can_be_removed(store: SettingsStore, tenant: str) -> None:
    store.remove(tenant)

    assert store.load(tenant) == TenantSettings(tenant)
