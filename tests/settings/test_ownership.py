"""Two installations in one storage account change only their own data."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.api.deliveries import retry_delivery
from shared.deliveries.delivery import Delivery
from shared.deliveries.retention import remove_finished
from shared.deliveries.status import DeliveryStatus
from shared.errors import ConfigurationError, PreconditionFailedError
from shared.sending.maintenance import release_all
from shared.settings.ownership import OwnedSettings
from shared.settings.tenant import Consent, Status, TenantSettings
from tests.api_client import call
from tests.builders import a_consent, large_file_services, some_settings
from tests.fakes import (
    CLIENT_ID,
    CONTOSO,
    FABRIKAM,
    INSTALLATION,
    NOON,
    STORAGE_ACCOUNT,
    FakeSystem,
    MemorySettings,
)

if TYPE_CHECKING:
    from shared.settings.installation import Installation

OTHER = "99999999-2222-4333-8444-555555555555"


class TwoInstallations:
    """Settings of one store seen by two installations with their tokens."""

    def __init__(self) -> None:
        self.store = MemorySettings()
        self.system = FakeSystem()
        self.issued: dict[str, str] = {f"smtp-{CONTOSO}-1": CLIENT_ID}
        self.ours = self.of(INSTALLATION, self.issued)
        self.theirs = self.of(replace(INSTALLATION, client_id=OTHER), {})
        self.copied = self.of(replace(INSTALLATION, storage_account="stcopy"), self.issued)

    def of(self, installation: Installation, issued: dict[str, str]) -> OwnedSettings:
        return OwnedSettings(self.store, lambda: installation, issued.get, self.system)


@pytest.fixture
def shared() -> TwoInstallations:
    return TwoInstallations()


def refusal_of(settings: OwnedSettings) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as refused:
        settings.load(CONTOSO)
    assert refused.value.code == "other_installation"
    return refused.value.params


def test_settings_carry_the_mark_of_the_installation_that_wrote_them(shared: TwoInstallations) -> None:
    shared.ours.save(some_settings())

    assert shared.store.rows[CONTOSO].installation == CLIENT_ID
    assert shared.ours.load(CONTOSO).installation == CLIENT_ID


def test_another_installations_settings_are_an_error_that_names_both(shared: TwoInstallations) -> None:
    shared.ours.save(some_settings())
    before = shared.store.load(CONTOSO)

    assert refusal_of(shared.theirs) == {"ours": OTHER, "theirs": CLIENT_ID}
    for change in (shared.theirs.check_owner, shared.theirs.remove):
        with pytest.raises(ConfigurationError):
            change(CONTOSO)
    assert shared.store.load(CONTOSO) == before
    assert shared.theirs.tenants() == (CONTOSO,)


def test_untagged_settings_are_adopted_once_by_the_tokens_installation(
    shared: TwoInstallations,
) -> None:
    shared.store.save(some_settings())

    assert refusal_of(shared.theirs) == {"ours": OTHER, "theirs": "unknown", "unmarked": "yes"}
    assert shared.ours.load(CONTOSO).installation == CLIENT_ID
    assert refusal_of(shared.theirs) == {"ours": OTHER, "theirs": CLIENT_ID}
    shared.issued.clear()
    assert shared.ours.load(CONTOSO).installation == CLIENT_ID


def test_tokens_of_another_client_adopt_nothing(shared: TwoInstallations) -> None:
    shared.store.save(some_settings())
    shared.issued[f"smtp-{CONTOSO}-1"] = OTHER

    assert refusal_of(shared.ours) == {"ours": CLIENT_ID, "theirs": OTHER}
    assert shared.store.load(CONTOSO).installation is None


def test_a_consent_without_tokens_and_mark_is_adopted_by_no_installation(shared: TwoInstallations) -> None:
    shared.store.save(some_settings(consent=a_consent(account=None, secret_name=None)))
    before = shared.store.load(CONTOSO)

    for settings, own in ((shared.ours, CLIENT_ID), (shared.theirs, OTHER)):
        assert refusal_of(settings) == {"ours": own, "theirs": "unknown", "unmarked": "yes"}
    assert shared.store.load(CONTOSO) == before


def test_the_error_tells_the_operator_how_to_mark_unmarked_settings(shared: TwoInstallations) -> None:
    shared.store.save(some_settings(consent=a_consent(account=None, secret_name=None)))
    with pytest.raises(ConfigurationError) as refused:
        shared.ours.load(CONTOSO)

    assert "python -m shared.operate take-over" in str(refused.value)


@pytest.mark.parametrize("consent", [a_consent(), a_consent(account=None, secret_name=None), None])
def test_a_copy_of_the_settings_in_another_storage_account_is_not_used(
    shared: TwoInstallations, consent: Consent | None
) -> None:
    shared.ours.save(some_settings(consent=consent))
    before = shared.store.load(CONTOSO)

    assert refusal_of(shared.copied) == {
        "ours": f"{CLIENT_ID} with the storage account stcopy",
        "theirs": f"{CLIENT_ID} with the storage account {STORAGE_ACCOUNT}",
    }
    assert shared.store.load(CONTOSO) == before


@pytest.mark.parametrize("consent", [a_consent(account=None, secret_name=None), None])
def test_settings_marked_by_client_only_get_the_storage_account_mark_too(
    shared: TwoInstallations, consent: Consent | None
) -> None:
    shared.store.save(some_settings(consent=consent, installation=CLIENT_ID))

    assert refusal_of(shared.theirs) == {"ours": OTHER, "theirs": CLIENT_ID}
    assert shared.ours.load(CONTOSO).storage_account == STORAGE_ACCOUNT
    assert shared.store.rows[CONTOSO].storage_account == STORAGE_ACCOUNT


def test_settings_without_a_consent_are_marked_at_their_next_change(shared: TwoInstallations) -> None:
    shared.store.save(some_settings(consent=None, status=Status.NOT_CONFIGURED))

    found = shared.ours.load(CONTOSO)
    assert found.installation is None
    assert shared.ours.save(found).installation == CLIENT_ID


def test_of_two_hosts_that_adopt_at_once_the_second_reads_the_mark(shared: TwoInstallations) -> None:
    shared.store.save(some_settings())
    stale = shared.store.load(CONTOSO)
    shared.ours.load(CONTOSO)

    class Slow(MemorySettings):
        def load(self, tenant_id: str) -> TenantSettings:
            return reads.pop(0)

        def save(self, settings: TenantSettings) -> TenantSettings:
            raise PreconditionFailedError("settings_changed")

    reads = [stale, shared.store.load(CONTOSO)]
    late = OwnedSettings(Slow(), lambda: INSTALLATION, shared.issued.get, shared.system)
    assert late.load(CONTOSO).installation == CLIENT_ID


def test_an_unconfigured_tenant_belongs_to_no_installation(shared: TwoInstallations) -> None:
    assert shared.theirs.load(FABRIKAM) == TenantSettings(FABRIKAM)
    shared.theirs.check_owner(FABRIKAM)


def test_settings_that_another_version_wrote_are_not_adopted(shared: TwoInstallations) -> None:
    shared.store.save(TenantSettings(CONTOSO, status=Status.OTHER_VERSION))

    assert shared.ours.load(CONTOSO).installation is None


def test_own_settings_can_be_removed(shared: TwoInstallations) -> None:
    shared.ours.save(some_settings())
    shared.ours.remove(CONTOSO)

    assert shared.ours.load(CONTOSO).etag is None


def test_the_owner_of_a_tenant_is_read_again_after_five_minutes(shared: TwoInstallations) -> None:
    shared.ours.save(some_settings())
    shared.ours.check_owner(CONTOSO)
    shared.store.rows[CONTOSO] = replace(shared.store.rows[CONTOSO], installation=OTHER)
    shared.ours.check_owner(CONTOSO)
    shared.system.set_clock(timedelta(days=-1))
    shared.system.pass_time(timedelta(minutes=6))

    with pytest.raises(ConfigurationError):
        shared.ours.check_owner(CONTOSO)


def test_no_timer_and_no_retry_changes_another_installations_mails() -> None:
    services = large_file_services()
    for number, status in enumerate((DeliveryStatus.DEFERRED, DeliveryStatus.REJECTED)):
        moment = NOON - timedelta(days=200)
        services.deliveries.add(
            Delivery(CONTOSO, f"m-{number}", status, moment, moment, moment, next_attempt_at=moment)
        )
        services.requests.save(CONTOSO, f"m-{number}", b"{}")
        services.drafts.save(CONTOSO, f"m-{number}", b"{}")
    before = (dict(services.deliveries.rows), dict(services.requests.kept), dict(services.drafts.kept))
    services.settings.foreign.add(CONTOSO)
    services.system.pass_time(timedelta(days=1))
    release_all(services)
    remove_finished(services)
    with pytest.raises(ConfigurationError) as refused:
        call(retry_delivery, services, route={"message_id": "m-1"})

    assert refused.value.code == "other_installation"
    assert (services.deliveries.rows, services.requests.kept, services.drafts.kept) == before
    assert not services.outbox.messages
    assert not services.transport.calls
