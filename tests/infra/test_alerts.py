"""Alerts are complete, have recipients, use real names, are documented.

Which log lines raise which alert is tested in `test_alert_queries.py`.
"""

from __future__ import annotations

import ast
import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.telemetry import Event
from tests.infra.changes import file, interface, parameter, predicted, template
from tests.infra.functions import functions_without_caller
from tests.infra.prediction import at
from tests.infra.workspace import run

if TYPE_CHECKING:
    from tests.infra.project import Project

ALERTS = "modules/alerts.bicep"
QUERIES = "infra/queries"
WORKBOOK = "infra/workbook.json"
ALERT_PAGE = "docs/operations/alerts.md"
AUDIT_PAGE = "docs/operations/audit.md"
EVENT_PAGE = "docs/operations/events.md"
RULE = "Microsoft.Insights/scheduledQueryRules"
ACTION_GROUP = "Microsoft.Insights/actionGroups"

#: Frequencies and windows that Azure accepts, in minutes;
#: https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-create-log-alert-rule.
MINUTES = {
    **{f"PT{minutes}M": minutes for minutes in (5, 10, 15, 30, 45)},
    **{f"PT{hours}H": 60 * hours for hours in range(1, 7)},
    "P1D": 1440,
    "P2D": 2880,
}


def queries(project: Project) -> dict[str, str]:
    """Every query without its comments: the alerts' and the workbook's."""
    files = {path: text for path, text in project.files.items() if path.endswith(".kql")}
    return {name: re.sub(r"//.*", "", text) for name, text in (files | project.workbook_queries).items()}


def events_in(query: str) -> set[str]:
    """The event names that a query compares with."""
    names = set(re.findall(r"'(\w+) \{'", query))
    for compared in re.findall(r"\bEvent (?:==|!=|in) (\([^)]*\)|'\w*')", query):
        names |= set(re.findall(r"'(\w+)'", compared))
    return names


@pytest.mark.fails_when(
    file(f"{QUERIES}/consent-lost.kql", "consent_lost", "consent_gone"),
    file(WORKBOOK, "'token_refreshed'", "'token_renewed'"),
)
def test_queries_search_for_events_that_the_app_writes(project: Project) -> None:
    unknown = {name: events_in(query) - set(Event) for name, query in queries(project).items()}

    assert {name: events for name, events in unknown.items() if events} == {}


@pytest.mark.fails_when(file(f"{QUERIES}/mail-deferred-long.kql", "Fields.message_id", "Fields.messageId"))
def test_queries_read_fields_that_the_app_writes(project: Project) -> None:
    written = {
        keyword.arg
        for path, text in project.files.items()
        if path.startswith("shared/")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if node.func.id in {"log_event", "log_failure", "log_mail_event"}
        for keyword in node.keywords
    }

    for query in queries(project).values():
        assert set(re.findall(r"\bFields\.(\w+)", query)) - written == set()


@pytest.mark.fails_when(
    predicted('"name": "consent-lost"', '"name": "consent-gone"', "private-network"),
    predicted(
        "| where Message startswith 'consent_lost", "| where Message contains 'lost", "private-network"
    ),
    template(ALERTS, "name: 'consent-lost'", "name: 'consent-gone'", "private-network"),
    template(ALERTS, "query: rule.query", "query: rule.name", "private-network"),
    file(f"{QUERIES}/mail-expired.kql", "mail_expired", "mail_rejected"),
)
def test_every_query_is_an_alert_of_the_same_name(project: Project) -> None:
    files = {
        path.rpartition("/")[2].removesuffix(".kql"): text
        for path, text in project.files.items()
        if path.endswith(".kql")
    }

    assert {
        name: rule["criteria"]["allOf"][0]["query"] for name, rule in project.alert_rules.items()
    } == files


@pytest.mark.fails_when(
    predicted('"evaluationFrequency": "PT5M"', '"evaluationFrequency": "PT7M"'),
    predicted('"windowSize": "PT15M"', '"windowSize": "PT1M"'),
    predicted('"windowSize": "PT1H"', '"windowSize": "PT10M"', "private-network"),
    interface('"PT3H"', '"PT90M"'),
    template(ALERTS, "window: 'PT15M'", "window: 'PT1M'"),
    parameter("'PT1H', 'PT2H'", "'PT1H', 'PT90M'"),
)
def test_azure_accepts_the_windows_and_nothing_falls_between_two(project: Project) -> None:
    for azure in project.predictions.values():
        for rule in azure.all(RULE):
            frequency, window = (rule["properties"][key] for key in ("evaluationFrequency", "windowSize"))
            assert {frequency, window} <= MINUTES.keys()
            assert MINUTES[frequency] <= MINUTES[window]
    silence = project.interface.parameters["silence"]["allowedValues"]
    assert set(silence) <= MINUTES.keys()


