"""Logs: who may write them, what has to be in them, and where they go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.infra.expectation import expect, text_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infra.project import Project

COMPONENT = "Microsoft.Insights/components"
WORKSPACE = "Microsoft.OperationalInsights/workspaces"
DIAGNOSTICS = "Microsoft.Insights/diagnosticSettings"

#: With either, the worker exports by itself and the host drops the log lines that the alerts search.
EXPORTING_SETTINGS = ("PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY", "PYTHON_ENABLE_OPENTELEMETRY")


def host_exports_the_log(project: Project) -> Iterator[str]:
    """No setting makes the worker export by itself, which would hide the lines that alerts search."""
    for name in EXPORTING_SETTINGS:
        if name in project.files["infra/modules/function.bicep"]:
            yield f"infra/modules/function.bicep: {name} takes the app's events out of the host's log"


def telemetry_needs_an_identity(project: Project) -> Iterator[str]:
    """Telemetry and logs take Entra tokens only, and the log has a daily cap."""
    yield from expect(project, "monitoring", COMPONENT, {"properties.DisableLocalAuth": "true"})
    workspace = {
        "properties.features.disableLocalAuth": "true",
        "properties.workspaceCapping.dailyQuotaGb": "dailyCapGb",
    }
    yield from expect(project, "monitoring", WORKSPACE, workspace)


def vault_access_is_logged(project: Project) -> Iterator[str]:
    """Every use of the vault is logged, in a table of its own."""
    wanted = {"scope": "vault", "properties.logAnalyticsDestinationType": "Dedicated"}
    yield from expect(project, "vault", DIAGNOSTICS, wanted)
    logs = [item.at("properties.logs") for item in project.template("vault").of("resource", DIAGNOSTICS)]
    if not any(log and "categoryGroup: 'audit', enabled: true" in log.text for log in logs):
        yield "infra/modules/vault.bicep: the audit log is not on"


def queued_mails_are_logged(project: Project) -> Iterator[str]:
    """The queue service logs what is written, or the alert on silence would be deaf."""
    for item in project.template("storage").of("resource", DIAGNOSTICS):
        logs = item.at("properties.logs")
        if text_at(item, "scope") == "queueService" and logs and "'StorageWrite', enabled: true" in logs.text:
            return
    yield "infra/modules/storage.bicep: written queue messages are not logged"


def logs_go_to_the_workspace(project: Project) -> Iterator[str]:
    """Every diagnostic setting, and the component, send to the one workspace."""
    for module in ("storage", "vault"):
        yield from expect(project, module, DIAGNOSTICS, {"properties.workspaceId": "workspaceId"})
    yield from expect(project, "monitoring", COMPONENT, {"properties.WorkspaceResourceId": "workspace.id"})


RULES = (
    host_exports_the_log,
    telemetry_needs_an_identity,
    vault_access_is_logged,
    queued_mails_are_logged,
    logs_go_to_the_workspace,
)
