"""Derive a consent's state from a token request. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shared.problems import catalogue
from shared.settings.scopes import needed_scopes, requested_and_granted
from shared.settings.sender import SENDER_NOT_ALLOWED
from shared.settings.state import is_current_consent
from shared.settings.tenant import Status

if TYPE_CHECKING:
    from datetime import datetime

    from shared.settings.tenant import TenantSettings

#: Only Graph can resolve it, by accepting a token.
TOKEN_REFUSED = "token_refused"  # noqa: S105 - a code


@dataclass(frozen=True, slots=True)
class TokenContent:
    """What a token names; None in `granted` and an empty name mean unknown."""

    granted: frozenset[str] | None = None
    username: str = ""
    email: str = ""


UNKNOWN_CONTENT = TokenContent()


def record_refusal(settings: TenantSettings, version: int, now: datetime) -> TenantSettings:
    """Record the first, possibly temporary, refusal of a token.

    The next issued token clears it.
    """
    if not is_current_consent(settings, version) or settings.consent is None:
        return settings
    known = settings.consent.refused_at
    # A host with a wrong clock wrote a time in the future.
    first = known if known is not None and known <= now else now
    return replace(settings, consent=replace(settings.consent, refused_at=first))


def record_refresh(
    settings: TenantSettings,
    version: int,
    now: datetime,
    *,
    stored: bool,
    clears_problem: bool = True,
    accepted: bool = False,
    content: TokenContent = UNKNOWN_CONTENT,
) -> TenantSettings:
    """Record that Microsoft issued a token, and what it names.

    `clears_problem`: the token clears the problem of an earlier failure. Some problems remain, because Entra
    issues tokens in spite of them: a sender that is not on the operator's list, a sender that Microsoft 365
    refuses, and tokens that Graph refuses unless it `accepted` one. A problem that only another version of
    the app knows remains too.
    """
    if not is_current_consent(settings, version) or settings.consent is None:
        return settings
    account = settings.consent.account
    consent = replace(
        settings.consent,
        account=account and account.with_names(content.username, content.email),
        refreshed_at=now,
        refused_at=None,
        stored_at=now if stored else settings.consent.stored_at,
        granted=settings.consent.granted if content.granted is None else content.granted,
        # Only changes rows of earlier versions, which hold scopes that were granted but never requested.
        scopes=requested_and_granted(needed_scopes(settings), settings.consent.scopes),
    )
    refreshed = replace(settings, consent=consent)
    code = settings.problem.code if settings.problem else None
    foreign = code is not None and code not in catalogue()
    refused = settings.status is Status.SENDER_REFUSED
    stays = refused or foreign or code == SENDER_NOT_ALLOWED or (code == TOKEN_REFUSED and not accepted)
    return (
        replace(refreshed, status=Status.ENABLED, problem=None) if clears_problem and not stays else refreshed
    )
