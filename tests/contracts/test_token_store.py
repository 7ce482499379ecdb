"""What a TokenStore promises, kept by the fake and by Azure Key Vault's SDK."""

import uuid

import pytest
from azure.identity import ManagedIdentityCredential

from shared.adapters.key_vault import KeyVaultTokenStore
from shared.ports import TokenStore
from tests.fakes import CLIENT_ID, MemoryVault
from tests.local_stack.fixtures import ServedVault


@pytest.fixture(params=["memory", "key_vault"])
def store(request: pytest.FixtureRequest, key_vault: ServedVault, identified: None) -> TokenStore:
    if request.param == "memory":
        return MemoryVault()
    return KeyVaultTokenStore(key_vault.url, CLIENT_ID, ManagedIdentityCredential())


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


def test_a_tenants_names_are_listed_and_no_others(store: TokenStore, name: str) -> None:
    tenant = name.removeprefix("smtp-").removesuffix("-1")
    store.write(name, "tokens")
    store.write(f"smtp-{tenant}-2", "tokens")
    store.write(f"smtp-{uuid.uuid4()}-1", "another tenant's")

    assert set(store.names(tenant)) == {name, f"smtp-{tenant}-2"}
