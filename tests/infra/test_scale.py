"""Instances, zones, updates, and the test from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from infra.cost import AVAILABILITY_CALLS_A_MONTH
from tests.infra.changes import file, predicted, template
from tests.infra.prediction import at

if TYPE_CHECKING:
    from tests.infra.project import Project

FUNCTION = "modules/function.bicep"
AVAILABILITY = "modules/availability.bicep"
SITE = "Microsoft.Web/sites"
PLAN = "Microsoft.Web/serverfarms"
TEST = "Microsoft.Insights/webtests"


@pytest.mark.fails_when(
    predicted('"maximumInstanceCount": 40', '"maximumInstanceCount": 10'),
    template("main.bicep", "param maximumInstances int = 40", "param maximumInstances int = 10"),
    template(FUNCTION, "maximumInstanceCount: maximumInstances", "maximumInstanceCount: 10"),
    file("infra/main.parameters.json", "${MAXIMUM_INSTANCES=40}", "${MAXIMUM_INSTANCES=10}"),
)
def test_the_first_deployment_works_in_every_region(project: Project) -> None:
    """Fewer than 40 instances at most are a preview of some regions."""
    scale = at(project.predictions["defaults"].one(SITE), "properties.functionAppConfig.scaleAndConcurrency")

    assert scale["maximumInstanceCount"] == 40
    assert '"${MAXIMUM_INSTANCES=40}"' in project.files["infra/main.parameters.json"]


@pytest.mark.fails_when(
    predicted('"type": "Recreate"', '"type": "RollingUpdate"'),
    template(
        FUNCTION,
        "siteUpdateStrategy: { type: siteUpdateStrategy }",
        "siteUpdateStrategy: { type: 'Recreate' }",
        "private-network",
    ),
    template(FUNCTION, "zoneRedundant: zoneRedundant", "zoneRedundant: true"),
    template(FUNCTION, "zoneRedundant: zoneRedundant", "zoneRedundant: false", "private-network"),
)
def test_updates_and_zones_are_azures_defaults_unless_they_are_set(project: Project) -> None:
    found = {
        name: (
            at(azure.one(SITE), "properties.functionAppConfig.siteUpdateStrategy.type"),
            at(azure.one(PLAN), "properties.zoneRedundant"),
        )
        for name, azure in project.predictions.items()
    }

    assert found.pop("private-network") == ("RollingUpdate", True)
    assert set(found.values()) == {("Recreate", False)}


@pytest.mark.fails_when(
    predicted('"kind": "standard"', '"kind": "ping"', "private-network"),
    predicted('"ExpectedHttpStatusCode": 200', '"ExpectedHttpStatusCode": 0', "private-network"),
    predicted("{0}/api/health", "{0}/api/health/ready", "private-network"),
    template(AVAILABILITY, "Frequency: 900", "Frequency: 300", "private-network"),
    template(AVAILABILITY, "      { Id: 'us-tx-sn1-azr' }\n", "", "private-network"),
    template("main.bicep", "param availabilityTest bool = false", "param availabilityTest bool = true"),
    template(
        "main.bicep", "param availabilityTest bool = false", "param availabilityTest bool = true", "usgov"
    ),
)
def test_the_app_is_called_from_outside_only_where_that_is_set(project: Project) -> None:
    """Each availability call is billed; docs/cost.md states the number."""
    private = project.predictions["private-network"]
    called = {name for name, azure in project.predictions.items() if azure.all(TEST)}
    watched = {
        name
        for name, azure in project.predictions.items()
        if azure.all("Microsoft.Insights/scheduledQueryRules", "app-unreachable")
    }
    test = private.one(TEST)

    assert called == watched == {"private-network"}
    assert (test["kind"], test["properties"]["Kind"]) == ("standard", "standard")
    assert at(test, "properties.ValidationRules.ExpectedHttpStatusCode") == 200
    assert "{0}/api/health'," in at(test, "properties.Request.RequestUrl")
    calls = len(test["properties"]["Locations"]) * 30 * 24 * 3600 // test["properties"]["Frequency"]
    assert calls == AVAILABILITY_CALLS_A_MONTH
    component = private.one("Microsoft.Insights/components")["id"]
    assert test["tags"][f"hidden-link:{component}"] == "Resource"
