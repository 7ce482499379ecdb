"""The function app: locked, on its plan, as its identity, and without what Flex Consumption refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.infra.expectation import expect, text_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infra.project import Project

SITE = "Microsoft.Web/sites"

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


def site_is_locked(project: Project) -> Iterator[str]:
    """The site speaks HTTPS with TLS 1.2 only and shows its content to named origins alone."""
    wanted = {
        "properties.httpsOnly": "true",
        "properties.siteConfig.minTlsVersion": "1.2",
        "properties.siteConfig.cors.allowedOrigins": "split(frontendOrigins, ',')",
        "properties.siteConfig.cors.supportCredentials": "false",
        "properties.keyVaultReferenceIdentity": "identityId",
    }
    yield from expect(project, "function", SITE, wanted)


def passwords_cannot_deploy(project: Project) -> Iterator[str]:
    """Both publishing passwords of the site are switched off."""
    target = f"{SITE}/basicPublishingCredentialsPolicies"
    names = {
        text_at(policy, "name"): text_at(policy, "properties.allow")
        for policy in project.template("function").of("resource", target)
    }
    for name in ("ftp", "scm"):
        if names.get(name) != "false":
            yield f"infra/modules/function.bicep: the {name} password is not switched off"


def plan_is_flex_consumption(project: Project) -> Iterator[str]:
    """The plan is Flex Consumption on Linux, and the package comes from storage by identity."""
    plan = {"sku.name": "FC1", "sku.tier": "FlexConsumption", "properties.reserved": "true"}
    yield from expect(project, "function", "Microsoft.Web/serverfarms", plan)
    storage = "properties.functionAppConfig.deployment.storage"
    site = {
        f"{storage}.type": "blobContainer",
        f"{storage}.value": "packageContainerUrl",
        f"{storage}.authentication.type": "UserAssignedIdentity",
        "kind": "functionapp,linux",
    }
    yield from expect(project, "function", SITE, site)


def site_runs_on_its_plan_and_identity(project: Project) -> Iterator[str]:
    """The site runs on the plan, as the identity, on the Python that the code is for, and is reachable."""
    python = ".".join(project.files[".python-version"].strip().split(".")[:2])
    wanted = {
        "properties.serverFarmId": "plan.id",
        "properties.publicNetworkAccess": "Enabled",
        "properties.functionAppConfig.runtime": f"{{ name: 'python', version: '{python}' }}",
        "properties.functionAppConfig.scaleAndConcurrency.triggers.http.perInstanceConcurrency": "16",
        "identity.type": "UserAssigned",
        "identity.userAssignedIdentities": "{ '${identityId}': {} }",
    }
    yield from expect(project, "function", SITE, wanted)


def nothing_that_flex_refuses(project: Project) -> Iterator[str]:
    """No property and no setting that Flex Consumption refuses or ignores."""
    for template in project.templates.values():
        for item in template.declarations:
            for value in item.body.walk() if item.body else ():
                for key in value.keys:
                    if key in FORBIDDEN_PROPERTIES or key.startswith(FORBIDDEN_SETTINGS):
                        yield f"{template.path}:{value.line} {key} has no place on Flex Consumption"


RULES = (
    site_is_locked,
    passwords_cannot_deploy,
    plan_is_flex_consumption,
    site_runs_on_its_plan_and_identity,
    nothing_that_flex_refuses,
)
