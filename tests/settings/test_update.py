from dataclasses import dataclass, replace

import pytest

from shared.errors import ConsentRequiredError, PreconditionFailedError
from shared.settings.state import reset
from shared.settings.tenant import Status, TenantSettings
from shared.settings.update import record_sender_failure, update_settings
from tests.builders import enabled_services, some_settings
from tests.fakes import CONTOSO, MemorySettings


@dataclass
class ConflictingSettings(MemorySettings):
    """Settings that another process changes between read and write."""

    interruptions: int = 0

    def save(self, settings: TenantSettings) -> TenantSettings:
        if self.interruptions:
            self.interruptions -= 1
            raise PreconditionFailedError("settings_changed")
        return super().save(settings)


def test_a_change_is_applied_to_what_is_stored_now() -> None:
    store = MemorySettings()
    store.save(some_settings())

    saved = update_settings(store, CONTOSO, reset)

    assert saved.status is Status.NOT_CONFIGURED
    assert store.load(CONTOSO) == saved


def test_a_change_is_repeated_if_another_process_was_faster() -> None:
    store = ConflictingSettings(interruptions=4)

    saved = update_settings(store, CONTOSO, lambda now: replace(now, last_version=now.last_version + 1))

    assert saved.last_version == 1


def test_settings_that_were_just_read_are_not_read_again() -> None:
    known = some_settings()

    assert update_settings(MemorySettings(), CONTOSO, lambda now: now, just_read=known) is known


def test_a_change_is_applied_to_settings_that_changed_meanwhile() -> None:
    store = MemorySettings()
    outdated = store.save(some_settings())
    store.save(replace(outdated, last_version=7))

    saved = update_settings(
        store, CONTOSO, lambda now: replace(now, last_version=now.last_version + 1), just_read=outdated
    )

    assert saved.last_version == 8


def test_a_change_that_never_gets_through_is_reported() -> None:
    store = ConflictingSettings(interruptions=5)

    with pytest.raises(PreconditionFailedError):
        update_settings(store, CONTOSO, lambda now: replace(now, last_version=now.last_version + 1))


def test_unchanged_settings_are_not_written() -> None:
    store = ConflictingSettings(interruptions=9)

    assert update_settings(store, CONTOSO, lambda now: now) == TenantSettings(CONTOSO)


@pytest.mark.parametrize(("version", "raised"), [(1, True), (0, False)])
def test_an_error_of_a_consent_that_was_replaced_raises_no_alert(
    version: int,
    raised: bool,  # noqa: FBT001
    caplog: pytest.LogCaptureFixture,
) -> None:
    services = enabled_services()
    error = ConsentRequiredError("consent_lost", account="a", error="invalid_grant")
    record_sender_failure(services.settings, CONTOSO, version, error, services.system)

    assert (services.settings.load(CONTOSO).status is Status.RECONNECT_NEEDED) is raised
    assert ("consent_lost" in caplog.text) is raised
