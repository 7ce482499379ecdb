"""Ways to break the infrastructure: one a line, with the rule that has to object.

Every rule has at least one; `test_mutations.py` sees to it.
"""

from __future__ import annotations

from typing import NamedTuple


class Mutation(NamedTuple):
    """Replace the first occurrence of a text in a file."""

    path: str
    old: str
    new: str
    rule: str


MAIN = "infra/main.bicep"
PARAMETERS = "infra/main.parameters.json"
ACCESS = "infra/modules/roles.bicep"
ALERTS = "infra/modules/alerts.bicep"
BUDGET = "infra/modules/budget.bicep"
ENTRA = "infra/modules/entra.bicep"
FUNCTION = "infra/modules/function.bicep"
MONITORING = "infra/modules/monitoring.bicep"
NETWORK = "infra/modules/network.bicep"
STORAGE = "infra/modules/storage.bicep"
VAULT = "infra/modules/vault.bicep"
CLOUDS = "infra/clouds.json"
PERMISSIONS = "infra/graph-permissions.json"
WORKBOOK = "infra/workbook.json"
RUNBOOK = "docs/operations.md"
CI = ".github/workflows/ci.yml"
DEPLOY = ".github/workflows/deploy.yml"
QUERIES = "infra/queries"

# One mutation, one line, however long.
# fmt: off
MUTATIONS = [
    # syntax
    Mutation(STORAGE, "kind: 'StorageV2'", "kind 'StorageV2'", "bicep_parses"),
    Mutation(MAIN, "module identity 'modules/identity.bicep' = {", "module identity = {", "bicep_parses"),
    Mutation(FUNCTION, "properties: { reserved: true }", "properties: { reserved: true", "bicep_parses"),
    Mutation(PARAMETERS, '"contentVersion"', "contentVersion", "json_parses"),
    Mutation(f"{QUERIES}/mail-deferred-long.kql", "ago(1h)", "ago(1h", "queries_are_balanced"),
    Mutation(f"{QUERIES}/consent-lost.kql", "{'", "{", "queries_are_balanced"),
    # symbols
    Mutation(MAIN, "scope: group", "scope: grop", "symbols_are_declared"),
    Mutation(STORAGE, "name: queueName\n", "name: queuName\n", "symbols_are_declared"),
    Mutation(NETWORK, "zones[i].id", "zones[j].id", "symbols_are_declared"),
    Mutation(VAULT, "tenant().tenantId", "tenat().tenantId", "symbols_are_declared"),
    Mutation(MAIN, "var token =", "param location string\nvar token =", "symbols_are_unique"),
    Mutation(STORAGE, "param name string", "param name string\nparam spare string", "declarations_are_used"),
    Mutation(MAIN, "    location: location\n", "", "modules_get_what_they_ask_for"),
    Mutation(MAIN, "redundancy: storage", "redundance: storage", "modules_get_what_they_ask_for"),
    Mutation(MAIN, "identity.outputs.clientId", "identity.outputs.cliendId", "module_outputs_exist"),
    Mutation(VAULT, "output id string", "output spare string = vault.name\noutput id string", "module_outputs_are_read"),
    Mutation(ENTRA, "var adminRoleId = guid(uniqueName, adminRole)\n", "", "symbols_are_declared"),
    Mutation(MAIN, "modules/vault.bicep", "modules/valt.bicep", "modules_exist_and_are_called"),
    Mutation(ALERTS, "queries/vault-forbidden.kql", "queries/vault.kql", "loaded_files_exist"),
    # properties and versions
    Mutation(STORAGE, "'Microsoft.Storage/storageAccounts@", "'Microsoft.Storage/accounts@", "resource_types_have_a_model"),
    Mutation(STORAGE, "allowSharedKeyAccess", "allowSharedKeysAccess", "properties_exist"),
    Mutation(FUNCTION, "instanceMemoryMB: instance", "instanceMemory: instance", "properties_exist"),
    Mutation(FUNCTION, "httpsOnly: true", "httpsOnly: 'true'", "values_are_of_the_right_kind"),
    Mutation(FUNCTION, "[ { name: 'function:deliver_mail', instanceCount:", "[ { name: 'x', count:", "properties_exist"),
    Mutation(VAULT, "family: 'A'", "family: 'B'", "values_are_of_the_right_kind"),
    Mutation(VAULT, "recover ? 'recover' :", "recover ? 'restore' :", "values_are_of_the_right_kind"),
    Mutation(ENTRA, "'AzureADMyOrg'", "'AzureADMyOrganisation'", "values_are_of_the_right_kind"),
    Mutation(NETWORK, "delegations: [ {", "delegation: [ {", "properties_exist"),
    Mutation(ALERTS, "threshold: 0", "threshold: '0'", "values_are_of_the_right_kind"),
    Mutation(BUDGET, "timeGrain: 'Monthly'", "timeGrain: 'Daily'", "values_are_of_the_right_kind"),
    Mutation(VAULT, "@2026-02-01", "@2023-07-01", "versions_are_those_of_the_table"),
    Mutation(FUNCTION, "sites@2025-03-01", "sites@2025-05-01", "versions_are_those_of_the_table"),
    Mutation(BUDGET, "    category: 'Cost'\n", "", "required_properties_are_given"),
    Mutation(VAULT, "    sku: { family: 'A', name: 'standard' }\n", "", "required_properties_are_given"),
    Mutation(ENTRA, "      isEnabled: true\n", "", "required_properties_are_given"),
    Mutation(ALERTS, "      name: address\n", "", "required_properties_are_given"),
    Mutation(NETWORK, "  name: 'default'\n", "", "resources_have_a_name"),
    Mutation(FUNCTION, "  parent: site\n", "", "resources_have_a_name"),
    # policy
    Mutation(STORAGE, "enabled: true\n          type: 'Lifecycle'", "enabled: false\n          type: 'Lifecycle'", "lifecycle_rules_are_on"),
    Mutation(FUNCTION, "version: '3.13'", "version: '3.12'", "site_runs_on_its_plan_and_identity"),
    Mutation(FUNCTION, "userAssignedIdentities: { '${identityId}': {} }", "userAssignedIdentities: {}", "site_runs_on_its_plan_and_identity"),
    Mutation(NETWORK, "'Microsoft.App/environments'", "'Microsoft.Web/serverFarms'", "private_network_covers_everything"),
    Mutation(NETWORK, "privatelink.table.", "privatelink.tables.", "private_network_covers_everything"),
    Mutation(VAULT, "    workspaceId: workspaceId\n", "", "logs_go_to_the_workspace"),
    Mutation(MONITORING, "    WorkspaceResourceId: workspace.id\n", "", "logs_go_to_the_workspace"),
    Mutation(STORAGE, "allowSharedKeyAccess: false", "allowSharedKeyAccess: true", "storage_is_locked"),
    Mutation(STORAGE, "    minimumTlsVersion: 'TLS1_2'\n", "", "storage_is_locked"),
    Mutation(STORAGE, "allowBlobPublicAccess: false", "allowBlobPublicAccess: true", "storage_is_locked"),
    Mutation(STORAGE, "publicAccess: 'None'", "publicAccess: 'Blob'", "containers_are_private"),
    Mutation(STORAGE, "deleteRetentionPolicy: { enabled: true", "deleteRetentionPolicy: { enabled: false", "deleted_files_can_be_restored"),
    Mutation(STORAGE, "deliveryRetentionDays + 30", "deliveryRetentionDays", "old_files_are_removed"),
    Mutation(STORAGE, "'attachments/'", "'attachment/'", "old_files_are_removed"),
    Mutation(VAULT, "enableRbacAuthorization: true", "enableRbacAuthorization: false", "vault_is_locked"),
    Mutation(VAULT, "? true : null", "? true : false", "vault_is_locked"),
    Mutation(MAIN, "param protectVaultFromPurge bool = true", "param protectVaultFromPurge bool = false", "vault_is_locked"),
    Mutation(VAULT, "? 'Deny' : 'Allow'", "? 'Allow' : 'Allow'", "closed_means_closed"),
    Mutation(FUNCTION, "httpsOnly: true", "httpsOnly: false", "site_is_locked"),
    Mutation(FUNCTION, "minTlsVersion: '1.2'", "minTlsVersion: '1.0'", "site_is_locked"),
    Mutation(FUNCTION, "split(frontendOrigins, ',')", "[ '*' ]", "site_is_locked"),
    Mutation(FUNCTION, "keyVaultReferenceIdentity: identityId", "keyVaultReferenceIdentity: 'SystemAssigned'", "site_is_locked"),
    Mutation(FUNCTION, "allow: false", "allow: true", "passwords_cannot_deploy"),
    Mutation(FUNCTION, "name: 'scm'", "name: 'ftp'", "passwords_cannot_deploy"),
    Mutation(FUNCTION, "name: 'FC1'", "name: 'Y1'", "plan_is_flex_consumption"),
    Mutation(FUNCTION, "type: 'UserAssignedIdentity'", "type: 'StorageAccountConnectionString'", "plan_is_flex_consumption"),
    Mutation(FUNCTION, "http20Enabled: true", "alwaysOn: true", "nothing_that_flex_refuses"),
    Mutation(FUNCTION, "  SMTP_PROVIDER:", "  FUNCTIONS_WORKER_RUNTIME: 'python'\n  SMTP_PROVIDER:", "nothing_that_flex_refuses"),
    Mutation(FUNCTION, "  SMTP_PROVIDER:", "  WEBSITE_TIME_ZONE: 'UTC'\n  SMTP_PROVIDER:", "nothing_that_flex_refuses"),
    Mutation(FUNCTION, "  SMTP_PROVIDER:", "  PYTHON_ENABLE_OPENTELEMETRY: 'true'\n  SMTP_PROVIDER:", "host_exports_the_log"),
    Mutation(MONITORING, "DisableLocalAuth: true", "DisableLocalAuth: false", "telemetry_needs_an_identity"),
    Mutation(MONITORING, "    workspaceCapping: { dailyQuotaGb: dailyCapGb }\n", "", "telemetry_needs_an_identity"),
    Mutation(VAULT, "'audit', enabled: true", "'audit', enabled: false", "vault_access_is_logged"),
    Mutation(VAULT, "    logAnalyticsDestinationType: 'Dedicated'\n", "", "vault_access_is_logged"),
    Mutation(STORAGE, "'StorageWrite', enabled: true", "'StorageWrite', enabled: auditAllCalls", "queued_mails_are_logged"),
    # access
    Mutation(ACCESS, "b7e6dc6d-f1e8-4753-8033-0f276bb0955b", "b7e6dc6d-f1e8-4753-8033-0f276bb0955c", "role_ids_are_microsofts"),
    Mutation(VAULT, "param workspaceId string", "var secretsOfficer = 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'", "role_ids_are_microsofts"),
    Mutation(ACCESS, "  'Storage Queue Data Contributor'\n", "", "app_has_exactly_its_roles"),
    Mutation(ACCESS, "  'Storage Blob Data Owner'\n", "  'Storage Blob Data Owner'\n  'Owner'\n", "app_has_exactly_its_roles"),
    Mutation(ACCESS, "queueService\n  name: outboxQueueName", "queueService\n  name: 'other'", "declarations_are_used"),
    Mutation(ACCESS, "roleIds['Storage Queue Data Message Sender'])\n  properties", "roleIds['Storage Queue Data Contributor'])\n  properties", "schedulers_can_only_queue"),
    Mutation(ACCESS, "scope: outbox", "scope: storage", "assignments_have_a_scope"),
    Mutation(ACCESS, "  scope: vault\n", "", "assignments_have_a_scope"),
    Mutation(ACCESS, "guid(storage.id, appPrincipalId, roleIds[role])", "guid(storage.id, roleIds[role])", "assignments_can_be_repeated"),
    Mutation(ACCESS, "    principalType: 'ServicePrincipal'\n", "", "assignments_can_be_repeated"),
    Mutation(ACCESS, "  'Storage Table Data Contributor': '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'\n", "", "roles_are_in_the_table"),
    Mutation(ACCESS, "roleIds['Monitoring Metrics Publisher'])", "roleIds['Monitoring Publisher'])", "roles_are_in_the_table"),
    Mutation(ACCESS, "operatorVaultRoles = empty(operatorPrincipalId) ? [] :", "operatorVaultRoles =", "operator_can_repair"),
    # names
    Mutation(STORAGE, "'mail-outbox', ", "'mail-outbx', ", "queues_tables_and_containers_are_the_codes"),
    Mutation(STORAGE, "'Deliveries'", "'Delivery'", "queues_tables_and_containers_are_the_codes"),
    Mutation(STORAGE, "'mail-requests' ]", "'mail-requests', 'spare' ]", "queues_tables_and_containers_are_the_codes"),
    Mutation(STORAGE, "[ 'mail-outbox', 'mail-outbox-poison' ]", "[ 'mail-outbox-poison', 'mail-outbox' ]", "schedulers_write_to_the_outbox"),
    Mutation(STORAGE, "'mail-outbox-poison'", "'mail-outbox-dead'", "each_queue_has_a_poison_queue"),
    Mutation(FUNCTION, "function:deliver_mail", "function:deliver_mails", "always_ready_function_exists"),
    Mutation(CLOUDS, "AzureADTokenExchangeUSGov", "AzureADTokenExchange", "clouds_are_the_codes"),
    Mutation(MAIN, "'usgov', 'usdod',", "'usgov',", "clouds_are_the_codes"),
    Mutation("infra/abbreviations.json", '"plan"', '"farm"', "abbreviations_are_used"),
    Mutation(MAIN, "azurewebsites.us", "azurewebsites.net", "every_azure_has_a_host_name"),
    # settings
    Mutation(FUNCTION, "  ADMIN_ROLE: adminRole\n", "", "template_sets_what_the_code_reads"),
    Mutation(FUNCTION, "  GRAPH_ENDPOINT:", "  GRAPH_URL:", "template_sets_what_the_code_reads"),
    Mutation("shared/config.py", '"ON_UNKNOWN_OUTCOME"', '"ON_UNKNOWN"', "template_sets_what_the_code_reads"),
    Mutation(FUNCTION, "union(hostSettings, appSettings, credential)", "union(hostSettings, appSettings)", "all_settings_reach_the_site"),
    Mutation(FUNCTION, "  AzureWebJobsStorage__clientId: identityClientId\n", "", "connections_have_credential_and_client"),
    Mutation(FUNCTION, "  AzureWebJobsStorage__queueServiceUri: queueEndpoint\n", "", "connections_have_credential_and_client"),
    Mutation(FUNCTION, "? certificateReference : identityReference", "? certificateReference : secretReference", "one_credential_is_set"),
    Mutation(MAIN, "param clientSecretName string = ''", "param clientSecretName string = 'secret'", "one_credential_is_set"),
    Mutation(FUNCTION, "API_AUDIENCE: entraClientId", "API_AUDIENCE: publicBaseUrl", "values_come_from_where_they_belong"),
    Mutation(FUNCTION, "Authorization=AAD", "Authorization=Aad", "values_come_from_where_they_belong"),
    Mutation(FUNCTION, "THREAD_COUNT: '16'", "THREAD_COUNT: '8'", "every_mail_in_flight_has_a_thread"),
    Mutation("host.json", '"newBatchThreshold": 7', '"newBatchThreshold": 15', "every_mail_in_flight_has_a_thread"),
    Mutation("local.settings.sample.json", '    "SMTP_PROVIDER": "Office365",\n', "", "sample_lists_every_setting"),
    Mutation("local.settings.sample.json", '"ENTRA_CLIENT_CERTIFICATE_PATH": ""', '"ENTRA_CLIENT_CERTIFICATE_PATH": "x"', "sample_lists_every_setting"),
    # entra
    Mutation(PERMISSIONS, "e383f46e", "e383f46f", "permissions_are_those_needed"),
    Mutation(PERMISSIONS, '"application": {', '"application": {\n    "Mail.Read": "810c84a8-4a9e-49e6-bf7d-12d183f40d01",', "permissions_are_those_needed"),
    Mutation("shared/settings/tenant.py", '"Mail.Send"', '"Mail.Read"', "scopes_of_the_code_are_declared"),
    Mutation(ENTRA, "type: 'Role'", "type: 'Scope'", "permissions_are_declared_on_graph"),
    Mutation(ENTRA, "00000003-0000", "00000002-0000", "permissions_are_declared_on_graph"),
    Mutation(ENTRA, "Microsoft.Graph/appRoleAssignedTo@", "Microsoft.Graph/oauth2PermissionGrants@", "nothing_is_granted_by_itself"),
    Mutation(ENTRA, "requestedAccessTokenVersion: 2", "requestedAccessTokenVersion: 1", "tokens_are_of_version_two"),
    Mutation(ENTRA, "[ 'User' ]", "[ 'User', 'Application' ]", "admins_are_users_with_the_role"),
    Mutation(MAIN, "'Workspace.Admin'", "'Admin'", "admins_are_users_with_the_role"),
    Mutation(ENTRA, "web: { redirectUris", "spa: { redirectUris", "redirect_is_the_callback"),
    Mutation(MAIN, "/api/consent/callback", "/api/callback", "redirect_is_the_callback"),
    Mutation(ENTRA, "'${registration.uniqueName}/managed-identity'", "'managed-identity'", "identity_is_the_credential"),
    Mutation(ENTRA, "/v2.0'", "/v2.0/'", "identity_is_the_credential"),
    Mutation(VAULT, "param name string", "extension microsoftGraphV1\nparam name string", "extension_stands_in_one_module"),
    # deployment
    Mutation(PARAMETERS, '"alertEmails"', '"alertMails"', "parameter_file_fits"),
    Mutation(PARAMETERS, '    "location": { "value": "${AZURE_LOCATION}" },\n', "", "parameter_file_fits"),
    Mutation(MAIN, "@description('Days for which the log is kept.')\n", "", "parameters_are_described"),
    Mutation(MAIN, "param alertEmails string = ''", "param alertEmails string", "only_three_things_are_asked"),
    Mutation(PARAMETERS, "DELIVERY_RETENTION_DAYS=90", "DELIVERY_RETENTION_DAYS=30", "defaults_agree"),
    Mutation(MAIN, "param clientSecretName", "@secure()\nparam clientSecretName", "nothing_needs_a_secret"),
    Mutation(STORAGE, "output name string = account.name", "output name string = account.listKeys().keys[0].value", "nothing_needs_a_secret"),
    Mutation(BUDGET, "param startDate string", "param startDate string = utcNow('yyyy-MM-01')", "second_run_changes_nothing"),
    Mutation(MAIN, "  dependsOn: [ roles ]\n", "", "roles_come_before_the_site"),
    Mutation(MAIN, "  scope: group\n", "", "main_has_modules_only"),
    Mutation(MAIN, "targetScope = 'subscription'", "targetScope = 'resourceGroup'", "main_has_modules_only"),
    Mutation(FUNCTION, "'azd-service-name': 'api'", "'azd-service-name': 'app'", "azd_finds_the_site"),
    Mutation("azure.yaml", "next_steps.py", "nextsteps.py", "azd_finds_the_site"),
    Mutation(VAULT, "  tags: tags\n", "", "everything_is_tagged"),
    Mutation(MAIN, "output REDIRECT_URI", "output REDIRECT", "hook_reads_outputs"),
    Mutation(BUDGET, "startDate: startDate", "startDate: '2026-12-01'", "budget_has_a_fixed_start"),
    # alerts
    Mutation(f"{QUERIES}/consent-lost.kql", "consent_lost", "consent_gone", "queries_search_for_real_events"),
    Mutation(WORKBOOK, "'token_refreshed'", "'token_renewed'", "queries_search_for_real_events"),
    Mutation("shared/sending/outcome.py", "who_acts=", "actor=", "queries_read_fields_that_are_logged"),
    Mutation(f"{QUERIES}/mail-deferred-long.kql", "Fields.message_id", "Fields.messageId", "queries_read_fields_that_are_logged"),
    Mutation(f"{QUERIES}/vault-forbidden.kql", "AZKVAuditLogs", "AzureDiagnostics", "queries_read_known_tables"),
    Mutation(f"{QUERIES}/vault-forbidden.kql", "== 403", "== 404", "what_must_be_noticed_is_watched"),
    Mutation(f"{QUERIES}/mail-poisoned.kql", "mail_poisoned", "mail_expired", "what_must_be_noticed_is_watched"),
    Mutation(ALERTS, "name: 'consent-lost'", "name: 'consent-gone'", "every_query_is_an_alert"),
    Mutation(ALERTS, "frequency: 'PT5M'", "frequency: 'PT7M'", "windows_are_ones_that_azure_takes"),
    Mutation(ALERTS, "window: 'PT15M'", "window: 'PT1M'", "windows_are_ones_that_azure_takes"),
    Mutation(ALERTS, "    severity: 1\n", "", "alert_rules_are_complete"),
    Mutation(ALERTS, "query: rule.query", "query: rule.name", "alerts_reach_somebody"),
    Mutation(ALERTS, "emailAddress: address\n", "emailAddress: 'nobody@example.com'\n", "action_group_writes_mails"),
    Mutation(ALERTS, "actionGroups: [ actionGroup.id ]", "actionGroups: []", "alerts_reach_somebody"),
    Mutation(ALERTS, "threshold: 0", "threshold: 10", "alerts_reach_somebody"),
    Mutation(f"{QUERIES}/function-failed.kql", "'release_waiting_mails'", "'release_waiting'", "failing_functions_are_watched"),
    Mutation(RUNBOOK, "\n### vault-forbidden\n", "\n### The vault\n", "runbook_explains_alerts_and_events"),
    Mutation(RUNBOOK, "| `mail_verifying` |", "| verifying |", "runbook_explains_alerts_and_events"),
    # workflows
    Mutation(CI, "@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0", "@v5", "actions_are_pinned"),
    Mutation(DEPLOY, "Azure/setup-azd@c495", "Azure/setup-azd@d495", "actions_are_pinned"),
    Mutation(CI, "permissions: {}", "permissions: write-all", "permissions_are_minimal"),
    Mutation(CI, "contents: read", "contents: write", "permissions_are_minimal"),
    Mutation(CI, "    timeout-minutes: 15\n", "", "jobs_end"),
    Mutation(DEPLOY, "${{ vars.AZURE_CLIENT_ID }}", "${{ secrets.AZURE_CLIENT_ID }}", "nothing_is_secret"),
    Mutation(CI, "persist-credentials: false", "fetch-depth: 0", "nothing_is_secret"),
    Mutation(DEPLOY, "azd provision --no-prompt", "azd provision -e ${{ inputs.environment }}", "inputs_are_not_pasted_into_scripts"),
    Mutation(CI, "az bicep build", "echo bicep build", "ci_compiles_and_tests"),
    Mutation(DEPLOY, "      PRIVATE_NETWORK: ${{ vars.PRIVATE_NETWORK }}\n", "", "deployment_passes_every_variable"),
    Mutation(DEPLOY, "vars.ALLOWED_IP_ADDRESSES", "vars.ALLOWED_ADDRESSES", "deployment_passes_every_variable"),
    Mutation(PARAMETERS, "${CUSTOM_BASE_URL}", "${BASE_URL}", "deployment_passes_every_variable"),
]
# fmt: on
