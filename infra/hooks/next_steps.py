"""Print what a person still has to do after provisioning, with the real names filled in.

azd runs this after `azd provision` and hands over the outputs of `main.bicep` as environment
variables. It changes nothing, needs nothing but Python, and may be run again at any time.
"""

from __future__ import annotations

import os
import sys
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

REGISTRATION_BY_HAND = """
0. Complete your own app registration (none was made)
   Client id:            $ENTRA_CLIENT_ID
   Redirect URI (Web):   $REDIRECT_URI
   App role for users:   $ADMIN_ROLE
   Access token version: 2
   Federated credential: issuer   <sign-in host>/$ENTRA_TENANT_ID/v2.0
                         subject  $IDENTITY_PRINCIPAL_ID
   docs/operations.md, "Bring your own app registration", has every step.
"""

STEPS = """
1. Give somebody the role $ADMIN_ROLE (skip it if WORKSPACE_ADMIN_PRINCIPAL_IDS was set)
   Entra admin center > Enterprise applications > the app with the id
   $ENTRA_CLIENT_ID > Users and groups > Add.

2. Tell the frontend
   API:    $PUBLIC_BASE_URL/api
   Scope:  $API_SCOPE

3. Consent once
   On the Tenant Settings page enter the From Email Address, press Enable, and sign in with the
   account that sends. Is From a shared mailbox or a group, let that account send as it first:
     Connect-ExchangeOnline
     Add-RecipientPermission <from address> -AccessRights SendAs -Trustee <account>

4. Only for sending without a user: allow the app one mailbox, not all of them
   Do not grant Mail.Send in Entra as well: the two add up, and the limit would be gone.
     Connect-ExchangeOnline
     New-ServicePrincipal -DisplayName "Inforiver mail" `
       -AppId $ENTRA_CLIENT_ID -ObjectId $ENTERPRISE_APP_OBJECT_ID
     New-ManagementScope "Inforiver mail" `
       -RecipientRestrictionFilter "PrimarySmtpAddress -eq '<from address>'"
     New-ManagementRoleAssignment -Role "Application Mail.Send" `
       -App $ENTERPRISE_APP_OBJECT_ID -CustomResourceScope "Inforiver mail"
   The first of these must say InScope True, the second InScope False:
     Test-ServicePrincipalAuthorization $ENTERPRISE_APP_OBJECT_ID -Resource <from address>
     Test-ServicePrincipalAuthorization $ENTERPRISE_APP_OBJECT_ID -Resource <another mailbox>
   It takes half an hour to two hours until Exchange follows.

5. See that it lives
   $PUBLIC_BASE_URL/api/health
   The rest is in docs/operations.md.
"""


def next_steps(outputs: Mapping[str, str]) -> str:
    """Fill the outputs into the steps; what is missing stays visible as its name."""
    made_here = bool(outputs.get("ENTERPRISE_APP_OBJECT_ID"))
    shown = {name: value for name, value in outputs.items() if value}
    steps = STEPS if made_here else REGISTRATION_BY_HAND + STEPS
    return Template(steps).safe_substitute(shown)


if __name__ == "__main__":
    sys.stdout.write(next_steps(os.environ))
