"""An outage of vault or identity endpoint only delays mails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from shared.consent.errors import EntraUnavailableError
from shared.consent.maintenance import maintain_consents
from shared.deliveries.status import DeliveryStatus
from shared.errors import TransientError
from shared.settings.tenant import Status, TenantSettings
from tests.api_client import enable, finish, open_start_link, read_settings
from tests.builders import a_message, enabled_services
from tests.fakes import CONTOSO, FakeServices
from tests.faults.fault_run import FaultInjector, FaultRun

TEN_MINUTES = timedelta(minutes=10)
#: The events behind the alerts of severity 1.
CRITICAL_EVENTS = (
    "consent_lost",
    "operator_error",
    "mail_waiting_for_operator",
    "mail_poisoned",
    "tenant_not_served",
)
STORAGE = frozenset({"switch", "settings", "deliveries", "requests", "drafts", "outbox", "files"})


@dataclass
class Outage(FaultInjector):
    """Fails every call of some ports while it lasts."""

    ports: frozenset[str] = frozenset()
    error: TransientError | None = None
    lasts: Callable[[], bool] = lambda: False
    failed: int = 0

    def call(self, port: str, name: str, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if port in self.ports and self.lasts():
            self.failed += 1
            assert self.error is not None
            raise self.error
        return function(*args, **options)


def inject_outage(services: FakeServices, what: str) -> Outage:
    """Let a service fail for ten minutes from now on."""
    end = services.system.now() + TEN_MINUTES
    ports, error = OUTAGES[what]
    outage = Outage({}, ports=ports, error=error, lasts=lambda: services.system.now() < end)

    def fail() -> None:
        outage.call(what, "any", lambda: None)

    if "vault" in ports:
        outage.ports |= {what}
        services.vault._fail = fail  # type: ignore[method-assign]
    if "entra" in ports:
        outage.ports |= {what}
        services.authorizer._fail = fail  # type: ignore[method-assign]
    return outage


OUTAGES: Mapping[str, tuple[frozenset[str], TransientError]] = {
    "the vault": (frozenset({"vault"}), TransientError("key_vault_unavailable")),
    "the identity for the vault": (frozenset({"vault"}), TransientError("identity_unavailable")),
    "the identity for the assertion": (frozenset({"entra"}), TransientError("identity_unavailable")),
    "the identity for storage": (STORAGE, TransientError("identity_unavailable")),
    "the identity for everything": (STORAGE | {"vault", "entra"}, TransientError("identity_unavailable")),
    "Entra": (frozenset({"entra"}), EntraUnavailableError()),
}


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> FakeServices:
    """Check that every status that is written allows sending."""
    services = enabled_services()
    save = services.settings.save

    def check(settings: TenantSettings) -> TenantSettings:
        assert settings.status is Status.ENABLED
        return save(settings)

    monkeypatch.setattr(services.settings, "save", check)
    return services


@pytest.mark.parametrize("what", OUTAGES)
def test_ten_minutes_delay_mails_and_nothing_else(
    what: str, services: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    start = services.system.now()
    outage = inject_outage(services, what)
    run = FaultRun(services, {}, outage)
    for number in range(5):
        run.put(a_message(messageId=f"m-{number}"), timedelta(minutes=2 * number))

    run.run()

    assert outage.failed
    assert [row.status for row in run.rows] == [DeliveryStatus.ACCEPTED] * 5
    assert len(run.sent) == 5
    assert services.settings.load(CONTOSO).status is Status.ENABLED
    assert services.system.now() - start >= TEN_MINUTES
    assert not [line for line in caplog.messages if line.startswith(CRITICAL_EVENTS)]


@pytest.mark.parametrize("what", OUTAGES)
def test_the_daily_maintenance_meets_it_and_changes_no_status(
    what: str, services: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    inject_outage(services, what)

    maintain_consents(services)

    assert services.settings.load(CONTOSO).status is Status.ENABLED
    assert not [line for line in caplog.messages if line.startswith(CRITICAL_EVENTS)]


@pytest.mark.parametrize(
    "what", ["the vault", "the identity for the vault", "the identity for the assertion"]
)
def test_a_pending_consent_is_shown_as_interrupted(what: str) -> None:
    services = FakeServices()
    window = open_start_link(enable(services), services)
    inject_outage(services, what)

    finish(window, services)

    flow = services.flows.flows[window.flow_id]
    assert flow.problem is not None
    assert (flow.status, flow.problem.code) == ("failed", "consent_interrupted")
    assert read_settings(services)["problem"] is None
    services.system.pass_time(TEN_MINUTES)
    finish(open_start_link(enable(services), services), services)
    assert read_settings(services)["status"] == "enabled"
