"""Record what a token request shows about a consent. Pure."""

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

#: The problem that Graph refuses tokens. It is solved only when Graph accepts one.
TOKEN_REFUSED = "token_refused"  # noqa: S105 - a code


@dataclass(frozen=True, slots=True)
class TokenContent:
    """What a token contains about the consent.

    `granted` is None, and a name is empty, if the token does not show it.
    """

    granted: frozenset[str] | None = None
    username: str = ""
    email: str = ""


UNKNOWN_CONTENT = TokenContent()


def record_token_refusal(settings: TenantSettings, version: int, now: datetime) -> TenantSettings:
    """Record when Microsoft began to refuse tokens, maybe temporarily.

    The next token that Microsoft issues deletes the record.
    """
    if not is_current_consent(settings, version) or settings.consent is None:
        return settings
    known = settings.consent.refused_at
    # A time in the future was written by a host whose clock was wrong.
    first = known if known is not None and known <= now else now
    return replace(settings, consent=replace(settings.consent, refused_at=first))


def record_token_refresh(
    settings: TenantSettings,
    version: int,
    now: datetime,
    *,
    stored: bool,
    clears_problem: bool = True,
    accepted: bool = False,
    content: TokenContent = UNKNOWN_CONTENT,
) -> TenantSettings:
    """Record that Microsoft issued a token, and what the token contains.

    Entra issues tokens in spite of some problems, so a token does not clear these: a sender that is not on
    the operator's list, a sender that Microsoft 365 refuses, tokens that Graph refuses, and a problem that
    only another version of the app knows.

    Args:
        settings: the current settings.
        version: the consent for which the token was issued.
        now: the current time.
        stored: the refresh token was also stored.
        clears_problem: the token shows that any other problem of an earlier failure is solved.
        accepted: Graph accepted a token, so that the problem of refused tokens is solved too.
        content: what the token contains.
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
        # This changes only rows of earlier versions, which have scopes that were granted but never requested.
        scopes=requested_and_granted(needed_scopes(settings), settings.consent.scopes),
    )
    refreshed = replace(settings, consent=consent)
    if not clears_problem or _problem_remains(settings, accepted=accepted):
        return refreshed
    return replace(refreshed, status=Status.ENABLED, problem=None)


def _problem_remains(settings: TenantSettings, *, accepted: bool) -> bool:
    """Return whether the problem of the settings outlasts an issued token."""
    if settings.status is Status.SENDER_REFUSED:
        return True
    if settings.problem is None:
        return False
    code = settings.problem.code
    if code == TOKEN_REFUSED:
        return not accepted
    return code == SENDER_NOT_ALLOWED or code not in catalogue()
