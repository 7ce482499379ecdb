"""Cache access tokens for sending, with one refresh per tenant at a time.

Access tokens are kept in memory only. When Entra issues a new refresh token, the old one stays valid. So two
processes can refresh at the same time, and it is enough to store the newest refresh token once a week, long
before the lifetime of the stored one, 90 days, ends.

https://learn.microsoft.com/entra/identity-platform/refresh-tokens
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.consent.ports import AccessToken
from shared.consent.revoke import delete_tokens
from shared.consent.token_request_gate import RequestTurn, TokenRequests, is_recent
from shared.errors import ConfigurationError, ConsentRequiredError, ProblemError, TransientError
from shared.settings.consent_health import TokenContent, record_token_refresh
from shared.settings.scopes import mail_scopes, missing_scopes
from shared.settings.state import is_current_consent
from shared.settings.update import update_settings
from shared.telemetry import Event, log_event, log_failed_step, log_failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.consent.ports import TokenIssuer, TokenStore
    from shared.settings.ports import SettingsStore
    from shared.settings.tenant import Consent
    from shared.system import System

#: A token that expires sooner is not used, because it could expire while Graph is still reading the mail.
_MIN_LIFETIME = timedelta(minutes=5)
#: While Entra is unavailable, a token is used until this time before it expires, which is enough for a small
#: mail.
_MIN_LIFETIME_IN_OUTAGE = timedelta(seconds=30)
#: How long a token without an expected permission is used.
_USE_WITHOUT_PERMISSION = timedelta(minutes=1)
_STORE_INTERVAL = timedelta(days=7)
#: The tolerated difference between the clocks of two hosts.
_CLOCK_SKEW = timedelta(hours=1)
#: No access token lives longer, not even with continuous access evaluation (28 hours).
_MAX_LIFETIME = timedelta(hours=29)


@dataclass(frozen=True, slots=True)
class _CachedToken:
    version: int
    issued: AccessToken


class AccessTokenCache:
    """Caches the access tokens of this process."""

    def __init__(
        self,
        vault: TokenStore,
        issuer: TokenIssuer,
        settings: SettingsStore,
        system: System,
        served: Callable[[], frozenset[str]],
    ) -> None:
        self.vault = vault
        self.settings = settings
        self._issuer = issuer
        self.system = system
        self._served = served
        self._requests = TokenRequests(settings, system)
        self._cached: dict[str, _CachedToken] = {}
        self._turns: defaultdict[str, RequestTurn] = defaultdict(RequestTurn)

    def get(
        self,
        tenant_id: str,
        consent: Consent,
        *,
        fresh: bool = False,
        refused: str | None = None,
        claims: str | None = None,
    ) -> str:
        """Return this consent's access token, but not the token in `refused`.

        If Graph refused the same token for several mails, only the first one requests a new token, and the
        others use it too. `fresh` always requests a new token from Entra. `claims` is the claims challenge
        that Graph returned.

        Raises:
            ConsentRequiredError: `consent_lost` or `sign_in_blocked`.
            ConfigurationError: `tenant_not_served`; its tokens are not changed.
            TransientError: Entra or the vault was not available, for this caller or for one that it waited
                for.
        """
        if tenant_id not in self._served():
            raise ConfigurationError("tenant_not_served")
        usable = None if fresh else self._usable_token(tenant_id, consent, refused)
        if usable and self._lasts(usable, _MIN_LIFETIME):
            return usable.issued.access_token
        turn = self._turns[tenant_id]
        if usable and self._lasts(usable, _MIN_LIFETIME_IN_OUTAGE) and turn.is_taken:
            return usable.issued.access_token
        with turn.take():
            return self._renew(tenant_id, consent, fresh=fresh, refused=refused, claims=claims)

    def _usable_token(self, tenant_id: str, consent: Consent, refused: str | None) -> _CachedToken | None:
        cached = self._cached.get(tenant_id)
        current = cached is not None and cached.version == consent.version
        rejected = cached is not None and cached.issued.access_token == refused
        return cached if current and not rejected else None

    def _renew(
        self, tenant_id: str, consent: Consent, *, fresh: bool, refused: str | None, claims: str | None
    ) -> str:
        """Get a new token, unless another caller has just got one.

        If Entra or the vault is not available, a cached token is used until shortly before it expires.
        """
        usable = None if fresh else self._usable_token(tenant_id, consent, refused)
        if usable and self._lasts(usable, _MIN_LIFETIME):
            return usable.issued.access_token
        try:
            issued = self._requests.call(
                tenant_id,
                consent,
                lambda: self._issue(tenant_id, consent, self._cached.get(tenant_id), claims),
            )
        except TransientError:
            if usable and self._lasts(usable, _MIN_LIFETIME_IN_OUTAGE):
                return usable.issued.access_token
            raise
        self._cached[tenant_id] = _CachedToken(consent.version, self._limited_if_incomplete(issued, consent))
        # If Graph refused a token, a new one does not show that the problem is solved.
        self._record_token(tenant_id, consent, issued, clears_problem=refused is None)
        return issued.access_token

    def _limited_if_incomplete(self, issued: AccessToken, consent: Consent) -> AccessToken:
        """Let a token without an expected permission expire soon.

        The server of Entra that issued the token may not know the consent yet, and another token may have the
        permission.
        """
        if issued.scopes is None or not missing_scopes(consent.scopes, issued.scopes):
            return issued
        if not issued.scopes and not is_recent(consent, self.system.now()):
            # The token has no permission at all, so they are granted in Exchange, and no token will have
            # them.
            return issued
        soon = self.system.now() + _MIN_LIFETIME + _USE_WITHOUT_PERMISSION
        return replace(issued, expires_at=min(issued.expires_at, soon))

    def _lasts(self, cached: _CachedToken, wait: timedelta) -> bool:
        remaining = cached.issued.expires_at - self.system.now()
        # A longer time shows that the clock was set back since, so that it is not known when the token
        # expires.
        return wait < remaining <= _MAX_LIFETIME

    def _issue(
        self, tenant_id: str, consent: Consent, cached: _CachedToken | None, claims: str | None
    ) -> AccessToken:
        """Get a new token; if refused, retry once with newer stored tokens."""
        account = consent.account
        if account is None:
            return self._issuer.app_only(tenant_id, claims=claims)
        newest = cached.issued.tokens if cached and cached.version == consent.version else None
        tokens = newest or self._read(consent)
        scopes = mail_scopes(consent.scopes)
        try:
            return self._issuer.refresh(tenant_id, tokens, account, scopes, claims=claims)
        except ConsentRequiredError:
            self._cached.pop(tenant_id, None)
            newest_stored = self._read(consent)
            if newest_stored == tokens:
                raise
            return self._issuer.refresh(tenant_id, newest_stored, account, scopes, claims=claims)

    def _read(self, consent: Consent) -> str:
        tokens = self.vault.read(consent.secret_name) if consent.secret_name else None
        if tokens is None:
            name = consent.account.name if consent.account else ""
            raise ConsentRequiredError("consent_lost", account=name, error="tokens_not_found")
        return tokens

    def _record_token(
        self, tenant_id: str, consent: Consent, issued: AccessToken, *, clears_problem: bool
    ) -> None:
        """Record that the consent works; a failure is retried at the next refresh."""
        name = consent.secret_name
        age = self.system.now() - consent.stored_at
        # A time in the future was written by a host whose clock was wrong, and would prevent storing until
        # then.
        stored = name is not None and not -_CLOCK_SKEW < age < _STORE_INTERVAL
        try:
            if name and stored:
                self._rewrite(tenant_id, consent, name, issued, clears_problem=clears_problem)
            else:
                self._record(tenant_id, consent, issued, stored=False, clears_problem=clears_problem)
        except ProblemError as error:
            log_failed_step("custody", error.code, tenant_id=tenant_id)
        except Exception as error:  # noqa: BLE001 - no failure here may stop the mail
            log_failure(error, operation="custody", tenant_id=tenant_id)
        log_event(Event.TOKEN_REFRESHED, tenant_id=tenant_id, stored=stored)

    def _rewrite(
        self, tenant_id: str, consent: Consent, name: str, issued: AccessToken, *, clears_problem: bool
    ) -> None:
        """Store the newest tokens, unless the consent was replaced meanwhile.

        A Reset and a new consent change the settings before they delete the old tokens. If one of them
        happens after the check here, writing the settings shows it, and the tokens are deleted again.
        """
        if not is_current_consent(self.settings.load(tenant_id), consent.version):
            return
        self.vault.write(name, issued.tokens)
        if self._record(tenant_id, consent, issued, stored=True, clears_problem=clears_problem):
            self.vault.disable_older_versions(name)
        else:
            delete_tokens(tenant_id, name, self)

    def _record(
        self, tenant_id: str, consent: Consent, issued: AccessToken, *, stored: bool, clears_problem: bool
    ) -> bool:
        """Record the refresh; return whether this consent is still the tenant's."""
        now = self.system.now()
        after = update_settings(
            self.settings,
            tenant_id,
            lambda found: record_token_refresh(
                found,
                consent.version,
                now,
                stored=stored,
                clears_problem=clears_problem,
                content=TokenContent(issued.scopes, issued.username, issued.email),
            ),
        )
        return is_current_consent(after, consent.version)
