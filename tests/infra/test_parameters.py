"""Parameters are normalized, or refused before resources are created."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from shared.config import check_settings
from tests.infra.bicep import TENANT, Bicep, BicepError
from tests.infra.project import ROOT, Project

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.infra.prediction import Prediction

PROJECT = Project.from_disk()
ID = "00000000-0000-4000-8000-0000000000FF"
OTHER_ID = "00000000-0000-4000-8000-0000000000EE"

#: A value of each text parameter that works, as it is meant.
GOOD = {
    "environmentName": "mailer",
    "unlistedLocation": "polandcentral",
    "deployedWith": "",
    "frontendOrigins": "https://a.contoso.com,https://b.contoso.com",
    "frontendClientIds": f"{ID},{OTHER_ID}",
    "workspaceAdminPrincipalIds": f"{ID},{OTHER_ID}",
    "schedulerPrincipalIds": f"{ID},{OTHER_ID}",
    "schedulerFilePaths": f"{ID}=sales/emea,{OTHER_ID}=finance_1.x",
    "outcomeQueues": "mail-outcomes,finance-outcomes",
    "deliveryReaderPrincipalIds": f"{ID},{OTHER_ID}",
    "publicBaseUrl": "https://mail.contoso.com/mailer",
    "applicationSenders": "reports@contoso.com,sales@contoso.com",
    "registrationOwnerIds": f"{ID},{OTHER_ID}",
    "entraClientId": ID,
    "entraTenantId": TENANT,
    "allowedTenantIds": f"{TENANT},{ID}",
    "adminRole": "Workspace.Admin",
    "requiredApiScope": "access_as_user",
    "allowedClientIds": f"{ID},{OTHER_ID}",
    "clientSecretName": "entra-client-secret",
    "clientCertificatePath": "/mounts/certificates/mailer.pem",
    "entraAuthorityHost": "https://login.contoso.com",
    "graphEndpoint": "https://graph.contoso.com",
    "alertEmails": "operators@contoso.com,owner@contoso.com",
    "budgetStartDate": "2026-12-01",
    "networkAddressPrefix": "10.20.0.0/24",
    "allowedIpAddresses": "203.0.113.7,198.51.100.0/24",
    "principalId": "00000000-0000-4000-8000-0000000000DD",
}

LISTS = {name for name, value in GOOD.items() if "," in value}
#: Text parameters that must not be empty, and those that SWITCHES make needed.
NEEDED = {"environmentName", "frontendOrigins", "adminRole", "networkAddressPrefix"}
NEEDED_WITH_SWITCHES = {"entraClientId", "budgetStartDate", "principalId"}
#: Text parameters whose case is kept: names, paths, mail addresses, and ids in the name of a role assignment.
CASE_MATTERS = {
    "environmentName",
    "adminRole",
    "requiredApiScope",
    "clientSecretName",
    "clientCertificatePath",
    "alertEmails",
    "applicationSenders",
    "schedulerPrincipalIds",
    "schedulerFilePaths",
    "principalId",
}
#: Text parameters in which `a_b` means something.
TAKES_UNDERSCORE = {
    "environmentName",
    "deployedWith",
    "adminRole",
    "requiredApiScope",
}
#: Parameters that count only with a switch: it is on in these tests.
SWITCHES = {"grantOperatorDataAccess": "true", "monthlyBudget": "50", "createAppRegistration": "false"}

#: How many items a list takes here; Azure's own limits are higher or not published.
MANY = 40
_IDS = ",".join(f"00000000-0000-4000-8000-{number:012d}" for number in range(MANY))
#: The longest value that works, and one that is too long.
LONGEST = {
    "environmentName": ("m" * 20, "m" * 21),
    "clientSecretName": ("s" * 127, "s" * 128),
    "adminRole": ("R" * 120, "R" * 121),
    "frontendClientIds": (_IDS, ""),
    "allowedClientIds": (_IDS, ""),
    "workspaceAdminPrincipalIds": (_IDS, ""),
    "schedulerPrincipalIds": (_IDS, ""),
    "schedulerFilePaths": (",".join(f"{each}=sales/{each}" for each in _IDS.split(",")), ""),
    "outcomeQueues": (",".join(["q" * 63, *(f"outcomes-{number}" for number in range(9))]), "q" * 64),
    "deliveryReaderPrincipalIds": (_IDS, ""),
    "registrationOwnerIds": (_IDS, ""),
    "allowedTenantIds": (f"{TENANT},{_IDS}", ""),
    "frontendOrigins": (",".join(f"https://{number}.contoso.com" for number in range(MANY)), ""),
    "applicationSenders": (",".join(f"sender{number}@contoso.com" for number in range(MANY)), ""),
    "alertEmails": (",".join(f"operator{number}@contoso.com" for number in range(MANY)), ""),
    "allowedIpAddresses": (",".join(f"203.0.113.{number}" for number in range(MANY)), ""),
}
#: Values that look right and cannot work.
WRONG = {
    "environmentName": ("mailer.", "mailer prod", "mailer/prod", "mäiler"),
    "unlistedLocation": ("a,b", "west-europe"),
    "frontendOrigins": (
        "https://a.contoso.com/page",
        "*",
        "http://a.contoso.com",
        "https://me@a.contoso.com",
        "https://a.contoso.com:443",
        "https://a.contoso.com:99999",
        "https://a.contoso.com:port",
        "https://a.contoso.com:08443",
        "https://:8443",
    ),
    "frontendClientIds": ("my-frontend", f"{ID};{OTHER_ID}"),
    "workspaceAdminPrincipalIds": ("ada@contoso.com", f"{ID[:-1]}G"),
    "schedulerPrincipalIds": ("scheduler", f"{ID}0"),
    "schedulerFilePaths": (
        f"{TENANT}=sales",
        f"{ID}=/sales,{OTHER_ID}=finance/",
        f"{ID}=sales*,{OTHER_ID}=",
        f"{ID}=sales,{ID}=finance",
    ),
    "outcomeQueues": ("mail--outcomes", "-outcomes", "mail.outcomes,ab", "mail-outbox-poison"),
    "deliveryReaderPrincipalIds": ("scheduler", f"{ID}0"),
    "registrationOwnerIds": ("ada@contoso.com", ID.replace("-", "")),
    "allowedTenantIds": ("contoso.com", "contoso.onmicrosoft.com"),
    "publicBaseUrl": (
        "http://mail.contoso.com",
        "https://mail.contoso.com?a=b",
        "mail.contoso.com",
        "https://",
        "https://müller.example",
        "https://mail.contoso.com//",
        "https://mail.contoso.com:0/mailer",
        "https://mail%2econtoso.com",
        "https://mail.contoso.com:8443:8443",
    ),
    "applicationSenders": (
        "reports",
        "reports@@contoso.com",
        "@contoso.com",
        "Reports <r@contoso.com>",
        "<reports@contoso.com>",
        "reports@contoso",
        "mailto:reports@contoso.com",
        "reports@contoso..com",
        "reports..sales@contoso.com",
        "\\'reports@contoso.com\\'",
        "reports@con_toso.com",
    ),
    "entraClientId": ("my app", f"{ID}a"),
    "entraTenantId": ("contoso.com", "common"),
    "adminRole": ("Workspace Admin", '"Workspace.Admin"', "Workspace\\tAdmin", "Admin;Workspace"),
    "requiredApiScope": ("settings profile", "api://mailer/settings", '"settings"', "`settings`"),
    "allowedClientIds": ("my-frontend", f"{ID};{OTHER_ID}"),
    "clientSecretName": ("entra.client.secret", "@Microsoft.KeyVault(SecretUri=x)", "https://kv/secrets/x"),
    "clientCertificatePath": (
        "mounts/mailer.pem",
        '"/mounts/mailer.pem"',
        "@Microsoft.KeyVault(SecretUri=x)",
    ),
    "entraAuthorityHost": (
        "login.contoso.com",
        "https:///x",
        "https://[login.contoso.com]",
        "https://login.contoso.com/common",
        "https://login.contoso.com:99999",
    ),
    "graphEndpoint": (
        "http://graph.contoso.com",
        "https://graph.contoso.com#x",
        "https://graph.contoso.com;",
        "https://graph.contoso.com/v1.0",
    ),
    "alertEmails": (
        "operators",
        "operators@",
        "a@contoso.com;b@contoso.com",
        "a b@contoso.com",
        "<operators@contoso.com>",
    ),
    "budgetStartDate": ("2026-12-02", "2026-13-01", "01.12.2026", "2026-1-01"),
    "networkAddressPrefix": (
        "10.20.0.0/25",
        "10.20.0.0",
        "10.20.0/24",
        "10.0.0.0/7",
        "10.20.0.0/024",
        "10.20.0.7/24",
    ),
    "allowedIpAddresses": ("10.1.2.3", "172.20.0.1", "203.0.113.0/31", "203.0.113.256", "203.0.113.07"),
    "principalId": ("ada@contoso.com",),
}
#: Values that look wrong and that the app accepts.
UNUSUAL = {
    "frontendOrigins": "https://inforiver_test:8443,https://10.0.0.7",
    "publicBaseUrl": "HTTPS://Mail.contoso.com:8443/a%20b/",
    "applicationSenders": "o\\'brien@contoso.com,a.b+c_d@reports.contoso.com,r@müller.example",
    "adminRole": "Rôle=1,(admin)",
    "requiredApiScope": "access.as_user",
    "entraAuthorityHost": "https://login.contoso.com:8443/",
    "graphEndpoint": "https://GRAPH.contoso.com/",
}
#: Settings whose value Azure computes, with one of their form; the others are ids.
FROM_AZURE = {
    "AzureWebJobsStorage__blobServiceUri": "https://mailer.blob.core.windows.net/",
    "AzureWebJobsStorage__queueServiceUri": "https://mailer.queue.core.windows.net/",
    "AzureWebJobsStorage__tableServiceUri": "https://mailer.table.core.windows.net/",
    "KEY_VAULT_URL": "https://mailer.vault.azure.net/",
}
#: The variable of azd that a refusal has to name, by parameter.
VARIABLES = {
    variable: name
    for name, value in json.loads((ROOT / "infra/main.parameters.json").read_text(encoding="utf-8"))[
        "parameters"
    ].items()
    for variable in re.findall(r"\$\{(\w+)", value["value"])
}


def text_parameters() -> set[str]:
    """Return the parameters of the compiled template that accept any text."""
    return {
        name
        for name, parameter in PROJECT.interface.parameters.items()
        if parameter["type"] == "string" and "allowedValues" not in parameter
    }


def as_bicep(value: object) -> str:
    return quoted(value) if isinstance(value, str) else str(value).lower()


def quoted(text: str) -> str:
    return f"'{text}'"


def predict(bicep: Bicep, **changes: str) -> Prediction:
    """Predict the deployment with valid values and these changes (Bicep).

    Raises:
        BicepError: they are refused.
    """
    values = {name: quoted(value) for name, value in GOOD.items()} | SWITCHES | changes
    project = PROJECT.with_parameters("defaults", **values)
    return project.predicted_again(bicep, "defaults").predictions["defaults"]


def refusal(bicep: Bicep, **changes: str) -> str:
    with pytest.raises(BicepError) as caught:
        predict(bicep, **changes)
    return str(caught.value)


def refused(told: str, names: Iterable[str]) -> set[str]:
    """Return which of the parameters a refusal names, by its sentences."""
    return {name for name in names if f"({name})" in told or f"The parameter {name} " in told}


def names_that_azure_refuses(azure: Prediction) -> list[str]:
    """Return names that break the naming rules of Azure.

    https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
    """
    rules = {
        "Microsoft.Resources/resourceGroups": r"[\w().-]{0,89}[\w()-]",
        "Microsoft.Web/sites": r"[A-Za-z0-9][A-Za-z0-9-]{0,58}[A-Za-z0-9]",
        "Microsoft.Web/serverfarms": r"[A-Za-z0-9-]{1,60}",
        "Microsoft.Storage/storageAccounts": r"[a-z0-9]{3,24}",
        "Microsoft.KeyVault/vaults": r"[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]",
        "Microsoft.ManagedIdentity/userAssignedIdentities": r"[A-Za-z0-9][\w-]{2,127}",
        "Microsoft.OperationalInsights/workspaces": r"[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]",
        "Microsoft.Insights/components": r"[\w.()-]{0,259}[\w()-]",
        "Microsoft.Insights/actionGroups": r"[^:<>+/&%\\?|]{0,259}[^:<>+/&%\\?| .]",
        "Microsoft.Consumption/budgets": r"[A-Za-z0-9_-]{1,63}",
    }
    return [
        f"{kind} {resource['name']}"
        for kind, rule in rules.items()
        for resource in azure.all(kind)
        if not re.fullmatch(rule, resource["name"])
    ]


def test_these_tests_know_every_text_parameter() -> None:
    assert GOOD.keys() == text_parameters()


def test_empty_values_are_their_defaults_or_refused_together(bicep: Bicep) -> None:
    off = {"grantOperatorDataAccess": "false", "monthlyBudget": "0", "createAppRegistration": "true"}
    azure = predict(bicep, **dict.fromkeys(GOOD.keys() - NEEDED, "''"), **off)
    told = refusal(bicep, **dict.fromkeys(GOOD, "''"))

    assert azure.diagnostics == ()
    assert names_that_azure_refuses(azure) == []
    assert refused(told, GOOD) == NEEDED | NEEDED_WITH_SWITCHES


def test_nothing_but_blanks_is_as_empty(bicep: Bicep) -> None:
    blanks = {name: "' , '" if name in LISTS else "'  '" for name in GOOD}

    assert refusal(bicep, **blanks) == refusal(bicep, **dict.fromkeys(GOOD, "''"))


def test_blanks_around_values_and_repetitions_count_for_nothing(bicep: Bicep) -> None:
    spaced = {
        name: f" {value.replace(',', ' , , ')} , {value.split(',')[0]}, " if name in LISTS else f" {value} "
        for name, value in GOOD.items()
    }
    spaced["environmentName"] = GOOD["environmentName"]  # It is a tag too, by which azd finds the group.
    azure = predict(bicep, **{name: quoted(value) for name, value in spaced.items()})

    assert azure == predict(bicep)
    cors = azure.one("Microsoft.Web/sites")["properties"]["siteConfig"]["cors"]
    assert cors["allowedOrigins"] == ["https://a.contoso.com", "https://b.contoso.com"]


def test_capitals_in_ids_and_hosts_count_for_nothing(bicep: Bicep) -> None:
    values = {name: value if name in CASE_MATTERS else value.lower() for name, value in GOOD.items()}
    loud = {name: value if name in CASE_MATTERS else value.upper() for name, value in GOOD.items()}
    loud["publicBaseUrl"] = "HTTPS://MAIL.CONTOSO.COM/mailer/"

    assert predict(bicep, **{name: quoted(value) for name, value in loud.items()}) == predict(
        bicep, **{name: quoted(value) for name, value in values.items()}
    )


@pytest.mark.parametrize(
    ("environment", "site"),
    [("Mailer_Prod", "func-Mailer-Prod-"), ("mailer.prod(eu)", "func-mailer-prod-eu--"), ("0", "func-0-")],
)
def test_any_name_of_an_environment_gives_names_that_azure_takes(
    bicep: Bicep, environment: str, site: str
) -> None:
    azure = predict(bicep, environmentName=quoted(environment))

    assert azure.one("Microsoft.Web/sites")["name"].startswith(site)
    assert azure.one("Microsoft.Web/sites")["tags"]["azd-env-name"] == environment
    assert azure.one("Microsoft.Resources/resourceGroups")["name"] == f"rg-{environment}"
    assert names_that_azure_refuses(azure) == []


def test_an_underscore_is_refused_wherever_it_means_nothing(bicep: Bicep) -> None:
    refusing = GOOD.keys() - TAKES_UNDERSCORE

    assert refused(refusal(bicep, **dict.fromkeys(refusing, "'a_b'")), refusing) == refusing
    assert predict(bicep, **dict.fromkeys(TAKES_UNDERSCORE, "'a_b'")).diagnostics == ()


def test_the_longest_values_pass_and_longer_ones_do_not(bicep: Bicep) -> None:
    azure = predict(bicep, **{name: quoted(values[0]) for name, values in LONGEST.items()})
    told = refusal(bicep, **{name: quoted(values[1]) for name, values in LONGEST.items() if values[1]})

    assert names_that_azure_refuses(azure) == []
    assert len(azure.one("Microsoft.Insights/actionGroups")["properties"]["emailReceivers"]) == MANY
    assert refused(told, GOOD) == {name for name, values in LONGEST.items() if values[1]}


@pytest.mark.parametrize("number", range(max(map(len, WRONG.values()))))
def test_what_cannot_work_is_refused_with_what_to_set(bicep: Bicep, number: int) -> None:
    """All at once: a refusal has a sentence for each wrong value."""
    wrong = {name: quoted(values[number]) for name, values in WRONG.items() if number < len(values)}
    told = refusal(bicep, **wrong)

    assert "'groupName' is not valid: " in told
    assert refused(told, GOOD) == wrong.keys()
    assert {variable for variable in VARIABLES if variable in told} >= {
        variable for variable, name in VARIABLES.items() if name in wrong
    }


def test_the_app_accepts_what_is_unusual_and_not_refused(bicep: Bicep) -> None:
    azure = predict(bicep, **{name: quoted(value) for name, value in UNUSUAL.items()})
    settings = {
        name: FROM_AZURE.get(name, ID) if value.startswith("[") else value
        for name, value in azure.one("Microsoft.Web/sites/config")["properties"].items()
    }

    assert check_settings(settings | {"ENTRA_CLIENT_SECRET": "the secret"}) == ()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"alwaysReadyInstances": "5", "maximumInstances": "4"}, "must not be larger than MAXIMUM_INSTANCES"),
        ({"createAppRegistration": "true", "entraTenantId": quoted(ID)}, "unset EXISTING_CLIENT_TENANT_ID"),
        (
            {"createAppRegistration": "true", "microsoftCloud": "'usgov'"},
            "set CREATE_APP_REGISTRATION to false",
        ),
        ({"createAppRegistration": "true", "requiredApiScope": "'manage'"}, "unset REQUIRED_API_SCOPE"),
        ({"allowedClientIds": quoted(ID)}, "must hold every client of FRONTEND_CLIENT_IDS"),
        ({"allowedTenantIds": quoted(ID)}, "ALLOWED_TENANT_IDS (allowedTenantIds) must hold the home tenant"),
        (
            {"schedulerPrincipalIds": quoted(f"{ID},{ID.lower()}"), "schedulerFilePaths": "''"},
            "names a scheduler twice",
        ),
        ({"principalId": quoted(ID.lower())}, "GRANT_OPERATOR_DATA_ACCESS cannot be true for a scheduler"),
    ],
    ids=["instances", "tenant", "cloud", "scope", "clients", "home tenant", "twice", "operator"],
)
def test_what_cannot_work_together_is_refused(bicep: Bicep, values: dict[str, str], sentence: str) -> None:
    assert sentence in refusal(bicep, **values)


def test_every_other_parameter_accepts_its_limits_and_nothing_beyond(bicep: Bicep) -> None:
    """Bicep checks switches, numbers and lists of values."""
    others = {name: spec for name, spec in PROJECT.interface.parameters.items() if name not in GOOD}
    beyond = {name: quoted("none of these") for name, spec in others.items() if spec["type"] != "int"}
    numbers = {
        name: spec for name, spec in others.items() if spec["type"] == "int" and "allowedValues" not in spec
    }
    low = {name: str(spec["minValue"]) for name, spec in numbers.items()}
    high = {name: str(spec.get("maxValue", 1_000_000)) for name, spec in numbers.items()}
    first = {
        name: as_bicep(spec.get("allowedValues", [False])[0])
        for name, spec in others.items()
        if name not in low
    }
    last = {
        name: as_bicep(spec.get("allowedValues", [True])[-1])
        for name, spec in others.items()
        if name not in low
    }

    assert predict(bicep, unlistedLocation="''", **(SWITCHES | low | first)).diagnostics == ()
    consistent = {"microsoftCloud": "'global'", "location": "'eastus'", "entraTenantId": "''"}
    consistent["requiredApiScope"] = "''"
    assert predict(bicep, **(high | last | consistent)).diagnostics == ()
    for outside in (
        beyond | {name: str(int(value) - 1) for name, value in low.items()},
        {name: str(spec["maxValue"] + 1) for name, spec in numbers.items() if "maxValue" in spec},
    ):
        assert refusal(bicep, **outside).count(" error BCP") == len(outside)
