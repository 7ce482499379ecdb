"""The properties of the Microsoft Graph types that `infra/` uses; no Python SDK describes them.

https://learn.microsoft.com/graph/templates/bicep/reference/overview
"""

from __future__ import annotations

from typing import Any

_SCOPE: dict[str, Any] = {
    "id": "string",
    "value": "string",
    "type": {"=": ["Admin", "User"]},
    "isEnabled": "bool",
    "adminConsentDisplayName": "string",
    "adminConsentDescription": "string",
    "userConsentDisplayName": "string",
    "userConsentDescription": "string",
}
_ROLE: dict[str, Any] = {
    "id": "string",
    "value": "string",
    "displayName": "string",
    "description": "string",
    "allowedMemberTypes": [{"=": ["Application", "User"]}],
    "isEnabled": "bool",
}
_ACCESS: dict[str, Any] = {
    "resourceAppId": "string",
    "resourceAccess": [{"id": "string", "type": {"=": ["Role", "Scope"]}}],
}

GRAPH_MODELS: dict[str, dict[str, Any]] = {
    "Microsoft.Graph/applications": {
        "uniqueName": "string",
        "displayName": "string",
        "signInAudience": {"=": ["AzureADMultipleOrgs", "AzureADMyOrg"]},
        "identifierUris": ["string"],
        "web": {"redirectUris": ["string"]},
        "api": {
            "requestedAccessTokenVersion": "int",
            "oauth2PermissionScopes": [_SCOPE],
            "preAuthorizedApplications": [{"appId": "string", "delegatedPermissionIds": ["string"]}],
        },
        "appRoles": [_ROLE],
        "requiredResourceAccess": [_ACCESS],
    },
    "Microsoft.Graph/servicePrincipals": {"appId": "string", "appRoleAssignmentRequired": "bool"},
    "Microsoft.Graph/applications/federatedIdentityCredentials": {
        "name": "string",
        "audiences": ["string"],
        "issuer": "string",
        "subject": "string",
        "description": "string",
    },
    "Microsoft.Graph/appRoleAssignedTo": {
        "appRoleId": "string",
        "principalId": "string",
        "resourceId": "string",
    },
}
