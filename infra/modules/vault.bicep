// The vault for the tokens of the consenting accounts. Access is by role only, and every access is logged.

param name string
param location string
param tags object

@description('Nobody, not even the owner, can purge a deleted vault or secret before its retention ends.')
param protectFromPurge bool

@description('Bring back a vault of this name that was deleted and is still in its retention.')
param recover bool

@description('open: from everywhere; closed: through private endpoints and the addresses below only; unchanged: not said, which for a new vault is open.')
@allowed(['open', 'closed', 'unchanged'])
param access string

@description('Addresses or CIDR ranges that reach the vault although it is closed.')
param allowedIpAddresses array

param workspaceId string

var networkRules = access == 'unchanged'
  ? {}
  : {
      publicNetworkAccess: access == 'closed' && empty(allowedIpAddresses) ? 'Disabled' : 'Enabled'
      networkAcls: {
        bypass: 'AzureServices'
        defaultAction: access == 'closed' ? 'Deny' : 'Allow'
        ipRules: map(allowedIpAddresses, address => { value: address })
      }
    }

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
    ...networkRules
  }
}

// Only a preview has log categories; the stable version of 2016 knows no category groups.
#disable-next-line use-recent-api-versions
resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: vault
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated'
    logs: [{ categoryGroup: 'audit', enabled: true }]
  }
}

output id string = vault.id
output name string = vault.name
output uri string = vault.properties.vaultUri
