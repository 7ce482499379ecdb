"""The page after a Reset with a failing vault matches the vault."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import pytest
from azure.identity import ManagedIdentityCredential

from shared.adapters import key_vault_requests as requests
from shared.adapters.key_vault import KeyVaultTokenStore
from shared.api import settings as settings_api
from shared.consent.maintenance import maintain_consents
from tests.api_client import call, read_settings
from tests.builders import enabled_services
from tests.fakes import CONTOSO, INSTALLATION
from tests.local_stack.faults import Fault
from tests.local_stack.vault_secrets import VaultSecrets

if TYPE_CHECKING:
    from tests.fakes import FakeServices
    from tests.local_stack.certificates import LocalAuthority
    from tests.local_stack.fixtures import ServedIdentity, ServedVault

NAME = f"smtp-{CONTOSO}-1"
LIVE = f"/secrets/{NAME}"
DELETED = f"/deletedsecrets/{NAME}"
MOMENT = timedelta(milliseconds=50)


class DeletionFaults(NamedTuple):
    """Faults during the deletion of tokens.

    Attributes:
        unknown_outcome: whether no response says that the tokens are deleted; the page may then show a later
            date.
    """

    faults: tuple[Fault, ...] = ()
    deletion_seconds: float = 0.0
    times: int = 99
    unknown_outcome: bool = False


def vault_fault(status: int, method: str, path: str, *, carried_out: bool = False) -> DeletionFaults:
    return DeletionFaults((Fault(status, method=method, path=path, carried_out=carried_out),))


FAULTS = {
    "none": DeletionFaults(),
    **{
        f"delete {status}": vault_fault(status, "DELETE", LIVE)
        for status in (0, 400, 401, 403, 409, 429, 500, 503)
    },
    **{f"poll {status}": vault_fault(status, "GET", DELETED) for status in (0, 403, 404, 500)},
    **{f"purge {status}": vault_fault(status, "DELETE", DELETED) for status in (0, 403, 409, 500)},
    "delete, its response lost once": DeletionFaults(
        (Fault(0, method="DELETE", path=LIVE, carried_out=True),), times=1
    ),
    "delete, all responses lost": vault_fault(0, "DELETE", LIVE, carried_out=True),
    "purge, its response lost once": DeletionFaults(
        (Fault(0, method="DELETE", path=DELETED, carried_out=True),), times=1
    ),
    "purge, all responses lost": DeletionFaults(
        (Fault(0, method="DELETE", path=DELETED, carried_out=True),), unknown_outcome=True
    ),
    "delete and poll": DeletionFaults((Fault(503, path=LIVE), Fault(503, path=DELETED))),
    "a deletion that takes long": DeletionFaults(deletion_seconds=60),
    "a lost deletion that takes long": DeletionFaults(
        (Fault(0, method="DELETE", path=LIVE, carried_out=True),), deletion_seconds=60, times=1
    ),
    "a delete that is no JSON": DeletionFaults((Fault(200, method="DELETE", path=LIVE, body="<html>"),)),
    "a delete that says nothing": DeletionFaults((Fault(200, method="DELETE", path=LIVE, body="{}"),)),
}


@pytest.fixture(params=[True, False], ids=["protected", "purgeable"])
def secrets(
    request: pytest.FixtureRequest, key_vault: ServedVault, monkeypatch: pytest.MonkeyPatch
) -> VaultSecrets:
    fresh = VaultSecrets(time.time, purge_protection=request.param, retention_days=7)
    monkeypatch.setattr(key_vault.vault, "secrets", fresh)
    return fresh


@pytest.fixture
def ports(
    key_vault: ServedVault,
    managed_identity: ServedIdentity,
    local_authority: LocalAuthority,
    secrets: VaultSecrets,
    monkeypatch: pytest.MonkeyPatch,
) -> FakeServices:
    for name, value in managed_identity.settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(local_authority.bundle))
    monkeypatch.setattr(requests, "_RETRIES", 1)
    ports = enabled_services()
    store = KeyVaultTokenStore(key_vault.url, INSTALLATION, ManagedIdentityCredential(), MOMENT)
    ports.vault = store  # type: ignore[assignment]
    store.write(NAME, "tokens")
    return ports


def purge_date(secrets: VaultSecrets) -> datetime | None:
    """Return the purge date of deleted tokens, with deletions in progress."""
    return next((datetime.fromtimestamp(found.purged, UTC) for found in secrets._all_deleted()), None)


def check_page(ports: FakeServices, secrets: VaultSecrets) -> None:
    """Compare the page with the vault."""
    page = read_settings(ports)
    said = page["tokensRecoverableUntil"]
    until = purge_date(secrets)
    if NAME in secrets:
        assert (page["tokensLeftBehind"], said) == (True, None)
    elif until is None:
        assert (page["tokensLeftBehind"], said) == (False, None)
    else:
        # Where nobody can tell whether they are deleted, they count as left behind.
        assert page["tokensLeftBehind"] or datetime.fromisoformat(said) == until


@pytest.mark.parametrize("deletion", FAULTS.values(), ids=FAULTS)
def test_the_page_is_correct_after_a_reset_and_after_the_next_maintenance(
    deletion: DeletionFaults, ports: FakeServices, secrets: VaultSecrets, key_vault: ServedVault
) -> None:
    secrets.deletion_seconds = deletion.deletion_seconds
    for fault in deletion.faults:
        key_vault.vault.faults.add(replace(fault, times=deletion.times))

    try:
        assert call(settings_api.reset_settings, ports).status == 204
    finally:
        key_vault.vault.faults.clear()
    assert read_settings(ports)["status"] == "not_configured"
    if not deletion.unknown_outcome or secrets.purge_protection:
        check_page(ports, secrets)

    # A day later the vault works, and no deletion is in progress any more.
    secrets._deleting.clear()
    secrets.deletion_seconds = 0.0
    ports.system.pass_time(timedelta(days=1))
    maintain_consents(ports)
    check_page(ports, secrets)
    assert NAME not in secrets
    assert read_settings(ports)["tokensLeftBehind"] is False
    assert (purge_date(secrets) is None) is not secrets.purge_protection


def test_no_reset_requests_a_purge_from_a_protected_vault(
    ports: FakeServices, secrets: VaultSecrets, key_vault: ServedVault
) -> None:
    before = key_vault.vault.count("DELETE", "/deletedsecrets")
    call(settings_api.reset_settings, ports)
    ports.system.pass_time(timedelta(days=1))
    maintain_consents(ports)

    purged = key_vault.vault.count("DELETE", "/deletedsecrets") > before
    assert purged is not secrets.purge_protection


def test_two_installations_sharing_a_vault_delete_nothing_of_each_other(
    ports: FakeServices, key_vault: ServedVault, secrets: VaultSecrets
) -> None:
    other = replace(INSTALLATION, storage_account="stother")
    theirs = KeyVaultTokenStore(key_vault.url, other, ManagedIdentityCredential(), MOMENT)
    for number in (7, 8):
        theirs.write(f"smtp-{CONTOSO}-{number}", "theirs")
    theirs.delete(f"smtp-{CONTOSO}-8")
    deleted = [found.name for found in theirs.recoverable()]
    maintain_consents(ports)
    call(settings_api.reset_settings, ports)
    maintain_consents(ports)

    assert theirs.read(f"smtp-{CONTOSO}-7") == "theirs"
    assert [found.name for found in theirs.recoverable()] == deleted
    assert NAME not in secrets
