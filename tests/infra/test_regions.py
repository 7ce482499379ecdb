"""The region decides where everything is, and how often storage is copied."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.infra.bicep import BicepError
from tests.infra.changes import file, parameter, template

if TYPE_CHECKING:
    from tests.infra.bicep import Bicep
    from tests.infra.prediction import Prediction
    from tests.infra.project import Project

MAIN = "main.bicep"
ACCOUNT = "Microsoft.Storage/storageAccounts"


def in_region(project: Project, bicep: Bicep, **changes: str) -> Prediction:
    again = project.with_parameters("defaults", **changes)
    return again.predicted_again(bicep, "defaults").predictions["defaults"]


def refusal(project: Project, bicep: Bicep, **changes: str) -> str:
    try:
        in_region(project, bicep, **changes)
    except BicepError as error:
        return str(error)
    return ""


@pytest.mark.fails_when(
    file("infra/regions.json", '"westeurope"', '"westeuropa"'),
    parameter("  'japaneast'\n", ""),
)
def test_the_regions_with_zones_are_offered_regions(project: Project) -> None:
    offered = project.interface.parameters["location"]["allowedValues"]
    zones = json.loads(project.files["infra/regions.json"])["withZones"]

    assert set(zones) <= set(offered)
    assert len(offered) == len(set(offered))
    assert project.interface.parameters["location"]["metadata"]["azd"] == {"type": "location"}


@pytest.mark.fails_when(
    template(MAIN, "hasZones ? 'Standard_ZRS' : 'Standard_LRS'", "'Standard_LRS'"),
    template(MAIN, "hasZones ? 'Standard_ZRS' : 'Standard_LRS'", "'Standard_ZRS'", "usgov"),
)
def test_storage_is_copied_to_three_zones_where_the_region_has_them(project: Project, bicep: Bicep) -> None:
    without = refusal(project, bicep, location="'westus'") or in_region(project, bicep, location="'westus'")

    assert project.predictions["defaults"].one(ACCOUNT)["sku"] == {"name": "Standard_ZRS"}
    assert project.predictions["usgov"].one(ACCOUNT)["sku"] == {"name": "Standard_ZRS"}
    assert not isinstance(without, str)
    assert without.one(ACCOUNT)["sku"] == {"name": "Standard_LRS"}


@pytest.mark.fails_when(
    template(MAIN, "wrong: lacksZones && zoneRedundant", "wrong: false"),
    template(MAIN, "wrong: lacksZones && contains(redundancy, 'ZRS')", "wrong: false"),
    template(MAIN, "wrong: zoneRedundant && !contains(redundancy, 'ZRS')", "wrong: false"),
)
def test_zones_are_refused_where_there_are_none(project: Project, bicep: Bicep) -> None:
    west = {"location": "'westus'"}

    assert "set ZONE_REDUNDANT" in refusal(project, bicep, zoneRedundant="true", **west)
    assert "set STORAGE_REDUNDANCY (storageRedundancy) to Standard_LRS" in refusal(
        project, bicep, storageRedundancy="'Standard_GZRS'", **west
    )
    assert "to Standard_ZRS or Standard_GZRS" in refusal(
        project, bicep, storageRedundancy="'Standard_LRS'", zoneRedundant="true"
    )
    assert refusal(project, bicep, storageRedundancy="'Standard_GRS'", **west) == ""


@pytest.mark.fails_when(
    template(
        MAIN,
        "location: region\n    tags: tags\n    retentionDays",
        "location: location\n    tags: tags\n    retentionDays",
    ),
    template(MAIN, "environmentName, region)", "environmentName, location)"),
)
def test_an_unlisted_region_takes_everything_and_gives_other_names(project: Project, bicep: Bicep) -> None:
    azure = in_region(project, bicep, unlistedLocation="'Poland Central'")
    here = {resource["location"] for resource in azure.resources if "location" in resource}
    site = "Microsoft.Web/sites"

    assert here == {"polandcentral", "global"}
    assert azure.one(site)["name"] != project.predictions["defaults"].one(site)["name"]
    # azd asks for AZURE_LOCATION again unless it is one that the template takes.
    assert azure.outputs["AZURE_LOCATION"] == "westeurope"
