from datetime import timedelta

import azure.functions as func
import pytest

from shared import bootstrap
from shared.consent.triggers import keep_consents_alive
from tests.builders import enabled_services
from tests.fakes import CONTOSO, NOON


class Timer(func.TimerRequest):
    """What the host passes."""

    @property
    def past_due(self) -> bool:
        return False


def test_the_clock_keeps_consents_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = enabled_services()
    ports.world.pass_time(timedelta(days=1))
    monkeypatch.setattr(bootstrap, "services", lambda: ports)

    keep_consents_alive(Timer())

    consent = ports.settings.load(CONTOSO).consent
    assert consent is not None
    assert consent.refreshed_at == NOON + timedelta(days=1)
