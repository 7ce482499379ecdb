"""Define the transitions of a tenant's settings. Pure: no I/O, no clock.

Each function takes the current settings and returns the new ones. The store writes the new settings only if
the row still has the ETag that was read, so of two concurrent changes one fails with a conflict.

    status            enable   save      completed   consent lost      operator error   works again
    not_configured    pending  409       enabled     -                 -                -
    enabled           409      pending*  enabled     reconnect_needed  operator_error   enabled
    reconnect_needed  pending  pending   enabled     reconnect_needed  -                enabled
    operator_error    pending  pending   enabled     reconnect_needed  operator_error   enabled
    sender_refused    pending  pending   enabled**   reconnect_needed  operator_error   enabled***

"pending" keeps the status and the old sender, so a consent that is declined, fails or expires changes
nothing. (*) Save without a change needs no consent. (**) One of the waiting mails is tried first. (***) Only
when a mail is accepted, see `sender_refusal.py`; an issued token proves nothing. Enable and Save can't switch
large file attachments off (409); Reset can, and leads to not_configured from every status.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.errors import ConflictError
from shared.settings.tenant import (
    ActiveProblem,
    Consent,
    PendingConsent,
    RequestedSender,
    Status,
    TenantSettings,
)

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

#: After this time, the vault lists deleted tokens as deleted. It normally does so after seconds to minutes,
#: but nothing guarantees that.
_DELETION_LISTED_AFTER = timedelta(hours=1)
_MAX_UNDELETED = 50


def check_enable(settings: TenantSettings, requested: RequestedSender) -> None:
    """Refuse Enable if sending already works.

    Raises:
        ConflictError: `already_enabled`, `large_file_attachments_locked`.
    """
    if settings.status is Status.ENABLED and settings.sender:
        raise ConflictError("already_enabled", address=settings.sender.from_address)
    _check_large_attachments_lock(settings, requested)


def check_save(settings: TenantSettings, requested: RequestedSender) -> None:
    """Refuse Save if nothing is configured yet.

    Raises:
        ConflictError: `not_configured`, `large_file_attachments_locked`.
    """
    if settings.sender is None:
        raise ConflictError("not_configured")
    _check_large_attachments_lock(settings, requested)


def _check_large_attachments_lock(settings: TenantSettings, requested: RequestedSender) -> None:
    """Refuse to switch off large attachments, which only Reset can do.

    The permission that Microsoft granted for it would remain.
    """
    if settings.sender and settings.sender.large_file_attachments and not requested.large_file_attachments:
        raise ConflictError("large_file_attachments_locked")


def is_unchanged(settings: TenantSettings, requested: RequestedSender) -> bool:
    """Return whether nothing would change, so that no consent is needed."""
    return settings.status is Status.ENABLED and settings.sender == requested


def begin_consent(
    settings: TenantSettings, requested: RequestedSender, flow_id: str, expires_at: datetime
) -> TenantSettings:
    """Record a pending consent; an earlier one is superseded."""
    version = settings.last_version + 1
    pending = PendingConsent(flow_id, version, requested, expires_at)
    return replace(settings, pending=pending, last_version=version)


def pending_consent(settings: TenantSettings, flow_id: str) -> PendingConsent:
    """Return the pending consent if it is still this one.

    Raises:
        ConflictError: `consent_superseded` by a Reset or a newer consent.
    """
    if settings.pending is None or settings.pending.flow_id != flow_id:
        raise ConflictError("consent_superseded")
    return settings.pending


def complete_consent(settings: TenantSettings, flow_id: str, consent: Consent) -> TenantSettings:
    """Store the new sender.

    If it is stored already, because the response to an earlier write was lost, nothing changes.

    Raises:
        ConflictError: `consent_superseded` by a Reset or a newer consent.
    """
    if is_current_consent(settings, consent.version):
        return settings
    pending = pending_consent(settings, flow_id)
    return replace(
        settings,
        status=Status.ENABLED,
        sender=pending.requested,
        consent=consent,
        pending=None,
        problem=None,
        undeleted_tokens=_tokens_to_delete(settings),
        # A recorded refusal remains until a mail is accepted, and its first probe is due at once.
        refusal=settings.refusal
        and replace(settings.refusal, probe_message_id=None, probed_at=None, probe_count=0),
    )


def end_consent(settings: TenantSettings, flow_id: str) -> TenantSettings:
    """Remove a declined, failed or expired pending consent."""
    if settings.pending is None or settings.pending.flow_id != flow_id:
        return settings
    return replace(settings, pending=None)


def reset(settings: TenantSettings) -> TenantSettings:
    """Remove all but the last version and the record of old tokens."""
    return TenantSettings(
        settings.tenant_id,
        last_version=settings.last_version,
        undeleted_tokens=_tokens_to_delete(settings),
        deleted_at=settings.deleted_at,
        recoverable_until=settings.recoverable_until,
        etag=settings.etag,
    )


def record_undeleted_tokens(settings: TenantSettings, name: str, now: datetime) -> TenantSettings:
    """Record unused tokens that are about to be deleted.

    If the response to their deletion is lost, they remain recorded, because they may not be deleted.
    """
    return replace(settings, undeleted_tokens=_add_name(settings.undeleted_tokens, name), deleted_at=now)


def record_deleted_tokens(
    settings: TenantSettings, name: str, recoverable_until: datetime | None, now: datetime
) -> TenantSettings:
    """Record that tokens are deleted, and until when they are recoverable.

    Of several such times, the latest is kept.
    """
    remaining = tuple(each for each in settings.undeleted_tokens if each != name)
    if recoverable_until is None:
        return replace(settings, undeleted_tokens=remaining)
    latest = max(settings.recoverable_until or recoverable_until, recoverable_until)
    return replace(settings, undeleted_tokens=remaining, recoverable_until=latest, deleted_at=now)


def record_vault_content(
    settings: TenantSettings,
    names: Collection[str],
    deleted: Collection[str],
    recoverable_until: datetime | None,
    now: datetime,
) -> TenantSettings:
    """Record which old tokens the vault still has.

    For some time after a deletion the vault lists the tokens nowhere, not even among the deleted ones. So
    tokens that are not listed count as not deleted for that time.

    Args:
        settings: the current settings.
        names: the tokens that the vault has.
        deleted: the tokens that the vault lists as deleted.
        recoverable_until: until when deleted tokens can be recovered.
        now: the current time.
    """
    recent = settings.deleted_at is not None and now - settings.deleted_at < _DELETION_LISTED_AFTER
    remaining = []
    for name in settings.undeleted_tokens:
        is_unlisted = name not in names and name not in deleted
        if name in names or (recent and is_unlisted):
            remaining.append(name)
    settings = replace(settings, undeleted_tokens=tuple(remaining))
    known = settings.recoverable_until
    if recent and known and (recoverable_until is None or recoverable_until < known):
        return settings
    return replace(settings, recoverable_until=recoverable_until)


def _tokens_to_delete(settings: TenantSettings) -> tuple[str, ...]:
    """Name the tokens to delete once the current consent is replaced."""
    name = settings.consent.secret_name if settings.consent else None
    return _add_name(settings.undeleted_tokens, name) if name else settings.undeleted_tokens


def _add_name(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    """Add a name, and drop the oldest ones over the limit.

    A row holds 64 KiB, and the daily maintenance also finds tokens whose names were dropped.
    """
    others = tuple(each for each in names if each != name)
    return (*others, name)[-_MAX_UNDELETED:]


def mark_reconnect_needed(settings: TenantSettings, version: int, problem: ActiveProblem) -> TenantSettings:
    """Record that a new consent is needed, if the current one was lost."""
    if not is_current_consent(settings, version):
        return settings
    return with_problem(settings, Status.RECONNECT_NEEDED, problem)


def record_operator_error(settings: TenantSettings, version: int, problem: ActiveProblem) -> TenantSettings:
    """Record an operator error; a lost consent takes precedence."""
    if not is_current_consent(settings, version) or settings.status is Status.RECONNECT_NEEDED:
        return settings
    return with_problem(settings, Status.OPERATOR_ERROR, problem)


def forget_mailbox_id(settings: TenantSettings, version: int) -> TenantSettings:
    """Remove a mailbox id that Graph does not know.

    If the mailbox was created again, it has another id.
    """
    if not is_current_consent(settings, version) or settings.consent is None:
        return settings
    return replace(settings, consent=replace(settings.consent, mailbox_id=None))


def with_problem(settings: TenantSettings, status: Status, problem: ActiveProblem) -> TenantSettings:
    """Record a problem; if it is recorded already, keep its start time."""
    known = settings.problem
    if settings.status is status and known and known.code == problem.code:
        problem = replace(problem, since=known.since)
    return replace(settings, status=status, problem=problem)


def is_current_consent(settings: TenantSettings, version: int) -> bool:
    """Return whether this consent is still the tenant's."""
    return settings.consent is not None and settings.consent.version == version
