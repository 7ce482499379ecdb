"""How long the delivery log goes back."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.deliveries.delivery import Delivery
from shared.deliveries.retention import TIME_TO_REMOVE, remove_finished
from shared.deliveries.status import DeliveryStatus
from shared.errors import TransientError
from shared.settings.tenant import TenantSettings
from tests.fakes import CONTOSO, FABRIKAM, NOON, FakeServices, MemoryDeliveries

if TYPE_CHECKING:
    from datetime import datetime

    from shared.deliveries.ports import DeliveryPage

LONG_AGO = NOON - timedelta(days=91)


def an_old_mail(
    services: FakeServices, message_id: str, tenant_id: str = CONTOSO, **changes: Any
) -> Delivery:
    row = Delivery(tenant_id, message_id, DeliveryStatus.REJECTED, LONG_AGO, LONG_AGO, LONG_AGO, **changes)
    added = services.deliveries.add(row)
    assert added
    return added


def names(services: FakeServices) -> set[str]:
    return {message_id for _, message_id in services.deliveries.rows}


def test_what_was_final_for_ninety_days_is_removed() -> None:
    services = FakeServices()
    for name, age, status in (
        ("old", 91, DeliveryStatus.REJECTED),
        ("young", 89, DeliveryStatus.REJECTED),
        ("waiting", 200, DeliveryStatus.WAITING_FOR_CONSENT),
    ):
        moment = NOON - timedelta(days=age)
        services.deliveries.add(Delivery(CONTOSO, name, status, moment, moment, moment))

    assert remove_finished(services) == 1
    assert names(services) == {"young", "waiting"}


def test_old_mails_of_every_tenant_are_removed_even_of_unknown_tenants() -> None:
    services = FakeServices()
    for tenant in (CONTOSO, FABRIKAM, "00000000-0000-4000-8000-000000000000"):
        an_old_mail(services, "m-1", tenant)

    assert remove_finished(services) == 3


def test_stored_requests_are_left_to_the_lifecycle_rule() -> None:
    services = FakeServices()
    an_old_mail(services, "m-1")
    services.requests.save(CONTOSO, "m-1", b"request")
    remove_finished(services)

    assert names(services) == set()
    assert services.requests.load(CONTOSO, "m-1") == b"request"


def slow(services: FakeServices, monkeypatch: pytest.MonkeyPatch, minutes: float) -> None:
    """Limit pages to one mail and let each page take some time."""
    services.deliveries.page = 1
    find = MemoryDeliveries.finished_before

    def slowly(log: MemoryDeliveries, *arguments: Any) -> Any:
        services.system.pass_time(timedelta(minutes=minutes))
        return find(log, *arguments)

    monkeypatch.setattr(MemoryDeliveries, "finished_before", slowly)


def test_a_run_ends_after_five_minutes_and_the_next_one_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    services = FakeServices()
    for number in range(4):
        an_old_mail(services, f"kept-{number}", outcome_queue="q")
    kept = [services.deliveries.rows[CONTOSO, f"kept-{number}"] for number in range(4)]
    for row in kept:
        services.deliveries.save(row.transition(DeliveryStatus.WAITING_FOR_OPERATOR, LONG_AGO))
    an_old_mail(services, "old")
    slow(services, monkeypatch, minutes=2)

    assert remove_finished(services) == 0
    assert services.system.passed < TIME_TO_REMOVE + timedelta(minutes=2)
    assert services.deliveries.place == (CONTOSO, "3")
    assert remove_finished(services) == 1
    assert "old" not in names(services)


def test_after_the_last_tenant_the_next_run_begins_with_the_first() -> None:
    services = FakeServices()
    an_old_mail(services, "m-1", FABRIKAM)
    remove_finished(services)
    an_old_mail(services, "m-2", CONTOSO)

    assert services.deliveries.place == ("", None)
    assert remove_finished(services) == 1


def test_a_tenant_whose_rows_cannot_be_removed_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    services = FakeServices()
    an_old_mail(services, "m-1", CONTOSO)
    an_old_mail(services, "m-2", FABRIKAM)
    remove = MemoryDeliveries.remove_finished

    def unavailable(log: MemoryDeliveries, rows: list[Delivery]) -> int:
        if rows[0].tenant_id == CONTOSO:
            raise TransientError("storage_unavailable", service="tables")
        return remove(log, rows)

    monkeypatch.setattr(MemoryDeliveries, "remove_finished", unavailable)

    assert remove_finished(services) == 1
    assert names(services) == {"m-1"}
    assert "storage_unavailable" in caplog.text


def test_a_mail_with_an_unreported_outcome_is_removed_completely() -> None:
    services = FakeServices()
    told = an_old_mail(services, "m-1", outcome_queue="q")
    services.deliveries.save(told.transition(DeliveryStatus.REJECTED, LONG_AGO))
    assert services.deliveries.aside

    assert remove_finished(services) == 1
    assert not services.deliveries.aside


def test_an_unserved_or_foreign_tenant_keeps_its_mails_and_blocks_no_other() -> None:
    services = FakeServices()
    first, second, third = (f"0000000{number}-0000-4000-8000-000000000000" for number in range(3))
    for tenant in (first, second, third):
        an_old_mail(services, "m-1", tenant)
    services.settings.save(TenantSettings(first))
    services.settings.foreign.add(second)

    assert remove_finished(services) == 1
    assert {tenant for tenant, _ in services.deliveries.rows} == {first, second}


@pytest.mark.parametrize("why", ["unserved", "foreign"])
def test_a_stopped_run_does_not_continue_for_a_tenant_no_longer_served(why: str) -> None:
    services = FakeServices()
    first, second = (f"0000000{number}-0000-4000-8000-000000000000" for number in range(2))
    for tenant in (first, second):
        an_old_mail(services, "m-1", tenant)
    services.deliveries.save_removal_place(first, "0")
    if why == "unserved":
        services.settings.save(TenantSettings(first))
    else:
        services.settings.foreign.add(first)

    assert remove_finished(services) == 1
    assert {tenant for tenant, _ in services.deliveries.rows} == {first}


def test_a_run_that_is_cut_short_is_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    services = FakeServices()
    for name in ("m-1", "m-2"):
        an_old_mail(services, name)
    services.deliveries.page = 1
    find = MemoryDeliveries.finished_before

    def interrupted(
        log: MemoryDeliveries, tenant_id: str, moment: datetime, place: str | None
    ) -> DeliveryPage:
        if place is not None:
            raise KeyboardInterrupt
        return find(log, tenant_id, moment, place)

    monkeypatch.setattr(MemoryDeliveries, "finished_before", interrupted)
    with pytest.raises(KeyboardInterrupt):
        remove_finished(services)

    assert services.deliveries.place == (CONTOSO, "1")


def test_the_log_states_how_many_were_removed(caplog: pytest.LogCaptureFixture) -> None:
    services = FakeServices()
    an_old_mail(services, "m-1")
    with caplog.at_level("INFO"):
        remove_finished(services)

    assert 'finished_mails_removed {"count": 1}' in caplog.text
