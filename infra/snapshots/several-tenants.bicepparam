// Two tenants, two addresses that send without a user, large files, admins and schedulers that get their roles.

using '../main.bicep'

param environmentName = 'mailer'
param location = 'westeurope'
param frontendOrigins = 'https://inforiver.contoso.com'
param frontendClientIds = '00000000-0000-4000-8000-0000000000f1,00000000-0000-4000-8000-0000000000f2'
param allowedClientIds = '00000000-0000-4000-8000-0000000000f1,00000000-0000-4000-8000-0000000000F2'
param allowedTenantIds = '00000000-0000-0000-0000-0000000000bb,00000000-0000-4000-8000-0000000000b2'
param declareApplicationPermissions = true
param declareMailReadWrite = true
param applicationSenders = 'reports@contoso.com,reports@fabrikam.com'
param workspaceAdminPrincipalIds = '00000000-0000-4000-8000-0000000000d1'
param registrationOwnerIds = '00000000-0000-4000-8000-0000000000a7'
param schedulerPrincipalIds = '00000000-0000-4000-8000-0000000000e1,00000000-0000-4000-8000-0000000000e2'
param schedulerFilePaths = '00000000-0000-4000-8000-0000000000e2=00000000-0000-0000-0000-0000000000bb/sales'
param deliveryReaderPrincipalIds = '00000000-0000-4000-8000-0000000000e1'
param outcomeQueues = 'mail-outcomes, finance-outcomes'
