"""Names of everything the app keeps in Azure Storage; `infra/` provisions the same."""

from typing import Final

MAIL_OUTBOX: Final = "mail-outbox"
MAIL_OUTBOX_POISON: Final = "mail-outbox-poison"

ATTACHMENTS: Final = "attachments"
MAIL_REQUESTS: Final = "mail-requests"

TENANT_SETTINGS: Final = "TenantSettings"
CONSENT_FLOWS: Final = "ConsentFlows"
DELIVERIES: Final = "Deliveries"

QUEUES: Final = (MAIL_OUTBOX, MAIL_OUTBOX_POISON)
CONTAINERS: Final = (ATTACHMENTS, MAIL_REQUESTS)
TABLES: Final = (TENANT_SETTINGS, CONSENT_FLOWS, DELIVERIES)
