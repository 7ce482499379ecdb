"""Key Vault's refusals, through its SDK."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from azure.identity import ManagedIdentityCredential

from shared.adapters.key_vault import KeyVaultTokenStore
from shared.errors import ConfigurationError, ConflictError, TransientError
from tests.fakes import CLIENT_ID
from tests.local_stack.faults import Fault
from tests.local_stack.fixtures import ServedIdentity, ServedVault


@pytest.fixture
def store(
    key_vault: ServedVault, managed_identity: ServedIdentity, trusted: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KeyVaultTokenStore]:
    for name, value in managed_identity.settings.items():
        monkeypatch.setenv(name, value)
    yield KeyVaultTokenStore(key_vault.url, CLIENT_ID, ManagedIdentityCredential())
    key_vault.vault.faults.clear()


@pytest.mark.parametrize("status", [401, 403])
def test_a_vault_that_refuses_the_app_is_the_operators(
    store: KeyVaultTokenStore, key_vault: ServedVault, status: int
) -> None:
    store.read("any")
    key_vault.vault.faults.add(Fault(method="GET", status=status, times=9))

    with pytest.raises(ConfigurationError) as refused:
        store.read("any")
    assert refused.value.code == "key_vault_denied"


def test_a_vault_that_is_not_there_is_waited_for(trusted: None) -> None:
    store = KeyVaultTokenStore("https://127.0.0.1:9", CLIENT_ID, ManagedIdentityCredential())

    with pytest.raises(TransientError) as refused:
        store.read("any")
    assert refused.value.code == "key_vault_unavailable"


def test_a_vault_that_is_busy_for_long_is_waited_for(
    store: KeyVaultTokenStore, key_vault: ServedVault
) -> None:
    key_vault.vault.faults.add(Fault(method="PUT", status=503, times=9))

    with pytest.raises(TransientError):
        store.write("smtp-busy-1", "tokens")


def test_a_vault_that_is_busy_for_a_moment_is_asked_again(
    store: KeyVaultTokenStore, key_vault: ServedVault
) -> None:
    key_vault.vault.faults.add(Fault(method="PUT", status=429, retry_after="0", times=1))

    store.write("smtp-moment-1", "tokens")

    assert store.read("smtp-moment-1") == "tokens"


def test_deleted_tokens_are_purged_where_the_vault_allows_it(
    store: KeyVaultTokenStore, key_vault: ServedVault
) -> None:
    store.write("smtp-purged-1", "tokens")

    assert store.delete("smtp-purged-1") is None
    assert [secret.name for secret in key_vault.vault.secrets.deleted()].count("smtp-purged-1") == 0


def test_under_purge_protection_deleted_tokens_stay_recoverable_for_a_known_time(
    store: KeyVaultTokenStore, key_vault: ServedVault
) -> None:
    key_vault.vault.secrets.purge_protection = True
    store.write("smtp-protected-1", "tokens")
    try:
        until = store.delete("smtp-protected-1")
    finally:
        key_vault.vault.secrets.purge_protection = False

    assert until is not None
    assert 89 < (until - datetime.now(UTC)).total_seconds() / 86_400 < 91


def test_a_vault_that_fails_to_purge_is_waited_for(store: KeyVaultTokenStore, key_vault: ServedVault) -> None:
    store.write("smtp-failing-1", "tokens")
    key_vault.vault.faults.add(Fault(method="DELETE", path="/deletedsecrets", status=503, times=9))

    with pytest.raises(TransientError):
        store.delete("smtp-failing-1")


def test_a_name_whose_tokens_are_deleted_but_recoverable_is_not_written(
    store: KeyVaultTokenStore, key_vault: ServedVault
) -> None:
    key_vault.vault.secrets.purge_protection = True
    store.write("smtp-recoverable-1", "tokens")
    try:
        store.delete("smtp-recoverable-1")
        with pytest.raises(ConflictError) as refused:
            store.write("smtp-recoverable-1", "resurrected")
    finally:
        key_vault.vault.secrets.purge_protection = False
    assert refused.value.code == "consent_superseded"


def test_a_deletion_that_takes_long_is_not_waited_for(
    key_vault: ServedVault, store: KeyVaultTokenStore
) -> None:
    identity, moment = ManagedIdentityCredential(), timedelta(milliseconds=50)
    impatient = KeyVaultTokenStore(key_vault.url, CLIENT_ID, identity, moment)
    impatient.write("smtp-slow-1", "tokens")
    # A name is not among the deleted ones at once.
    key_vault.vault.faults.add(Fault(method="GET", path="/deletedsecrets", status=404, times=9))

    until = impatient.delete("smtp-slow-1")

    assert until is not None
    assert impatient.read("smtp-slow-1") is None


def test_what_somebody_else_is_deleting_just_now_counts_as_gone(
    store: KeyVaultTokenStore, key_vault: ServedVault
) -> None:
    store.write("smtp-contested-1", "tokens")
    key_vault.vault.faults.add(Fault(method="DELETE", path="/secrets/smtp-contested-1", status=409))

    assert store.delete("smtp-contested-1") is None


def test_in_a_shared_vault_only_what_this_app_registration_wrote_is_its_own(
    store: KeyVaultTokenStore, key_vault: ServedVault
) -> None:
    neighbour = KeyVaultTokenStore(key_vault.url, "another-client-id", ManagedIdentityCredential())
    store.write("smtp-shared-1", "ours")
    neighbour.write("smtp-shared-2", "another installation's")

    assert store.names("shared") == ("smtp-shared-1",)
