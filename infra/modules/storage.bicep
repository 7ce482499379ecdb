// Queues, tables and containers of the storage account, and what is logged of their use.

param accountName string

@description('Queues from which schedulers read the outcomes of their mails.')
param outcomeQueueNames array

@description('Number of days after which the files of schedulers are deleted.')
param attachmentRetentionDays int

@description('Number of days after which the app deletes finished deliveries; the rule below deletes what the app missed.')
param deliveryRetentionDays int

@description('Log every read, write and delete of all three services, not only queued messages.')
param auditAllCalls bool

param workspaceId string

// The same names as in shared/storage_names.py; a test compares them.
var queueNames = ['mail-outbox', 'mail-outbox-poison']
var tableNames = ['TenantSettings', 'ConsentFlows', 'Deliveries']
var containerNames = ['attachments', 'mail-requests']
var packageContainerName = 'app-package'

resource account 'Microsoft.Storage/storageAccounts@2025-08-01' existing = {
  name: accountName
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

resource queues 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-08-01' = [
  for queueName in concat(queueNames, outcomeQueueNames): {
    parent: queueService
    name: queueName
  }
]

resource tables 'Microsoft.Storage/storageAccounts/tableServices/tables@2025-08-01' = [
  for tableName in tableNames: {
    parent: tableService
    name: tableName
  }
]

resource containers 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-08-01' = [
  for containerName in union(containerNames, [packageContainerName]): {
    parent: blobService
    name: containerName
    properties: { publicAccess: 'None' }
  }
]

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2025-08-01' = {
  parent: account
  name: 'default'
  dependsOn: [blobService]
  properties: {
    policy: {
      rules: [
        {
          name: 'remove-attachments'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: { blobTypes: ['blockBlob'], prefixMatch: ['attachments/'] }
            actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: attachmentRetentionDays } } }
          }
        }
        {
          name: 'remove-forgotten-mail-requests'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: { blobTypes: ['blockBlob'], prefixMatch: ['mail-requests/'] }
            // A stored request must be kept longer than its delivery row, or a retry would find nothing to send.
            actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: deliveryRetentionDays + 30 } } }
          }
        }
      ]
    }
  }
}

// Queued messages are always logged: the alert on missing mails needs to know that a mail was queued.
// Only a preview version supports log categories; the stable version of 2016 has no category groups.
#disable-next-line use-recent-api-versions
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

// Only a preview version supports log categories; the stable version of 2016 has no category groups.
#disable-next-line use-recent-api-versions
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

// Only a preview version supports log categories; the stable version of 2016 has no category groups.
#disable-next-line use-recent-api-versions
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

output name string = account.name
output blobEndpoint string = account.properties.primaryEndpoints.blob
output queueEndpoint string = account.properties.primaryEndpoints.queue
output tableEndpoint string = account.properties.primaryEndpoints.table
output packageContainerUrl string = '${account.properties.primaryEndpoints.blob}${packageContainerName}'
output outboxQueueName string = queueNames[0]
output attachmentsContainerName string = containerNames[0]
output dataContainerNames array = containerNames
