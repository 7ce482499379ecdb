from datetime import timedelta

import azure.functions as func
import pytest

from shared import bootstrap
from shared.consent.triggers import delete_abandoned_consents, keep_consents_alive
from shared.settings.tenant import Account
from tests.builders import enabled_services
from tests.calls import enable, finish, opened
from tests.fakes import CONTOSO, NOON, FakeServices


class Timer(func.TimerRequest):
    """What the host passes."""

    @property
    def past_due(self) -> bool:
        return False


def test_the_timer_refreshes_consents(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = enabled_services()
    ports.world.pass_time(timedelta(days=1))
    monkeypatch.setattr(bootstrap, "services", lambda: ports)

    keep_consents_alive(Timer())

    consent = ports.settings.load(CONTOSO).consent
    assert consent is not None
    assert consent.refreshed_at == NOON + timedelta(days=1)


def test_the_timer_deletes_the_tokens_of_unconfirmed_consents(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ports = FakeServices()
    ports.authorizer.account = Account("reports-object-id", CONTOSO, "reports@contoso.com")
    finish(opened(enable(ports, "reports@contoso.com"), ports), ports)
    ports.world.pass_time(timedelta(minutes=11))
    monkeypatch.setattr(bootstrap, "services", lambda: ports)

    delete_abandoned_consents(Timer())

    assert ports.vault.secrets == {}
