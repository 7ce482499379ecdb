"""Every five minutes, release waiting mail that can be sent again.

It also removes what was left behind.

A consent releases its tenant's mail at once; this covers what that missed, and operator errors, whose
correction nobody reports.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from shared.config_report import report_settings
from shared.deliveries.notify import report_waiting_outcomes
from shared.deliveries.release import release_next, resume_overdue
from shared.deliveries.status import IN_PROGRESS, WAITING, WAITING_FOR_PERSON, DeliveryStatus
from shared.errors import (
    ConfigurationError,
    ConsentRequiredError,
    MailerError,
    ProblemError,
    RejectedError,
    TransientError,
)
from shared.sending.awaited_setting import waits_for_setting
from shared.sending.backlog import report_backlog
from shared.sending.draft_removal import remove_drafts
from shared.sending.draft_state import DraftState
from shared.sending.errors import AccessDeniedError, MailboxNotFoundError, UnexpectedResponseError
from shared.sending.lost_claims import settle_lost_claims
from shared.sending.mailbox import Mailbox
from shared.sending.poison import report_poison_queue
from shared.sending.refused_sender import probe_sender
from shared.settings.consent_health import TOKEN_REFUSED, record_token_refresh
from shared.settings.operator_log import report_operator_actions
from shared.settings.sender import apply_sender_list, sender_of
from shared.settings.served_tenants import report_unserved_tenants
from shared.settings.tenant import Status, TenantSettings
from shared.settings.update import record_sender_failure, update_settings
from shared.system import Moment
from shared.telemetry import Event, log_event, log_failed_step
from shared.time_limit import RECORDING, limited

if TYPE_CHECKING:
    from shared.sending.ports import SendingServices

#: The timer runs every five minutes; tokens that Graph refuses are tried every second time.
_TIMER_MINUTES = 5
_PROBE_MINUTES = 10
#: A key that no mail has: only whether Graph accepts the token matters.
_NO_MAIL = "release-check"
#: Responses of Graph that do not refuse the token.
_ACCEPTS_THE_TOKEN = (RejectedError, AccessDeniedError, MailboxNotFoundError)
_NO_CODE = "HTTP "
_CAN_SEND = frozenset({Status.ENABLED, Status.SENDER_REFUSED})
#: Mails are released after it, and the host ends the timer after ten minutes.
_TIME_FOR_DRAFTS = timedelta(minutes=2)
#: Mails in progress end within a day, and an unused draft is removed then. A draft of a mail that this
#: version can't read is not removed either.
_DRAFT_NEEDED = IN_PROGRESS | {DeliveryStatus.OTHER_VERSION}
#: A mail without a change for this long is not being sent; its draft can be created again.
_DRAFTS_KEPT = timedelta(hours=12)


def release_all(ports: SendingServices) -> None:
    """Log problems for the operator, then process every served tenant.

    A step or a tenant that fails does not stop the others; an unexpected error is raised once all are done.
    What does not fit in the time is left to the next run.
    """
    with limited(ports.system, RECORDING), ExitStack() as work:
        # The last step runs first.
        work.callback(_report_outcomes, ports)
        work.callback(_release_unless_paused, ports)
        work.callback(report_unserved_tenants, ports)
        work.callback(report_poison_queue, ports)
        work.callback(report_backlog, ports)
        work.callback(report_operator_actions, ports)
        work.callback(_report_foreign_pause, ports)
        work.callback(report_settings, ports.setting_problems)


def _release_unless_paused(ports: SendingServices) -> None:
    """Release mail unless sending is paused; return since when it is.

    While paused, no draft is removed and no token is tried.
    """
    pause = ports.switch.current_pause()
    if pause is not None:
        minutes = (ports.system.now() - pause.since) // timedelta(minutes=1)
        log_event(Event.SENDING_PAUSED, level=logging.WARNING, since=pause.since, minutes=minutes)
        return
    tenants = _tenants(ports)
    with ExitStack() as work:
        for tenant_id in tenants:
            work.callback(_process_tenant, tenant_id, ports)
        # First of all: released mails may be sent now, and their drafts with them.
        work.callback(_remove_old_drafts, tenants, ports)


def _report_outcomes(ports: SendingServices) -> None:
    """Notify schedulers of waiting outcomes, even while sending is paused."""
    begun = Moment.of(ports.system)
    for tenant_id in _tenants(ports):
        try:
            ports.settings.check_owner(tenant_id)
            report_waiting_outcomes(tenant_id, begun, ports)
        except ProblemError as error:
            _record_missed(tenant_id, error)


def _report_foreign_pause(ports: SendingServices) -> None:
    """Log that the stored pause is another installation's.

    It has no effect here, and is kept.
    """
    try:
        # If it cannot be read, the release fails too, which says so.
        with suppress(TransientError):
            ports.switch.check_owner()
    except ConfigurationError as error:
        log_event(Event.OPERATOR_ERROR, level=logging.ERROR, problem=error.code, **error.params)


def _tenants(ports: SendingServices) -> list[str]:
    """Name the served tenants; their mail can come before any settings."""
    try:
        return sorted(ports.allowed_tenants)
    except ConfigurationError:
        # A released mail that still can't be sent waits again, so no mail is lost to a wrong setting.
        return sorted(ports.settings.tenants())


def _process_tenant(tenant_id: str, ports: SendingServices) -> None:
    try:
        ports.settings.check_owner(tenant_id)
        _release(tenant_id, ports)
    except ProblemError as error:
        _record_missed(tenant_id, error)


def _release(tenant_id: str, ports: SendingServices) -> None:
    resume_overdue(tenant_id, ports)
    settle_lost_claims(tenant_id, ports)
    settings = apply_sender_list(
        ports.settings.load(tenant_id), ports.application_senders, ports.settings, ports.system
    )
    if not ports.deliveries.count(tenant_id, WAITING):
        return
    waits = partial(waits_for_setting, ports=ports)
    if settings.status in _CAN_SEND or _is_solved(settings, ports):
        for status in WAITING_FOR_PERSON if settings.refusal else WAITING:
            release_next(tenant_id, status, ports, waits)
        if settings.refusal:
            probe_sender(settings, ports)
    elif settings.status is Status.NOT_CONFIGURED:
        # The problem may be solved; if not, the mail waits for the first consent.
        release_next(tenant_id, DeliveryStatus.WAITING_FOR_OPERATOR, ports, waits)


def _is_solved(settings: TenantSettings, ports: SendingServices) -> bool:
    """Check whether the problem is solved.

    An operator error is checked each time, a lost consent once an hour.

    Microsoft can refuse a consent that it accepts later, and an admin can restore an account or the app.
    """
    lost = settings.status is Status.RECONNECT_NEEDED
    if settings.consent is None or not (lost or settings.status is Status.OPERATOR_ERROR):
        return False
    version = settings.consent.version
    now = ports.system.now()
    if lost and now.minute >= _TIMER_MINUTES:
        return False
    refused = settings.problem is not None and settings.problem.code == TOKEN_REFUSED
    if refused and now.minute % _PROBE_MINUTES >= _TIMER_MINUTES:
        return False
    try:
        token = ports.tokens.get(settings.tenant_id, settings.consent, fresh=True)
        if refused:
            _probe(settings, token, ports)
    except ConfigurationError:
        return False
    except ConsentRequiredError as error:
        if settings.problem is None or settings.problem.code != error.code:
            record_sender_failure(ports.settings, settings.tenant_id, version, error, ports.system)
        return False
    after = update_settings(
        ports.settings,
        settings.tenant_id,
        lambda found: record_token_refresh(found, version, now, stored=False, accepted=refused),
    )
    return after.status is Status.ENABLED


def _probe(settings: TenantSettings, token: str, ports: SendingServices) -> None:
    """Call Graph with a token; any response but a refusal accepts it.

    Raises:
        TokenRefusedError: Graph refuses it.
        TransientError: Graph did not respond.
    """
    working = replace(settings, status=Status.ENABLED, problem=None)
    sender = sender_of(working, ports.application_senders)
    try:
        ports.transport.find(token, sender, _NO_MAIL)
    except _ACCEPTS_THE_TOKEN:
        return
    except UnexpectedResponseError as error:
        # Without a code of Graph's it may be the page of another server.
        if error.params["graph_code"].startswith(_NO_CODE):
            raise


def _remove_old_drafts(tenants: list[str], ports: SendingServices) -> None:
    """Remove old unsent drafts of these tenants; the next run continues."""
    begun = Moment.of(ports.system)
    for tenant_id, message_id in ports.drafts.untouched_since(begun.calendar - _DRAFTS_KEPT):
        if begun.has_passed(_TIME_FOR_DRAFTS, ports.system):
            return
        if tenant_id not in tenants:
            continue
        draft_state = DraftState(tenant_id, message_id, ports)
        try:
            ports.settings.check_owner(tenant_id)
            row = ports.deliveries.find(tenant_id, message_id)
            if row is not None and row.status in _DRAFT_NEEDED:
                continue
            mailbox = Mailbox(sender_of(ports.settings.load(tenant_id), ports.application_senders), ports)
            remove_drafts(draft_state, mailbox, ports)
        except (MailerError, ConfigurationError) as error:
            _record_missed(tenant_id, error)


def _record_missed(tenant_id: str, error: ProblemError) -> None:
    log_failed_step("release", error.code, tenant_id=tenant_id)
