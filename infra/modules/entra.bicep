// The app's registration. It has no secret: the app authenticates with its managed identity, which the
// federated credential below accepts. Microsoft's page "Configure an application to trust a
// managed identity" specifies issuer, subject and audience; wrong values fail at the first token, not at deployment.

extension microsoftGraphV1

@description('Must not change after the first deployment: it identifies the registration.')
param uniqueName string
param displayName string
param redirectUri string
param identityPrincipalId string
param microsoftCloud string
param adminRole string

@description('Declare Mail.Send for the app itself too: an admin consent then lets it send from every mailbox. False if Exchange limits it (RBAC for Applications).')
param declareApplicationPermissions bool

@description('Declare Mail.ReadWrite and the .Shared permissions too, for users and, if its permissions are declared, for the app itself.')
param declareMailReadWrite bool

@description('Whether accounts of other tenants may consent and sign in too.')
param severalTenants bool

@description('Object ids of further users and service principals that may change the registration. They are added, never removed.')
param ownerIds array

@description('Client ids of the frontends that call the API; their users need not consent to that.')
param frontendClientIds array

@description('Object ids of the users or groups that get the admin role.')
param workspaceAdminPrincipalIds array

@description('Object ids of the service principals that may read deliveries without a user.')
param deliveryReaderPrincipalIds array

var cloud = loadJsonContent('../clouds.json')[microsoftCloud]
var permissions = loadJsonContent('../graph-permissions.json')
var graphAppId = '00000003-0000-0000-c000-000000000000'
var scopeId = guid(uniqueName, 'settings')
var adminRoleId = guid(uniqueName, adminRole)
// The same in every installation, because a documented command contains it.
var deliveryReaderRoleId = 'ecacd421-9b9c-5777-aa64-95a84bccad4c'

// Declaring grants nothing, but an admin's consent for the organisation grants all that is declared, to users and to
// the app itself. A user's consent asks for each permission by name, whether it is declared or not.
var declared = {
  delegated: union(permissions.delegated, declareMailReadWrite ? permissions.mailReadWrite.delegated : {})
  application: union(permissions.application, declareMailReadWrite ? permissions.mailReadWrite.application : {})
}
var declaredScopes = [for permission in items(declared.delegated): { id: permission.value, type: 'Scope' }]
var declaredRoles = [for permission in items(declared.application): { id: permission.value, type: 'Role' }]

// Application.ReadWrite.OwnedBy lets a deployer change only what it owns.
var owners = { relationships: ownerIds, relationshipSemantics: 'append' }

resource registration 'Microsoft.Graph/applications@v1.0' = {
  uniqueName: uniqueName
  displayName: displayName
  signInAudience: severalTenants ? 'AzureADMultipleOrgs' : 'AzureADMyOrg'
  owners: owners
  identifierUris: ['api://${tenant().tenantId}/${uniqueName}']
  web: { redirectUris: [redirectUri] }
  api: {
    // A token of version 2 has the client id as its audience; API_AUDIENCE relies on it.
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
    preAuthorizedApplications: [
      for clientId in frontendClientIds: {
        appId: clientId
        delegatedPermissionIds: [scopeId]
      }
    ]
  }
  appRoles: [
    {
      id: adminRoleId
      value: adminRole
      displayName: 'Workspace admin'
      description: 'Sets up from which mailbox reports are sent.'
      allowedMemberTypes: ['User']
      isEnabled: true
    }
    {
      id: deliveryReaderRoleId
      value: 'Deliveries.Read'
      displayName: 'Read deliveries'
      description: 'Reads what happened to the mails of its tenant, as an application without a user.'
      allowedMemberTypes: ['Application']
      isEnabled: true
    }
  ]
  // Without idtyp, an application's token cannot be distinguished from an ID token. email is the primary address of an account,
  // which can differ from its sign-in name; it needs no permission.
  optionalClaims: {
    accessToken: [{ name: 'idtyp' }, { name: 'email' }]
    idToken: [{ name: 'email' }]
  }
  requiredResourceAccess: [
    {
      resourceAppId: graphAppId
      resourceAccess: concat(declaredScopes, declareApplicationPermissions ? declaredRoles : [])
    }
  ]
}

resource enterpriseApp 'Microsoft.Graph/servicePrincipals@v1.0' = {
  appId: registration.appId
  owners: owners
}

resource identityAsCredential 'Microsoft.Graph/applications/federatedIdentityCredentials@v1.0' = {
  name: '${registration.uniqueName}/managed-identity'
  audiences: [cloud.tokenExchangeAudience]
  issuer: '${cloud.authorityHost}/${tenant().tenantId}/v2.0'
  subject: identityPrincipalId
}

resource workspaceAdmins 'Microsoft.Graph/appRoleAssignedTo@v1.0' = [
  for principalId in workspaceAdminPrincipalIds: {
    appRoleId: adminRoleId
    principalId: principalId
    resourceId: enterpriseApp.id
  }
]

resource deliveryReaders 'Microsoft.Graph/appRoleAssignedTo@v1.0' = [
  for principalId in deliveryReaderPrincipalIds: {
    appRoleId: deliveryReaderRoleId
    principalId: principalId
    resourceId: enterpriseApp.id
  }
]

output clientId string = registration.appId
output enterpriseAppObjectId string = enterpriseApp.id
output apiScope string = '${registration.identifierUris[0]}/settings'
