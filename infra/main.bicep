// Deploys everything that the mailer needs into an empty subscription. Deploying it again changes nothing.

targetScope = 'subscription'

import * as inputs from 'inputs.bicep'

// ---- Where ----

@description('Name of the installation; part of every resource name. At most 20 characters.')
param environmentName string

// The regions that Microsoft's own sample offers for Flex Consumption, without the test region eastus2euap:
// https://github.com/Azure-Samples/functions-quickstart-python-http-azd/blob/0bb0f10/infra/main.bicep, read on
// 2026-11-29. `az functionapp list-flexconsumption-locations` shows the current list. For the government and China clouds
// all regions are listed, because no page says which of them have it.
@description('Azure region. For a region that is not in this list use unlistedLocation.')
@allowed([
  'australiaeast'
  'australiasoutheast'
  'brazilsouth'
  'canadacentral'
  'centralindia'
  'centralus'
  'eastasia'
  'eastus'
  'eastus2'
  'francecentral'
  'germanywestcentral'
  'italynorth'
  'japaneast'
  'koreacentral'
  'northcentralus'
  'northeurope'
  'norwayeast'
  'southafricanorth'
  'southcentralus'
  'southeastasia'
  'southindia'
  'spaincentral'
  'swedencentral'
  'uaenorth'
  'uksouth'
  'ukwest'
  'westcentralus'
  'westeurope'
  'westus'
  'westus2'
  'westus3'
  'usgovarizona'
  'usgovtexas'
  'usgovvirginia'
  'chinaeast2'
  'chinaeast3'
  'chinanorth2'
  'chinanorth3'
])
@metadata({ azd: { type: 'location' } })
param location string

@description('A region with Flex Consumption that the list of location does not contain yet. Used instead of location.')
param unlistedLocation string = ''

@description('Values of the last deployment that cannot be changed any more: its output of this name. azd sets it; empty for the first deployment.')
param deployedWith string = ''

// ---- Callers and admins ----

@description('Origins of the frontend, comma-separated, for example https://inforiver.contoso.com.')
param frontendOrigins string

@description('Client ids of the frontends that call the API, comma-separated.')
param frontendClientIds string = ''

@description('Object ids of the users or groups that administer mail settings, comma-separated. The deployer needs the right to assign app roles.')
param workspaceAdminPrincipalIds string = ''

@description('Principal ids of the service principals and managed identities of schedulers, comma-separated; no users.')
param schedulerPrincipalIds string = ''

@description('Path to which the file access of a scheduler is limited, as <principal id>=<path>, comma-separated. A scheduler that is not listed has access to all files.')
param schedulerFilePaths string = ''

@description('Names of queues that mails may name for a message about their outcome, comma-separated. The deployment creates them; schedulers may read them.')
param outcomeQueues string = ''

@description('Object ids of the service principals that may read deliveries without a user, comma-separated. The deployer needs the right to assign app roles.')
param deliveryReaderPrincipalIds string = ''

@description('URL under which browsers reach the app. Empty: its default host name.')
param publicBaseUrl string = ''

// ---- Microsoft 365 ----

@description('The Microsoft cloud that sign-in and Graph belong to.')
@allowed(['global', 'usgov', 'usdod', 'china'])
param microsoftCloud string = 'global'

@description('Create the app registration. The deployer needs the right to register applications.')
param createAppRegistration bool = true

@description('Declare Mail.Send for the app itself too: an admin consent then lets it send from every mailbox. False if Exchange limits it (RBAC for Applications).')
param declareApplicationPermissions bool = false

@description('Declare Mail.ReadWrite and the .Shared permissions on the registration too. The consent of a user does not need this.')
param declareMailReadWrite bool = false

@description('Addresses that may send without a user, comma-separated. Empty: no tenant may send without a user.')
param applicationSenders string = ''

@description('Object ids of users or service principals that own the registration, comma-separated: further deployers, for instance. Added, never removed.')
param registrationOwnerIds string = ''

