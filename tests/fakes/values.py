"""The tenants, time and configuration of the tests."""

from __future__ import annotations

from datetime import UTC, datetime

from shared.client_credential import ClientSecret
from shared.config import AppConfig
from shared.settings.installation import Installation

CONTOSO = "6f1c0000-0000-4000-8000-0000000c0701"


FABRIKAM = "6f1c0000-0000-4000-8000-0000000fab71"


CLIENT_ID = "11111111-2222-4333-8444-555555555555"


STORAGE_ACCOUNT = "stmailer"


INSTALLATION = Installation(CLIENT_ID, STORAGE_ACCOUNT)


NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


CONFIG = AppConfig(
    entra_tenant_id=CONTOSO,
    entra_client_id=CLIENT_ID,
    credential=ClientSecret("app-secret"),
    authority_host="https://login.microsoftonline.com",
    graph_endpoint="https://graph.microsoft.com",
    graph_resource="https://graph.microsoft.com",
    allowed_tenant_ids=frozenset({CONTOSO, FABRIKAM}),
    api_audience=CLIENT_ID,
    admin_role="Workspace.Admin",
    required_api_scope="settings",
    allowed_client_ids=frozenset(),
    public_base_url="https://mailer.contoso.com",
    frontend_origins=("https://inforiver.contoso.com",),
    key_vault_url="https://mailer.vault.azure.net",
    identity_client_id=None,
    on_unknown_outcome="hold",
    mailbox_message_limit_mb=35,
    delivery_retention_days=90,
)
