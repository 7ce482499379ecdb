"""Name the app's tables, queues and containers, and the API version.

`infra/` creates them.
"""

import re
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

#: https://learn.microsoft.com/rest/api/storageservices/naming-queues-and-metadata
QUEUE_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9]|-(?!-)){1,61}[a-z0-9]")

#: For blobs, queues and tables. The SDKs' defaults are newer, and national clouds and Azurite can lack them.
API_VERSION: Final = "2020-12-06"
