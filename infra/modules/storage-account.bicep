// The storage account. Account keys are disabled: every caller needs an Entra token.

param name string
param location string
param tags object
param redundancy string

@description('open: from every network; closed: only through private endpoints and from the addresses below; unchanged: keeps the current rules, which for a new account is open.')
@allowed(['open', 'closed', 'unchanged'])
param access string

@description('IP addresses or CIDR ranges that may reach the account although it is closed.')
param allowedIpAddresses array

// Storage keeps the network rules that a request does not mention (https://github.com/Azure/bicep/issues/10466).
var networkRules = access == 'unchanged'
  ? {}
  : {
      publicNetworkAccess: access == 'closed' && empty(allowedIpAddresses) ? 'Disabled' : 'Enabled'
      networkAcls: {
        bypass: 'AzureServices'
        defaultAction: access == 'closed' ? 'Deny' : 'Allow'
        ipRules: map(allowedIpAddresses, address => { action: 'Allow', value: address })
      }
    }

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
    ...networkRules
  }
}

output id string = account.id
