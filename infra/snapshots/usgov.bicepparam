// The United States government cloud with an existing registration that proves itself with a certificate.

using '../main.bicep'

param environmentName = 'mailer'
param location = 'usgovvirginia'
param frontendOrigins = 'https://inforiver.contoso.com'
param microsoftCloud = 'usgov'
param createAppRegistration = false
param entraClientId = '00000000-0000-4000-8000-0000000000a1'
param clientCertificatePath = '/mounts/certificates/mailer.pem'
