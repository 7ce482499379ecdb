"""What is locked stays locked: storage, vault, site and telemetry."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.infra.project import Project
    from tests.infra.template import Declaration

ACCOUNT = "Microsoft.Storage/storageAccounts"
VAULT = "Microsoft.KeyVault/vaults"
SITE = "Microsoft.Web/sites"
COMPONENT = "Microsoft.Insights/components"
WORKSPACE = "Microsoft.OperationalInsights/workspaces"
DIAGNOSTICS = "Microsoft.Insights/diagnosticSettings"

#: Refused or ignored on Flex Consumption, see
#: https://learn.microsoft.com/azure/azure-functions/functions-app-settings#flex-consumption-plan-deprecations.
FORBIDDEN_PROPERTIES = frozenset(
    [
        "alwaysOn",
        "appSettings",
        "ftpsState",
        "functionAppScaleLimit",
        "linuxFxVersion",
        "netFrameworkVersion",
        "preWarmedInstanceCount",
        "pythonVersion",
        "use32BitWorkerProcess",
        "vnetContentShareEnabled",
        "vnetImagePullEnabled",
        "vnetRouteAllEnabled",
    ]
)
FORBIDDEN_SETTINGS = (
    "ENABLE_ORYX_BUILD",
    "FUNCTIONS_EXTENSION_VERSION",
    "FUNCTIONS_WORKER_PROCESS_COUNT",
    "FUNCTIONS_WORKER_RUNTIME",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "TZ",
    "WEBSITE_",
)
#: With either, the worker exports by itself and the host drops the log lines that the alerts search.
EXPORTING_SETTINGS = ("PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY", "PYTHON_ENABLE_OPENTELEMETRY")


def storage_is_locked(project: Project) -> Iterator[str]:
    """Storage takes no account key, no anonymous reader, no old TLS, and copies to no other tenant."""
    wanted = {
        "properties.allowSharedKeyAccess": "false",
        "properties.allowBlobPublicAccess": "false",
        "properties.allowCrossTenantReplication": "false",
        "properties.defaultToOAuthAuthentication": "true",
        "properties.minimumTlsVersion": "TLS1_2",
        "properties.supportsHttpsTrafficOnly": "true",
    }
    yield from _expect(project, "storage", ACCOUNT, wanted)


def containers_are_private(project: Project) -> Iterator[str]:
    """No container can be read without a token."""
    target = f"{ACCOUNT}/blobServices/containers"
    yield from _expect(project, "storage", target, {"properties.publicAccess": "None"})


def deleted_files_can_be_restored(project: Project) -> Iterator[str]:
    """Blobs and containers stay recoverable for a while."""
    wanted = {
        "properties.deleteRetentionPolicy.enabled": "true",
        "properties.containerDeleteRetentionPolicy.enabled": "true",
    }
    yield from _expect(project, "storage", f"{ACCOUNT}/blobServices", wanted)


def old_files_are_removed(project: Project) -> Iterator[str]:
    """A lifecycle rule empties each container that holds mail, and a kept request outlives its row."""
    policies = project.template("storage").of("resource", f"{ACCOUNT}/managementPolicies")
    text = "".join(policy.body.text for policy in policies if policy.body)
    for container, days in (
        ("attachments", "attachmentRetentionDays"),
        ("mail-requests", "deliveryRetentionDays + "),
    ):
        if f"'{container}/'" not in text or f"daysAfterModificationGreaterThan: {days}" not in text:
            yield f"infra/modules/storage.bicep: no lifecycle rule removes {container} after {days}"


def vault_is_locked(project: Project) -> Iterator[str]:
    """The vault knows roles alone, keeps what was deleted, and never says false to purge protection."""
    wanted = {
        "properties.enableRbacAuthorization": "true",
        "properties.enableSoftDelete": "true",
        "properties.enablePurgeProtection": "protectFromPurge ? true : null",
    }
    yield from _expect(project, "vault", VAULT, wanted)
    parameter = project.main.named("protectVaultFromPurge")
    if parameter is None or parameter.body is None or parameter.body.text != "true":
        yield "infra/main.bicep: purge protection must be the default"


def closed_means_closed(project: Project) -> Iterator[str]:
    """With a network of its own, storage and vault refuse everybody else."""
    wanted = {
        "properties.networkAcls.defaultAction": "closedToTheInternet ? 'Deny' : 'Allow'",
        "properties.publicNetworkAccess": (
            "closedToTheInternet && empty(allowedIpAddresses) ? 'Disabled' : 'Enabled'"
        ),
    }
    yield from _expect(project, "storage", ACCOUNT, wanted)
    yield from _expect(project, "vault", VAULT, wanted)


def site_is_locked(project: Project) -> Iterator[str]:
    """The site speaks HTTPS with TLS 1.2 only and shows its content to named origins alone."""
    wanted = {
        "properties.httpsOnly": "true",
        "properties.siteConfig.minTlsVersion": "1.2",
        "properties.siteConfig.cors.allowedOrigins": "split(frontendOrigins, ',')",
        "properties.siteConfig.cors.supportCredentials": "false",
        "properties.keyVaultReferenceIdentity": "identityId",
    }
    yield from _expect(project, "function", SITE, wanted)


def passwords_cannot_deploy(project: Project) -> Iterator[str]:
    """Both publishing passwords of the site are switched off."""
    target = f"{SITE}/basicPublishingCredentialsPolicies"
    names = {
        _text(policy, "name"): _text(policy, "properties.allow")
        for policy in project.template("function").of("resource", target)
    }
    for name in ("ftp", "scm"):
        if names.get(name) != "false":
            yield f"infra/modules/function.bicep: the {name} password is not switched off"


def plan_is_flex_consumption(project: Project) -> Iterator[str]:
    """The plan is Flex Consumption on Linux, and the package comes from storage by identity."""
    plan = {"sku.name": "FC1", "sku.tier": "FlexConsumption", "properties.reserved": "true"}
    yield from _expect(project, "function", "Microsoft.Web/serverfarms", plan)
    storage = "properties.functionAppConfig.deployment.storage"
    site = {
        f"{storage}.type": "blobContainer",
        f"{storage}.value": "packageContainerUrl",
        f"{storage}.authentication.type": "UserAssignedIdentity",
        "kind": "functionapp,linux",
    }
    yield from _expect(project, "function", SITE, site)


def nothing_that_flex_refuses(project: Project) -> Iterator[str]:
    """No property and no setting that Flex Consumption refuses or ignores."""
    for template in project.templates.values():
        for item in template.declarations:
            for value in item.body.walk() if item.body else ():
                for key in value.keys:
                    if key in FORBIDDEN_PROPERTIES or key.startswith(FORBIDDEN_SETTINGS):
                        yield f"{template.path}:{value.line} {key} has no place on Flex Consumption"


def host_exports_the_log(project: Project) -> Iterator[str]:
    """No setting makes the worker export by itself, which would hide the lines that alerts search."""
    for name in EXPORTING_SETTINGS:
        if name in project.files["infra/modules/function.bicep"]:
            yield f"infra/modules/function.bicep: {name} takes the app's events out of the host's log"


def telemetry_needs_an_identity(project: Project) -> Iterator[str]:
    """Telemetry and logs take Entra tokens only, and the log has a daily cap."""
    yield from _expect(project, "monitoring", COMPONENT, {"properties.DisableLocalAuth": "true"})
    workspace = {
        "properties.features.disableLocalAuth": "true",
        "properties.workspaceCapping.dailyQuotaGb": "dailyCapGb",
    }
    yield from _expect(project, "monitoring", WORKSPACE, workspace)


def vault_access_is_logged(project: Project) -> Iterator[str]:
    """Every use of the vault is logged, in a table of its own."""
    wanted = {"scope": "vault", "properties.logAnalyticsDestinationType": "Dedicated"}
    yield from _expect(project, "vault", DIAGNOSTICS, wanted)
    logs = [item.at("properties.logs") for item in project.template("vault").of("resource", DIAGNOSTICS)]
    if not any(log and "categoryGroup: 'audit', enabled: true" in log.text for log in logs):
        yield "infra/modules/vault.bicep: the audit log is not on"


def queued_mails_are_logged(project: Project) -> Iterator[str]:
    """The queue service logs what is written, or the alert on silence would be deaf."""
    for item in project.template("storage").of("resource", DIAGNOSTICS):
        logs = item.at("properties.logs")
        if _text(item, "scope") == "queueService" and logs and "'StorageWrite', enabled: true" in logs.text:
            return
    yield "infra/modules/storage.bicep: written queue messages are not logged"


def _expect(project: Project, module: str, target: str, wanted: Mapping[str, str]) -> Iterator[str]:
    """Compare properties of every resource of a type; there has to be one."""
    resources = project.template(module).of("resource", target)
    if not resources:
        yield f"infra/modules/{module}.bicep has no {target}"
    for resource in resources:
        for path, expected in wanted.items():
            found = _text(resource, path)
            if found != expected:
                yield f"infra/modules/{module}.bicep:{resource.line} {path} is {found}, not {expected}"


def _text(resource: Declaration, path: str) -> str | None:
    value = resource.at(path)
    return value.text if value else None


RULES = (
    storage_is_locked,
    containers_are_private,
    deleted_files_can_be_restored,
    old_files_are_removed,
    vault_is_locked,
    closed_means_closed,
    site_is_locked,
    passwords_cannot_deploy,
    plan_is_flex_consumption,
    nothing_that_flex_refuses,
    host_exports_the_log,
    telemetry_needs_an_identity,
    vault_access_is_logged,
    queued_mails_are_logged,
)
