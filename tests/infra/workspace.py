"""A local Log Analytics workspace: DuckDB with duckdb-kql for KQL.

duckdb-kql parses with Microsoft's own KQL grammar, compares its results with those of the Kusto emulator, and
rejects what it does not know; see https://github.com/mmaitre314/duckdb-kql.
"""

from __future__ import annotations

import importlib
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: The columns that queries read, named and typed as on the pages of
#: https://learn.microsoft.com/azure/azure-monitor/reference/tables.
TABLES: dict[str, dict[str, str]] = {
    "AppTraces": {"Message": "VARCHAR", "SeverityLevel": "INTEGER", "OperationName": "VARCHAR"},
    "AppRequests": {"OperationName": "VARCHAR", "Success": "BOOLEAN"},
    "AppAvailabilityResults": {"Location": "VARCHAR", "Success": "BOOLEAN", "Message": "VARCHAR"},
    "AppExceptions": {"OperationName": "VARCHAR", "ExceptionType": "VARCHAR", "OuterMessage": "VARCHAR"},
    "StorageQueueLogs": {
        "OperationName": "VARCHAR",
        "Uri": "VARCHAR",
        "StatusCode": "VARCHAR",
        "RequesterObjectId": "VARCHAR",
        "AuthenticationType": "VARCHAR",
    },
    "AZKVAuditLogs": {
        "HttpStatusCode": "INTEGER",
        "OperationName": "VARCHAR",
        "CallerIpAddress": "VARCHAR",
        "Identity": "VARCHAR",
        "ResultDescription": "VARCHAR",
    },
    "Usage": {"DataType": "VARCHAR", "Quantity": "DOUBLE", "IsBillable": "BOOLEAN"},
    "_LogOperation": {"Category": "VARCHAR", "Detail": "VARCHAR"},
}

_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?")


@dataclass(frozen=True)
class Row:
    """One row of a table, logged so long ago."""

    table: str
    age: timedelta
    values: dict[str, Any]


def duration(text: str) -> timedelta:
    """Read a duration of ISO 8601 as alert rules write it, for example PT15M."""
    found = _DURATION.fullmatch(text)
    assert found, text
    days, hours, minutes = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes)


def run(
    query: str, rows: Iterable[Row], window: timedelta, tables: Iterable[str] = tuple(TABLES)
) -> list[tuple[Any, ...]]:
    """Run a query over rows in a window; other tables do not exist."""
    kql: Any = (
        importlib.import_module("duckdb_kql")
        if "GITHUB_ACTIONS" in os.environ
        else pytest.importorskip("duckdb_kql", reason="run `make setup`: requirements-dev.txt has grown")
    )
    now = datetime.now(UTC)
    with kql.connect() as workspace:
        workspace.sql("SET TimeZone = 'UTC'")
        for table in tables:
            columns = ", ".join(f"{name} {kind}" for name, kind in TABLES[table].items())
            workspace.sql(f"CREATE TABLE {table} (TimeGenerated TIMESTAMP, {columns})")
        for row in rows:
            if row.age < window:
                _insert(workspace, row, now)
        found: list[tuple[Any, ...]] = kql.query(workspace, query).fetchall()
    return found


def fires(rule: Mapping[str, Any], rows: Iterable[Row], tables: Iterable[str] = tuple(TABLES)) -> bool:
    """Evaluate an alert rule once, as Azure does with `Count` of the results."""
    (condition,) = rule["criteria"]["allOf"]
    assert (condition["timeAggregation"], condition["operator"]) == ("Count", "GreaterThan")
    assert condition["failingPeriods"] == {"numberOfEvaluationPeriods": 1, "minFailingPeriodsToAlert": 1}
    found = run(condition["query"], rows, duration(rule["windowSize"]), tables)
    return len(found) > int(condition["threshold"])


def tables_of(query: str) -> set[str]:
    """Return the tables that a query reads."""
    code = re.sub(r"//.*", "", query)
    return {table for table in TABLES if re.search(rf"\b{table}\b", code)}


def unguarded_tables(query: str) -> Iterator[str]:
    """Yield each table read outside a fuzzy union with an empty table."""
    code = re.sub(r"//.*", "", query)
    guarded = re.findall(r"union isfuzzy=true\s*\(\s*(\w+)\b(?:[^()]|\([^()]*\))*\),\s*\(datatable\(", code)
    for table in TABLES:
        yield from [table] * (len(re.findall(rf"\b{table}\b", code)) - guarded.count(table))


def _insert(workspace: Any, row: Row, now: datetime) -> None:
    columns = {"TimeGenerated": (now - row.age).replace(tzinfo=None), **row.values}
    places = ", ".join("?" for _ in columns)
    workspace.execute(
        f"INSERT INTO {row.table} ({', '.join(columns)}) VALUES ({places})",  # noqa: S608 - no foreign text
        list(columns.values()),
    )
