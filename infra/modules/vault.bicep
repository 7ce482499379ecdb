// The vault for the tokens of the consenting accounts. Access is by role only, and every access is logged.

param name string
param location string
param tags object

@description('Purge protection: nobody, not even the owner, can purge a deleted vault or secret before its retention ends.')
param protectFromPurge bool

@description('Recover a deleted vault of this name whose retention has not ended.')
param recover bool

@description('open: from every network; closed: only through private endpoints and from the addresses below; unchanged: not specified, which for a new vault is open.')
@allowed(['open', 'closed', 'unchanged'])
param access string

@description('IP addresses or CIDR ranges that may reach the vault although it is closed.')
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
    // The shortest retention that Azure allows, because Reset should delete the tokens.
    softDeleteRetentionInDays: 7
    // Azure refuses an explicit false.
    enablePurgeProtection: protectFromPurge ? true : null
    ...networkRules
  }
}

// Only a preview version supports log categories; the stable version of 2016 has no category groups.
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
