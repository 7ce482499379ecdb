"""A later deployment: the template refuses what Azure would refuse late."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.infra.bicep import BicepError
from tests.infra.changes import file, interface, template

if TYPE_CHECKING:
    from tests.infra.bicep import Bicep
    from tests.infra.prediction import Prediction
    from tests.infra.project import Project

MAIN = "main.bicep"
RUNBOOK = "docs/operations/settings.md"


def deployed_again(project: Project, bicep: Bicep, deployment: str, **changes: str) -> Prediction:
    """Deploy a parameter set again with changes and the first outputs.

    Raises:
        BicepError: the template refuses it.
    """
    first = project.predictions[deployment].outputs["DEPLOYED_WITH"]
    again = project.with_parameters(deployment, deployedWith=f"'{first}'", **changes)
    return again.predicted_again(bicep, deployment).predictions[deployment]


def refusal(project: Project, bicep: Bicep, deployment: str, **changes: str) -> str:
    """Return the template's refusal of a changed redeployment, or nothing."""
    try:
        deployed_again(project, bicep, deployment, **changes)
    except BicepError as error:
        return str(error)
    return ""


@pytest.mark.fails_when(template(MAIN, "var problems = map(filter(checks,", "var problems = map(filter([],"))
def test_a_change_impossible_in_azure_is_refused_before_any_deployment(
    project: Project, bicep: Bicep
) -> None:
    told = refusal(
        project,
        bicep,
        "private-network",
        location="'eastus'",
        zoneRedundant="false",
        storageRedundancy="'Standard_LRS'",
        adminRole="'Mail.Admin'",
        networkAddressPrefix="'10.30.0.0/24'",
        budgetStartDate="'2027-01-01'",
    )

    assert "is deployed in westeurope, and nothing in it can move" in told
    assert "Storage does not change from Standard_ZRS to Standard_LRS" in told
    assert "has the app role Workspace.Admin" in told
    assert "private network is 10.20.0.0/24 and in use" in told
    assert "budget began on 2026-12-01" in told


@pytest.mark.fails_when(
    template(
        MAIN,
        "contains(deployed.redundancy, 'ZRS') != contains(wanted.redundancy, 'ZRS')",
        "deployed.redundancy != wanted.redundancy",
    ),
)
def test_what_azure_changes_in_place_is_not_refused(project: Project, bicep: Bicep) -> None:
    wider = {"storageRedundancy": "'Standard_GZRS'", "privateNetwork": "true", "monthlyBudget": "0"}

    assert refusal(project, bicep, "defaults", **wider) == ""


@pytest.mark.fails_when(
    template(MAIN, "!empty(deployed.redundancy) ? deployed.redundancy : hasZones", "hasZones")
)
def test_a_region_whose_zones_are_unknown_keeps_its_redundancy(project: Project, bicep: Bicep) -> None:
    unlisted = project.with_parameters(
        "defaults", unlistedLocation="'polandcentral'", storageRedundancy="'Standard_ZRS'"
    ).predicted_again(bicep, "defaults")

    assert refusal(unlisted, bicep, "defaults", storageRedundancy="''") == ""


@pytest.mark.fails_when(
    template(MAIN, ": deployed.network\n", ": ''\n"), template(MAIN, ": deployed.budget\n", ": ''\n")
)
def test_what_was_switched_off_is_remembered(project: Project, bicep: Bicep) -> None:
    """Network and budget remain after they are switched off, with old values."""
    switches = {"privateNetwork": "false", "monthlyBudget": "0"}

    assert refusal(project, bicep, "private-network", **switches) == ""
    off = deployed_again(project, bicep, "private-network", **switches)
    assert off.outputs["DEPLOYED_WITH"].split(";") == [
        "adminRole=Workspace.Admin",
        "budget=2026-12-01",
        "closed=false",
        "network=10.20.0.0/24",
        "redundancy=Standard_ZRS",
        "region=westeurope",
    ]


@pytest.mark.fails_when(
    file(RUNBOOK, "| `siteUpdateStrategy` |", "| strategy |"),
    file(RUNBOOK, "| `location`, `unlistedLocation` |", "| `location` |"),
    interface('"adminRole": {', '"administratorRole": {'),
)
def test_the_runbook_documents_the_effect_of_changing_each_parameter(project: Project) -> None:
    section = project.files[RUNBOOK].partition("\n## Change a parameter\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \| (.+) \|$", section, re.MULTILINE)
    named = [name for cell, _ in rows for name in re.findall(r"`(\w+)`", cell)]

    assert sorted(named) == sorted(project.interface.parameters)


@pytest.mark.fails_when(
    file(RUNBOOK, "| `ZONE_REDUNDANT` |", "| `ZONES` |"),
    file("infra/main.parameters.json", "${SITE_UPDATE_STRATEGY=", "${UPDATE_STRATEGY="),
)
def test_the_runbook_lists_each_variable_of_the_deployment(project: Project) -> None:
    """Values that azd sets are not for people to set."""
    section = project.files[RUNBOOK].partition("\n## What can be set\n")[2].partition("\n## ")[0]
    listed = {
        name
        for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    listed |= set(re.findall(r"`(EXISTING_\w+)`", section))
    read = set(re.findall(r"\$\{(\w+)", project.files["infra/main.parameters.json"]))

    assert listed == read - {"AZURE_PRINCIPAL_ID", "AZURE_PRINCIPAL_TYPE", "DEPLOYED_WITH"}
