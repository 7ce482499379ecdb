"""Define the transitions of a tenant's settings. Pure: no I/O, no clock.

Each function takes the current settings and returns the new ones. The store writes them with the ETag that
was read, so of two concurrent changes one fails with a conflict.

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

#: Deletion takes seconds to minutes, without a guarantee.
_DELETION_LISTED = timedelta(hours=1)
_MAX_UNDELETED = 50


def check_enable(settings: TenantSettings, requested: RequestedSender) -> None:
    """Refuse Enable where sending already works.

    Raises:
        ConflictError: `already_enabled`, `large_file_attachments_locked`.
    """
    if settings.status is Status.ENABLED and settings.sender:
        raise ConflictError("already_enabled", address=settings.sender.from_address)
    _check_lock(settings, requested)


def check_save(settings: TenantSettings, requested: RequestedSender) -> None:
    """Refuse Save where nothing is configured yet.

    Raises:
        ConflictError: `not_configured`, `large_file_attachments_locked`.
    """
    if settings.sender is None:
        raise ConflictError("not_configured")
    _check_lock(settings, requested)


def _check_lock(settings: TenantSettings, requested: RequestedSender) -> None:
    """Refuse to switch off large attachments; only Reset can.

    Microsoft's grant would outlast the toggle.
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
    """Store the new sender; if it is stored already, change nothing.

    The response to an earlier attempt was lost then.

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
        undeleted=_tokens_to_delete(settings),
        # Until a mail is accepted, one of the waiting ones is tried, the first at once.
        refusal=settings.refusal and replace(settings.refusal, probe=None, probed_at=None, probes=0),
    )


def end_consent(settings: TenantSettings, flow_id: str) -> TenantSettings:
    """Remove a declined, failed or expired consent; a working one stays."""
    if settings.pending is None or settings.pending.flow_id != flow_id:
        return settings
    return replace(settings, pending=None)


def reset(settings: TenantSettings) -> TenantSettings:
    """Remove everything except the last version and old tokens' state."""
    return TenantSettings(
        settings.tenant_id,
        last_version=settings.last_version,
        undeleted=_tokens_to_delete(settings),
        deleted_at=settings.deleted_at,
        recoverable_until=settings.recoverable_until,
        etag=settings.etag,
    )


def record_undeleted_tokens(settings: TenantSettings, name: str, now: datetime) -> TenantSettings:
    """Record tokens without a use that may not be deleted.

    The response to their deletion may be lost.
    """
    return replace(settings, undeleted=_add_name(settings.undeleted, name), deleted_at=now)


def record_deleted_tokens(
    settings: TenantSettings, name: str, recoverable_until: datetime | None, now: datetime
) -> TenantSettings:
    """Record that tokens are deleted, and until when they are recoverable.

    The latest time counts.
    """
    left = tuple(each for each in settings.undeleted if each != name)
    if recoverable_until is None:
        return replace(settings, undeleted=left)
    latest = max(settings.recoverable_until or recoverable_until, recoverable_until)
    return replace(settings, undeleted=left, recoverable_until=latest, deleted_at=now)


def record_vault_content(
    settings: TenantSettings,
    names: Collection[str],
    deleted: Collection[str],
    recoverable_until: datetime | None,
    now: datetime,
) -> TenantSettings:
    """Record which old tokens the vault has, and until when deleted ones.

    `names` are those that it has.

    For some time after a deletion the vault lists the tokens nowhere, not even among the `deleted` ones.
    """
    recent = settings.deleted_at is not None and now - settings.deleted_at < _DELETION_LISTED
    left = tuple(name for name in settings.undeleted if name in names or (recent and name not in deleted))
    settings = replace(settings, undeleted=left)
    known = settings.recoverable_until
    if recent and known and (recoverable_until is None or recoverable_until < known):
        return settings
    return replace(settings, recoverable_until=recoverable_until)


def _tokens_to_delete(settings: TenantSettings) -> tuple[str, ...]:
    """Name the tokens to delete once the current consent's are unused."""
    name = settings.consent.secret_name if settings.consent else None
    return _add_name(settings.undeleted, name) if name else settings.undeleted


def _add_name(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    """Add a name, up to a limit.

    A row holds 64 KB, and the daily maintenance also finds names that are not listed.
    """
    return (*(each for each in names if each != name), name)[-_MAX_UNDELETED:]


def mark_reconnect_needed(settings: TenantSettings, version: int, problem: ActiveProblem) -> TenantSettings:
    """Record that a new consent is needed, unless it is about an older one."""
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

    A new account has another one.
    """
    if not is_current_consent(settings, version) or settings.consent is None:
        return settings
    return replace(settings, consent=replace(settings.consent, mailbox_id=None))


def with_problem(settings: TenantSettings, status: Status, problem: ActiveProblem) -> TenantSettings:
    """Keep the start time if the same problem is recorded again."""
    known = settings.problem
    if settings.status is status and known and known.code == problem.code:
        problem = replace(problem, since=known.since)
    return replace(settings, status=status, problem=problem)


def is_current_consent(settings: TenantSettings, version: int) -> bool:
    """Return whether this consent is still the tenant's."""
    return settings.consent is not None and settings.consent.version == version
