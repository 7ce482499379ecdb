// The function app, its plan and every setting that shared/config.py reads.

param siteName string
param planName string
param location string
param tags object

param identityId string
param identityClientId string
param packageContainerUrl string
param blobEndpoint string
param queueEndpoint string
param tableEndpoint string
param keyVaultName string
param keyVaultUri string
param connectionString string

@description('Subnet for outgoing calls of the app. Empty: no virtual network.')
param subnetId string

@description('Number of always-ready instances. Zero: the first mail after an idle period waits for a cold start.')
param alwaysReadyInstances int
param maximumInstances int
param instanceMemoryMB int
param siteUpdateStrategy string
param zoneRedundant bool

param entraTenantId string
param entraClientId string
param microsoftCloud string
param entraAuthorityHost string
param graphEndpoint string
param allowedTenantIds array
param applicationSenders array
param outcomeQueues array
param adminRole string
param requiredApiScope string
param allowedClientIds array
param publicBaseUrl string
param frontendOrigins array
param onUnknownOutcome string
param mailboxMessageLimitMb int
param mailboxMessagesPerMinute int
param deliveryRetentionDays int

@description('Name of the vault secret that holds a client secret. Empty: the app authenticates with its managed identity.')
param clientSecretName string

@description('A certificate file on a mounted share. Empty: the app authenticates with its managed identity.')
param clientCertificatePath string

var secretReference = {
  ENTRA_CLIENT_SECRET: '@Microsoft.KeyVault(VaultName=${keyVaultName};SecretName=${clientSecretName})'
}
var certificateReference = { ENTRA_CLIENT_CERTIFICATE_PATH: clientCertificatePath }
var identityReference = { ENTRA_MANAGED_IDENTITY_CLIENT_ID: identityClientId }
// The app refuses to start with several credentials.
var credential = !empty(clientSecretName)
  ? secretReference
  : !empty(clientCertificatePath) ? certificateReference : identityReference

// Each connection by identity needs both its kind and its client id; without them triggers never start.
var hostSettings = {
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identityClientId
  AzureWebJobsStorage__blobServiceUri: blobEndpoint
  AzureWebJobsStorage__queueServiceUri: queueEndpoint
  AzureWebJobsStorage__tableServiceUri: tableEndpoint
  APPLICATIONINSIGHTS_CONNECTION_STRING: connectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
  // The worker's default is the number of cores plus four. A mail without a thread would wait while its lease runs.
  PYTHON_THREADPOOL_THREAD_COUNT: '16'
  // The default is 100 MB, and the host holds four copies of a body in memory: a few anonymous requests could crash an instance
  // and every mail that it is sending. The app reads at most 64 KB.
  FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: '1048576'
  AzureWebJobsDisableHomepage: 'true'
}

var appSettings = {
  SMTP_PROVIDER: 'Office365'
  ENTRA_TENANT_ID: entraTenantId
  ENTRA_CLIENT_ID: entraClientId
  MICROSOFT_CLOUD: microsoftCloud
  ENTRA_AUTHORITY_HOST: entraAuthorityHost
  GRAPH_ENDPOINT: graphEndpoint
  ALLOWED_TENANT_IDS: join(allowedTenantIds, ',')
  APPLICATION_SENDERS: join(applicationSenders, ',')
  OUTCOME_QUEUES: join(outcomeQueues, ',')
  API_AUDIENCE: entraClientId
  ADMIN_ROLE: adminRole
  REQUIRED_API_SCOPE: requiredApiScope
  ALLOWED_CLIENT_IDS: join(allowedClientIds, ',')
  PUBLIC_BASE_URL: publicBaseUrl
  FRONTEND_ORIGINS: join(frontendOrigins, ',')
  KEY_VAULT_URL: keyVaultUri
  ON_UNKNOWN_OUTCOME: onUnknownOutcome
  MAILBOX_MESSAGE_LIMIT_MB: string(mailboxMessageLimitMb)
  MAILBOX_MESSAGES_PER_MINUTE: string(mailboxMessagesPerMinute)
  DELIVERY_RETENTION_DAYS: string(deliveryRetentionDays)
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true, zoneRedundant: zoneRedundant }
}

resource site 'Microsoft.Web/sites@2025-03-01' = {
  name: siteName
  location: location
  // azd finds the app to which it deploys by this tag; its value is the service's name in azure.yaml.
  tags: union(tags, { 'azd-service-name': 'api' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    // Microsoft's consent page posts to the callback, so the site itself stays reachable.
    publicNetworkAccess: 'Enabled'
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      runtime: { name: 'python', version: '3.13' }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageContainerUrl
          authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identityId }
        }
      }
      scaleAndConcurrency: {
        maximumInstanceCount: maximumInstances
        instanceMemoryMB: instanceMemoryMB
        alwaysReady: alwaysReadyInstances == 0
          ? []
          : [{ name: 'function:deliver_mail', instanceCount: alwaysReadyInstances }]
        // The default for Python is one HTTP request at a time.
        triggers: { http: { perInstanceConcurrency: 16 } }
      }
      // The service has this property since 2025, but the Bicep types of API version 2025-03-01 do not:
      // https://learn.microsoft.com/azure/azure-functions/flex-consumption-site-updates.
      #disable-next-line BCP037
      siteUpdateStrategy: { type: siteUpdateStrategy }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      http20Enabled: true
      cors: { allowedOrigins: frontendOrigins, supportCredentials: false }
    }
  }
}

resource settings 'Microsoft.Web/sites/config@2025-03-01' = {
  parent: site
  name: 'appsettings'
  properties: union(hostSettings, appSettings, credential)
}

resource ftpPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: site
  name: 'ftp'
  properties: { allow: false }
}

resource deploymentPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: site
  name: 'scm'
  properties: { allow: false }
}

output name string = site.name
