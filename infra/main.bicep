// Everything the mailer needs, from an empty subscription. Run it again: nothing changes.

targetScope = 'subscription'

// ---- Where ----

@description('Names the installation; part of every name.')
@minLength(1)
@maxLength(20)
param environmentName string

@description('Azure region.')
@metadata({ azd: { type: 'location' } })
param location string

// ---- Who calls, who administers ----

@description('Origins of the frontend, comma-separated, for example https://inforiver.contoso.com.')
@minLength(8)
param frontendOrigins string

@description('Client ids of the frontends that call the API, comma-separated.')
param frontendClientIds string = ''

@description('Object ids of the users or groups that administer mail settings, comma-separated. Needs the right to assign app roles.')
param workspaceAdminPrincipalIds string = ''

@description('Principal ids of the schedulers\' service principals and managed identities, comma-separated; no users.')
param schedulerPrincipalIds string = ''

@description('Address under which browsers reach the app. Empty: its own host name.')
param publicBaseUrl string = ''

// ---- Microsoft 365 ----

@description('The Microsoft cloud that sign-in and Graph belong to.')
@allowed([ 'global', 'usgov', 'usdod', 'china' ])
param microsoftCloud string = 'global'

@description('Make the app registration. Needs the right to register applications.')
param createAppRegistration bool = true

@description('Declare the permissions for sending without a user too. False where Exchange limits the app to a mailbox.')
param declareApplicationPermissions bool = true

@description('Client id of a registration that exists. Used when none is made.')
param entraClientId string = ''

@description('Home tenant of the registration. Empty: the tenant of the subscription.')
param entraTenantId string = ''

@description('Tenants that are served, comma-separated, the home tenant included. Empty: the home tenant alone.')
param allowedTenantIds string = ''

@description('Value of the app role that may change mail settings.')
param adminRole string = 'Workspace.Admin'

@description('Name of a vault secret with a client secret. Empty: no secret at all, the managed identity proves the app.')
param clientSecretName string = ''

@description('Path of a certificate on a mounted share. Empty: no certificate.')
param clientCertificatePath string = ''

@description('Other sign-in host than the cloud\'s own.')
param entraAuthorityHost string = ''

@description('Other Graph endpoint than the cloud\'s own.')
param graphEndpoint string = ''

// ---- How it sends ----

@description('What happens to a mail whose outcome nobody can tell.')
@allowed([ 'hold', 'resend' ])
param onUnknownOutcome string = 'hold'

@description('Largest message that the mailboxes take, as set in Exchange.')
@minValue(1)
@maxValue(210)
param mailboxMessageLimitMb int = 35

@description('Days for which finished deliveries are kept.')
@minValue(1)
@maxValue(3650)
param deliveryRetentionDays int = 90

@description('Days for which the schedulers\' files are kept.')
@minValue(2)
@maxValue(3650)
param attachmentRetentionDays int = 30

@description('Instances that always wait for a mail.')
@minValue(0)
@maxValue(20)
param alwaysReadyInstances int = 0

@description('Most instances at once. Each has eight mails in flight, four at Graph for one mailbox; one mailbox gains nothing from more than one.')
@minValue(1)
@maxValue(1000)
param maximumInstances int = 10

@description('Memory of an instance; what is paid for grows with it.')
@allowed([ 512, 2048, 4096 ])
param instanceMemoryMB int = 2048

// ---- Watching ----

@description('Who gets alerts and budget notices, comma-separated.')
param alertEmails string = ''

@description('How long mails may be queued without a single one being accepted before an alert.')
@allowed([ 'PT1H', 'PT2H', 'PT3H', 'PT4H', 'PT5H', 'PT6H', 'P1D', 'P2D' ])
param silence string = 'PT6H'

@description('Days for which the log is kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Log of a day after which nothing is logged, and no alert rings, until the next.')
@minValue(1)
param dailyLogCapGb int = 1

@description('Log every call to the storage account.')
param auditStorageCalls bool = false

@description('In the currency of the subscription. Zero: no budget.')
@minValue(0)
param monthlyBudget int = 0

@description('First day of the month in which the budget begins, for example 2026-12-01. Never change it.')
param budgetStartDate string = ''

// ---- Locking down ----

@description('Reach storage and vault through a network of their own.')
param privateNetwork bool = false

