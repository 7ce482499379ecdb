// Warns by mail, the owners always, at half, at four fifths and when the month is forecast to pass the amount. Stops nothing.

param name string
param amount int

@description('First day of a month, for example 2026-12-01. Azure never lets it change.')
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
