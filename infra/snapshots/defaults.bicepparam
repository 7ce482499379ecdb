// The three parameters that azd asks for; everything else is its default.

using '../main.bicep'

param environmentName = 'mailer'
param location = 'westeurope'
param frontendOrigins = 'https://inforiver.contoso.com'
