"""Queries on tables that do not exist before their first row.

A rule fails while one of its tables is missing, and Azure switches off a rule that has failed for a week:
https://github.com/microsoft/AzureMonitorCommunity/issues/175.
"""

from __future__ import annotations

import re

import pytest

from tests.infra.app_log import logged
from tests.infra.functions import timer_schedules
from tests.infra.mail_scenarios import (
    DAY,
    MINUTE,
    consent_lost,
    deferred_after_a_retry,
    outbox_stuck,
    paused_by_an_operator,
)
from tests.infra.project import Project
from tests.infra.workspace import TABLES, Row, fires, run, tables_of, unguarded_tables

PROJECT = Project.from_disk()
RULES = PROJECT.alert_rules
WORKBOOK = PROJECT.workbook_queries
QUERIES = {**{name: rule["criteria"]["allOf"][0]["query"] for name, rule in RULES.items()}, **WORKBOOK}


@pytest.mark.parametrize("name", RULES)
def test_an_alert_yields_no_rows_where_its_tables_are_missing(name: str) -> None:
    """Alerts on absence are raised then, because their timers have not run."""
    needed = tables_of(RULES[name]["criteria"]["allOf"][0]["query"])

    for missing in ({*needed}, *({table} for table in needed)):
        raised = fires(RULES[name], [], TABLES.keys() - missing)
        assert raised is name.endswith("-timer-stopped")


@pytest.mark.parametrize("name", WORKBOOK)
def test_a_tile_of_the_workbook_works_with_and_without_its_tables(name: str) -> None:
    ran = Row("AppRequests", MINUTE, {"OperationName": "release_waiting_mails", "Success": True})
    scenarios = (deferred_after_a_retry, consent_lost, paused_by_an_operator, outbox_stuck)
    rows = [*(row for scenario in scenarios for row in logged(scenario)), ran]

    assert run(WORKBOOK[name], rows, DAY)
    assert len(run(WORKBOOK[name], [], DAY, tables=())) == (4 if name == "timers" else 0)


@pytest.mark.parametrize("name", QUERIES)
def test_every_table_is_read_in_a_fuzzy_union_with_an_empty_one(name: str) -> None:
    assert tables_of(QUERIES[name])
    assert list(unguarded_tables(QUERIES[name])) == []


@pytest.mark.parametrize(
    "query",
    [
        "AppTraces | where Message contains 'x'",
        "union isfuzzy=true (AppTraces | count)",
        "union (AppTraces | where Message has 'f(x)'), (datatable(TimeGenerated: datetime)[])",
        "union isfuzzy=true (AppTraces), (datatable(A: int)[]) | join (AppTraces) on A",
    ],
)
def test_a_table_outside_a_fuzzy_union_is_noticed(query: str) -> None:
    assert list(unguarded_tables(query)) == ["AppTraces"]


def test_the_timers_of_the_app_are_the_ones_that_are_watched() -> None:
    """Read from the functions themselves, with their schedules."""
    schedules = timer_schedules()
    often = {name for name, when in schedules.items() if when == "0 */5 * * * *"}
    daily = {name for name, when in schedules.items() if re.fullmatch(r"0 \d+ \d+ \* \* \*", when)}

    assert often | daily == schedules.keys()
    assert set(re.findall(r"'(\w+)'", QUERIES["five-minute-timer-stopped"])) == often
    assert set(re.findall(r"'(\w+)'", QUERIES["daily-timer-stopped"])) == daily
    assert set(re.findall(r"'(\w+_\w+)'", WORKBOOK["timers"])) == schedules.keys()
