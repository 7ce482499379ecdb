// Where the tokens of the consenting accounts live. Access by role alone; who read what is logged.

param name string
param location string
param tags object

@description('Nobody, not even the owner, can purge a deleted vault or secret before its retention ends.')
param protectFromPurge bool

@description('Bring back a vault of this name that was deleted and is still in its retention.')
param recover bool

@description('Reachable through private endpoints and the addresses below alone.')
param closedToTheInternet bool

@description('Addresses or CIDR ranges that reach the vault although it is closed.')
param allowedIpAddresses array

param workspaceId string

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    createMode: recover ? 'recover' : 'default'
    enableRbacAuthorization: true
    enableSoftDelete: true
    // The shortest that Azure allows: Reset promises that the tokens are gone.
    softDeleteRetentionInDays: 7
    // Azure refuses an explicit false.
    enablePurgeProtection: protectFromPurge ? true : null
    publicNetworkAccess: closedToTheInternet && empty(allowedIpAddresses) ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: closedToTheInternet ? 'Deny' : 'Allow'
      ipRules: [for address in allowedIpAddresses: { value: address }]
    }
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: vault
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated'
    logs: [ { categoryGroup: 'audit', enabled: true } ]
  }
}

output id string = vault.id
output name string = vault.name
output uri string = vault.properties.vaultUri