@description('Client id of an existing registration. Used if none is created.')
param entraClientId string = ''

@description('Home tenant of the registration. Empty: the tenant of the subscription.')
param entraTenantId string = ''

@description('Tenants that are served, comma-separated, the home tenant included. Empty: only the home tenant.')
param allowedTenantIds string = ''

@description('Value of the app role that may change mail settings.')
param adminRole string = 'Workspace.Admin'

@description('Scope that every access token of a user must have, if an existing registration uses another name. Empty: settings.')
param requiredApiScope string = ''

@description('Client ids whose access tokens the API accepts, comma-separated. Empty: those of any client.')
param allowedClientIds string = ''

@description('Name of a vault secret with a client secret. Empty: no secret; the app authenticates with its managed identity.')
param clientSecretName string = ''

@description('Path of a certificate on a mounted share. Empty: no certificate.')
param clientCertificatePath string = ''

@description('Sign-in host, if it is not that of the cloud.')
param entraAuthorityHost string = ''

@description('Graph endpoint, if it is not that of the cloud.')
param graphEndpoint string = ''

// ---- Sending ----

@description('What to do with a mail whose outcome is unknown.')
@allowed(['hold', 'resend'])
param onUnknownOutcome string = 'hold'

@description('Message size limit of the mailboxes in MB, as set in Exchange.')
@minValue(1)
@maxValue(210)
param mailboxMessageLimitMb int = 35

@description('Maximum number of mails that one mailbox sends per minute; 0: as learned from the refusals of Microsoft Graph.')
@minValue(0)
@maxValue(1000)
param mailboxMessagesPerMinute int = 0

@description('Number of days for which finished deliveries are stored.')
@minValue(1)
@maxValue(3650)
param deliveryRetentionDays int = 90

@description('Number of days for which the files of schedulers are stored.')
@minValue(2)
@maxValue(3650)
param attachmentRetentionDays int = 30

@description('Number of always-ready instances.')
@minValue(0)
@maxValue(20)
param alwaysReadyInstances int = 0

@description('Maximum number of instances. A value below 40 is a preview feature that some regions do not have.')
@minValue(1)
@maxValue(1000)
param maximumInstances int = 40

