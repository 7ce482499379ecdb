"""The function app: locked down, on its plan, with its identity.

Flex Consumption rejects some properties, which are absent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.infra.changes import file, predicted, template
from tests.infra.prediction import at, references

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infra.project import Project

FUNCTION = "modules/function.bicep"
SITE = "Microsoft.Web/sites"

#: Rejected or ignored on Flex Consumption, see
#: https://learn.microsoft.com/azure/azure-functions/functions-app-settings#flex-consumption-plan-deprecations.
FORBIDDEN_PROPERTIES = frozenset(
    {
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
    }
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


@pytest.mark.fails_when(
    predicted('"httpsOnly": true', '"httpsOnly": false'),
    predicted('"minTlsVersion": "1.2"', '"minTlsVersion": "1.0"'),
    predicted('"keyVaultReferenceIdentity": "', '"keyVaultReferenceIdentity": "SystemAssigned'),
    template(FUNCTION, "httpsOnly: true", "httpsOnly: false"),
    template(FUNCTION, "minTlsVersion: '1.2'", "minTlsVersion: '1.0'"),
    template(
        FUNCTION, "keyVaultReferenceIdentity: identityId", "keyVaultReferenceIdentity: 'SystemAssigned'"
    ),
)
def test_the_site_accepts_only_https_and_reads_the_vault_as_its_identity(project: Project) -> None:
    for azure in project.predictions.values():
        site = azure.one(SITE)["properties"]
        identity = azure.one("Microsoft.ManagedIdentity/userAssignedIdentities")["id"]
        assert site["httpsOnly"] is True
        assert site["siteConfig"]["minTlsVersion"] == "1.2"
        assert site["keyVaultReferenceIdentity"] == identity


@pytest.mark.fails_when(
    predicted('"https://inforiver.contoso.com"\n', '"*"\n'),
    predicted('"supportCredentials": false', '"supportCredentials": true'),
    template(FUNCTION, "allowedOrigins: frontendOrigins", "allowedOrigins: ['*']"),
    template(
        FUNCTION,
        "allowedOrigins: frontendOrigins",
        "allowedOrigins: take(frontendOrigins, 1)",
        "own-registration",
    ),
    template(FUNCTION, "supportCredentials: false", "supportCredentials: true"),
)
def test_browsers_may_call_only_from_origins_of_the_frontends(project: Project) -> None:
    for azure in project.predictions.values():
        second = ["https://reports.contoso.com"] if azure.name == "own-registration" else []
        assert at(azure.one(SITE), "properties.siteConfig.cors") == {
            "allowedOrigins": ["https://inforiver.contoso.com", *second],
            "supportCredentials": False,
        }


@pytest.mark.fails_when(
    predicted('"allow": false', '"allow": true'),
    predicted('/scm",\n      "apiVersion"', '/ftp",\n      "apiVersion"'),
    template(FUNCTION, "allow: false", "allow: true"),
)
def test_passwords_cannot_deploy(project: Project) -> None:
    for azure in project.predictions.values():
        for name in ("ftp", "scm"):
            policy = azure.one("Microsoft.Web/sites/basicPublishingCredentialsPolicies", name)
            assert policy["properties"] == {"allow": False}


@pytest.mark.fails_when(
    predicted('"name": "FC1"', '"name": "Y1"'),
    predicted('"reserved": true', '"reserved": false'),
    predicted('"serverFarmId": "', '"serverFarmId": "x'),
    template(FUNCTION, "name: 'FC1'", "name: 'Y1'"),
    template(FUNCTION, "serverFarmId: plan.id", "serverFarmId: identityId"),
)
def test_the_site_runs_on_a_flex_consumption_plan_of_its_own(project: Project) -> None:
    for azure in project.predictions.values():
        plan = azure.one("Microsoft.Web/serverfarms")
        site = azure.one(SITE)
        assert plan["sku"] == {"name": "FC1", "tier": "FlexConsumption"}
        assert plan["properties"]["reserved"] is True
        assert site["properties"]["serverFarmId"] == plan["id"]
        assert site["kind"] == "functionapp,linux"


@pytest.mark.fails_when(
    predicted('"type": "UserAssignedIdentity"', '"type": "StorageAccountConnectionString"'),
    predicted("primaryEndpoints.blob, 'app-package')", "primaryEndpoints.queue, 'app-package')"),
    template(FUNCTION, "type: 'UserAssignedIdentity'", "type: 'StorageAccountConnectionString'"),
    template(FUNCTION, "value: packageContainerUrl", "value: blobEndpoint"),
)
def test_the_package_is_read_from_storage_by_identity(project: Project) -> None:
    for azure in project.predictions.values():
        account = azure.one("Microsoft.Storage/storageAccounts")["id"]
        identity = azure.one("Microsoft.ManagedIdentity/userAssignedIdentities")["id"]
        azure.one("Microsoft.Storage/storageAccounts/blobServices/containers", "app-package")
        storage = at(azure.one(SITE), "properties.functionAppConfig.deployment.storage")
        assert storage["type"] == "blobContainer"
        assert references(storage["value"]) == {account}
        assert storage["value"].endswith(".primaryEndpoints.blob, 'app-package')]")
        assert storage["authentication"] == {
            "type": "UserAssignedIdentity",
            "userAssignedIdentityResourceId": identity,
        }


@pytest.mark.fails_when(
    predicted('"version": "3.13"', '"version": "3.12"'),
    predicted('"type": "UserAssigned"', '"type": "SystemAssigned"'),
    predicted('"publicNetworkAccess": "Enabled",\n        "keyVaultRef', '"keyVaultRef'),
    predicted('"perInstanceConcurrency": 16', '"perInstanceConcurrency": 1'),
    template(FUNCTION, "version: '3.13'", "version: '3.12'"),
    template(FUNCTION, "perInstanceConcurrency: 16", "perInstanceConcurrency: 1"),
    template(FUNCTION, "userAssignedIdentities: { '${identityId}': {} }", "userAssignedIdentities: {}"),
    file(".python-version", "3.13", "3.14"),
)
def test_the_site_runs_the_codes_python_as_its_identity_and_is_reachable(project: Project) -> None:
    """Microsoft redirects the browser to the site, so it stays public.

    This holds with a private network too.
    """
    python = ".".join(project.files[".python-version"].strip().split(".")[:2])
    for azure in project.predictions.values():
        site = azure.one(SITE)
        identity = azure.one("Microsoft.ManagedIdentity/userAssignedIdentities")["id"]
        assert site["identity"] == {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}}
        assert at(site, "properties.publicNetworkAccess") == "Enabled"
        config = at(site, "properties.functionAppConfig")
        assert config["runtime"] == {"name": "python", "version": python}
        assert at(config, "scaleAndConcurrency.triggers.http.perInstanceConcurrency") == 16


def keys_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from keys_in(item)
    if isinstance(value, list):
        for item in value:
            yield from keys_in(item)


@pytest.mark.fails_when(
    predicted('"http20Enabled": true', '"alwaysOn": true'),
    predicted('"SMTP_PROVIDER"', '"WEBSITE_TIME_ZONE": "UTC", "SMTP_PROVIDER"'),
    predicted('"SMTP_PROVIDER"', '"FUNCTIONS_WORKER_RUNTIME": "python", "SMTP_PROVIDER"', "usgov"),
    template(FUNCTION, "http20Enabled: true", "alwaysOn: true"),
    template(FUNCTION, "  SMTP_PROVIDER:", "  WEBSITE_TIME_ZONE: 'UTC'\n  SMTP_PROVIDER:"),
)
def test_nothing_is_set_that_flex_consumption_rejects(project: Project) -> None:
    for azure in project.predictions.values():
        keys = set(keys_in([item for item in azure.resources if item["type"].startswith("Microsoft.Web/")]))
        assert {
            key for key in keys if key in FORBIDDEN_PROPERTIES or key.startswith(FORBIDDEN_SETTINGS)
        } == set()
