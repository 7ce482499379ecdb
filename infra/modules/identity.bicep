// The app's only identity. It is user-assigned, because only a user-assigned identity can be a federated credential of an
// app registration, and because its roles can then be assigned before the app starts for the first time.

param name string
param location string
param tags object

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
  tags: tags
}

output id string = identity.id
output clientId string = identity.properties.clientId
output principalId string = identity.properties.principalId
