"""Track refusals of a tenant's sender by Microsoft 365. Pure.

Refused is its mailbox, or the permission to send from it.

    first refusal     recorded, and nothing else changes: Graph may be wrong
    one more          after five minutes, of the same or another mail: `sender_refused`, and mail waits
    a mail is tried   the probe, which the settings name: every ten minutes, later every hour
    a mail is accepted  the refusal is deleted, and the waiting mails are released

A mail that was released because another one was accepted is no evidence of a new refusal: Exchange may refuse
only that mail.
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

#: Graph may be wrong, and for more than seconds.
BETWEEN_REFUSALS: Final = timedelta(minutes=5)
#: A consent and the permissions given with it take seconds to an hour to reach every server of Microsoft 365.
CONSENT_PROPAGATION: Final = timedelta(hours=1)
#: What Exchange lets an app do (RBAC for Applications, access policies) takes effect up to two hours later,
#: and can be granted some time after the consent:
#: https://learn.microsoft.com/exchange/permissions-exo/application-rbac
EXCHANGE_ROLE_PROPAGATION: Final = timedelta(hours=3)
#: After this time an unconfirmed refusal no longer counts towards the next one.
_FORGOTTEN = timedelta(hours=1)
#: Graph's codes for an unknown user. A mailbox that can't be used has other codes, and keeps its id.
_NO_SUCH_USER = frozenset({"ErrorInvalidUser", "Request_ResourceNotFound", "ResourceNotFound"})
_SOON, _LATER = timedelta(minutes=10), timedelta(hours=1)
_SOON_PROBES = 6
#: The timer that probes runs every five minutes, some seconds earlier or later.
_EARLY = timedelta(minutes=1)


def record_sender_refused(
    settings: TenantSettings, version: int, problem: ActiveProblem, message_id: str, *, waited: bool
) -> TenantSettings:
    """Record a mail's refusal; `waited`: it waited for an earlier refusal."""
    if not is_current_consent(settings, version) or settings.consent is None:
        return settings
    if settings.status is Status.SENDER_REFUSED:
        return _refused_again(settings, problem, message_id)
    if settings.status is not Status.ENABLED or problem.since < permissions_propagated_at(settings.consent):
        return settings
    known, now = settings.refusal, problem.since
    if known is None or not timedelta(0) <= now - known.since < _FORGOTTEN:
        first = replace(known or SenderRefusal(now, message_id), since=now, message_id=message_id)
        return replace(settings, refusal=first)
    proves_nothing = waited and known.message_id == message_id
    if proves_nothing or now - known.since < BETWEEN_REFUSALS:
        return settings
    return _confirmed(settings, settings.consent, known, problem, message_id)


def permissions_propagated_at(consent: Consent) -> datetime:
    """Return when every server should have the consent's permissions."""
    return consent.consented_at + (
        EXCHANGE_ROLE_PROPAGATION if consent.account is None else CONSENT_PROPAGATION
    )


def _confirmed(
    settings: TenantSettings,
    consent: Consent,
    first: SenderRefusal,
    problem: ActiveProblem,
    message_id: str,
) -> TenantSettings:
    if problem.params.get("graph_code") in _NO_SUCH_USER and consent.mailbox_id is not None:
        # The mailbox may have been created again, and is then found by its address.
        return forget_mailbox_id(replace(settings, refusal=None), consent.version)
    confirmed = SenderRefusal(first.since, message_id, probed_at=problem.since)
    return with_problem(replace(settings, refusal=confirmed), Status.SENDER_REFUSED, problem)


def _refused_again(settings: TenantSettings, problem: ActiveProblem, message_id: str) -> TenantSettings:
    """Store the latest refusal's details; a refused probe is over."""
    refusal = settings.refusal
    if refusal is not None and refusal.probe == message_id:
        settings = replace(settings, refusal=replace(refusal, probe=None))
    if settings.problem is not None and settings.problem.code == problem.code:
        return settings
    return replace(settings, problem=problem)


def is_probe_due(settings: TenantSettings, now: datetime) -> bool:
    """Return whether a waiting mail is due to be tried."""
    refusal = settings.refusal
    if refusal is None or refusal.probed_at is None:
        return True
    wait = _SOON if refusal.probes < _SOON_PROBES else _LATER
    # A host with a wrong clock wrote a time in the future.
    return not timedelta(0) <= now - refusal.probed_at < wait - _EARLY


def begin_probe(settings: TenantSettings, message_id: str, now: datetime) -> TenantSettings:
    """Let one mail try despite the refusal.

    An earlier probe without a result waits again.
    """
    known = settings.refusal
    if known is None:
        return settings
    probe = replace(known, probe=message_id, probed_at=now, probes=known.probes + 1)
    return replace(settings, refusal=probe)


def end_refusal(settings: TenantSettings, version: int) -> TenantSettings:
    """Delete a refusal, as a mail was accepted; other problems stay."""
    if not is_current_consent(settings, version):
        return settings
    taken = replace(settings, refusal=None)
    if settings.status is not Status.SENDER_REFUSED:
        return taken
    return replace(taken, status=Status.ENABLED, problem=None)