@description('Memory of an instance in MB; the cost grows with it.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('Effect of a deployment or a changed setting on mails that are being sent. Recreate interrupts them; RollingUpdate, a preview feature, lets them finish.')
@allowed(['Recreate', 'RollingUpdate'])
param siteUpdateStrategy string = 'Recreate'

@description('Spread instances over the zones of the region. Azure then keeps two instances ready for each group of functions, and bills them.')
param zoneRedundant bool = false

// ---- Monitoring ----

@description('Mail addresses that get alerts and budget notifications, comma-separated.')
param alertEmails string = ''

@description('How long mails may be queued without any mail being accepted before an alert is raised.')
@allowed(['PT1H', 'PT2H', 'PT3H', 'PT4H', 'PT5H', 'PT6H', 'P1D', 'P2D'])
param silence string = 'PT6H'

@description('Number of days for which the log is stored.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Daily cap of the log in GB. Once it is reached, nothing is logged and no alert is raised until the next day.')
@minValue(1)
param dailyLogCapGb int = 1

@description('Log every call to the storage account.')
param auditStorageCalls bool = false

@description('Call /api/health every 15 minutes from five places, and alert if two of them fail. Billed for each call.')
param availabilityTest bool = false

@description('Amount of the monthly budget, in the currency of the subscription. Zero: no budget.')
@minValue(0)
param monthlyBudget int = 0

@description('First day of the month in which the budget begins, for example 2026-12-01. It cannot be changed later.')
param budgetStartDate string = ''

// ---- Network and protection ----

@description('Make storage and vault reachable only through a private network.')
param privateNetwork bool = false

@description('Address range of the private network, at least a /24.')
param networkAddressPrefix string = '10.20.0.0/24'

@description('IP addresses that may reach storage and vault although they are closed, comma-separated, for example those of schedulers.')
param allowedIpAddresses string = ''

@description('Redundancy of the storage account: one datacenter (LRS), three zones (ZRS), or also the paired region (GRS, GZRS). Empty: ZRS if the region has zones, otherwise LRS.')
@allowed(['', 'Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
param storageRedundancy string = ''

@description('Purge protection: a deleted vault and deleted tokens remain recoverable for seven days and nobody can purge them. It cannot be turned off again.')
param protectVaultFromPurge bool = true

@description('Recover the deleted vault of the same name.')
param recoverVault bool = false

@description('Let the deploying principal read and repair data manually.')
param grantOperatorDataAccess bool = false

@description('Object id of the deploying principal; azd sets it.')
param principalId string = ''

@description('Kind of the deploying principal.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param principalType string = 'User'

// ---- Normalised parameters ----

var region = empty(trim(unlistedLocation)) ? location : toLower(replace(unlistedLocation, ' ', ''))
var origins = inputs.originsOf(frontendOrigins)
var frontends = inputs.lowerListOf(frontendClientIds)
var allowedClients = inputs.lowerListOf(allowedClientIds)
var apiScope = empty(trim(requiredApiScope)) ? 'settings' : trim(requiredApiScope)
var workspaceAdmins = inputs.lowerListOf(workspaceAdminPrincipalIds)
// Not normalised: the names of role assignments depend on it.
var schedulers = inputs.listOf(schedulerPrincipalIds)
var filePaths = inputs.listOf(schedulerFilePaths)
var outcomeQueueNames = inputs.lowerListOf(outcomeQueues)
var deliveryReaders = inputs.lowerListOf(deliveryReaderPrincipalIds)
var registrationOwners = inputs.lowerListOf(registrationOwnerIds)
var tenantIds = inputs.lowerListOf(allowedTenantIds)
var senders = inputs.listOf(applicationSenders)
var alertAddresses = inputs.listOf(alertEmails)
var openAddresses = inputs.listOf(allowedIpAddresses)
var existingClientId = toLower(trim(entraClientId))
var homeTenantId = empty(trim(entraTenantId)) ? tenant().tenantId : toLower(trim(entraTenantId))
var firstBudgetDay = trim(budgetStartDate)

// For settings that cannot be changed later: the values of the first deployment, where one exists.
var deployed = {
  region: inputs.valueOf(deployedWith, 'region')
  redundancy: inputs.valueOf(deployedWith, 'redundancy')
  network: inputs.valueOf(deployedWith, 'network')
  closed: inputs.valueOf(deployedWith, 'closed')
  adminRole: inputs.valueOf(deployedWith, 'adminRole')
  budget: inputs.valueOf(deployedWith, 'budget')
}
var wanted = {
  region: region
  redundancy: redundancy
  network: privateNetwork ? trim(networkAddressPrefix) : deployed.network
  closed: privateNetwork ? 'true' : 'false'
  adminRole: createAppRegistration ? trim(adminRole) : deployed.adminRole
  budget: monthlyBudget > 0 ? firstBudgetDay : deployed.budget
}

var regionsWithZones = loadJsonContent('regions.json').withZones
var hasZones = contains(regionsWithZones, region)
// The zones of an unlisted region are unknown here.
var lacksZones = empty(trim(unlistedLocation)) && !hasZones
var redundancy = !empty(storageRedundancy)
  ? storageRedundancy
  : !empty(deployed.redundancy) ? deployed.redundancy : hasZones ? 'Standard_ZRS' : 'Standard_LRS'

// ---- Checks before anything is created ----

var checks = [
  {
    wrong: empty(trim(environmentName)) || length(trim(environmentName)) > 20 || endsWith(trim(environmentName), '.') || !inputs.consistsOf(
      trim(environmentName),
      'abcdefghijklmnopqrstuvwxyz0123456789-_.()'
    )
    says: 'AZURE_ENV_NAME (environmentName) must have 1 to 20 letters, digits, hyphens, underscores, dots or parentheses, and not end with a dot: make an azd environment with another name.'
  }
  {
    wrong: !inputs.consistsOf(region, 'abcdefghijklmnopqrstuvwxyz0123456789')
    says: 'UNLISTED_LOCATION (unlistedLocation) must be the name of one region, for example polandcentral.'
  }
  {
    wrong: empty(origins) || !empty(filter(origins, origin => !inputs.isOrigin(origin)))
    says: 'FRONTEND_ORIGINS (frontendOrigins) must name one or more origins, comma-separated and without a path, for example https://inforiver.contoso.com.'
  }
  {
    wrong: !empty(filter(frontends, id => !inputs.isId(id)))
    says: 'FRONTEND_CLIENT_IDS (frontendClientIds) must hold client ids (GUIDs), comma-separated.'
  }
  {
    wrong: !empty(filter(allowedClients, id => !inputs.isId(id)))
    says: 'ALLOWED_CLIENT_IDS (allowedClientIds) must hold client ids (GUIDs), comma-separated.'
  }
  {
    wrong: !empty(allowedClients) && !empty(filter(frontends, id => inputs.isId(id) && !contains(allowedClients, id)))
    says: 'ALLOWED_CLIENT_IDS (allowedClientIds) must hold every client of FRONTEND_CLIENT_IDS, or these could not call the API.'
  }
  {
    wrong: !inputs.isWord(apiScope) || contains(apiScope, '://')
    says: 'REQUIRED_API_SCOPE (requiredApiScope) must be the value of one scope, without blanks, quotation marks and api://….'
  }
  {
    wrong: createAppRegistration && apiScope != 'settings'
    says: 'A registration that is made here has the scope settings: unset REQUIRED_API_SCOPE (requiredApiScope), or set CREATE_APP_REGISTRATION to false.'
  }
  {
    wrong: !empty(filter(workspaceAdmins, id => !inputs.isId(id)))
    says: 'WORKSPACE_ADMIN_PRINCIPAL_IDS (workspaceAdminPrincipalIds) must hold object ids (GUIDs) of users or groups, comma-separated.'
  }
  {
    wrong: !empty(filter(schedulers, id => !inputs.isId(id)))
    says: 'SCHEDULER_PRINCIPAL_IDS (schedulerPrincipalIds) must hold principal ids (GUIDs), comma-separated.'
  }
  {
    // Azure refuses a second assignment of a role to the same principal, while it deploys.
    wrong: length(inputs.lowerListOf(schedulerPrincipalIds)) < length(schedulers)
    says: 'SCHEDULER_PRINCIPAL_IDS (schedulerPrincipalIds) names a scheduler twice, in capitals and in small letters.'
  }
  {
    wrong: grantOperatorDataAccess && contains(inputs.lowerListOf(schedulerPrincipalIds), toLower(trim(principalId)))
    says: 'GRANT_OPERATOR_DATA_ACCESS cannot be true for a scheduler: the deployer (principalId) is in SCHEDULER_PRINCIPAL_IDS, and Azure refuses a second assignment of the same role.'
  }
  {
    wrong: !empty(filter(filePaths, item => !inputs.isFilePath(item, schedulers)))
    says: 'SCHEDULER_FILE_PATHS (schedulerFilePaths) must hold items such as <principal id>=sales, comma-separated: each id once and also in SCHEDULER_PRINCIPAL_IDS, each path of letters, digits, and - _ . / without a slash at its ends.'
  }
  {
    wrong: length(union(map(filePaths, item => first(split(item, '='))!), [])) < length(filePaths)
    says: 'SCHEDULER_FILE_PATHS (schedulerFilePaths) names a scheduler twice: each has one path.'
  }
  {
    wrong: !empty(filter(outcomeQueueNames, name => !inputs.isQueueName(name) || startsWith(name, 'mail-outbox')))
    says: 'OUTCOME_QUEUES (outcomeQueues) must hold names of storage queues, comma-separated: 3 to 63 letters, digits and single hyphens, for example mail-outcomes, and not those of the app.'
  }
  {
    wrong: !empty(filter(deliveryReaders, id => !inputs.isId(id)))
    says: 'DELIVERY_READER_PRINCIPAL_IDS (deliveryReaderPrincipalIds) must hold object ids (GUIDs) of service principals, comma-separated.'
  }
  {
    wrong: !empty(filter(registrationOwners, id => !inputs.isId(id)))
    says: 'REGISTRATION_OWNER_IDS (registrationOwnerIds) must hold object ids (GUIDs) of users or service principals, comma-separated.'
  }
  {
    wrong: !empty(filter(tenantIds, id => !inputs.isId(id)))
    says: 'ALLOWED_TENANT_IDS (allowedTenantIds) must hold tenant ids (GUIDs), comma-separated, not domain names.'
  }
  {
    // With only one foreign id, the registration would be open only to the home tenant, and the app refuses the setting.
    wrong: !empty(tenantIds) && empty(filter(tenantIds, id => !inputs.isId(id))) && !contains(tenantIds, homeTenantId)
    says: 'ALLOWED_TENANT_IDS (allowedTenantIds) must hold the home tenant (${homeTenantId}) besides the others.'
  }
  {
    wrong: !empty(trim(publicBaseUrl)) && !inputs.isAddress(trim(publicBaseUrl))
    says: 'CUSTOM_BASE_URL (publicBaseUrl) must be an https address without query, fragment or empty path segments, for example https://mail.contoso.com.'
  }
  {
    wrong: !createAppRegistration && !inputs.isId(existingClientId)
    says: 'CREATE_APP_REGISTRATION is false: set EXISTING_CLIENT_ID (entraClientId) to the client id (a GUID) of your registration.'
  }
  {
    wrong: !inputs.isId(homeTenantId)
    says: 'EXISTING_CLIENT_TENANT_ID (entraTenantId) must be a tenant id (a GUID).'
  }
  {
    wrong: createAppRegistration && homeTenantId != tenant().tenantId
    says: 'A registration is made in the tenant of the subscription only: unset EXISTING_CLIENT_TENANT_ID (entraTenantId), or set CREATE_APP_REGISTRATION to false and EXISTING_CLIENT_ID.'
  }
  {
    wrong: createAppRegistration && microsoftCloud != 'global'
    says: 'Microsoft\'s Graph extension makes registrations in the global cloud only: for another MICROSOFT_CLOUD set CREATE_APP_REGISTRATION to false and EXISTING_CLIENT_ID.'
  }
  {
    wrong: !inputs.isWord(trim(adminRole)) || length(trim(adminRole)) > 120
    says: 'The parameter adminRole must be the value of an app role: 1 to 120 characters, no blanks, quotation marks or semicolons.'
  }
  {
    wrong: !inputs.consistsOf(trim(clientSecretName), 'abcdefghijklmnopqrstuvwxyz0123456789-') || length(trim(clientSecretName)) > 127
    says: 'CLIENT_SECRET_NAME (clientSecretName) must be the name of a secret in the vault: at most 127 letters, digits and hyphens. It is not the secret itself.'
  }
  {
    wrong: !empty(trim(clientCertificatePath)) && !startsWith(trim(clientCertificatePath), '/')
    says: 'The parameter clientCertificatePath must be an absolute path, for example /mounts/certificates/mailer.pem.'
  }
  {
    wrong: !empty(trim(entraAuthorityHost)) && !inputs.isServerAddress(inputs.addressOf(entraAuthorityHost))
    says: 'The parameter entraAuthorityHost must be the https address of a server, without a path.'
  }
  {
    wrong: !empty(trim(graphEndpoint)) && !inputs.isServerAddress(inputs.addressOf(graphEndpoint))
    says: 'The parameter graphEndpoint must be the https address of a server, without a path.'
  }
  {
    wrong: alwaysReadyInstances > maximumInstances
    says: 'ALWAYS_READY_INSTANCES (alwaysReadyInstances) must not be larger than MAXIMUM_INSTANCES (maximumInstances).'
  }
  {
    wrong: !empty(filter(senders, address => !inputs.isMailAddress(address)))
    says: 'APPLICATION_SENDERS (applicationSenders) must hold mail addresses, comma-separated.'
  }
  {
    wrong: !empty(filter(alertAddresses, address => !inputs.isMailAddress(address)))
    says: 'ALERT_EMAILS (alertEmails) must hold mail addresses, comma-separated.'
  }
  {
    wrong: monthlyBudget > 0 && !inputs.isFirstOfMonth(firstBudgetDay)
    says: 'MONTHLY_BUDGET needs BUDGET_START_DATE (budgetStartDate): the first day of a month, for example 2026-12-01.'
  }
  {
    wrong: !inputs.isRange(trim(networkAddressPrefix), 8, 24) || parseCidr(trim(networkAddressPrefix)).network != first(split(
      trim(networkAddressPrefix),
      '/'
    ))
    says: 'The parameter networkAddressPrefix must be a range from /8 to /24 that begins with its first address, for example 10.20.0.0/24.'
  }
  {
    // Storage accepts no range smaller than a /30 and no private address; see
    // https://learn.microsoft.com/azure/storage/common/storage-network-security-limitations.
    wrong: !empty(filter(
      openAddresses,
      address => (!inputs.isIpAddress(address) && !inputs.isRange(address, 1, 30)) || inputs.isPrivate(address)
    ))
    says: 'ALLOWED_IP_ADDRESSES (allowedIpAddresses) must hold public IPv4 addresses, or ranges up to /30, comma-separated.'
  }
  {
    wrong: lacksZones && zoneRedundant
    says: 'The region has no availability zones: set ZONE_REDUNDANT (zoneRedundant) to false, or choose another region.'
  }
  {
    wrong: lacksZones && contains(redundancy, 'ZRS')
    says: 'The region has no availability zones: set STORAGE_REDUNDANCY (storageRedundancy) to Standard_LRS or Standard_GRS, or choose another region.'
  }
  {
    wrong: zoneRedundant && !contains(redundancy, 'ZRS')
    says: 'ZONE_REDUNDANT needs storage in several zones: set STORAGE_REDUNDANCY (storageRedundancy) to Standard_ZRS or Standard_GZRS.'
  }
  {
    wrong: !empty(deployed.region) && deployed.region != wanted.region
    says: 'This environment is deployed in ${deployed.region}, and nothing in it can move: make another azd environment for ${wanted.region}.'
  }
  {
    wrong: !empty(deployed.redundancy) && contains(deployed.redundancy, 'ZRS') != contains(wanted.redundancy, 'ZRS')
    says: 'Storage does not change from ${deployed.redundancy} to ${wanted.redundancy} by a deployment: set STORAGE_REDUNDANCY back, or convert the account first (docs/operations/settings.md, "Change a parameter").'
  }
  {
    wrong: !empty(deployed.network) && deployed.network != wanted.network
    says: 'The private network is ${deployed.network} and in use: set networkAddressPrefix back.'
  }
  {
    wrong: !empty(deployed.adminRole) && deployed.adminRole != wanted.adminRole
    says: 'The registration has the app role ${deployed.adminRole}, and Entra changes no role that is enabled: set adminRole back.'
  }
  {
    wrong: !empty(deployed.budget) && deployed.budget != wanted.budget
    says: 'The budget began on ${deployed.budget}, which Azure never lets change: set BUDGET_START_DATE back, or delete the budget first (docs/operations/settings.md, "Change a parameter").'
  }
  {
    wrong: grantOperatorDataAccess && !inputs.isId(trim(principalId))
    says: 'GRANT_OPERATOR_DATA_ACCESS needs AZURE_PRINCIPAL_ID (principalId): the object id of the person who may read and repair data.'
  }
]
var problems = map(filter(checks, check => check.wrong), check => check.says)

// ---- Names ----

var abbreviations = loadJsonContent('abbreviations.json')
// From the unchanged name, so that two names that differ in only one character remain two installations.
var token = uniqueString(subscription().id, environmentName, region)
var name = inputs.siteNamePart(environmentName)
var tags = { 'azd-env-name': environmentName }
// Azure evaluates the names of resources before it creates the first one, so the checks stop the deployment here.
var groupName = empty(problems) ? '${abbreviations.resourceGroup}${trim(environmentName)}' : fail(join(problems, ' '))
var siteName = '${abbreviations.functionApp}${name}-${token}'
var storageAccountName = '${abbreviations.storageAccount}${token}'
var siteSuffixes = {
  AzureCloud: 'azurewebsites.net'
  AzureUSGovernment: 'azurewebsites.us'
  AzureChinaCloud: 'chinacloudsites.cn'
}
// The host name follows from the site's name, so the registration can know it before the site exists.
var baseUrl = empty(trim(publicBaseUrl))
  ? 'https://${siteName}.${siteSuffixes[environment().name]}'
  : inputs.addressOf(publicBaseUrl)
var redirectUri = '${baseUrl}/api/consent/callback'

// Storage and vault are closed after the app has joined the network; otherwise it could not reach them in between.
// So the first step of a deployment leaves them open, or closed if an earlier deployment has closed them.
var accessAtFirst = !privateNetwork ? 'open' : deployed.closed == 'true' ? 'closed' : 'unchanged'

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: groupName
  location: region
  tags: tags
}

module identity 'modules/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    name: '${abbreviations.identity}${name}-${token}'
    location: region
    tags: tags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    workspaceName: '${abbreviations.workspace}${name}-${token}'
    componentName: '${abbreviations.component}${name}-${token}'
    location: region
    tags: tags
    retentionDays: logRetentionDays
    dailyCapGb: dailyLogCapGb
  }
}

module storageAccount 'modules/storage-account.bicep' = {
  name: 'storage-account'
  scope: group
  params: {
    name: storageAccountName
    location: region
    tags: tags
    redundancy: redundancy
    allowedIpAddresses: openAddresses
    access: accessAtFirst
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  scope: group
  dependsOn: [storageAccount]
  params: {
    outcomeQueueNames: outcomeQueueNames
    accountName: storageAccountName
    attachmentRetentionDays: attachmentRetentionDays
    deliveryRetentionDays: deliveryRetentionDays
    auditAllCalls: auditStorageCalls
    workspaceId: monitoring.outputs.workspaceId
  }
}

module vault 'modules/vault.bicep' = {
  name: 'vault'
  scope: group
  params: {
    name: '${abbreviations.keyVault}${token}'
    location: region
    tags: tags
    protectFromPurge: protectVaultFromPurge
    allowedIpAddresses: openAddresses
    access: accessAtFirst
    recover: recoverVault
    workspaceId: monitoring.outputs.workspaceId
  }
}

module network 'modules/network.bicep' = if (privateNetwork) {
  name: 'network'
  scope: group
  params: {
    name: '${abbreviations.network}${name}-${token}'
    endpointNamePrefix: '${abbreviations.privateEndpoint}${name}-'
    location: region
    tags: tags
    addressPrefix: networkAddressPrefix
    storageId: storageAccount.outputs.id
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
    dataContainerNames: storage.outputs.dataContainerNames
    appPrincipalId: identity.outputs.principalId
    schedulerPrincipalIds: schedulers
    schedulerFilePaths: filePaths
    outcomeQueueNames: outcomeQueueNames
    operatorPrincipalId: grantOperatorDataAccess ? trim(principalId) : ''
    operatorPrincipalType: principalType
  }
}

module entra 'modules/entra.bicep' = if (createAppRegistration) {
  name: 'entra'
  scope: group
  params: {
    uniqueName: 'inforiver-mailer-${name}-${token}'
    displayName: 'Inforiver mail (${environmentName})'
    redirectUri: redirectUri
    identityPrincipalId: identity.outputs.principalId
    microsoftCloud: microsoftCloud
    adminRole: trim(adminRole)
    declareApplicationPermissions: declareApplicationPermissions
    declareMailReadWrite: declareMailReadWrite
    severalTenants: length(tenantIds) > 1
    ownerIds: registrationOwners
    frontendClientIds: frontends
    workspaceAdminPrincipalIds: workspaceAdmins
    deliveryReaderPrincipalIds: deliveryReaders
  }
}

module function 'modules/function.bicep' = {
  name: 'function'
  scope: group
  // Without its roles the app could not read its own package when it first starts.
  dependsOn: [roles]
  params: {
    siteName: siteName
    planName: '${abbreviations.plan}${name}-${token}'
    location: region
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
    siteUpdateStrategy: siteUpdateStrategy
    zoneRedundant: zoneRedundant
    instanceMemoryMB: instanceMemoryMB
    entraTenantId: homeTenantId
    entraClientId: createAppRegistration ? entra!.outputs.clientId : existingClientId
    microsoftCloud: microsoftCloud
    entraAuthorityHost: inputs.addressOf(entraAuthorityHost)
    graphEndpoint: inputs.addressOf(graphEndpoint)
    allowedTenantIds: tenantIds
    applicationSenders: senders
    outcomeQueues: outcomeQueueNames
    adminRole: trim(adminRole)
    requiredApiScope: apiScope
    allowedClientIds: allowedClients
    publicBaseUrl: baseUrl
    frontendOrigins: origins
    onUnknownOutcome: onUnknownOutcome
    mailboxMessageLimitMb: mailboxMessageLimitMb
    mailboxMessagesPerMinute: mailboxMessagesPerMinute
    deliveryRetentionDays: deliveryRetentionDays
    clientSecretName: trim(clientSecretName)
    clientCertificatePath: trim(clientCertificatePath)
  }
}

// The app has joined the network and reaches storage and vault through it: no other access is needed.
module storageClosed 'modules/storage-account.bicep' = if (privateNetwork) {
  name: 'storage-closed'
  scope: group
  dependsOn: [storageAccount, network, function]
  params: {
    name: storageAccountName
    location: region
    tags: tags
    redundancy: redundancy
    allowedIpAddresses: openAddresses
    access: 'closed'
  }
}

module vaultClosed 'modules/vault.bicep' = if (privateNetwork) {
  name: 'vault-closed'
  scope: group
  dependsOn: [vault, network, function]
  params: {
    name: '${abbreviations.keyVault}${token}'
    location: region
    tags: tags
    protectFromPurge: protectVaultFromPurge
    allowedIpAddresses: openAddresses
    access: 'closed'
    // The first step has recovered it.
    recover: false
    workspaceId: monitoring.outputs.workspaceId
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    actionGroupName: '${abbreviations.actionGroup}${name}'
    location: region
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    emailAddresses: alertAddresses
    silence: silence
    availabilityTest: availabilityTest
  }
}

module availability 'modules/availability.bicep' = if (availabilityTest) {
  name: 'availability'
  scope: group
  params: {
    name: '${abbreviations.availabilityTest}${name}'
    location: region
    tags: tags
    componentName: monitoring.outputs.componentName
    address: '${baseUrl}/api/health'
  }
}

module workbook 'modules/workbook.bicep' = {
  name: 'workbook'
  scope: group
  params: {
    location: region
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
  }
}

module budget 'modules/budget.bicep' = if (monthlyBudget > 0) {
  name: 'budget'
  scope: group
  params: {
    name: 'mailer-${name}'
    amount: monthlyBudget
    startDate: firstBudgetDay
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
output ADMIN_ROLE string = trim(adminRole)
output ENTRA_CLIENT_ID string = createAppRegistration ? entra!.outputs.clientId : existingClientId
output ENTERPRISE_APP_OBJECT_ID string = createAppRegistration ? entra!.outputs.enterpriseAppObjectId : ''
output API_SCOPE string = createAppRegistration ? entra!.outputs.apiScope : ''
output DEPLOYED_WITH string = join(map(items(wanted), item => '${item.key}=${item.value}'), ';')
output IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId
