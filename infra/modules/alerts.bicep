// The alerts. Every query is in ../queries and is explained in docs/operations/alerts.md under the same name.

param actionGroupName string
param location string
param tags object
param workspaceId string

@description('Mail addresses that get the alerts. Empty: they are shown only in the portal.')
param emailAddresses array

@description('How long mails may be queued without any mail being accepted.')
param silence string

@description('Whether the availability test exists; if so, the alert that reads its results is created.')
param availabilityTest bool

var rules = [
  {
    name: 'mail-poisoned'
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
    query: loadTextContent('../queries/mail-poisoned.kql')
    says: 'A mail failed five times for an unexpected reason, or messages remain in the poison queue.'
  }
  {
    name: 'consent-lost'
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
    query: loadTextContent('../queries/consent-lost.kql')
    says: 'A tenant revoked or lost its consent; its mails wait until an admin consents again.'
  }
  {
    name: 'sender-refused'
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
    query: loadTextContent('../queries/sender-refused.kql')
    says: 'Microsoft 365 refuses a tenant\'s mailbox or the right to send from it; its mails wait until this is corrected.'
  }
  {
    name: 'operator-error'
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
    query: loadTextContent('../queries/operator-error.kql')
    says: 'The app\'s own credential or configuration is wrong; mails wait.'
  }
  {
    name: 'vault-forbidden'
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
    query: loadTextContent('../queries/vault-forbidden.kql')
    says: 'The vault refused access.'
  }
  {
    name: 'no-mail-accepted'
    severity: 1
    frequency: 'PT15M'
    window: silence
    query: loadTextContent('../queries/no-mail-accepted.kql')
    says: 'Mails were queued and none was accepted.'
  }
  {
    name: 'tenant-not-served'
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
    query: loadTextContent('../queries/tenant-not-served.kql')
    says: 'A tenant that has settings or mail here is not in ALLOWED_TENANT_IDS; nothing is sent for it.'
  }
  {
    name: 'mail-outbox-stuck'
    severity: 1
    frequency: 'PT15M'
    window: 'PT30M'
    query: loadTextContent('../queries/mail-outbox-stuck.kql')
    says: 'Messages have been in mail-outbox for more than half an hour and are not processed.'
  }
  {
    name: 'token-not-refreshed'
    severity: 2
    frequency: 'PT1H'
    window: 'P1D'
    query: loadTextContent('../queries/token-not-refreshed.kql')
    says: 'A tenant\'s token was not refreshed for a week; it expires 90 days after its last use.'
  }
  {
    name: 'sending-paused-long'
    severity: 2
    frequency: 'PT5M'
    window: 'PT15M'
    query: loadTextContent('../queries/sending-paused-long.kql')
    says: 'Sending has been paused for more than an hour.'
  }
  {
    name: 'mail-outcome-unknown'
    severity: 2
    frequency: 'PT15M'
    window: 'PT1H'
    query: loadTextContent('../queries/mail-outcome-unknown.kql')
    says: 'It is unknown whether a mail was sent; an admin decides what to do.'
  }
  {
    name: 'mail-deferred-long'
    severity: 2
    frequency: 'PT15M'
    window: 'P1D'
    query: loadTextContent('../queries/mail-deferred-long.kql')
    says: 'A mail has been deferred for more than an hour.'
  }
  {
    name: 'mail-expired'
    severity: 2
    frequency: 'PT15M'
    window: 'PT1H'
    query: loadTextContent('../queries/mail-expired.kql')
    says: 'A mail expired before it could be sent.'
  }
  {
    name: 'function-failed'
    severity: 2
    frequency: 'PT15M'
    window: 'PT1H'
    query: loadTextContent('../queries/function-failed.kql')
    says: 'A timer or the recording of a poisoned mail failed, or the sending function failed repeatedly.'
  }
  {
    name: 'log-cap-reached'
    severity: 2
    frequency: 'PT15M'
    window: 'PT1H'
    query: loadTextContent('../queries/log-cap-reached.kql')
    says: 'The daily log cap was reached: no alert works until it resets.'
  }
  {
    name: 'mail-refused'
    severity: 3
    frequency: 'PT1H'
    window: 'PT1H'
    query: loadTextContent('../queries/mail-refused.kql')
    says: 'Mails were permanently refused: by Microsoft 365, as invalid, or as a conflict.'
  }
  {
    name: 'unexpected-error'
    severity: 2
    frequency: 'PT15M'
    window: 'PT1H'
    query: loadTextContent('../queries/unexpected-error.kql')
    says: 'An unexpected error occurred in an API call or in the daily maintenance.'
  }
  {
    name: 'five-minute-timer-stopped'
    severity: 1
    frequency: 'PT15M'
    window: 'PT2H'
    query: loadTextContent('../queries/five-minute-timer-stopped.kql')
    says: 'The timer that runs every five minutes has not run for two hours.'
  }
  {
    name: 'daily-timer-stopped'
    severity: 1
    frequency: 'PT1H'
    window: 'P2D'
    query: loadTextContent('../queries/daily-timer-stopped.kql')
    says: 'A timer that runs once a day has not run for two days.'
  }
]

var unavailable = {
  name: 'app-unreachable'
  severity: 1
  frequency: 'PT15M'
  window: 'PT30M'
  query: loadTextContent('../queries/app-unreachable.kql')
  says: 'The app does not respond to calls from two or more locations.'
}

resource actionGroup 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: actionGroupName
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'mailer'
    enabled: true
    emailReceivers: [
      for address in emailAddresses: {
        name: address
        emailAddress: address
        useCommonAlertSchema: true
      }
    ]
  }
}

resource alerts 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [
  for rule in concat(rules, availabilityTest ? [unavailable] : []): {
    name: rule.name
    location: location
    tags: tags
    properties: {
      displayName: rule.name
      description: '${rule.says} What to do: docs/operations/alerts.md#${rule.name}.'
      severity: rule.severity
      enabled: true
      scopes: [workspaceId]
      evaluationFrequency: rule.frequency
      windowSize: rule.window
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
      // One notification when it fires and one when it is resolved, not one for each evaluation.
      autoMitigate: true
      // The tables exist only after the first log line, but the rules are created before it.
      skipQueryValidation: true
      actions: { actionGroups: [actionGroup.id] }
    }
  }
]
