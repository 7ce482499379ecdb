"""Delete the stored data of a tenant that is not served any more.

The first call only reports what is stored, with a code. A second call with this code deletes it. If the
deletion fails, it can be repeated. The settings are deleted last, so that the tenant is found until
everything else is deleted.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from shared.deliveries.status import DeliveryStatus
from shared.errors import ConflictError
from shared.operate.record import DeletionServices, record_action, say
from shared.settings.secret_names import names_of, tenant_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from shared.consent.ports import TokenStore
    from shared.settings.ports import SettingsStore
    from shared.settings.tenant import TenantSettings

DELETE = "delete_tenant"
_NOT_DELETED = """\
Not deleted: messages in the queue (once processed they wait for the operator; delete the tenant again then),
files in the container attachments (deleted after their retention period), unsent drafts in the mailbox, log
lines, and the permission at Microsoft."""


class DeleteTenantServices(DeletionServices, Protocol):
    """The ports of this command."""

    @property
    def allowed_tenants(self) -> frozenset[str]:
        """The tenants that this installation serves."""

    @property
    def settings(self) -> SettingsStore:
        """The settings of the tenants of this installation."""

    @property
    def vault(self) -> TokenStore:
        """The token store."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """What is stored of a tenant."""

    tenant_id: str
    settings: bool
    tokens: tuple[str, ...]
    flows: tuple[str, ...]
    requests: tuple[str, ...]
    drafts: tuple[str, ...]
    deliveries: int

    @property
    def counts(self) -> dict[str, int]:
        """The number of items of each kind."""
        return {
            "settings": int(self.settings),
            "tokens": len(self.tokens),
            "consents_under_way": len(self.flows),
            "stored_requests": len(self.requests),
            "notes_on_drafts": len(self.drafts),
            "deliveries": self.deliveries,
        }

    @property
    def code(self) -> str:
        """Return a code that confirms the deletion of exactly these items."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:8]


def take_inventory(tenant_id: str, ports: DeleteTenantServices) -> Inventory:
    """List everything that is stored of a tenant."""
    settings = ports.settings.load(tenant_id)
    return Inventory(
        tenant_id,
        settings=settings.etag is not None,
        tokens=tuple(sorted({*names_of(tenant_id, ports.vault.names()), *_named_tokens(settings)})),
        flows=tuple(sorted(ports.flows.of_tenant(tenant_id))),
        requests=tuple(sorted(ports.requests.of_tenant(tenant_id))),
        drafts=tuple(sorted(ports.drafts.of_tenant(tenant_id))),
        deliveries=ports.deliveries.count_all(tenant_id),
    )


def _named_tokens(settings: TenantSettings) -> Iterator[str]:
    """Return the names of the tokens in the settings.

    Tokens of older versions have no tag, so the list of the vault does not show them.
    """
    yield from settings.undeleted_tokens
    if settings.consent and settings.consent.secret_name:
        yield settings.consent.secret_name


def delete_tenant(tenant_id: str, code: str | None, ports: DeleteTenantServices) -> bool:
    """Report what is stored of a tenant, or delete it if the code is given.

    Returns False if the code is wrong, so that nothing was deleted.

    Raises:
        ConflictError: `tenant_still_served`, or `still_under_way` while one of its mails is being sent.
    """
    _check_may_delete(tenant_id, ports)
    found = take_inventory(tenant_id, ports)
    say(f"Tenant {tenant_id}")
    for name, count in found.counts.items():
        say(f"  {name.replace('_', ' ')}: {count}")
    if not any(found.counts.values()):
        say("No data of this tenant is stored.")
        return True
    if code is None:
        say(f"Nothing was deleted. To delete all of it, repeat the command with --confirm {found.code}")
        return True
    if code != found.code:
        say(f"Nothing was deleted: the code does not match this inventory. Its code is {found.code}")
        return False
    record_action(DELETE, "started", ports, tenant_id=tenant_id, counts=found.counts)
    recoverable = max(_delete(found, ports), default=None)
    record_action(DELETE, "done", ports, tenant_id=tenant_id, counts=found.counts)
    say("Deleted.")
    if recoverable:
        say(f"The deleted tokens are recoverable in the vault until {recoverable:%Y-%m-%d}.")
    say(_NOT_DELETED)
    return True


def _check_may_delete(tenant_id: str, ports: DeleteTenantServices) -> None:
    if tenant_id in ports.allowed_tenants:
        raise ConflictError("tenant_still_served")
    for mail in ports.deliveries.pending(tenant_id, [DeliveryStatus.SENDING]):
        # The list has the times of the workers' clocks, and a single row has them converted to the clock of
        # this machine.
        row = ports.deliveries.find(tenant_id, mail.message_id)
        if row is not None and row.is_being_sent(ports.system.now()):
            raise ConflictError("still_under_way")


def _delete_tokens(found: Inventory, ports: DeleteTenantServices) -> Iterator[datetime]:
    """Delete the tokens, and purge those that were deleted before."""
    for name in found.tokens:
        until = ports.vault.delete(name)
        if until is not None:
            yield until
    for deleted in ports.vault.recoverable():
        if tenant_of(deleted.name) != found.tenant_id:
            continue
        if deleted.purgeable:
            ports.vault.purge(deleted.name)
        elif deleted.recoverable_until:
            yield deleted.recoverable_until


def _delete(found: Inventory, ports: DeleteTenantServices) -> Iterator[datetime]:
    """Delete everything; return until when the vault can recover tokens."""
    for flow_id in found.flows:
        ports.flows.remove(flow_id)
    yield from _delete_tokens(found, ports)
    for texts, message_ids in ((ports.requests, found.requests), (ports.drafts, found.drafts)):
        for message_id in message_ids:
            texts.remove(found.tenant_id, message_id)
    ports.deliveries.remove_all(found.tenant_id)
    ports.settings.remove(found.tenant_id)
