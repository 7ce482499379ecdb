"""Every few minutes: let waiting mail go where it can be sent again, and look after what was left behind.

A consent releases its tenant's mail at once; this is for what that missed, and for operators'
errors, which nobody reports as mended.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.deliveries.delivery import DeliveryStatus
from shared.deliveries.waiting import release_next, resume_overdue
from shared.errors import ConfigurationError, ConsentRequiredError, MailerError, ProblemError
from shared.sending.draft import DraftNote, abandon
from shared.sending.mailbox import Mailbox
from shared.settings.health import note_failure
from shared.settings.sender import sender_of
from shared.settings.state import note_refresh
from shared.settings.tenant import Status, TenantSettings
from shared.settings.update import update_settings
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from shared.sending.dependencies import Sending

_WAITING = (DeliveryStatus.WAITING_FOR_CONSENT, DeliveryStatus.WAITING_FOR_OPERATOR)
#: The releases come after it, and the host ends the timer after ten minutes.
_TIME_FOR_DRAFTS = timedelta(minutes=2)
#: These come to an end within a day, and a draft that is of no use then goes with it.
_UNDER_WAY = frozenset({DeliveryStatus.SENDING, DeliveryStatus.DEFERRED, DeliveryStatus.VERIFYING})
#: A mail that has not moved for so long is not being sent; its draft can be made again.
_DRAFTS_KEPT = timedelta(hours=12)


def release_all(ports: Sending) -> None:
    """Look after every tenant; one that fails keeps no other from it, whatever it fails with.

    What nobody foresaw goes up once everything else is done.
    """
    with ExitStack() as work:
        for tenant_id in _tenants(ports):
            work.callback(_look_after, tenant_id, ports)
        # The last is done first: what is released now may be sent now, and with it its draft.
        work.callback(_remove_old_drafts, ports)


def _tenants(ports: Sending) -> list[str]:
    """Name whoever may have mail: it can come before there are settings."""
    tenants = set(ports.settings.tenants())
    # A setting that is broken keeps all mail where it is.
    with suppress(ConfigurationError):
        tenants |= ports.allowed_tenants
    return sorted(tenants)


def _look_after(tenant_id: str, ports: Sending) -> None:
    try:
        _release(tenant_id, ports)
    except ProblemError as error:
        _note_missed(tenant_id, error)


def _release(tenant_id: str, ports: Sending) -> None:
    resume_overdue(tenant_id, ports)
    if not ports.deliveries.count(tenant_id, _WAITING):
        return
    settings = ports.settings.load(tenant_id)
    if settings.status is Status.ENABLED or _works_again(settings, ports):
        for status in _WAITING:
            release_next(tenant_id, status, ports)
    elif settings.status is Status.NOT_CONFIGURED:
        # What was broken may be mended by now; next the mail waits for the first consent.
        release_next(tenant_id, DeliveryStatus.WAITING_FOR_OPERATOR, ports)


def _works_again(settings: TenantSettings, ports: Sending) -> bool:
    """Try what an operator may have mended; a lost consent only an admin can give again."""
    if settings.status is not Status.OPERATOR_ERROR or settings.consent is None:
        return False
    generation = settings.consent.generation
    try:
        ports.tokens.get(settings.tenant_id, settings.consent, fresh=True)
    except ConfigurationError:
        return False
    except ConsentRequiredError as error:
        note_failure(ports.settings, settings.tenant_id, generation, error, ports.world)
        return False
    update_settings(
        ports.settings,
        settings.tenant_id,
        lambda now: note_refresh(now, generation, ports.world.now(), stored=False),
    )
    return True


def _remove_old_drafts(ports: Sending) -> None:
    """Keep half-made mails from staying in anybody's Drafts; what there is no time for waits."""
    begun = ports.world.now()
    for tenant_id, message_id in ports.drafts.untouched_since(begun - _DRAFTS_KEPT):
        if ports.world.now() - begun > _TIME_FOR_DRAFTS:
            return
        note = DraftNote(tenant_id, message_id, ports)
        try:
            row = ports.deliveries.find(tenant_id, message_id)
            if row is not None and row.status in _UNDER_WAY:
                continue
            mailbox = Mailbox(sender_of(ports.settings.load(tenant_id)), ports)
            abandon(note, mailbox, ports)
        except (MailerError, ConfigurationError) as error:
            _note_missed(tenant_id, error)


def _note_missed(tenant_id: str, error: ProblemError) -> None:
    log_event(
        Event.REQUEST_FAILED, level=logging.WARNING, path="release", problem=error.code, tenant_id=tenant_id
    )
