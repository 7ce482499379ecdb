// Calls the app from the internet, so that a failed start is noticed without a mail or a user.

param name string
param location string
param tags object
param componentName string
param address string

resource component 'Microsoft.Insights/components@2020-02-02' existing = {
  name: componentName
}

resource test 'Microsoft.Insights/webtests@2022-06-15' = {
  name: name
  location: location
  // The portal finds the tests of a component by this tag.
  tags: union(tags, { 'hidden-link:${component.id}': 'Resource' })
  kind: 'standard'
  properties: {
    SyntheticMonitorId: name
    Name: name
    Kind: 'standard'
    Enabled: true
    Frequency: 900
    Timeout: 60
    RetryEnabled: true
    // West Europe, North Europe, East US, South Central US and Southeast Asia, by the ids of
    // https://learn.microsoft.com/samples/azure/azure-quickstart-templates/dynamic-web-tests, read on 2026-11-29.
    Locations: [
      { Id: 'emea-nl-ams-azr' }
      { Id: 'emea-gb-db3-azr' }
      { Id: 'us-va-ash-azr' }
      { Id: 'us-tx-sn1-azr' }
      { Id: 'apac-sg-sin-azr' }
    ]
    Request: {
      RequestUrl: address
      HttpVerb: 'GET'
      ParseDependentRequests: false
    }
    ValidationRules: {
      ExpectedHttpStatusCode: 200
      SSLCheck: true
      SSLCertRemainingLifetimeCheck: 14
    }
  }
}
