"""Logs: their writers, required content and destination."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.infra.changes import predicted, template
from tests.infra.prediction import at, references

if TYPE_CHECKING:
    from tests.infra.prediction import Prediction
    from tests.infra.project import Project

MONITORING = "modules/monitoring.bicep"
STORAGE = "modules/storage.bicep"
VAULT = "modules/vault.bicep"
FUNCTION = "modules/function.bicep"
COMPONENT = "Microsoft.Insights/components"
WORKSPACE = "Microsoft.OperationalInsights/workspaces"
DIAGNOSTICS = "Microsoft.Insights/diagnosticSettings"


@pytest.mark.fails_when(
    predicted('"SMTP_PROVIDER"', '"PYTHON_ENABLE_OPENTELEMETRY": "true", "SMTP_PROVIDER"'),
    template(FUNCTION, "  SMTP_PROVIDER:", "  PYTHON_ENABLE_OPENTELEMETRY: 'true'\n  SMTP_PROVIDER:"),
)
def test_the_worker_leaves_the_log_to_the_host(project: Project) -> None:
    """With either setting the worker exports directly.

    The host then drops the lines that alerts search.
    """
    exporting = {"PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY", "PYTHON_ENABLE_OPENTELEMETRY"}

    assert [azure.name for azure in project.predictions.values() if azure.settings.keys() & exporting] == []


@pytest.mark.fails_when(
    predicted('"DisableLocalAuth": true', '"DisableLocalAuth": false'),
    predicted('"disableLocalAuth": true', '"disableLocalAuth": false'),
    predicted('"dailyQuotaGb": 1', '"dailyQuotaGb": -1'),
    template(MONITORING, "DisableLocalAuth: true", "DisableLocalAuth: false"),
    template(MONITORING, "dailyQuotaGb: dailyCapGb", "dailyQuotaGb: -1"),
)
def test_logs_take_entra_tokens_only_and_have_a_daily_cap(project: Project) -> None:
    for azure in project.predictions.values():
        workspace = azure.one(WORKSPACE)
        assert at(azure.one(COMPONENT), "properties.DisableLocalAuth") is True
        assert at(workspace, "properties.features.disableLocalAuth") is True
        assert at(workspace, "properties.workspaceCapping.dailyQuotaGb") == 1


def setting_on(azure: Prediction, kind: str) -> list[str]:
    """The log categories that are on for a resource."""
    parent = azure.one(kind)["id"]
    settings = [item for item in azure.all(DIAGNOSTICS) if item["id"].startswith(f"{parent}/providers/")]
    return [
        log.get("category") or log["categoryGroup"]
        for setting in settings
        for log in setting["properties"]["logs"]
        if log["enabled"]
    ]


@pytest.mark.fails_when(
    predicted(
        '"categoryGroup": "audit",\n            "enabled": true', '"categoryGroup": "audit", "enabled": false'
    ),
    predicted('"logAnalyticsDestinationType": "Dedicated",', ""),
    template(VAULT, "'audit', enabled: true", "'audit', enabled: false"),
    template(VAULT, "    logAnalyticsDestinationType: 'Dedicated'\n", ""),
)
def test_every_use_of_the_vault_is_logged_in_a_table_of_its_own(project: Project) -> None:
    for azure in project.predictions.values():
        vault = azure.one("Microsoft.KeyVault/vaults")["id"]
        (setting,) = [item for item in azure.all(DIAGNOSTICS) if item["id"].startswith(f"{vault}/providers/")]
        assert setting_on(azure, "Microsoft.KeyVault/vaults") == ["audit"]
        assert at(setting, "properties.logAnalyticsDestinationType") == "Dedicated"


@pytest.mark.fails_when(
    predicted(
        '"category": "StorageWrite",\n            "enabled": true',
        '"category": "StorageWrite", "enabled": false',
    ),
    predicted(
        '"category": "StorageRead",\n            "enabled": false',
        '"category": "StorageRead", "enabled": true',
    ),
    template(STORAGE, "'StorageWrite', enabled: true", "'StorageWrite', enabled: auditAllCalls"),
    template(
        STORAGE,
        "if (auditAllCalls) {\n  scope: tableService",
        "if (false) {\n  scope: tableService",
        "private-network",
    ),
)
def test_queued_mails_are_always_logged_and_all_calls_on_request(project: Project) -> None:
    """Without the first the alert on silence would never fire."""
    everything = ["StorageRead", "StorageWrite", "StorageDelete"]
    for azure in project.predictions.values():
        audited = azure.name == "private-network"
        for service in ("blob", "queue", "table"):
            found = setting_on(azure, f"Microsoft.Storage/storageAccounts/{service}Services")
            assert found == (everything if audited else ["StorageWrite"] if service == "queue" else [])


@pytest.mark.fails_when(
    predicted('"WorkspaceResourceId": "', '"WorkspaceResourceId": "x'),
    predicted('"workspaceId": "', '"workspaceId": "x'),
    predicted("appi-", "app-"),
    template(MONITORING, "    WorkspaceResourceId: workspace.id\n", ""),
    template(VAULT, "    workspaceId: workspaceId\n", ""),
)
def test_all_logs_are_sent_to_one_workspace(project: Project) -> None:
    for azure in project.predictions.values():
        workspace, component = azure.one(WORKSPACE)["id"], azure.one(COMPONENT)
        assert at(component, "properties.WorkspaceResourceId") == workspace
        for setting in azure.all(DIAGNOSTICS):
            assert at(setting, "properties.workspaceId") == workspace
        assert references(azure.settings["APPLICATIONINSIGHTS_CONNECTION_STRING"]) == {component["id"]}
