"""Valid values that a test changes where it needs to."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

from shared.caller import Caller
from shared.settings.tenant import Account, Consent, RequestedSender, Status, TenantSettings
from tests.fakes import CONTOSO, NOON, FakeServices

ADA = Account("ada-object-id", CONTOSO, "ada@contoso.com")
ADMIN = Caller(CONTOSO, "ada-object-id", "ada@contoso.com")


def a_message(**changes: Any) -> bytes:
    """Build a queued message; a change of None leaves the member out."""
    members = {
        "schemaVersion": 1,
        "messageId": "sales-weekly:2026-11-23T06:00Z:emea",
        "tenantId": CONTOSO,
        "to": ["cfo@contoso.com"],
        "subject": "Weekly sales, EMEA",
        "body": {"contentType": "html", "content": "<p>Up 4 %</p>"},
        **changes,
    }
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()


def a_consent(**changes: Any) -> Consent:
    """Build Ada's consent for her own mailbox."""
    consent = Consent(
        version=1,
        flow_id="00000000-0000-4000-8000-0000000000f1",
        account=ADA,
        scopes=frozenset({"Mail.Send"}),
        secret_name=f"smtp-{CONTOSO}-1",
        started_by="ada@contoso.com",
        consented_by="ada@contoso.com",
        consented_at=NOON - timedelta(days=1),
        refreshed_at=NOON,
        stored_at=NOON,
    )
    return replace(consent, **changes)


def some_settings(**changes: Any) -> TenantSettings:
    """Build the settings of a tenant that sends as ada@contoso.com."""
    settings = TenantSettings(
        CONTOSO,
        status=Status.ENABLED,
        sender=RequestedSender("ada@contoso.com"),
        consent=a_consent(),
        last_version=1,
    )
    return replace(settings, **changes)


def a_file(path: str, **changes: Any) -> dict[str, Any]:
    """Build an attachment from Ada's tenant's folder."""
    name = path.rpartition("/")[2]
    return {
        "name": name,
        "contentType": "application/octet-stream",
        "blob": f"{CONTOSO}/{path}",
        **changes,
    }


def list_senders(services: FakeServices, *addresses: str) -> None:
    """Let these addresses, and no others, send with the app's own permission."""
    services.configure(application_senders=addresses)


def large_file_services(**files: bytes) -> FakeServices:
    """Build services with large files enabled and files in the container."""
    services = enabled_services(
        sender=RequestedSender("ada@contoso.com", large_file_attachments=True),
        consent=a_consent(scopes=frozenset({"Mail.Send", "Mail.ReadWrite"})),
    )
    services.files.blobs = {f"{CONTOSO}/{name}": content for name, content in files.items()}
    return services


def enabled_services(**changes: Any) -> FakeServices:
    """Build services whose tenant can send."""
    services = FakeServices()
    services.settings.save(some_settings(**changes))
    services.vault.write(f"smtp-{CONTOSO}-1", "tokens")
    return services