@pytest.mark.fails_when(
    predicted('"threshold": 0', '"threshold": 10'),
    predicted('"timeAggregation": "Count"', '"timeAggregation": "Average"'),
    predicted('"severity": 1,\n        "enabled": true', '"severity": 1,\n        "enabled": false'),
    predicted('"actionGroups": [\n', '"actionGroups": [] , "x": [\n'),
    predicted('"scopes": [\n', '"scopes": [] , "x": [\n'),
    template(ALERTS, "actions: { actionGroups: [actionGroup.id] }", "actions: { actionGroups: [] }"),
    template(ALERTS, "threshold: 0", "threshold: 10"),
    template(ALERTS, "scopes: [workspaceId]", "scopes: [actionGroup.id]"),
)
def test_each_alert_fires_at_the_first_row_and_uses_the_action_group(project: Project) -> None:
    for azure in project.predictions.values():
        workspace = azure.one("Microsoft.OperationalInsights/workspaces")["id"]
        group = azure.one(ACTION_GROUP)["id"]
        for rule in azure.all(RULE):
            properties = rule["properties"]
            assert (
                properties.items()
                >= {
                    "displayName": rule["name"],
                    "enabled": True,
                    "autoMitigate": True,
                    "skipQueryValidation": True,
                    "scopes": [workspace],
                    "actions": {"actionGroups": [group]},
                }.items()
            )
            (condition,) = properties["criteria"]["allOf"]
            assert (
                condition.items()
                >= {
                    "timeAggregation": "Count",
                    "operator": "GreaterThan",
                    "threshold": 0,
                }.items()
            )
            assert properties["severity"] in range(4)
            assert properties["description"].endswith(".")


@pytest.mark.fails_when(
    predicted('"emailAddress": "owner@contoso.com"', '"emailAddress": "x@contoso.com"', "private-network"),
    predicted('"groupShortName": "mailer",\n        "enabled": true', '"enabled": false'),
    template(ALERTS, "emailAddress: address", "emailAddress: 'x@contoso.com'", "private-network"),
    template(
        ALERTS, "groupShortName: 'mailer'\n    enabled: true", "groupShortName: 'mailer'\n    enabled: false"
    ),
)
def test_the_action_group_writes_to_every_address(project: Project) -> None:
    for azure in project.predictions.values():
        properties = azure.one(ACTION_GROUP)["properties"]
        wanted = ["operations@contoso.com", "owner@contoso.com"] if azure.name == "private-network" else []
        assert properties["enabled"] is True
        assert [receiver["emailAddress"] for receiver in properties["emailReceivers"]] == wanted


@pytest.mark.fails_when(
    file(f"{QUERIES}/function-failed.kql", "'release_waiting_mails'", "'release_waiting'"),
    file(f"{QUERIES}/function-failed.kql", "'record_poisoned_mail', ", ""),
)
def test_every_function_that_no_caller_waits_for_is_watched(project: Project) -> None:
    query = queries(project)[f"{QUERIES}/function-failed.kql"]

    assert set(re.findall(r"'(\w+)'", query)) == functions_without_caller()


@pytest.mark.fails_when(
    predicted('"name": "function:deliver_mail"', '"name": "function:deliver_mails"', "private-network"),
    template("modules/function.bicep", "function:deliver_mail", "function:deliver_mails", "private-network"),
)
def test_always_ready_instances_wait_for_functions_of_the_app(project: Project) -> None:
    ready = "properties.functionAppConfig.scaleAndConcurrency.alwaysReady"
    groups = at(project.predictions["private-network"].one("Microsoft.Web/sites"), ready)

    assert groups
    assert {group["name"] for group in groups} <= {f"function:{name}" for name in functions_without_caller()}
    assert at(project.predictions["defaults"].one("Microsoft.Web/sites"), ready) == []


@pytest.mark.fails_when(
    file(ALERT_PAGE, "\n## vault-forbidden\n", "\n## The vault\n"),
    file(EVENT_PAGE, "| `mail_verifying` |", "| verifying |"),
)
def test_the_runbook_explains_every_alert_and_every_event(project: Project) -> None:
    alerts, events = project.files[ALERT_PAGE], project.files[EVENT_PAGE]

    assert [name for name in project.alert_rules if f"\n## {name}\n" not in alerts] == []
    assert [name for name in project.alert_rules if f"\n| [{name}](#{name}) |" not in alerts] == []
    assert [event for event in Event if f"| `{event}` |" not in events] == []


def runs(query: str) -> bool:
    """Tell whether a query runs in a workspace with all tables but no rows."""
    try:
        run(query, [], timedelta(days=7))
    except Exception as error:
        if type(error).__name__ in {"BinderException", "KqlError", "ParserException", "CatalogException"}:
            return False
        raise
    return True


@pytest.mark.fails_when(
    predicted("alerts.md#vault-forbidden.", "alerts.md.", "private-network"),
    file(
        ALERT_PAGE, "* **Harmless:** for minutes after a first deployment", "* For minutes after a deployment"
    ),
    file(ALERT_PAGE, "| project TimeGenerated, Location, Message", "| project When, Location, Message"),
)
def test_an_alert_names_its_section_with_a_query_that_runs(project: Project) -> None:
    for name, rule in project.alert_rules.items():
        assert rule["description"].endswith(f" What to do: {ALERT_PAGE}#{name}.")
        section = project.files[ALERT_PAGE].partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        queries_of_section = re.findall(r"^```kusto\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
        assert queries_of_section, name
        assert [query for query in queries_of_section if not runs(query)] == []
        assert [part for part in ("Look", "Do", "Harmless") if not re.search(rf"\*\*{part}\b", section)] in (
            [],
            ["Do"],
        ), name


@pytest.mark.fails_when(file(AUDIT_PAGE, "HttpStatusCode, CallerIpAddress", "HttpStatus, CallerIpAddress"))
def test_the_queries_for_an_auditor_run(project: Project) -> None:
    found = re.findall(r"^```kusto\n(.*?)^```", project.files[AUDIT_PAGE], re.MULTILINE | re.DOTALL)

    assert len(found) == 4
    assert [query for query in found if not runs(query)] == []
