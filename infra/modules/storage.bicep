// Queues, tables and containers. No account key works here: every caller comes with an Entra token.

param name string
param location string
param tags object
param redundancy string

@description('Files that schedulers put beside their messages are removed after this many days.')
param attachmentRetentionDays int

@description('The app removes finished deliveries after this many days; the rule below only catches what it missed.')
param deliveryRetentionDays int

@description('Reachable through private endpoints and the addresses below alone.')
param closedToTheInternet bool

@description('Addresses or CIDR ranges that reach the account although it is closed.')
param allowedIpAddresses array

@description('Log every read, write and delete of all three services, not queued messages alone.')
param auditAllCalls bool

param workspaceId string

// The names stand in shared/storage_names.py too; the gate compares them.
var queueNames = [ 'mail-outbox', 'mail-outbox-poison' ]
var tableNames = [ 'TenantSettings', 'ConsentFlows', 'Deliveries' ]
var containerNames = [ 'attachments', 'mail-requests' ]
var packageContainerName = 'app-package'

resource account 'Microsoft.Storage/storageAccounts@2025-08-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: redundancy }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: closedToTheInternet && empty(allowedIpAddresses) ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: closedToTheInternet ? 'Deny' : 'Allow'
      ipRules: [for address in allowedIpAddresses: { action: 'Allow', value: address }]
    }
  }
}

resource blobService 'Microsoft.Storage/storageAccounts/blobServices@2025-08-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: { enabled: true, days: 7 }
    containerDeleteRetentionPolicy: { enabled: true, days: 7 }
  }
}

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2025-08-01' = {
  parent: account
  name: 'default'
}

resource tableService 'Microsoft.Storage/storageAccounts/tableServices@2025-08-01' = {
  parent: account
  name: 'default'
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-08-01' = [for queueName in queueNames: {
  parent: queueService
  name: queueName
}]

resource tables 'Microsoft.Storage/storageAccounts/tableServices/tables@2025-08-01' = [for tableName in tableNames: {
  parent: tableService
  name: tableName
}]

resource containers 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-08-01' = [for containerName in union(containerNames, [ packageContainerName ]): {
  parent: blobService
  name: containerName
  properties: { publicAccess: 'None' }
}]

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2025-08-01' = {
  parent: account
  name: 'default'
  dependsOn: [ blobService ]
  properties: {
    policy: {
      rules: [
        {
          name: 'remove-attachments'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: { blobTypes: [ 'blockBlob' ], prefixMatch: [ 'attachments/' ] }
            actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: attachmentRetentionDays } } }
          }
        }
        {
          name: 'remove-forgotten-mail-requests'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: { blobTypes: [ 'blockBlob' ], prefixMatch: [ 'mail-requests/' ] }
            // A kept request must outlive its delivery row, or a replay would find nothing to send.
            actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: deliveryRetentionDays + 30 } } }
          }
        }
      ]
    }
  }
}

// Queued messages are always logged: the alert on silence needs to know that somebody queued a mail.
resource queueDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: queueService
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      { category: 'StorageRead', enabled: auditAllCalls }
      { category: 'StorageWrite', enabled: true }
      { category: 'StorageDelete', enabled: auditAllCalls }
    ]
  }
}

resource blobDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (auditAllCalls) {
  scope: blobService
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      { category: 'StorageRead', enabled: true }
      { category: 'StorageWrite', enabled: true }
      { category: 'StorageDelete', enabled: true }
    ]
  }
}

resource tableDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (auditAllCalls) {
  scope: tableService
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      { category: 'StorageRead', enabled: true }
      { category: 'StorageWrite', enabled: true }
      { category: 'StorageDelete', enabled: true }
    ]
  }
}

output id string = account.id
output name string = account.name
output blobEndpoint string = account.properties.primaryEndpoints.blob
output queueEndpoint string = account.properties.primaryEndpoints.queue
output tableEndpoint string = account.properties.primaryEndpoints.table
output packageContainerUrl string = '${account.properties.primaryEndpoints.blob}${packageContainerName}'
output outboxQueueName string = queueNames[0]
output attachmentsContainerName string = containerNames[0]
