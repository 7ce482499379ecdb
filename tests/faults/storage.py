"""Storage faults alone: they can delay mails and change no outcome."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from tests.faults.campaign import Scenario
from tests.local_stack.storage_gates import BUSY, RESPONSES_LOST, SLOW, UNAVAILABLE, Outage
from tests.local_stack.storage_responses import StorageResponse, batch_error, table_error

if TYPE_CHECKING:
    from tests.faults.campaign import Campaign
    from tests.local_stack.storage_gates import Break, Service

SERVICES: tuple[Service, ...] = ("table", "queue", "blob")
OUTAGES = (
    ("unavailable", UNAVAILABLE, 30.0),
    ("busy", BUSY, 15.0),
    ("slow", SLOW, 20.0),
    ("responses lost", RESPONSES_LOST, 15.0),
)
BREAKS: tuple[Break, ...] = ("closed", "reset", "cut", "stalled")
TABLE_GONE = Outage(reaches=False, response=batch_error(404, "TableNotFound"), path="$batch")
CONTAINER_GONE = Outage(reaches=False, response=StorageResponse(404, "ContainerNotFound"))
REFUSED_AFTER_WRITE = Outage(response=batch_error(412, "UpdateConditionNotSatisfied"), path="$batch", every=3)
BUSY_AFTER_WRITE = Outage(response=table_error(503, "ServerBusy"), every=3)
CARRIED_OUT_LATE = Outage(hold=4.0, drops_at_once=True, every=2)
#: In place of an hour: attempts wait a minute for storage, and a message for ten minutes at most.
LONGER_THAN_AN_ATTEMPT = 150.0


def inject_storage_outage(campaign: Campaign, service: Service, outage: Outage, seconds: float) -> None:
    """Let one storage service fail for a while; the others continue."""
    with campaign.gates.during(service, outage):
        time.sleep(seconds)


def freeze(campaign: Campaign, seconds: float) -> None:
    """Suspend the storage process for a while."""
    campaign.freeze_storage(seconds)


def storage_scenarios() -> list[Scenario]:
    """Return a scenario for each fault of each storage service and of all."""
    outages: list[tuple[str, Service, Outage, float]] = [
        (f"{service}s {words}", service, outage, seconds)
        for service in SERVICES
        for words, outage, seconds in OUTAGES
    ]
    outages += [
        (f"{service}s: responses {how}", service, Outage(breaks=how, every=2), 12.0)
        for service in SERVICES
        for how in BREAKS
    ]
    outages += [
        ("tables unavailable for 4 s", "table", UNAVAILABLE, 4.0),
        ("tables unavailable for 12 s", "table", UNAVAILABLE, 12.0),
        ("tables unavailable for longer than an attempt waits", "table", UNAVAILABLE, LONGER_THAN_AN_ATTEMPT),
        ("tables: carried out late", "table", CARRIED_OUT_LATE, 15.0),
        ("tables: slow to carry out", "table", Outage(hold=4.0), 15.0),
        ("tables: busy after the write", "table", BUSY_AFTER_WRITE, 15.0),
        ("tables: refused after the write", "table", REFUSED_AFTER_WRITE, 12.0),
        ("tables: table gone", "table", TABLE_GONE, 8.0),
        ("blobs: container gone", "blob", CONTAINER_GONE, 8.0),
    ]
    alone = [
        Scenario(
            name,
            partial(inject_storage_outage, service=service, outage=outage, seconds=seconds),
            small=12,
            large=2,
            cause="storage",
        )
        for name, service, outage, seconds in outages
    ]
    return [
        *alone,
        Scenario("storage slow", partial(freeze, seconds=12.0), small=20, large=1, cause="storage"),
        Scenario("storage unavailable", partial(freeze, seconds=90.0), small=20, large=1, cause="storage"),
    ]
