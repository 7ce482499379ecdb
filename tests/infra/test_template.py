"""The template: one command, no secret, one group, and it is idempotent."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.infra.changes import file, interface, parameter, predicted, template
from tests.infra.prediction import resources_of

if TYPE_CHECKING:
    from tests.infra.bicep import Bicep
    from tests.infra.project import Project

MAIN = "infra/main.bicep"
PARAMETERS = "infra/main.parameters.json"
#: Bicep has them as a parameter's default only, but a default is a value too.
CHANGING = ("utcNow(", "newGuid(")
HANDS_OUT_A_KEY = ("listKeys", "listAccountSas", "listServiceSas", "AccountKey=", "SharedAccessSignature")
#: By the names of `environment().name`; https://learn.microsoft.com/azure/developer/identity.
SITE_SUFFIXES = {
    "AzureCloud": "azurewebsites.net",
    "AzureUSGovernment": "azurewebsites.us",
    "AzureChinaCloud": "chinacloudsites.cn",
}


def bicep_files(project: Project) -> dict[str, str]:
    return {path: text for path, text in project.files.items() if path.endswith(".bicep")}


@pytest.mark.fails_when(
    file(PARAMETERS, '"alertEmails"', '"alertMails"'),
    file(PARAMETERS, '    "location": { "value": "${AZURE_LOCATION}" },\n', ""),
    interface('"alertEmails"', '"alertAddresses"'),
)
def test_the_parameter_file_fits_the_template(project: Project) -> None:
    given = json.loads(project.files[PARAMETERS])["parameters"].keys()
    needed = {
        name for name, declared in project.interface.parameters.items() if "defaultValue" not in declared
    }

    assert needed <= given
    assert given <= project.interface.parameters.keys()


@pytest.mark.fails_when(
    interface('"description": "Azure region', '"note": "Azure region'),
    parameter("@description('Number of days for which the log is stored.')\n", ""),
)
def test_every_parameter_has_a_description(project: Project) -> None:
    """The runbook refers to these sentences."""
    described = {name for name, declared in project.interface.parameters.items() if "metadata" in declared}

    assert described == project.interface.parameters.keys()
    for declared in project.interface.parameters.values():
        assert len(declared["metadata"].get("description", "")) > 10


@pytest.mark.fails_when(
    interface('"defaultValue": false', '"value": false'),
    parameter("param alertEmails string = ''", "param alertEmails string"),
)
def test_only_a_name_a_region_and_the_frontend_are_required(project: Project) -> None:
    needed = {
        name for name, declared in project.interface.parameters.items() if "defaultValue" not in declared
    }

    assert needed == {"environmentName", "location", "frontendOrigins"}


@pytest.mark.fails_when(
    file(PARAMETERS, "DELIVERY_RETENTION_DAYS=90", "DELIVERY_RETENTION_DAYS=30"),
    interface('"defaultValue": 90', '"defaultValue": 30'),
    parameter("deliveryRetentionDays int = 90", "deliveryRetentionDays int = 30"),
)
def test_a_default_in_the_parameter_file_is_the_one_of_the_template(project: Project) -> None:
    """A parameter without a variable can have a value and no default."""
    given = json.loads(project.files[PARAMETERS])["parameters"]
    defaults = {
        name: found[1]
        for name, entry in given.items()
        if (found := re.fullmatch(r"\$\{\w+=(.*)\}", str(entry["value"])))
    }

    assert defaults
    for name, default in defaults.items():
        declared = project.interface.parameters[name]["defaultValue"]
        assert default == (declared if isinstance(declared, str) else json.dumps(declared))


@pytest.mark.fails_when(
    interface('"type": "string"', '"type": "securestring"'),
    parameter("param clientSecretName", "@secure()\nparam clientSecretName"),
    file("infra/modules/vault.bicep", "vault.name\n", "account.listKeys().keys[0].value\n"),
    predicted('"API_AUDIENCE": "', '"API_AUDIENCE": "[listKeys('),
)
def test_nothing_needs_or_hands_out_a_secret(project: Project) -> None:
    types = {declared["type"].lower() for declared in project.interface.parameters.values()}
    assert not any(kind.startswith("secure") for kind in types)
    for path, text in project.files.items():
        if path.startswith("infra/"):
            assert [word for word in HANDS_OUT_A_KEY if word in text] == [], path


@pytest.mark.fails_when(
    interface('"defaultValue": ""', '"defaultValue": "[utcNow()]"'),
    file(
        "infra/modules/budget.bicep",
        "param startDate string",
        "param startDate string = utcNow('yyyy-MM-01')",
    ),
)
def test_a_second_run_changes_nothing(project: Project) -> None:
    """No value depends on the time or on chance."""
    texts = {**bicep_files(project), "interface": json.dumps(project.interface.parameters)}

    assert [path for path, text in texts.items() if any(word in text for word in CHANGING)] == []


@pytest.mark.fails_when(file(MAIN, "dependsOn: [roles", "dependsOn: [budget"))
def test_the_roles_exist_before_the_site(project: Project, bicep: Bicep) -> None:
    """Without them the app cannot read its own package when it first starts."""
    assert "roles" in resources_of(project.compiled(bicep))["function"]["dependsOn"]


@pytest.mark.fails_when(
    predicted(
        "/resourceGroups/rg-mailer/providers/Microsoft.Web", "/resourceGroups/other/providers/Microsoft.Web"
    ),
    predicted("/resourceGroups/rg-mailer/providers/Microsoft.Insights", "/providers/Microsoft.Insights"),
    file(
        "infra/modules/budget.bicep", "param name string", "targetScope = 'subscription'\nparam name string"
    ),
)
def test_everything_is_in_the_one_group(project: Project) -> None:
    """Deleting the group (`azd down`) deletes all but the registration."""
    for azure in project.predictions.values():
        group = azure.one("Microsoft.Resources/resourceGroups")
        inside = (f"{group['id']}/providers/", f"', '{group['name']}', '")
        for resource in azure.resources:
            if resource is not group and not resource["type"].startswith("Microsoft.Graph/"):
                assert any(mark in resource["id"] for mark in inside), resource["id"]
    scopes = [path for path, text in bicep_files(project).items() if "targetScope" in text]
    assert scopes == [MAIN]


@pytest.mark.fails_when(
    predicted('"azd-service-name": "api"', '"azd-service-name": "app"'),
    template("modules/function.bicep", "'azd-service-name': 'api'", "'azd-service-name': 'app'"),
    file("azure.yaml", "host: function", "host: appservice"),
    file("azure.yaml", "  api:\n", "  app:\n"),
)
def test_azd_finds_the_site_by_its_tag(project: Project) -> None:
    services = yaml.safe_load(project.files["azure.yaml"])["services"]
    assert {name: service["host"] for name, service in services.items()} == {"api": "function"}
    for azure in project.predictions.values():
        assert azure.one("Microsoft.Web/sites")["tags"]["azd-service-name"] == "api"


@pytest.mark.fails_when(
    predicted('"tags": {', '"labels": {'),
    predicted('"azd-env-name": "mailer"', '"azd-env-name": "other"'),
    template("modules/vault.bicep", "  tags: tags\n", ""),
    template("main.bicep", "'azd-env-name': environmentName", "'azd-env': environmentName"),
)
def test_everything_that_takes_tags_has_the_environments(project: Project) -> None:
    """The command azd finds its resources by this tag."""
    tagless = ("Microsoft.Authorization/", "Microsoft.Consumption/", "Microsoft.Graph/")
    for azure in project.predictions.values():
        for resource in azure.resources:
            kind = resource["type"]
            child = kind.count("/") > 1 or kind == "Microsoft.Insights/diagnosticSettings"
            if not child and not kind.startswith(tagless):
                assert resource.get("tags", {}).get("azd-env-name") == "mailer", kind


@pytest.mark.fails_when(
    predicted('"startDate": "2026-12-01"', '"startDate": "2026-11-01"', "private-network"),
    predicted('"contactRoles": [\n              "Owner"', '"contactRoles": [\n "Reader"', "private-network"),
    template("modules/budget.bicep", "startDate: startDate", "startDate: '2026-11-01'", "private-network"),
    template("main.bicep", "if (monthlyBudget > 0)", "if (monthlyBudget >= 0)"),
)
def test_a_budget_is_created_on_request_with_an_unchanging_start(project: Project) -> None:
    """Azure rejects another first day later on."""
    for azure in project.predictions.values():
        budgets = azure.all("Microsoft.Consumption/budgets")
        assert len(budgets) == (azure.name == "private-network")
        for budget in budgets:
            properties = budget["properties"]
            assert properties["timePeriod"] == {"startDate": "2026-12-01"}
            assert properties["amount"] == 50
            for notice in properties["notifications"].values():
                assert notice["enabled"] is True
                assert notice["contactRoles"] == ["Owner"]
                assert notice["contactEmails"] == ["operations@contoso.com", "owner@contoso.com"]


@pytest.mark.fails_when(
    predicted("'azurewebsites.us'", "'azurewebsites.net'"),
    template("main.bicep", "azurewebsites.us", "azurewebsites.net"),
    predicted('"PUBLIC_BASE_URL": "https://mail', '"PUBLIC_BASE_URL": "https://x', "own-registration"),
)
def test_the_site_has_its_host_name_in_every_azure(project: Project) -> None:
    """Only Azure knows the name of its cloud, so the prediction has all."""
    suffixes = ", ".join(f"'{cloud}', '{suffix}'" for cloud, suffix in SITE_SUFFIXES.items())
    for azure in project.predictions.values():
        site = azure.one("Microsoft.Web/sites")["name"]
        own = f"[format('https://{{0}}.{{1}}', '{site}', createObject({suffixes})[environment().name])]"
        wanted = "https://mail.contoso.com" if azure.name == "own-registration" else own
        assert azure.settings["PUBLIC_BASE_URL"] == azure.outputs["PUBLIC_BASE_URL"] == wanted


@pytest.mark.fails_when(
    file("infra/modules/vault.bicep", "output id string", "output spare string = 'x'\noutput id string"),
    file(MAIN, "'modules/workbook.bicep'", "'modules/alerts.bicep'"),
)
def test_every_module_is_called_and_every_output_of_it_is_read(project: Project) -> None:
    """The linter knows unused parameters and variables only."""
    main = project.files[MAIN]
    called = dict(re.findall(r"^module (\w+) '(modules/[\w-]+\.bicep)'", main, re.MULTILINE))
    modules = {path: text for path, text in bicep_files(project).items() if path.startswith("infra/modules/")}
    assert {f"infra/{path}" for path in called.values()} == modules.keys()
    for path, text in modules.items():
        symbols = [symbol for symbol, target in called.items() if f"infra/{target}" == path]
        read = {name for symbol in symbols for name in re.findall(rf"\b{symbol}!?\.outputs\.(\w+)", main)}
        assert set(re.findall(r"^output (\w+)", text, re.MULTILINE)) == read, path


@pytest.mark.fails_when(file("infra/abbreviations.json", '"plan"', '"spare": "x-", "plan"'))
def test_every_prefix_of_the_table_is_used(project: Project) -> None:
    """The compiler reports a missing prefix, but not an unused one."""
    used = set(re.findall(r"\babbreviations\.(?!json)(\w+)", project.files[MAIN]))

    assert json.loads(project.files["infra/abbreviations.json"]).keys() == used


@pytest.mark.fails_when(file(PARAMETERS, '"contentVersion"', "contentVersion"))
def test_json_files_are_json(project: Project) -> None:
    broken = []
    for path, text in project.files.items():
        if path.endswith(".json"):
            try:
                json.loads(text)
            except ValueError as error:
                broken.append(f"{path}: {error}")
    assert broken == []
