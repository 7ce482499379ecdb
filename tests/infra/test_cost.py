"""docs/cost.md says what infra/cost.py works out."""

from __future__ import annotations

import pytest

from infra.cost import ExchangeLimits, Prices, Traffic, cost_of, external_recipients_a_day, table
from tests.infra.project import ROOT

DOCUMENT = (ROOT / "docs/cost.md").read_text(encoding="utf-8")


def test_the_document_shows_the_table_that_the_script_prints() -> None:
    assert table(Prices()) in DOCUMENT


@pytest.mark.parametrize("recipients", [1, 5, 20])
def test_the_document_says_how_many_mailboxes_are_needed(recipients: int) -> None:
    needed = [
        ExchangeLimits().mailboxes(Traffic(mails), recipients) for mails in (1_000, 100_000, 10_000_000)
    ]

    assert f"| {recipients} | {' | '.join(f'{count:,}' for count in needed)} |" in DOCUMENT


@pytest.mark.parametrize(("licences", "recipients"), [(100, 22_059), (1_000, 72_446), (10_000, 324_979)])
def test_the_tenants_limit_follows_microsofts_formula(licences: int, recipients: int) -> None:
    assert external_recipients_a_day(licences) == recipients
    assert f"{recipients:,}" in DOCUMENT


def test_the_free_grant_is_taken_off_once() -> None:
    prices = Prices(gb_second=1, executions_million=0, free_gb_seconds=100)

    assert cost_of(Traffic(mails=200, seconds_a_mail=4, memory_gb=2), prices).executing == 300


def test_always_ready_instances_end_the_free_grant() -> None:
    prices = Prices(gb_second=1, executions_million=0, free_gb_seconds=100, always_ready_gb_second=0)
    traffic = Traffic(mails=200, seconds_a_mail=4, memory_gb=2, always_ready_instances=1)

    assert cost_of(traffic, prices).executing == 400


def test_each_price_reaches_the_total() -> None:
    """A price that nothing multiplies would be an input that does not count."""
    traffic = Traffic(mails=10_000_000, always_ready_instances=1)
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
