"""The properties of the Microsoft Graph types that `infra/` uses; no Python SDK describes them.

https://learn.microsoft.com/graph/templates/bicep/reference/overview
"""

from __future__ import annotations

from typing import Any

from tests.infra.model_reader import REQUIRED

_SCOPE: dict[str, Any] = {
    REQUIRED: ["id", "value", "type", "isEnabled", "adminConsentDisplayName", "adminConsentDescription"],
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
    REQUIRED: ["id", "value", "displayName", "description", "allowedMemberTypes", "isEnabled"],
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
_PREAUTHORIZED: dict[str, Any] = {
    REQUIRED: ["appId", "delegatedPermissionIds"],
    "appId": "string",
    "delegatedPermissionIds": ["string"],
}

GRAPH_MODELS: dict[str, dict[str, Any]] = {
    "Microsoft.Graph/applications": {
        REQUIRED: ["uniqueName", "displayName", "identifierUris", "api", "appRoles", "web"],
        "uniqueName": "string",
        "displayName": "string",
        "signInAudience": {"=": ["AzureADMultipleOrgs", "AzureADMyOrg"]},
        "identifierUris": ["string"],
        "web": {"redirectUris": ["string"]},
        "api": {
            "requestedAccessTokenVersion": "int",
            "oauth2PermissionScopes": [_SCOPE],
            "preAuthorizedApplications": [_PREAUTHORIZED],
        },
        "appRoles": [_ROLE],
        "requiredResourceAccess": [_ACCESS],
    },
    "Microsoft.Graph/servicePrincipals": {
        REQUIRED: ["appId"],
        "appId": "string",
        "appRoleAssignmentRequired": "bool",
    },
    "Microsoft.Graph/applications/federatedIdentityCredentials": {
        "name": "string",
        "audiences": ["string"],
        "issuer": "string",
        "subject": "string",
        "description": "string",
    },
    "Microsoft.Graph/appRoleAssignedTo": {
        REQUIRED: ["appRoleId", "principalId", "resourceId"],
        "appRoleId": "string",
        "principalId": "string",
        "resourceId": "string",
    },
}
