"""How long the delivery log goes back."""

from __future__ import annotations

from datetime import timedelta

from shared.deliveries.delivery import Delivery, DeliveryStatus
from shared.deliveries.retention import remove_finished
from tests.fakes import CONTOSO, NOON, FakeServices


def test_what_was_final_for_ninety_days_is_forgotten_with_its_request() -> None:
    services = FakeServices()
    for name, age, status in (
        ("old", 91, DeliveryStatus.REJECTED),
        ("young", 89, DeliveryStatus.REJECTED),
        ("waiting", 200, DeliveryStatus.WAITING_FOR_CONSENT),
    ):
        moment = NOON - timedelta(days=age)
        services.deliveries.add(Delivery(CONTOSO, name, status, moment, moment, moment))
        services.requests.keep(CONTOSO, name, b"request")
        services.drafts.keep(CONTOSO, name, b"draft")

    assert remove_finished(services) == 1

    assert {message_id for _, message_id in services.deliveries.rows} == {"young", "waiting"}
    assert {message_id for _, message_id in services.requests.kept} == {"young", "waiting"}
    assert {message_id for _, message_id in services.drafts.kept} == {"young", "waiting"}


def test_a_mail_that_somebody_retries_meanwhile_stays_with_its_request() -> None:
    services = FakeServices()
    long_ago = NOON - timedelta(days=91)
    row = services.deliveries.add(
        Delivery(CONTOSO, "m-1", DeliveryStatus.REJECTED, long_ago, long_ago, long_ago)
    )
    assert row
    services.requests.keep(CONTOSO, "m-1", b"request")
    listed = tuple(services.deliveries.finished_before(NOON))
    services.deliveries.finished_before = lambda _: iter(listed)  # type: ignore[method-assign,assignment]
    services.deliveries.save(row.moved(DeliveryStatus.DEFERRED, NOON))

    assert remove_finished(services) == 0
    assert services.requests.load(CONTOSO, "m-1") == b"request"


def test_where_nothing_is_old_nothing_happens() -> None:
    assert remove_finished(FakeServices()) == 0
