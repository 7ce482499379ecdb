// An existing app registration that proves itself with a client secret from the vault, under an own host name.

using '../main.bicep'

param environmentName = 'mailer'
param location = 'westeurope'
param frontendOrigins = 'https://inforiver.contoso.com,https://reports.contoso.com'
param publicBaseUrl = 'https://mail.contoso.com'
param createAppRegistration = false
param entraClientId = '00000000-0000-4000-8000-0000000000a1'
param entraTenantId = '00000000-0000-4000-8000-0000000000b1'
param requiredApiScope = 'access_as_user'
param clientSecretName = 'entra-client-secret'
