"""Alerts and workbook: they search for events that the app writes, and the runbook explains each."""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING

from shared.telemetry import Event
from tests.infra.names import function_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infra.project import Project
    from tests.infra.template import Value

ALERTS = "infra/modules/alerts.bicep"
WORKBOOK = "infra/workbook.json"
RUNBOOK = "docs/operations.md"

TABLES = frozenset({"AppTraces", "AppRequests", "AZKVAuditLogs", "StorageQueueLogs", "_LogOperation"})

#: What must never go unnoticed, by the query that has to search for it.
WATCHED = {
    "mail-poisoned": {Event.MAIL_POISONED},
    "consent-lost": {Event.CONSENT_LOST},
    "operator-error": {Event.OPERATOR_ERROR, Event.MAIL_WAITING_FOR_OPERATOR},
    "mail-outcome-unknown": {Event.MAIL_OUTCOME_UNKNOWN},
    "mail-deferred-long": {Event.MAIL_DEFERRED},
    "no-mail-accepted": {Event.MAIL_ACCEPTED},
    "unexpected-error": {Event.UNEXPECTED_ERROR},
    "mail-expired": {Event.MAIL_EXPIRED},
    "mail-refused": {Event.MAIL_REJECTED, Event.MAIL_INVALID, Event.MAIL_CONFLICT},
}

#: Windows and frequencies that Azure takes, in minutes;
#: https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-create-log-alert-rule.
MINUTES = {
    "PT5M": 5,
    "PT10M": 10,
    "PT15M": 15,
    "PT30M": 30,
    "PT1H": 60,
    "PT6H": 360,
    "P1D": 1440,
    "P2D": 2880,
}


def queries(project: Project) -> dict[str, str]:
    """Every query by where it stands: the alerts' files and the workbook's items."""
    found = {path: text for path, text in project.files.items() if path.endswith(".kql")}
    for item in json.loads(project.files[WORKBOOK])["items"]:
        if "query" in item["content"]:
            found[f"{WORKBOOK} ({item['name']})"] = item["content"]["query"]
    return found


def events_in(query: str) -> set[str]:
    """The event names that a query compares with."""
    names = set(re.findall(r"'(\w+) \{'", query))
    for compared in re.findall(r"\bEvent (?:==|!=|in) (\([^)]*\)|'\w*')", query):
        names |= set(re.findall(r"'(\w+)'", compared))
    return names


def queries_search_for_real_events(project: Project) -> Iterator[str]:
    """Every event that a query names is one that the app writes."""
    for where, query in queries(project).items():
        for name in sorted(events_in(query) - set(Event)):
            yield f"{where}: no event is called {name}"


def queries_read_fields_that_are_logged(project: Project) -> Iterator[str]:
    """Every field that a query reads is one that the code gives to an event."""
    logged = _logged_fields(project)
    for where, query in queries(project).items():
        for name in sorted(set(re.findall(r"\bFields\.(\w+)", query)) - logged):
            yield f"{where}: no event has a field {name}"


def queries_read_known_tables(project: Project) -> Iterator[str]:
    """Every query starts from a table that these resources fill."""
    for where, query in queries(project).items():
        code = re.sub(r"//.*", "", query)
        sources = re.findall(r"(?:^|\blet \w+ = toscalar\(|;)\s*([A-Za-z_]\w*)\s*\|", code)
        sources += re.findall(r"^([A-Z_]\w+)$", code, re.MULTILINE)
        if not sources or set(sources) - TABLES:
            yield f"{where}: reads {', '.join(sources) or 'no table'}"


def what_must_be_noticed_is_watched(project: Project) -> Iterator[str]:
    """Poison, lost consent, wrong configuration, unknown outcome, deferral, silence: each has an alert."""
    for name, events in WATCHED.items():
        query = project.files.get(f"infra/queries/{name}.kql", "")
        for event in sorted(events - events_in(query)):
            yield f"infra/queries/{name}.kql does not search for {event}"
    if "HttpStatusCode == 403" not in project.files.get("infra/queries/vault-forbidden.kql", ""):
        yield "infra/queries/vault-forbidden.kql does not search for 403"


def every_query_is_an_alert(project: Project) -> Iterator[str]:
    """Each query file is loaded by the alert of the same name."""
    files = {path.split("/")[-1].removesuffix(".kql") for path in project.files if path.endswith(".kql")}
    loaded = set()
    for rule in _rules(project):
        name = _text(rule, "name")
        loaded.add(name)
        if _text(rule, "query") != f"loadTextContent('../queries/{name}.kql')":
            yield f"{ALERTS}:{rule.line} {name} does not load its query"
    for name in sorted(files ^ loaded):
        yield f"{ALERTS}: {name} has {'no alert' if name in files else 'no query'}"


