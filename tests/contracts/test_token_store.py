"""The contract of a TokenStore, for the fake and Azure Key Vault's SDK."""

import uuid

import pytest
from azure.identity import ManagedIdentityCredential

from shared.adapters.key_vault import KeyVaultTokenStore
from shared.consent.ports import TokenStore
from tests.fakes import INSTALLATION, MemoryVault
from tests.local_stack.fixtures import ServedVault


@pytest.fixture(params=["memory", "key_vault"])
def store(request: pytest.FixtureRequest, key_vault: ServedVault, with_identity: None) -> TokenStore:
    if request.param == "memory":
        return MemoryVault()
    return KeyVaultTokenStore(key_vault.url, INSTALLATION, ManagedIdentityCredential())


@pytest.fixture
def name() -> str:
    return f"smtp-{uuid.uuid4()}-1"


def test_a_name_without_tokens_is_none(store: TokenStore, name: str) -> None:
    assert store.read(name) is None


def test_what_is_written_is_read(store: TokenStore, name: str) -> None:
    store.write(name, '{"RefreshToken": "ü"}')

    assert store.read(name) == '{"RefreshToken": "ü"}'


def test_what_is_written_last_is_read(store: TokenStore, name: str) -> None:
    store.write(name, "first")
    store.write(name, "second")

    assert store.read(name) == "second"


def test_the_newest_value_is_read_after_older_versions_are_disabled(store: TokenStore, name: str) -> None:
    store.write(name, "first")
    store.write(name, "second")
    store.disable_older_versions(name)
    store.disable_older_versions(f"{name}-unknown")

    assert store.read(name) == "second"


def test_deleted_tokens_are_gone(store: TokenStore, name: str) -> None:
    store.write(name, "tokens")
    store.delete(name)

    assert store.read(name) is None


def test_tokens_that_are_gone_can_be_deleted_again(store: TokenStore, name: str) -> None:
    store.delete(name)
    store.write(name, "tokens")
    store.delete(name)
    store.delete(name)

    assert store.read(name) is None


def test_the_names_of_all_tenants_are_listed(store: TokenStore, name: str) -> None:
    other = f"smtp-{uuid.uuid4()}-1"
    store.write(name, "tokens")
    store.write(other, "another tenant's")
    store.delete(other)

    assert name in store.names()
    assert other not in store.names()


def test_a_purge_of_what_is_gone_is_no_error(store: TokenStore, name: str) -> None:
    store.purge(name)

    assert name not in {found.name for found in store.recoverable()}
