"""Track refusals of a tenant's sender by Microsoft 365. Pure.

Microsoft 365 can refuse the mailbox of the sender, or the permission to send from it:

1. The first refusal is recorded, and nothing else changes, because Graph may be wrong.
2. If Graph refuses the same or another mail five minutes later or more, the refusal is confirmed: the status
   becomes `sender_refused`, and all mail of the tenant waits.
3. One of the waiting mails is tried as a probe, every ten minutes, later every hour. The settings name it.
4. When a mail is accepted, the refusal is deleted, and the waiting mails are released.

If Graph refuses one of the released mails again, this does not confirm a new refusal of the sender, because
Graph may refuse this mail only.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shared.settings.state import forget_mailbox_id, is_current_consent, with_problem
from shared.settings.tenant import SenderRefusal, Status

if TYPE_CHECKING:
    from datetime import datetime

    from shared.settings.tenant import ActiveProblem, Consent, TenantSettings

#: The time between two refusals of which the second confirms the first. Graph can be wrong for longer than
#: seconds.
BETWEEN_REFUSALS: Final = timedelta(minutes=5)
#: A consent and the permissions given with it take seconds to an hour to reach every server of Microsoft 365.
CONSENT_PROPAGATION: Final = timedelta(hours=1)
#: What Exchange lets an app do (RBAC for Applications, access policies) takes effect up to two hours later,
#: and can be granted some time after the consent:
#: https://learn.microsoft.com/exchange/permissions-exo/application-rbac
EXCHANGE_ROLE_PROPAGATION: Final = timedelta(hours=3)
#: After this time a refusal that was not confirmed counts no longer, and the next one is a first one again.
_REFUSAL_EXPIRES_AFTER = timedelta(hours=1)
#: Graph's codes for an unknown user. A mailbox that can't be used has other codes, and keeps its id.
_NO_SUCH_USER = frozenset({"ErrorInvalidUser", "Request_ResourceNotFound", "ResourceNotFound"})
_FIRST_PROBE_INTERVAL = timedelta(minutes=10)
_LATER_PROBE_INTERVAL = timedelta(hours=1)
_FIRST_PROBES = 6
#: The timer that probes runs every five minutes, but some seconds earlier or later. With this tolerance, a
#: run that is some seconds early still probes.
_TIMER_TOLERANCE = timedelta(minutes=1)


def record_sender_refused(
    settings: TenantSettings, version: int, problem: ActiveProblem, message_id: str, *, waited: bool
) -> TenantSettings:
    """Record that Graph refused a mail because of its sender.

    `waited` says that the mail has already waited because of an earlier refusal of the sender.
    """
    if not is_current_consent(settings, version) or settings.consent is None:
        return settings
    if settings.status is Status.SENDER_REFUSED:
        return _refused_again(settings, problem, message_id)
    if settings.status is not Status.ENABLED or problem.since < permissions_propagated_at(settings.consent):
        return settings
    known = settings.refusal
    now = problem.since
    if known is None or not timedelta(0) <= now - known.since < _REFUSAL_EXPIRES_AFTER:
        first = replace(known or SenderRefusal(now, message_id), since=now, message_id=message_id)
        return replace(settings, refusal=first)
    # If the mail has waited and is refused again, Graph may refuse this mail only.
    is_same_mail = waited and known.message_id == message_id
    if is_same_mail or now - known.since < BETWEEN_REFUSALS:
        return settings
    return _confirmed(settings, settings.consent, known, problem, message_id)


def permissions_propagated_at(consent: Consent) -> datetime:
    """Return when all of Microsoft 365 should know the permissions."""
    if consent.account is None:
        return consent.consented_at + EXCHANGE_ROLE_PROPAGATION
    return consent.consented_at + CONSENT_PROPAGATION


def _confirmed(
    settings: TenantSettings,
    consent: Consent,
    first: SenderRefusal,
    problem: ActiveProblem,
    message_id: str,
) -> TenantSettings:
    if problem.params.get("graph_code") in _NO_SUCH_USER and consent.mailbox_id is not None:
        # The mailbox may have been deleted and created again, and is then found by its address.
        return forget_mailbox_id(replace(settings, refusal=None), consent.version)
    confirmed = SenderRefusal(first.since, message_id, probed_at=problem.since)
    return with_problem(replace(settings, refusal=confirmed), Status.SENDER_REFUSED, problem)


def _refused_again(settings: TenantSettings, problem: ActiveProblem, message_id: str) -> TenantSettings:
    """Record another refusal; if the probe was refused, there is none now."""
    refusal = settings.refusal
    if refusal is not None and refusal.probe_message_id == message_id:
        settings = replace(settings, refusal=replace(refusal, probe_message_id=None))
    if settings.problem is not None and settings.problem.code == problem.code:
        return settings
    return replace(settings, problem=problem)


def is_probe_due(settings: TenantSettings, now: datetime) -> bool:
    """Return whether the next probe is due."""
    refusal = settings.refusal
    if refusal is None or refusal.probed_at is None:
        return True
    interval = _FIRST_PROBE_INTERVAL if refusal.probe_count < _FIRST_PROBES else _LATER_PROBE_INTERVAL
    elapsed = now - refusal.probed_at
    # A time in the future was written by a host whose clock was wrong.
    return elapsed < timedelta(0) or elapsed >= interval - _TIMER_TOLERANCE


def begin_probe(settings: TenantSettings, message_id: str, now: datetime) -> TenantSettings:
    """Let one mail be tried although the sender is refused.

    An earlier probe that has had no result yet is a probe no longer, and waits again.
    """
    known = settings.refusal
    if known is None:
        return settings
    probe = replace(known, probe_message_id=message_id, probed_at=now, probe_count=known.probe_count + 1)
    return replace(settings, refusal=probe)


def end_refusal(settings: TenantSettings, version: int) -> TenantSettings:
    """Delete a refusal after a mail was accepted; other problems remain."""
    if not is_current_consent(settings, version):
        return settings
    without_refusal = replace(settings, refusal=None)
    if settings.status is not Status.SENDER_REFUSED:
        return without_refusal
    return replace(without_refusal, status=Status.ENABLED, problem=None)
