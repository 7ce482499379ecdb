from dataclasses import dataclass, replace

import pytest

from shared.errors import PreconditionFailedError
from shared.settings.state import reset
from shared.settings.tenant import Status, TenantSettings
from shared.settings.update import update_settings
from tests.builders import some_settings
from tests.fakes import CONTOSO, MemorySettings


@dataclass
class BusySettings(MemorySettings):
    """Somebody else writes between each read and write, so many times."""

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


def test_a_change_is_repeated_when_somebody_else_was_faster() -> None:
    store = BusySettings(interruptions=4)

    saved = update_settings(store, CONTOSO, lambda now: replace(now, generations=now.generations + 1))

    assert saved.generations == 1


def test_a_change_that_never_gets_through_is_reported() -> None:
    store = BusySettings(interruptions=5)

    with pytest.raises(PreconditionFailedError):
        update_settings(store, CONTOSO, lambda now: replace(now, generations=now.generations + 1))


def test_settings_that_stay_as_they_were_are_not_written() -> None:
    store = BusySettings(interruptions=9)

    assert update_settings(store, CONTOSO, lambda now: now) == TenantSettings(CONTOSO)
