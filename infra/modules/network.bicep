// The private network: the app sends its requests through it, and only it reaches storage and vault.

param name string
param endpointNamePrefix string
param location string
param tags object
param addressPrefix string
param storageId string
param vaultId string

var endpoints = [
  { name: 'blob', target: storageId, zone: 'privatelink.blob.${environment().suffixes.storage}' }
  { name: 'queue', target: storageId, zone: 'privatelink.queue.${environment().suffixes.storage}' }
  { name: 'table', target: storageId, zone: 'privatelink.table.${environment().suffixes.storage}' }
  {
    name: 'vault'
    target: vaultId
    zone: 'privatelink${replace(environment().suffixes.keyvaultDns, '.vault.', '.vaultcore.')}'
  }
]

resource network 'Microsoft.Network/virtualNetworks@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addressPrefix] }
    subnets: [
      {
        // Flex Consumption accepts no name with an underscore and requires this delegation.
        name: 'app'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 25, 0)
          delegations: [{ name: 'flex', properties: { serviceName: 'Microsoft.App/environments' } }]
        }
      }
      {
        name: 'endpoints'
        properties: { addressPrefix: cidrSubnet(addressPrefix, 25, 1) }
      }
    ]
  }
}

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for endpoint in endpoints: {
    name: endpoint.zone
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (endpoint, i) in endpoints: {
    parent: zones[i]
    name: 'to-${name}'
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: { id: network.id }
    }
  }
]

// One after the other: while a storage account processes a request for an endpoint, its response to another one is
// 409 (https://github.com/Azure/bicep-registry-modules/issues/6001).
@batchSize(1)
resource privateEndpoints 'Microsoft.Network/privateEndpoints@2025-05-01' = [
  for endpoint in endpoints: {
    name: '${endpointNamePrefix}${endpoint.name}'
    location: location
    tags: tags
    properties: {
      subnet: { id: '${network.id}/subnets/endpoints' }
      privateLinkServiceConnections: [
        { name: endpoint.name, properties: { privateLinkServiceId: endpoint.target, groupIds: [endpoint.name] } }
      ]
    }
  }
]

@batchSize(1)
resource zoneGroups 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-05-01' = [
  for (endpoint, i) in endpoints: {
    parent: privateEndpoints[i]
    name: 'default'
    dependsOn: [privateEndpoints, links]
    properties: {
      privateDnsZoneConfigs: [{ name: endpoint.name, properties: { privateDnsZoneId: zones[i].id } }]
    }
  }
]

output appSubnetId string = '${network.id}/subnets/app'
