"""Daily maintenance: refresh consents, find lost ones, delete leftovers.

A refresh token expires if it is not used for 90 days, and that a consent was revoked shows only when its
token is used. The daily refresh prevents the first, and detects the second before a report fails.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from shared.consent.flow import FLOW_RETENTION
from shared.consent.revoke import delete_tokens
from shared.errors import ConfigurationError, ConsentRequiredError, ProblemError
from shared.run_order import order_for_run
from shared.settings.secret_names import name_secret, names_of, tenant_of
from shared.settings.served_tenants import unserved_tenants
from shared.settings.state import record_vault_content
from shared.settings.tenant import Status
from shared.settings.update import record_sender_failure, update_settings
from shared.telemetry import Event, log_event, log_failed_step, log_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from shared.consent.ports import DeletedTokens
    from shared.consent.services import MaintenanceServices
    from shared.settings.tenant import Consent, TenantSettings

#: After this time, a consent in progress has either ended or its process has crashed. It is much longer than
#: the processing of a callback takes, and longer than the clocks of two hosts can differ.
_CALLBACK_ENDED_AFTER = timedelta(days=1)
#: Tokens are refreshed daily and stored weekly, so an older one shows that this fails. Once 90 days have
#: passed, the token expires.
MAX_REFRESH_AGE = timedelta(days=7)
MAX_STORED_AGE = timedelta(days=14)
#: Each tenant takes half a minute if the vault or another service does not respond, and the host ends the
#: timer after ten minutes.
TIME_LIMIT = timedelta(minutes=6)


def maintain_consents(ports: MaintenanceServices) -> None:
    """Maintain every tenant that is served; a failure stops no other one.

    The vault is listed once for all tenants. What does not fit in the time limit is done the next day.
    """
    deadline = ports.system.steady() + TIME_LIMIT
    unserved = unserved_tenants(ports)
    listed = _attempt("list_tokens", ports.vault.names)
    tenants = order_for_run(set(ports.settings.tenants()) - unserved, _day(ports))
    for number, tenant_id in enumerate(tenants):
        if _is_late(deadline, len(tenants) - number, ports):
            break
        _attempt("keep_alive", partial(refresh_consent, tenant_id, ports), tenant_id)
        if listed is not None:
            _attempt("sweep", partial(delete_orphaned_tokens, tenant_id, listed, ports), tenant_id)
    if listed is not None:
        _attempt("purge", partial(purge_deleted, unserved, listed, deadline, ports))
    for tenant_id in tenants:
        _attempt("token_age", partial(report_old_token, tenant_id, ports), tenant_id)
    ports.flows.delete_expired(ports.system.now() - FLOW_RETENTION)


def _day(ports: MaintenanceServices) -> int:
    return ports.system.now().toordinal()


def _is_late(deadline: datetime, left: int, ports: MaintenanceServices) -> bool:
    """Return whether the time is over, and log how many tenants are left."""
    late = ports.system.steady() >= deadline
    if late:
        log_event(
            Event.REQUEST_FAILED,
            level=logging.WARNING,
            operation="upkeep/time_limit",
            problem="time_limit_reached",
            tenants_left=left,
        )
    return late


def _attempt[Found](step: str, work: Callable[[], Found], tenant_id: str | None = None) -> Found | None:
    """Run one step; log every error, so that it stops no other step."""
    ids = {"tenant_id": tenant_id} if tenant_id else {}
    try:
        return work()
    except ProblemError as error:
        log_failed_step(f"upkeep/{step}", error.code, **ids)
    except Exception as error:  # noqa: BLE001 - the last resort, which logs it
        log_failure(error, operation=f"upkeep/{step}", **ids)
    return None


def refresh_consent(tenant_id: str, ports: MaintenanceServices) -> None:
    """Request a new token for a consent, and record whether that works."""
    consent = ports.settings.load(tenant_id).consent
    if consent is None:
        return
    try:
        ports.tokens.get(tenant_id, consent, fresh=True)
    except (ConsentRequiredError, ConfigurationError) as error:
        record_sender_failure(ports.settings, tenant_id, consent.version, error, ports.system)


def report_old_token(tenant_id: str, ports: MaintenanceServices) -> None:
    """Log a token that was not refreshed for a week, or not stored for two.

    Nothing is logged for a tenant that needs a new consent: its admin knows that, and a refresh would not
    help.
    """
    settings = ports.settings.load(tenant_id)
    consent = settings.consent
    if consent is None or consent.account is None or settings.status is Status.RECONNECT_NEEDED:
        return
    now = ports.system.now()
    if now >= min(consent.refreshed_at + MAX_REFRESH_AGE, consent.stored_at + MAX_STORED_AGE):
        days = (now - min(consent.refreshed_at, consent.stored_at)).days
        log_event(Event.TOKEN_NOT_REFRESHED, level=logging.ERROR, tenant_id=tenant_id, days=days)


def delete_orphaned_tokens(tenant_id: str, listed: Collection[str], ports: MaintenanceServices) -> None:
    """Delete tokens that no settings name, such as those left by a crash.

    The caller lists the names (`listed`) before the settings are read here. A listed name that the settings
    then do not name is obsolete, because no version of a consent is ever used twice. Tokens without the tag
    of this installation are not listed. Of those, only the ones are deleted that the settings name as
    obsolete.
    """
    settings = ports.settings.load(tenant_id)
    obsolete = {*names_of(tenant_id, listed), *settings.undeleted_tokens}
    for name in obsolete - set(_names_in_use(settings, ports.system.now())):
        delete_tokens(tenant_id, name, ports)


def purge_deleted(
    unserved: Collection[str], listed: Collection[str], deadline: datetime, ports: MaintenanceServices
) -> None:
    """Purge deleted tokens if the vault allows it; else record their date.

    The date is the one until which they can be recovered. The tokens of a tenant that is not served any more
    are not changed.
    """
    deleted = ports.vault.recoverable()
    tenants = {tenant for found in deleted if (tenant := tenant_of(found.name))}
    remaining = order_for_run(tenants.union(ports.settings.tenants()).difference(unserved), _day(ports))
    for number, tenant_id in enumerate(remaining):
        if _is_late(deadline, len(remaining) - number, ports):
            break
        own = [found for found in deleted if tenant_of(found.name) == tenant_id]
        _attempt("purge", partial(_purge, tenant_id, own, listed, ports), tenant_id)


def _purge(
    tenant_id: str, deleted: Collection[DeletedTokens], listed: Collection[str], ports: MaintenanceServices
) -> None:
    """Purge the deleted tokens of a tenant that its settings do not name.

    Tokens that the settings name were deleted by mistake, and an operator may recover them.
    """
    now = ports.system.now()
    settings = ports.settings.load(tenant_id)
    in_use = _names_in_use(settings, now)
    remaining = [tokens for tokens in deleted if tokens.name in in_use or not _try_to_purge(tokens, ports)]
    dates = [tokens.recoverable_until for tokens in remaining if tokens.recoverable_until]
    latest = max(dates, default=None)
    names = {found.name for found in deleted}
    if settings.etag is not None:
        update_settings(
            ports.settings, tenant_id, lambda found: record_vault_content(found, listed, names, latest, now)
        )


def _try_to_purge(found: DeletedTokens, ports: MaintenanceServices) -> bool:
    if not found.purgeable:
        return False
    try:
        ports.vault.purge(found.name)
    except ProblemError as error:
        log_failed_step("upkeep/purge", error.code, kept_as=found.name)
        return False
    return True


def _names_in_use(settings: TenantSettings, now: datetime) -> list[str]:
    """Name the tokens of the current consent, and of one in progress.

    A consent in progress does not count any more once its process must have crashed.

    Raises:
        ConfigurationError: `written_by_other_version`: this version cannot read which tokens are in use.
    """
    if settings.status is Status.OTHER_VERSION:
        raise ConfigurationError("written_by_other_version")
    consent: Consent | None = settings.consent
    names = [consent.secret_name] if consent and consent.secret_name else []
    if settings.pending and now < settings.pending.expires_at + _CALLBACK_ENDED_AFTER:
        names.append(name_secret(settings.tenant_id, settings.pending.version))
    return names
