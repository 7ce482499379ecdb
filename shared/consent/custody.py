"""Access tokens for sending, from kept ones: in memory only, one refresh at a time for a tenant.

Entra keeps old refresh tokens valid when it issues a new one, so two processes that refresh at once
do no harm and what is kept need not be rewritten at every refresh.
https://learn.microsoft.com/entra/identity-platform/refresh-tokens
"""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.errors import ConsentRequiredError
from shared.ports import Issued

if TYPE_CHECKING:
    from shared.ports import TokenIssuer, TokenStore
    from shared.settings.tenant import Consent
    from shared.world import World

#: A token that ends sooner could end while Graph still reads the mail.
_MARGIN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class _Held:
    generation: int
    issued: Issued


class Custody:
    """Hold the access tokens of this process."""

    def __init__(self, store: TokenStore, issuer: TokenIssuer, world: World) -> None:
        self._store = store
        self._issuer = issuer
        self._world = world
        self._held: dict[str, _Held] = {}
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def get(self, tenant_id: str, consent: Consent, *, fresh: bool = False) -> str:
        """Return an access token of this consent; `fresh` after Graph refused the last one.

        Raises:
            ConsentRequiredError: `consent_lost` or `sign_in_blocked`.
        """
        with self._locks[tenant_id]:
            held = self._held.get(tenant_id)
            if held and held.generation == consent.generation:
                if not fresh and self._world.now() + _MARGIN < held.issued.expires_at:
                    return held.issued.access_token
                tokens = held.issued.tokens
            else:
                tokens = self._read(consent)
            issued = self._refresh(tenant_id, consent, tokens)
            self._held[tenant_id] = _Held(consent.generation, issued)
            return issued.access_token

    def _refresh(self, tenant_id: str, consent: Consent, tokens: str) -> Issued:
        """Refresh; when Entra refuses, once more with what is kept by now, should it be newer."""
        account = consent.account
        if account is None:
            raise ConsentRequiredError("consent_missing")
        try:
            return self._issuer.refresh(tenant_id, tokens, account, consent.scopes)
        except ConsentRequiredError:
            self._held.pop(tenant_id, None)
            kept = self._read(consent)
            if kept == tokens:
                raise
            return self._issuer.refresh(tenant_id, kept, account, consent.scopes)

    def _read(self, consent: Consent) -> str:
        tokens = self._store.read(consent.secret_name) if consent.secret_name else None
        if tokens is None:
            username = consent.account.username if consent.account else ""
            raise ConsentRequiredError("consent_lost", account=username, error="tokens_not_found")
        return tokens
