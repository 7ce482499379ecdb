"""Find out which tenants can send again, and let their waiting mail go.

A consent releases its tenant's mail at once; this is for what that missed, and for operators'
errors, which nobody reports as mended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.deliveries.delivery import DeliveryStatus
from shared.deliveries.waiting import release_waiting
from shared.errors import ConfigurationError, MailerError
from shared.settings.health import note_failure
from shared.settings.state import note_refresh
from shared.settings.tenant import Status, TenantSettings
from shared.settings.update import update_settings

if TYPE_CHECKING:
    from shared.sending.dependencies import Sending

_WAITING = (DeliveryStatus.WAITING_FOR_CONSENT, DeliveryStatus.WAITING_FOR_OPERATOR)


def release_all(ports: Sending) -> None:
    """Release the waiting mail of every tenant that can send."""
    for tenant_id in ports.settings.tenants():
        if not ports.deliveries.count(tenant_id, _WAITING):
            continue
        settings = ports.settings.load(tenant_id)
        if settings.status is Status.ENABLED or _works_again(settings, ports):
            for status in _WAITING:
                release_waiting(tenant_id, status, ports)


def _works_again(settings: TenantSettings, ports: Sending) -> bool:
    """Try what an operator may have mended; a lost consent only an admin can give again."""
    if settings.status is not Status.OPERATOR_ERROR or settings.consent is None:
        return False
    generation = settings.consent.generation
    try:
        ports.tokens.get(settings.tenant_id, settings.consent, fresh=True)
    except ConfigurationError:
        return False
    except MailerError as error:
        note_failure(ports.settings, settings.tenant_id, generation, error, ports.world)
        return False
    update_settings(
        ports.settings,
        settings.tenant_id,
        lambda now: note_refresh(now, generation, ports.world.now(), stored=False),
    )
    return True
