"""No event value can look like another event to an alert or workbook."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING

import pytest

from shared.telemetry import Event, log_event
from tests.infra.changes import file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infra.project import Project

CONDITION = re.compile(r"Message (\w+(?: regex)?) @?'([^']*)'")
EXTRACTION = re.compile(r"extract\(@'([^']*)', 1, Message\)")
#: Conditions that narrow down a line whose start is known.
AFTER_A_START = re.compile(r"startswith '[^']+' and $")


def queries(project: Project) -> Iterator[tuple[str, str]]:
    """Yield each query on the app's lines, with its name."""
    for path, text in project.files.items():
        if path.endswith(".kql") and "AppTraces" in text:
            yield path, re.sub(r"//.*", "", text)
    for item in json.loads(project.files["infra/workbook.json"])["items"]:
        query = item["content"].get("query", "")
        if "AppTraces" in query:
            yield item["content"]["title"], query


@pytest.mark.fails_when(
    file("infra/queries/consent-lost.kql", "startswith", "contains"),
    file("infra/queries/mail-poisoned.kql", "startswith 'Message", "contains 'Message"),
    file("infra/queries/mail-deferred-long.kql", "@'^([a-z_]+)", "@'([a-z_]+)"),
    file("infra/workbook.json", "regex @'^", "regex @'"),
)
def test_a_query_matches_only_the_start_of_a_line(project: Project) -> None:
    found = dict(queries(project))

    assert len(found) > 12
    for name, query in found.items():
        assert CONDITION.search(query), name
        for condition in CONDITION.finditer(query):
            before = query[: condition.start()]
            anchored = (
                condition[1] == "startswith"
                or (condition[1] == "matches regex" and condition[2].startswith("^"))
                or AFTER_A_START.search(before) is not None
            )
            assert anchored, f"{name}: {condition[0]}"
        assert all(pattern.startswith("^") for pattern in EXTRACTION.findall(query)), name


def starts(project: Project) -> set[str]:
    return {
        literal
        for _, query in queries(project)
        for operator, literal in CONDITION.findall(query)
        if operator == "startswith"
    }


@pytest.mark.fails_when(file("infra/queries/consent-lost.kql", "'consent_lost {'", "'settings_'"))
def test_a_value_that_imitates_an_event_starts_no_alert(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    imitations = [*starts(project), *(f'"}}\n{start}' for start in starts(project))]
    caplog.set_level(logging.INFO, "mailer")
    for value in imitations:
        log_event(Event.SETTINGS_RESET, correlation_id=value, message_id=value, was=value)

    assert len(caplog.messages) == len(imitations)
    assert [line for line in caplog.messages if line.startswith(tuple(starts(project)))] == []
    assert {line.partition(" {")[2].count(" {") for line in caplog.messages} == {0}
