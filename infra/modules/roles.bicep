// The role assignments. This is the only table of role ids; see
// https://learn.microsoft.com/azure/role-based-access-control/built-in-roles.

param storageName string
param vaultName string
param componentName string
param outboxQueueName string
param attachmentsContainerName string

@description('The principal id of the app\'s identity.')
param appPrincipalId string

@description('Principals that queue mails and upload files; they have access to nothing else.')
param schedulerPrincipalIds array

@description('Path to which the file access of some of them is limited: <principal id>=<path>.')
param schedulerFilePaths array

@description('Queues from which schedulers read the outcomes of their mails.')
param outcomeQueueNames array

@description('A person who may read and repair data manually. Empty: nobody.')
param operatorPrincipalId string

@description('The containers with that data. The app package is in another container, to which this gives no access.')
param dataContainerNames array
param operatorPrincipalType string

var roleIds = {
  'Key Vault Secrets Officer': 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'
  'Monitoring Metrics Publisher': '3913510d-42f4-4e42-8a64-420c390055eb'
  'Storage Blob Data Contributor': 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  'Storage Blob Data Owner': 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  'Storage Queue Data Contributor': '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  'Storage Queue Data Message Processor': '8a0f0c08-91a1-4084-bc3d-661d67233fed'
  'Storage Queue Data Message Sender': 'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'
  'Storage Table Data Contributor': '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
}

// The host itself needs the owner role on blobs (locks, the package). With a lesser role than contributor on
// queues, it could not return a failed message.
var appStorageRoles = [
  'Storage Blob Data Owner'
  'Storage Queue Data Contributor'
  'Storage Table Data Contributor'
]
var operatorStorageRoles = empty(operatorPrincipalId)
  ? []
  : [
      'Storage Queue Data Contributor'
      'Storage Table Data Contributor'
    ]
var operatorContainerNames = empty(operatorPrincipalId) ? [] : dataContainerNames
var operatorVaultRoles = empty(operatorPrincipalId) ? [] : ['Key Vault Secrets Officer']

resource storage 'Microsoft.Storage/storageAccounts@2025-08-01' existing = {
  name: storageName
}

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2025-08-01' existing = {
  parent: storage
  name: 'default'
}

resource outbox 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-08-01' existing = {
  parent: queueService
  name: outboxQueueName
}

resource outcomes 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-08-01' existing = [
  for name in outcomeQueueNames: {
    parent: queueService
    name: name
  }
]

resource blobService 'Microsoft.Storage/storageAccounts/blobServices@2025-08-01' existing = {
  parent: storage
  name: 'default'
}

resource attachments 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-08-01' existing = {
  parent: blobService
  name: attachmentsContainerName
}

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' existing = {
  name: vaultName
}

resource component 'Microsoft.Insights/components@2020-02-02' existing = {
  name: componentName
}

resource appOnStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in appStorageRoles: {
    scope: storage
    name: guid(storage.id, appPrincipalId, roleIds[role])
    properties: {
      principalId: appPrincipalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds[role])
    }
  }
]

resource appOnVault 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, appPrincipalId, roleIds['Key Vault Secrets Officer'])
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roleIds['Key Vault Secrets Officer']
    )
  }
}

resource appOnComponent 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: component
  name: guid(component.id, appPrincipalId, roleIds['Monitoring Metrics Publisher'])
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roleIds['Monitoring Metrics Publisher']
    )
  }
}

resource schedulersOnOutbox 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for principalId in schedulerPrincipalIds: {
    scope: outbox
    name: guid(outbox.id, principalId, roleIds['Storage Queue Data Message Sender'])
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        roleIds['Storage Queue Data Message Sender']
      )
    }
  }
]

// Every scheduler gets access to every queue: they agree among themselves who reads which.
resource schedulersOnOutcomes 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for i in range(0, length(schedulerPrincipalIds) * length(outcomeQueueNames)): {
    scope: outcomes[i % max(length(outcomeQueueNames), 1)]
    name: guid(
      outcomes[i % max(length(outcomeQueueNames), 1)].id,
      schedulerPrincipalIds[i / max(length(outcomeQueueNames), 1)],
      roleIds['Storage Queue Data Message Processor']
    )
    properties: {
      principalId: schedulerPrincipalIds[i / max(length(outcomeQueueNames), 1)]
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        roleIds['Storage Queue Data Message Processor']
      )
    }
  }
]

// Without a condition, a scheduler can read, replace and delete the files of every other scheduler.
// https://learn.microsoft.com/azure/storage/blobs/storage-auth-abac-examples, "Read, write, or delete blobs in a path"
var blobActions = 'Microsoft.Storage/storageAccounts/blobServices/containers/blobs'
var onPaths = [
  for item in schedulerFilePaths: {
    principalId: first(split(item, '='))
    condition: join(
      [
        '((!(ActionMatches{\'${blobActions}/read\'} AND NOT SubOperationMatches{\'Blob.List\'})'
        ' AND !(ActionMatches{\'${blobActions}/write\'})'
        ' AND !(ActionMatches{\'${blobActions}/add/action\'})'
        ' AND !(ActionMatches{\'${blobActions}/move/action\'})'
        ' AND !(ActionMatches{\'${blobActions}/delete\'}))'
        ' OR (@Resource[${blobActions}:path] StringStartsWith \'${last(split(item, '='))}/\'))'
        ' AND ((!(ActionMatches{\'${blobActions}/read\'} AND SubOperationMatches{\'Blob.List\'}))'
        ' OR (@Request[${blobActions}:prefix] StringStartsWith \'${last(split(item, '='))}/\'))'
      ],
      ''
    )
  }
]

resource schedulersOnAttachments 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for principalId in schedulerPrincipalIds: {
    scope: attachments
    name: guid(attachments.id, principalId, roleIds['Storage Blob Data Contributor'])
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        roleIds['Storage Blob Data Contributor']
      )
      condition: first(filter(onPaths, item => item.principalId == principalId)).?condition
      conditionVersion: empty(filter(onPaths, item => item.principalId == principalId)) ? null : '2.0'
    }
  }
]

resource operatorOnStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in operatorStorageRoles: {
    scope: storage
    name: guid(storage.id, operatorPrincipalId, roleIds[role])
    properties: {
      principalId: operatorPrincipalId
      principalType: operatorPrincipalType
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds[role])
    }
  }
]

resource operatorContainers 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-08-01' existing = [
  for name in operatorContainerNames: {
    parent: blobService
    name: name
  }
]

// A principal that may write to the whole account could replace the package, and so run code as the app.
resource operatorOnContainers 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (name, i) in operatorContainerNames: {
    scope: operatorContainers[i]
    name: guid(operatorContainers[i].id, operatorPrincipalId, roleIds['Storage Blob Data Contributor'])
    properties: {
      principalId: operatorPrincipalId
      principalType: operatorPrincipalType
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        roleIds['Storage Blob Data Contributor']
      )
    }
  }
]

resource operatorOnVault 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in operatorVaultRoles: {
    scope: vault
    name: guid(vault.id, operatorPrincipalId, roleIds[role])
    properties: {
      principalId: operatorPrincipalId
      principalType: operatorPrincipalType
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds[role])
    }
  }
]
