// A budget that sends a mail at 50 % and 80 % of the amount, and if the forecast exceeds it; owners
// always get it. It stops nothing.

param name string
param amount int

@description('First day of a month, for example 2026-12-01. Azure does not allow changing it later.')
param startDate string
param emailAddresses array

resource budget 'Microsoft.Consumption/budgets@2026-06-01' = {
  name: name
  properties: {
    category: 'Cost'
    amount: amount
    timeGrain: 'Monthly'
    timePeriod: { startDate: startDate }
    notifications: {
      half: {
        enabled: true
        operator: 'GreaterThan'
        threshold: 50
        thresholdType: 'Actual'
        contactEmails: emailAddresses
        contactRoles: ['Owner']
      }
      mostOfIt: {
        enabled: true
        operator: 'GreaterThan'
        threshold: 80
        thresholdType: 'Actual'
        contactEmails: emailAddresses
        contactRoles: ['Owner']
      }
      forecast: {
        enabled: true
        operator: 'GreaterThan'
        threshold: 100
        thresholdType: 'Forecasted'
        contactEmails: emailAddresses
        contactRoles: ['Owner']
      }
    }
  }
}