@description('Addresses of the private network, at least a /24.')
param networkAddressPrefix string = '10.20.0.0/24'

@description('Addresses that reach storage and vault although they are closed, comma-separated: schedulers, for instance.')
param allowedIpAddresses string = ''

@description('Copies of the storage account: in one datacenter (LRS) or in three zones (ZRS).')
@allowed([ 'Standard_LRS', 'Standard_ZRS' ])
param storageRedundancy string = 'Standard_ZRS'

@description('Keep a deleted vault, and deleted tokens, recoverable for seven days whatever anybody does. Can\'t be switched off again.')
param protectVaultFromPurge bool = true

@description('Bring back the deleted vault of the same name.')
param recoverVault bool = false

@description('Let the deploying principal read and repair data by hand.')
param grantOperatorDataAccess bool = false

@description('Object id of the deploying principal; azd fills it in.')
param principalId string = ''

@description('Kind of the deploying principal.')
@allowed([ 'User', 'Group', 'ServicePrincipal' ])
param principalType string = 'User'

// ---- Names ----

var abbreviations = loadJsonContent('abbreviations.json')
var token = uniqueString(subscription().id, environmentName, location)
var tags = { 'azd-env-name': environmentName }
var groupName = '${abbreviations.resourceGroup}${environmentName}'
var siteName = '${abbreviations.functionApp}${environmentName}-${token}'
var siteSuffixes = {
  AzureCloud: 'azurewebsites.net'
  AzureUSGovernment: 'azurewebsites.us'
  AzureChinaCloud: 'chinacloudsites.cn'
}
// The host name follows from the site's name, so the registration can know it before the site exists.
var baseUrl = empty(publicBaseUrl) ? 'https://${siteName}.${siteSuffixes[environment().name]}' : publicBaseUrl
var redirectUri = '${baseUrl}/api/consent/callback'
var homeTenantId = empty(entraTenantId) ? tenant().tenantId : entraTenantId
var alertAddresses = empty(alertEmails) ? [] : split(alertEmails, ',')
var openAddresses = empty(allowedIpAddresses) ? [] : split(allowedIpAddresses, ',')
var schedulers = empty(schedulerPrincipalIds) ? [] : split(schedulerPrincipalIds, ',')
var frontends = empty(frontendClientIds) ? [] : split(frontendClientIds, ',')
var workspaceAdmins = empty(workspaceAdminPrincipalIds) ? [] : split(workspaceAdminPrincipalIds, ',')

resource group 'Microsoft.Resources/resourceGroups@2024-11-01' = {
  name: groupName
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    name: '${abbreviations.identity}${environmentName}-${token}'
    location: location
    tags: tags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    workspaceName: '${abbreviations.workspace}${environmentName}-${token}'
    componentName: '${abbreviations.component}${environmentName}-${token}'
    location: location
    tags: tags
    retentionDays: logRetentionDays
    dailyCapGb: dailyLogCapGb
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    name: '${abbreviations.storageAccount}${token}'
    location: location
    tags: tags
    redundancy: storageRedundancy
    attachmentRetentionDays: attachmentRetentionDays
    deliveryRetentionDays: deliveryRetentionDays
    closedToTheInternet: privateNetwork
    allowedIpAddresses: openAddresses
    auditAllCalls: auditStorageCalls
    workspaceId: monitoring.outputs.workspaceId
  }
}

module vault 'modules/vault.bicep' = {
  name: 'vault'
  scope: group
  params: {
    name: '${abbreviations.keyVault}${token}'
    location: location
    tags: tags
    protectFromPurge: protectVaultFromPurge
    recover: recoverVault
    closedToTheInternet: privateNetwork
    allowedIpAddresses: openAddresses
    workspaceId: monitoring.outputs.workspaceId
  }
}

module network 'modules/network.bicep' = if (privateNetwork) {
  name: 'network'
  scope: group
  params: {
    name: '${abbreviations.network}${environmentName}-${token}'
    endpointNamePrefix: '${abbreviations.privateEndpoint}${environmentName}-'
    location: location
    tags: tags
    addressPrefix: networkAddressPrefix
    storageId: storage.outputs.id
    vaultId: vault.outputs.id
  }
}