def windows_are_ones_that_azure_takes(project: Project) -> Iterator[str]:
    """Window and frequency are on Azure's list, and nothing falls between two evaluations."""
    for rule in _rules(project):
        frequency, window = _text(rule, "frequency"), _text(rule, "window")
        if window == "silence":
            window = "PT1H"  # The shortest that the parameter allows.
        if frequency not in MINUTES or window not in MINUTES or MINUTES[frequency] > MINUTES[window]:
            yield f"{ALERTS}:{rule.line} {frequency} in {window}"


def alert_rules_are_complete(project: Project) -> Iterator[str]:
    """Each alert says how bad it is, how often it looks, how far back, and what it means."""
    for rule in _rules(project):
        for key in sorted({"name", "severity", "frequency", "window", "query", "says"} ^ set(rule.keys)):
            yield f"{ALERTS}:{rule.line} {_text(rule, 'name')}: {key}"


def alerts_reach_somebody(project: Project) -> Iterator[str]:
    """Each alert is deployed as its rule says, fires at the first finding, and goes to the action group."""
    wanted = {
        "name": "rule.name",
        "properties.displayName": "rule.name",
        "properties.description": "rule.says",
        "properties.severity": "rule.severity",
        "properties.evaluationFrequency": "rule.frequency",
        "properties.windowSize": "rule.window",
        "properties.enabled": "true",
        "properties.autoMitigate": "true",
        "properties.skipQueryValidation": "true",
        "properties.actions.actionGroups": "[ actionGroup.id ]",
        "properties.scopes": "[ workspaceId ]",
    }
    for item in project.templates[ALERTS].of("resource", "Microsoft.Insights/scheduledQueryRules"):
        for path, expected in wanted.items():
            value = item.at(path)
            if value is None or value.text != expected:
                yield f"{ALERTS}:{item.line} {path} is not {expected}"
        criteria = item.at("properties.criteria")
        text = " ".join(criteria.text.split()) if criteria else ""
        for piece in (
            "query: rule.query",
            "timeAggregation: 'Count'",
            "operator: 'GreaterThan'",
            "threshold: 0 ",
        ):
            if piece not in text:
                yield f"{ALERTS}:{item.line} the criteria have no {piece}"


def action_group_writes_mails(project: Project) -> Iterator[str]:
    """The action group is on and writes to every address of the parameter."""
    for item in project.templates[ALERTS].of("resource", "Microsoft.Insights/actionGroups"):
        enabled, receivers = item.at("properties.enabled"), item.at("properties.emailReceivers")
        text = receivers.text if receivers else ""
        mails = text.startswith("[for address in emailAddresses:") and "emailAddress: address\n" in text
        if enabled is None or enabled.text != "true" or not mails:
            yield f"{ALERTS}:{item.line} writes to nobody"


def failing_functions_are_watched(project: Project) -> Iterator[str]:
    """The alert on failed functions names every function that no caller waits for, and only such."""
    query = project.files["infra/queries/function-failed.kql"]
    named = set(re.findall(r"'(\w+)'", re.sub(r"//.*", "", query)))
    wanted = function_names(project, "/triggers.py")
    for name in sorted(named ^ wanted):
        problem = "is no function" if name in named else "is not watched"
        yield f"infra/queries/function-failed.kql: {name} {problem}"


def runbook_explains_alerts_and_events(project: Project) -> Iterator[str]:
    """The runbook has a section for each alert and a line for each event."""
    text = project.files.get(RUNBOOK, "")
    for rule in _rules(project):
        if f"\n### {_text(rule, 'name')}\n" not in text:
            yield f"{RUNBOOK}: the alert {_text(rule, 'name')} has no section"
    for event in Event:
        if f"| `{event}` |" not in text:
            yield f"{RUNBOOK}: the event {event} is not explained"


def _logged_fields(project: Project) -> set[str]:
    """The keywords of every call of `log_event` and `log_failure`."""
    return {
        keyword.arg
        for path, text in project.files.items()
        if path.startswith("shared/") and path.endswith(".py")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"log_event", "log_failure"}
        for keyword in node.keywords
        if keyword.arg
    }


def _rules(project: Project) -> tuple[Value, ...]:
    variable = project.templates[ALERTS].named("rules")
    return variable.body.parts if variable and variable.body else ()


def _text(rule: Value, path: str) -> str:
    value = rule.at(path)
    return value.text if value else ""


RULES = (
    queries_search_for_real_events,
    queries_read_fields_that_are_logged,
    queries_read_known_tables,
    what_must_be_noticed_is_watched,
    every_query_is_an_alert,
    windows_are_ones_that_azure_takes,
    alert_rules_are_complete,
    alerts_reach_somebody,
    action_group_writes_mails,
    failing_functions_are_watched,
    runbook_explains_alerts_and_events,
)
