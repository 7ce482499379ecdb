"""What may happen to a tenant's settings. Pure: no I/O, no clock.

Each function takes the settings as they are and returns them as they will be. The store writes them
with the ETag that was read, so of two changes at once one is told that the settings moved on.

    status            enable   save      completed   consent lost      operator error   works again
    not_configured    pending  409       enabled     -                 -                -
    enabled           409      pending*  enabled     reconnect_needed  operator_error   enabled
    reconnect_needed  pending  pending   enabled     reconnect_needed  -                enabled
    operator_error    pending  pending   enabled     reconnect_needed  operator_error   enabled

"pending" leaves the status and the old sender as they are, so a consent that is declined, fails or
expires changes nothing. (*) Save of what holds already needs no consent. Enable and Save can't switch
large file attachments off (409); Reset can, and leads to not_configured from everywhere.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from shared.errors import ConflictError
from shared.settings.tenant import (
    Consent,
    PendingConsent,
    StandingProblem,
    Status,
    TenantSettings,
    Wanted,
)

if TYPE_CHECKING:
    from datetime import datetime


def check_enable(settings: TenantSettings, wanted: Wanted) -> None:
    """Refuse Enable where sending works already.

    Raises:
        ConflictError: `already_enabled`, `large_file_attachments_locked`.
    """
    if settings.status is Status.ENABLED and settings.sender:
        raise ConflictError("already_enabled", address=settings.sender.from_address)
    _check_lock(settings, wanted)


def check_save(settings: TenantSettings, wanted: Wanted) -> None:
    """Refuse Save where there is nothing to change yet.

    Raises:
        ConflictError: `not_configured`, `large_file_attachments_locked`.
    """
    if settings.sender is None:
        raise ConflictError("not_configured")
    _check_lock(settings, wanted)


def _check_lock(settings: TenantSettings, wanted: Wanted) -> None:
    """Keep what was authorised: Microsoft's grant would outlive the toggle, and only Reset ends it."""
    if settings.sender and settings.sender.large_file_attachments and not wanted.large_file_attachments:
        raise ConflictError("large_file_attachments_locked")


def holds_already(settings: TenantSettings, wanted: Wanted) -> bool:
    """Say whether nothing would change, so that nobody need consent."""
    return settings.status is Status.ENABLED and settings.sender == wanted


def begin_consent(
    settings: TenantSettings, wanted: Wanted, flow_id: str, expires_at: datetime
) -> TenantSettings:
    """Note a consent under way; an earlier one is superseded."""
    generation = settings.generations + 1
    pending = PendingConsent(flow_id, generation, wanted, expires_at)
    return replace(settings, pending=pending, generations=generation)


def pending_consent(settings: TenantSettings, flow_id: str) -> PendingConsent:
    """Return the consent under way, if it is still this one.

    Raises:
        ConflictError: `consent_superseded` by a Reset or a newer consent.
    """
    if settings.pending is None or settings.pending.flow_id != flow_id:
        raise ConflictError("consent_superseded")
    return settings.pending


def complete_consent(settings: TenantSettings, flow_id: str, consent: Consent) -> TenantSettings:
    """Let the new sender take over; where it did already, the answer to an earlier try was lost.

    Raises:
        ConflictError: `consent_superseded` by a Reset or a newer consent.
    """
    if holds(settings, consent.generation):
        return settings
    pending = pending_consent(settings, flow_id)
    return replace(
        settings, status=Status.ENABLED, sender=pending.wanted, consent=consent, pending=None, problem=None
    )


def end_consent(settings: TenantSettings, flow_id: str) -> TenantSettings:
    """Forget a consent that was declined, failed or expired; whatever worked goes on working."""
    if settings.pending is None or settings.pending.flow_id != flow_id:
        return settings
    return replace(settings, pending=None)


def reset(settings: TenantSettings) -> TenantSettings:
    """Forget everything but the count of generations, and until when old tokens are recoverable."""
    return TenantSettings(
        settings.tenant_id,
        generations=settings.generations,
        recoverable_until=settings.recoverable_until,
        etag=settings.etag,
    )


def note_deleted_tokens(settings: TenantSettings, recoverable_until: datetime) -> TenantSettings:
    """Note until when the vault can bring deleted tokens back; the longest time counts."""
    known = settings.recoverable_until
    return replace(settings, recoverable_until=max(known or recoverable_until, recoverable_until))


def lose_consent(settings: TenantSettings, generation: int, problem: StandingProblem) -> TenantSettings:
    """Note that an admin must consent again; news about an older generation changes nothing."""
    if not holds(settings, generation):
        return settings
    return _troubled(settings, Status.RECONNECT_NEEDED, problem)


def note_operator_error(
    settings: TenantSettings, generation: int, problem: StandingProblem
) -> TenantSettings:
    """Note that the operator must act; a lost consent stays the more urgent news."""
    if not holds(settings, generation) or settings.status is Status.RECONNECT_NEEDED:
        return settings
    return _troubled(settings, Status.OPERATOR_ERROR, problem)


def _troubled(settings: TenantSettings, status: Status, problem: StandingProblem) -> TenantSettings:
    """Keep since when it lasts where the same problem was met again."""
    known = settings.problem
    if settings.status is status and known and known.code == problem.code:
        problem = replace(problem, since=known.since)
    return replace(settings, status=status, problem=problem)


def note_refresh(
    settings: TenantSettings, generation: int, now: datetime, *, stored: bool, mends: bool = True
) -> TenantSettings:
    """Note that a token could be had; where it `mends`, that ends every problem of an earlier failure."""
    if not holds(settings, generation) or settings.consent is None:
        return settings
    stored_at = now if stored else settings.consent.stored_at
    consent = replace(settings.consent, refreshed_at=now, stored_at=stored_at)
    refreshed = replace(settings, consent=consent)
    return replace(refreshed, status=Status.ENABLED, problem=None) if mends else refreshed


def holds(settings: TenantSettings, generation: int) -> bool:
    """Say whether this consent is still the tenant's."""
    return settings.consent is not None and settings.consent.generation == generation