module roles 'modules/roles.bicep' = {
  name: 'roles'
  scope: group
  params: {
    storageName: storage.outputs.name
    vaultName: vault.outputs.name
    componentName: monitoring.outputs.componentName
    outboxQueueName: storage.outputs.outboxQueueName
    attachmentsContainerName: storage.outputs.attachmentsContainerName
    appPrincipalId: identity.outputs.principalId
    schedulerPrincipalIds: schedulers
    operatorPrincipalId: grantOperatorDataAccess ? principalId : ''
    operatorPrincipalType: principalType
  }
}

module entra 'modules/entra.bicep' = if (createAppRegistration) {
  name: 'entra'
  scope: group
  params: {
    uniqueName: 'inforiver-mailer-${environmentName}-${token}'
    displayName: 'Inforiver mail (${environmentName})'
    redirectUri: redirectUri
    identityPrincipalId: identity.outputs.principalId
    microsoftCloud: microsoftCloud
    adminRole: adminRole
    declareApplicationPermissions: declareApplicationPermissions
    severalTenants: contains(allowedTenantIds, ',')
    frontendClientIds: frontends
    workspaceAdminPrincipalIds: workspaceAdmins
  }
}

module function 'modules/function.bicep' = {
  name: 'function'
  scope: group
  // Without its roles the app could not read its own package when it first starts.
  dependsOn: [ roles ]
  params: {
    siteName: siteName
    planName: '${abbreviations.plan}${environmentName}-${token}'
    location: location
    tags: tags
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    packageContainerUrl: storage.outputs.packageContainerUrl
    blobEndpoint: storage.outputs.blobEndpoint
    queueEndpoint: storage.outputs.queueEndpoint
    tableEndpoint: storage.outputs.tableEndpoint
    keyVaultName: vault.outputs.name
    keyVaultUri: vault.outputs.uri
    connectionString: monitoring.outputs.connectionString
    subnetId: privateNetwork ? network!.outputs.appSubnetId : ''
    alwaysReadyInstances: alwaysReadyInstances
    maximumInstances: maximumInstances
    instanceMemoryMB: instanceMemoryMB
    entraTenantId: homeTenantId
    entraClientId: createAppRegistration ? entra!.outputs.clientId : entraClientId
    microsoftCloud: microsoftCloud
    entraAuthorityHost: entraAuthorityHost
    graphEndpoint: graphEndpoint
    allowedTenantIds: allowedTenantIds
    adminRole: adminRole
    publicBaseUrl: baseUrl
    frontendOrigins: frontendOrigins
    onUnknownOutcome: onUnknownOutcome
    mailboxMessageLimitMb: mailboxMessageLimitMb
    deliveryRetentionDays: deliveryRetentionDays
    clientSecretName: clientSecretName
    clientCertificatePath: clientCertificatePath
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    actionGroupName: '${abbreviations.actionGroup}${environmentName}'
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    emailAddresses: alertAddresses
    silence: silence
  }
}

module workbook 'modules/workbook.bicep' = {
  name: 'workbook'
  scope: group
  params: {
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
  }
}

module budget 'modules/budget.bicep' = if (monthlyBudget > 0) {
  name: 'budget'
  scope: group
  params: {
    name: 'mailer-${environmentName}'
    amount: monthlyBudget
    startDate: budgetStartDate
    emailAddresses: alertAddresses
  }
}

// Names in capitals become variables of azd's environment; the hook after provisioning reads them.
output AZURE_LOCATION string = location
output ENTRA_TENANT_ID string = homeTenantId
output AZURE_RESOURCE_GROUP string = group.name
output FUNCTION_APP_NAME string = function.outputs.name
output STORAGE_ACCOUNT_NAME string = storage.outputs.name
output KEY_VAULT_NAME string = vault.outputs.name
output PUBLIC_BASE_URL string = baseUrl
output REDIRECT_URI string = redirectUri
output ADMIN_ROLE string = adminRole
output ENTRA_CLIENT_ID string = createAppRegistration ? entra!.outputs.clientId : entraClientId
output ENTERPRISE_APP_OBJECT_ID string = createAppRegistration ? entra!.outputs.enterpriseAppObjectId : ''
output API_SCOPE string = createAppRegistration ? entra!.outputs.apiScope : ''
output IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId
