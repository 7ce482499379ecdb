"""Print the remaining manual steps after provisioning.

azd runs this after `azd provision` and passes the outputs of `main.bicep` as environment variables, so that
the steps contain the actual names. It changes nothing, needs nothing but Python, and can run again at any
time: `azd hooks run postprovision`.
"""

from __future__ import annotations

import os
import re
from string import Template
from typing import TYPE_CHECKING

from infra.hooks.reporting import report, run_step

if TYPE_CHECKING:
    from collections.abc import Mapping

REGISTRATION_BY_HAND = """
0. Complete your own app registration (the template made none)
   Client id:            $ENTRA_CLIENT_ID
   Redirect URI (Web):   $REDIRECT_URI
   App role for users:   $ADMIN_ROLE
   Access token version: 2
   Federated credential: issuer   <sign-in host>/$ENTRA_TENANT_ID/v2.0
                         subject  $IDENTITY_PRINCIPAL_ID
   docs/operations/own-registration.md has every step.
"""

STEPS = """
1. Assign the role $ADMIN_ROLE to a workspace admin (not needed if WORKSPACE_ADMIN_PRINCIPAL_IDS was set)
   Entra admin center > Enterprise applications > the app with the id
   $ENTRA_CLIENT_ID > Users and groups > Add.

2. Configure the frontend
   API:    $PUBLIC_BASE_URL/api
   Scope:  $API_SCOPE

3. Consent once
   On the Tenant Settings page enter the From Email Address, press Enable, and sign in with the
   account that sends. Where From is a shared mailbox or a group, grant Send As to that account first:
     Connect-ExchangeOnline
     Add-RecipientPermission <from address> -AccessRights SendAs -Trustee <account>
   Who may consent: docs/operations/first-consent.md.

4. Only for sending without a user: list the addresses that the app may send from
     azd env set APPLICATION_SENDERS <from address>
     azd provision
   Then limit the app to one mailbox in Exchange. Do not grant Mail.Send in Entra as well: the grants
   add up, and the limit would have no effect.
     Connect-ExchangeOnline
     New-ServicePrincipal -DisplayName "Inforiver mail ($AZURE_ENV_NAME)" `
       -AppId $ENTRA_CLIENT_ID -ObjectId $ENTERPRISE_APP_OBJECT_ID
     New-ManagementScope "Inforiver mail ($AZURE_ENV_NAME)" `
       -RecipientRestrictionFilter "PrimarySmtpAddress -eq '<from address>'"
     New-ManagementRoleAssignment -Name "Inforiver mail ($AZURE_ENV_NAME) Mail.Send" `
       -Role "Application Mail.Send" -App $ENTERPRISE_APP_OBJECT_ID `
       -CustomResourceScope "Inforiver mail ($AZURE_ENV_NAME)"
   The first of these must print InScope True, the second InScope False:
     Test-ServicePrincipalAuthorization $ENTERPRISE_APP_OBJECT_ID -Resource <from address>
     Test-ServicePrincipalAuthorization $ENTERPRISE_APP_OBJECT_ID -Resource <another mailbox>
   Exchange takes half an hour to two hours to apply this.

5. Check that the app responds
   $PUBLIC_BASE_URL/api/health
   Everything else is in docs/operations.md.
"""


NOT_FILLED_IN = """
Not filled in because azd passed no value: $names
`azd env get-values` shows the environment's values; `azd env refresh` reads them from the last deployment.
"""

#: The access that GRANT_OPERATOR_DATA_ACCESS gives does not end with the variable.
TEMPORARY_ACCESS = """
GRANT_OPERATOR_DATA_ACCESS is true: the deployer can read queues, tables, files and every refresh token
until the roles are deleted. Provisioning does not delete them. When you no longer need them:
  azd env set GRANT_OPERATOR_DATA_ACCESS false
  az role assignment delete --ids $$(az role assignment list --all --assignee <object id of the deployer> \\
    --query "[?contains(scope, '/resourceGroups/$AZURE_RESOURCE_GROUP/')].id" --output tsv)
docs/operations/access.md also has the PowerShell form, and the command that lists the remaining roles.
"""

#: Outputs that are empty where the template made no registration; its owner knows the values.
FROM_THE_OWNER = {
    "ENTERPRISE_APP_OBJECT_ID": "<object id of your enterprise application>",
    "API_SCOPE": "<scope of your app registration>",
}


def next_steps(outputs: Mapping[str, str]) -> str:
    """Return the steps with the outputs; a missing one is `<NAME>` and listed."""
    # Absent means that azd passed nothing; empty, that the template made no registration.
    by_hand = outputs.get("ENTERPRISE_APP_OBJECT_ID") == ""
    steps = REGISTRATION_BY_HAND + STEPS if by_hand else STEPS
    if outputs.get("GRANT_OPERATOR_DATA_ACCESS", "").lower() == "true":
        steps += TEMPORARY_ACCESS
    known = (FROM_THE_OWNER if by_hand else {}) | {name: value for name, value in outputs.items() if value}
    missing = [name for name in dict.fromkeys(re.findall(r"\$([A-Z_]+)", steps)) if name not in known]
    text = Template(steps).substitute({name: f"<{name}>" for name in missing} | known)
    return text + (Template(NOT_FILLED_IN).substitute(names=", ".join(missing)) if missing else "")


if __name__ == "__main__":
    run_step("The list of next steps", lambda: report(next_steps(os.environ)))
