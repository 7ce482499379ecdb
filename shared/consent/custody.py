"""Access tokens for sending, from kept ones: in memory only, one refresh at a time for a tenant.

Entra keeps old refresh tokens valid when it issues a new one, so two processes that refresh at once
do no harm, and what is kept is rewritten once a week, long before the 90 days that a token lives.
https://learn.microsoft.com/entra/identity-platform/refresh-tokens
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.consent.disposal import delete_tokens
from shared.consent.scopes import scopes_in_use
from shared.errors import ConsentRequiredError, ProblemError, TransientError
from shared.ports import Issued
from shared.settings.state import holds, note_refresh
from shared.settings.update import update_settings
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from shared.ports import SettingsStore, TokenIssuer, TokenStore
    from shared.settings.tenant import Consent
    from shared.world import World

#: A token that ends sooner could end while Graph still reads the mail.
_MARGIN = timedelta(minutes=5)
#: While Entra is away, a token is used to its end but for the time that a small mail takes.
_LAST_MOMENT = timedelta(seconds=30)
_REWRITTEN_AFTER = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class _Held:
    generation: int
    issued: Issued


class Custody:
    """Hold the access tokens of this process."""

    def __init__(self, vault: TokenStore, issuer: TokenIssuer, settings: SettingsStore, world: World) -> None:
        self.vault = vault
        self.settings = settings
        self._issuer = issuer
        self._world = world
        self._held: dict[str, _Held] = {}
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def get(
        self, tenant_id: str, consent: Consent, *, fresh: bool = False, refused: str | None = None
    ) -> str:
        """Return an access token of this consent, another one than Graph `refused`.

        Of several mails whose same token was refused, the first one gets a new one for all. `fresh` asks
        Entra in any case.

        Raises:
            ConsentRequiredError: `consent_lost` or `sign_in_blocked`.
        """
        with self._locks[tenant_id]:
            held = self._held.get(tenant_id)
            current = held is not None and held.generation == consent.generation
            rejected = held is not None and held.issued.access_token == refused
            usable = held if current and not fresh and not rejected else None
            if usable and self._lasts(usable, _MARGIN):
                return usable.issued.access_token
            try:
                issued = self._issue(tenant_id, consent, held)
            except TransientError:
                if usable and self._lasts(usable, _LAST_MOMENT):
                    return usable.issued.access_token
                raise
            self._held[tenant_id] = _Held(consent.generation, issued)
            # What Graph refused says more than that Entra issues another.
            self._note(tenant_id, consent, issued, mends=refused is None)
            return issued.access_token

    def _lasts(self, held: _Held, wait: timedelta) -> bool:
        return self._world.now() + wait < held.issued.expires_at

    def _issue(self, tenant_id: str, consent: Consent, held: _Held | None) -> Issued:
        """Get a new token; when Entra refuses, once more with what is kept by now, should it be newer."""
        account = consent.account
        if account is None:
            return self._issuer.app_only(tenant_id)
        newest = held.issued.tokens if held and held.generation == consent.generation else None
        tokens = newest or self._read(consent)
        scopes = scopes_in_use(consent.scopes)
        try:
            return self._issuer.refresh(tenant_id, tokens, account, scopes)
        except ConsentRequiredError:
            self._held.pop(tenant_id, None)
            kept = self._read(consent)
            if kept == tokens:
                raise
            return self._issuer.refresh(tenant_id, kept, account, scopes)

    def _read(self, consent: Consent) -> str:
        tokens = self.vault.read(consent.secret_name) if consent.secret_name else None
        if tokens is None:
            username = consent.account.username if consent.account else ""
            raise ConsentRequiredError("consent_lost", account=username, error="tokens_not_found")
        return tokens

    def _note(self, tenant_id: str, consent: Consent, issued: Issued, *, mends: bool) -> None:
        """Keep that the consent works; whatever fails here is tried at the next refresh."""
        name = consent.secret_name
        stored = name is not None and self._world.now() - consent.stored_at >= _REWRITTEN_AFTER
        try:
            if name and stored:
                self._rewrite(tenant_id, consent.generation, name, issued, mends=mends)
            else:
                self._record(tenant_id, consent.generation, stored=False, mends=mends)
        except ProblemError as error:
            log_event(
                Event.REQUEST_FAILED,
                level=logging.WARNING,
                path="custody",
                problem=error.code,
                tenant_id=tenant_id,
            )
        log_event(Event.TOKEN_REFRESHED, tenant_id=tenant_id, stored=stored)

    def _rewrite(self, tenant_id: str, generation: int, name: str, issued: Issued, *, mends: bool) -> None:
        """Write the newest tokens, unless a Reset or a new consent was faster.

        Both change the settings before they delete the old name. Whoever writes it after that finds out
        when the settings are written, and takes it back.
        """
        if not holds(self.settings.load(tenant_id), generation):
            return
        self.vault.write(name, issued.tokens)
        if not self._record(tenant_id, generation, stored=True, mends=mends):
            delete_tokens(tenant_id, name, self)

    def _record(self, tenant_id: str, generation: int, *, stored: bool, mends: bool) -> bool:
        """Note the refresh, and return whether this consent is still the tenant's."""
        now = self._world.now()
        after = update_settings(
            self.settings,
            tenant_id,
            lambda found: note_refresh(found, generation, now, stored=stored, mends=mends),
        )
        return holds(after, generation)
