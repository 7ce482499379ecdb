// Storage and vault behind private endpoints, reachable from two addresses; an operator who may repair data; a budget;
// instances in several zones, gentle updates and a test from outside.

using '../main.bicep'

param environmentName = 'mailer'
param location = 'westeurope'
param frontendOrigins = 'https://inforiver.contoso.com'
param privateNetwork = true
param allowedIpAddresses = '203.0.113.7,198.51.100.0/24'
param grantOperatorDataAccess = true
param principalId = '00000000-0000-4000-8000-0000000000c1'
param auditStorageCalls = true
param alertEmails = 'operations@contoso.com,owner@contoso.com'
param monthlyBudget = 50
param budgetStartDate = '2026-12-01'
param alwaysReadyInstances = 1
param zoneRedundant = true
param siteUpdateStrategy = 'RollingUpdate'
param availabilityTest = true
