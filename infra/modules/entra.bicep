// The app's registration. It has no password: the app proves itself by its managed identity, which the
// federated credential below lets stand for it. Microsoft's page "Configure an application to trust a
// managed identity" gives issuer, subject and audience; wrong ones fail at the first token, not here.

extension microsoftGraphV1

@description('Never changes once deployed: it is how the registration is found again.')
param uniqueName string
param displayName string
param redirectUri string
param identityPrincipalId string
param microsoftCloud string
param adminRole string

@description('Declare the permissions for sending without a user too. Off where Exchange limits the app to a mailbox.')
param declareApplicationPermissions bool

@description('Accounts of other tenants than this one may consent and sign in too.')
param severalTenants bool

@description('Client ids of the frontends that call the API; their users are not asked again.')
param frontendClientIds array

@description('Object ids of the users or groups that get the admin role.')
param workspaceAdminPrincipalIds array

var cloud = loadJsonContent('../clouds.json')[microsoftCloud]
var permissions = loadJsonContent('../graph-permissions.json')
var graphAppId = '00000003-0000-0000-c000-000000000000'
var scopeId = guid(uniqueName, 'settings')
var adminRoleId = guid(uniqueName, adminRole)

// Declaring grants nothing; consent does. The application permissions serve the way without a user.
var declaredScopes = [for permission in items(permissions.delegated): { id: permission.value, type: 'Scope' }]
var declaredRoles = [for permission in items(permissions.application): { id: permission.value, type: 'Role' }]

resource registration 'Microsoft.Graph/applications@v1.0' = {
  uniqueName: uniqueName
  displayName: displayName
  signInAudience: severalTenants ? 'AzureADMultipleOrgs' : 'AzureADMyOrg'
  identifierUris: [ 'api://${tenant().tenantId}/${uniqueName}' ]
  web: { redirectUris: [ redirectUri ] }
  api: {
    // A token of version 2 carries the client id as its audience; API_AUDIENCE relies on it.
    requestedAccessTokenVersion: 2
    oauth2PermissionScopes: [
      {
        id: scopeId
        value: 'settings'
        type: 'User'
        isEnabled: true
        adminConsentDisplayName: 'Manage mail settings'
        adminConsentDescription: 'Read and change the mail settings of your workspace, as the signed-in admin.'
        userConsentDisplayName: 'Manage mail settings'
        userConsentDescription: 'Read and change the mail settings of your workspace, as you.'
      }
    ]
    preAuthorizedApplications: [for clientId in frontendClientIds: {
      appId: clientId
      delegatedPermissionIds: [ scopeId ]
    }]
  }
  appRoles: [
    {
      id: adminRoleId
      value: adminRole
      displayName: 'Workspace admin'
      description: 'Sets up from which mailbox reports are sent.'
      allowedMemberTypes: [ 'User' ]
      isEnabled: true
    }
  ]
  requiredResourceAccess: [
    { resourceAppId: graphAppId, resourceAccess: concat(declaredScopes, declareApplicationPermissions ? declaredRoles : []) }
  ]
}

resource enterpriseApp 'Microsoft.Graph/servicePrincipals@v1.0' = {
  appId: registration.appId
}

resource identityAsCredential 'Microsoft.Graph/applications/federatedIdentityCredentials@v1.0' = {
  name: '${registration.uniqueName}/managed-identity'
  audiences: [ cloud.tokenExchangeAudience ]
  issuer: '${cloud.authorityHost}/${tenant().tenantId}/v2.0'
  subject: identityPrincipalId
}

resource workspaceAdmins 'Microsoft.Graph/appRoleAssignedTo@v1.0' = [for principalId in workspaceAdminPrincipalIds: {
  appRoleId: adminRoleId
  principalId: principalId
  resourceId: enterpriseApp.id
}]

output clientId string = registration.appId
output enterpriseAppObjectId string = enterpriseApp.id
output apiScope string = '${registration.identifierUris[0]}/settings'
