"""Every five minutes, release waiting mail and remove unused drafts.

A new consent releases the mail of its tenant at once. The timer releases mail that the consent did not, and
mail that waited for an operator, because nobody tells the app when an operator has solved a problem.
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
from shared.run_order import order_for_run
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
from shared.time_limit import RECORDING_LIMIT, limit_invocation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.sending.ports import SendingServices

#: The timer runs every five minutes. A token that Graph refused is tried every second time only.
_TIMER_MINUTES = 5
_PROBE_MINUTES = 10
#: A key that no mail has, because the call only shows whether Graph accepts the token.
_KEY_OF_NO_MAIL = "release-check"
#: Errors with which Graph refuses something else than the token.
_ACCEPTS_THE_TOKEN = (RejectedError, AccessDeniedError, MailboxNotFoundError)
#: How `graph_code` begins if the response had no code of Graph.
_NO_CODE = "HTTP "
_CAN_SEND = frozenset({Status.ENABLED, Status.SENDER_REFUSED})
#: Mails are released after the drafts are removed, and the host ends the timer after ten minutes.
_TIME_FOR_DRAFTS = timedelta(minutes=2)
#: The statuses in which the draft of a mail is kept. Mails in progress end within a day, and their drafts are
#: removed then. Whether a mail that this version cannot read needs its draft is not known.
_DRAFT_NEEDED = IN_PROGRESS | {DeliveryStatus.OTHER_VERSION}
#: A draft whose state has not changed for this long is not being sent.
_MIN_DRAFT_AGE = timedelta(hours=12)


def release_all(ports: SendingServices) -> None:
    """Log problems for the operator, then process every served tenant.

    A step or a tenant that fails does not stop the others. An unexpected error is raised at the end. What
    does not fit in the time limit is done in the next run.
    """
    with limit_invocation(ports.system, RECORDING_LIMIT), ExitStack() as work:
        # An ExitStack calls the functions in reverse order, even if one of them raises an error.
        work.callback(_report_outcomes, ports)
        work.callback(_release_unless_paused, ports)
        work.callback(report_unserved_tenants, ports)
        work.callback(report_poison_queue, ports)
        work.callback(report_backlog, ports)
        work.callback(report_operator_actions, ports)
        work.callback(_report_foreign_pause, ports)
        work.callback(report_settings, ports.setting_problems)


def _release_unless_paused(ports: SendingServices) -> None:
    """Release mail, unless sending is paused.

    While sending is paused, no draft is removed and no token is tried either.
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
        # This runs first, because mails that are released may use their drafts.
        work.callback(_remove_old_drafts, tenants, ports)


def _report_outcomes(ports: SendingServices) -> None:
    """Notify schedulers of waiting outcomes, even while sending is paused."""
    started = Moment.of(ports.system)
    for tenant_id in _tenants(ports):
        try:
            ports.settings.check_owner(tenant_id)
            report_waiting_outcomes(tenant_id, started, ports)
        except ProblemError as error:
            _log_failure(tenant_id, error)


def _report_foreign_pause(ports: SendingServices) -> None:
    """Log that the stored pause belongs to another installation.

    Such a pause has no effect here, and is not changed.
    """
    try:
        # If the switch cannot be read, the release fails with the same error, and logs it.
        with suppress(TransientError):
            ports.switch.check_owner()
    except ConfigurationError as error:
        log_event(Event.OPERATOR_ERROR, level=logging.ERROR, problem=error.code, **error.params)


def _tenants(ports: SendingServices) -> list[str]:
    """Return the served tenants; their mail can come before any settings."""
    try:
        tenants: Iterable[str] = ports.allowed_tenants
    except ConfigurationError:
        # The setting is invalid, so it is not known which tenants are served. A mail that is released
        # although it can't be sent waits again.
        tenants = ports.settings.tenants()
    return order_for_run(tenants, _number_of_run(ports))


def _number_of_run(ports: SendingServices) -> int:
    return int(ports.system.now().timestamp()) // (60 * _TIMER_MINUTES)


def _process_tenant(tenant_id: str, ports: SendingServices) -> None:
    try:
        ports.settings.check_owner(tenant_id)
        _release(tenant_id, ports)
    except ProblemError as error:
        _log_failure(tenant_id, error)


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
        # The operator may have solved the problem. If the mail needs a consent, it waits for that then.
        release_next(tenant_id, DeliveryStatus.WAITING_FOR_OPERATOR, ports, waits)


def _is_solved(settings: TenantSettings, ports: SendingServices) -> bool:
    """Return whether the problem of a tenant is solved, by trying a new token.

    An operator error is checked each time, a lost consent once an hour: Microsoft can refuse a consent that
    it accepts later, and an admin can restore an account or the app.
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
    """Check that Graph accepts a token, by a call with it.

    Raises:
        TokenRefusedError: Graph refuses the token.
        TransientError: Graph did not respond.
    """
    # The stored status would prevent `sender_of` from returning the sender.
    without_problem = replace(settings, status=Status.ENABLED, problem=None)
    sender = sender_of(without_problem, ports.application_senders)
    try:
        ports.transport.find(token, sender, _KEY_OF_NO_MAIL)
    except _ACCEPTS_THE_TOKEN:
        return
    except UnexpectedResponseError as error:
        # Without a code of Graph, the response may come from another server, such as a proxy.
        if error.params["graph_code"].startswith(_NO_CODE):
            raise


def _remove_old_drafts(tenants: list[str], ports: SendingServices) -> None:
    """Remove old unsent drafts of these tenants; the next runs continue."""
    started = Moment.of(ports.system)
    drafts = ports.drafts.untouched_since(started.calendar - _MIN_DRAFT_AGE)
    for tenant_id, message_id in order_for_run(drafts, _number_of_run(ports)):
        if started.has_passed(_TIME_FOR_DRAFTS, ports.system):
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
            _log_failure(tenant_id, error)


def _log_failure(tenant_id: str, error: ProblemError) -> None:
    log_failed_step("release", error.code, tenant_id=tenant_id)
