"""docs/cost.md states the results of infra/cost.py."""

from __future__ import annotations

import pytest

from infra.cost import (
    AVAILABILITY_CALLS_A_MONTH,
    BYTES_A_GB,
    ExchangeLimits,
    Prices,
    Traffic,
    backlog_table,
    cost_of,
    external_recipients_a_day,
    table,
)
from tests.infra.functions import app_functions
from tests.infra.project import ROOT, Project

DOCUMENT = (ROOT / "docs/cost.md").read_text(encoding="utf-8")


def test_the_document_shows_the_tables_that_the_script_prints() -> None:
    assert table(Prices()) in DOCUMENT
    assert backlog_table(Prices()) in DOCUMENT


@pytest.mark.parametrize("recipients", [1, 5, 20])
def test_the_document_states_how_many_mailboxes_are_needed(recipients: int) -> None:
    needed = [
        ExchangeLimits().mailboxes(Traffic(mails), recipients) for mails in (1_000, 100_000, 10_000_000)
    ]

    assert f"| {recipients} | {' | '.join(f'{count:,}' for count in needed)} |" in DOCUMENT


@pytest.mark.parametrize(("licences", "recipients"), [(100, 22_059), (1_000, 72_446), (10_000, 324_979)])
def test_the_tenants_limit_follows_microsofts_formula(licences: int, recipients: int) -> None:
    assert external_recipients_a_day(licences) == recipients
    assert f"{recipients:,}" in DOCUMENT


def test_the_document_states_the_cost_of_zones_and_availability_tests() -> None:
    """HTTP functions scale together, every other function separately.

    Two instances of each are kept ready.
    """
    kinds = [type(function.get_trigger()).__name__ for function in app_functions()]
    groups = len([kind for kind in kinds if kind != "HttpTrigger"]) + 1
    ready = cost_of(Traffic(0, always_ready_instances=2 * groups), Prices()).always_ready
    calls = cost_of(Traffic(0, availability_calls=AVAILABILITY_CALLS_A_MONTH), Prices()).availability

    assert f"The app has {groups}: " in DOCUMENT
    assert f"{2 * groups} instances of 2 GB are about {ready:.0f} a month" in DOCUMENT
    assert (
        f"{AVAILABILITY_CALLS_A_MONTH:,} calls a month, five places every 15 minutes: {calls:.2f}" in DOCUMENT
    )


def test_the_document_states_how_many_mails_the_free_log_and_cap_hold() -> None:
    traffic = Traffic(mails=0)
    a_mail = traffic.log_bytes_a_mail + traffic.queue_log_bytes_a_mail
    free = (Prices().free_log_gb * BYTES_A_GB - 30 * traffic.idle_log_bytes_a_day) / a_mail
    capped = (BYTES_A_GB - traffic.idle_log_bytes_a_day) / a_mail

    assert "6.2 kB and an instance without mail 5.2 MB a day" in DOCUMENT
    assert (traffic.log_bytes_a_mail, traffic.idle_log_bytes_a_day) == (6_200, 5_200_000)
    assert f"hold about {int(free) // 10_000}0,000 mails" in DOCUMENT
    assert f"`DAILY_LOG_CAP_GB=1` about {int(capped) // 1_000},000 mails a day" in DOCUMENT


def test_an_instance_that_is_always_ready_logs_without_mail() -> None:
    prices = Prices(free_log_gb=0, log_gb=1)

    assert cost_of(Traffic(mails=0, always_ready_instances=3), prices).logs == pytest.approx(0.468)


def test_the_number_of_alert_rules_equals_that_of_the_template() -> None:
    defaults = Project.from_disk().predictions["defaults"]

    assert len(defaults.all("Microsoft.Insights/scheduledQueryRules")) == Traffic(0).alert_rules


def test_the_free_grant_is_taken_off_once() -> None:
    prices = Prices(gb_second=1, executions_million=0, free_gb_seconds=100)

    assert cost_of(Traffic(mails=200, seconds_a_mail=4, memory_gb=2), prices).executing == 300


def test_always_ready_instances_end_the_free_grant() -> None:
    prices = Prices(gb_second=1, executions_million=0, free_gb_seconds=100, always_ready_gb_second=0)
    traffic = Traffic(mails=200, seconds_a_mail=4, memory_gb=2, always_ready_instances=1)

    assert cost_of(traffic, prices).executing == 400


def test_each_price_reaches_the_total() -> None:
    """A price that is never multiplied would have no effect."""
    traffic = Traffic(mails=10_000_000, always_ready_instances=1, availability_calls=1)
    names = [name for name in Prices.__dataclass_fields__ if not name.startswith("free_")]

    unused = [
        name
        for name in names
        if cost_of(traffic, Prices(**{name: 1e6})).total <= cost_of(traffic, Prices()).total
    ]

    assert unused == []


def test_large_files_are_limited_by_what_may_be_uploaded() -> None:
    """43.2 GB a day and mailbox."""
    assert ExchangeLimits().mailboxes(Traffic(mails=30_000), recipients_a_mail=1, large_file_gb=0.1) == 3
