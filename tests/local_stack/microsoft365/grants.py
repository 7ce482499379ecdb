"""The issued authorization codes and refresh tokens, and their state."""

import secrets
import threading
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from .aadsts import Refused
from .clock import Clock
from .scopes import Scope
from .tokens import Tokens

CODE_LIFETIME = timedelta(minutes=10)
REFRESH_LIFETIME = timedelta(days=90)


@dataclass(frozen=True)
class Code:
    """An authorization code that was not redeemed yet."""

    client_id: str
    tenant: str
    user_id: str
    redirect_uri: str
    permissions: tuple[Scope, ...]
    sign_in: frozenset[str]
    nonce: str
    challenge: str
    challenge_method: str
    issued: datetime
    redeemed: bool = False


@dataclass(frozen=True)
class RefreshToken:
    """A refresh token; using it neither ends nor prolongs it."""

    client_id: str
    user_id: str
    issued: datetime


class Grants:
    """Codes by value and refresh tokens by value."""

    def __init__(self, clock: Clock, tokens: Tokens) -> None:
        self._clock = clock
        self._tokens = tokens
        self._lock = threading.RLock()
        self._codes: dict[str, Code] = {}
        self._refresh: dict[str, RefreshToken] = {}
        self._revoked: dict[str, datetime] = {}

    def new_code(self, code: Code) -> str:
        """Store a code and return its value."""
        value = self._tokens.record_issued(f"1.AR-code-{secrets.token_urlsafe(48)}")
        with self._lock:
            self._codes[value] = code
        return value

    def redeem(self, value: str) -> Code:
        """Use up a code.

        Raises:
            Refused: unknown (70000), redeemed before (54005) or older than ten minutes (70008).
        """
        with self._lock:
            code = self._codes.get(value)
            if code is None:
                raise Refused(70000)
            if code.redeemed:
                raise Refused(54005)
            if self._clock.now() >= code.issued + CODE_LIFETIME:
                raise Refused(70008)
            self._codes[value] = replace(code, redeemed=True)
            return code

    def new_refresh_token(self, client_id: str, user_id: str) -> str:
        """Issue a refresh token; the older ones stay as they are."""
        value = self._tokens.record_issued(f"1.AR-refresh-{secrets.token_urlsafe(64)}")
        with self._lock:
            self._refresh[value] = RefreshToken(client_id, user_id, self._clock.now())
        return value

    def find_refresh_token(self, value: str) -> RefreshToken | None:
        """Find a refresh token, usable or not."""
        with self._lock:
            return self._refresh.get(value)

    def use_refresh_token(self, value: str, client_id: str) -> RefreshToken:
        """Check a refresh token.

        Raises:
            Refused: unknown or another app's (70000), 90 days old (700082), or revoked (50173).
        """
        token = self.find_refresh_token(value)
        if token is None or token.client_id != client_id:
            raise Refused(70000)
        if self._clock.now() >= token.issued + REFRESH_LIFETIME:
            raise Refused(700082)
        with self._lock:
            if token.issued <= self._revoked.get(
                token.user_id, datetime.min.replace(tzinfo=token.issued.tzinfo)
            ):
                raise Refused(50173)
        return token

    def revoke_sessions(self, user_id: str) -> None:
        """End all present refresh tokens of a user, as *Revoke sessions* does."""
        with self._lock:
            self._revoked[user_id] = self._clock.now()
